"""Spans: when an order's row is valid, how much rows overlap, and how many distinct fills stand behind them."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.labels.states import Int64s

SHORTEST_TAIL_NS = 60 * NS_PER_S
_AFTER_ALL = 1 << 62


def draw_latency(ts_ns: Int64s, config: LabelConfig) -> Int64s:
    """Return the latency of each row in ns (n,): the constant, or one draw a row from the measured sample.

    The draw is the sample's inverse CDF at u = the first 53 bits of BLAKE2b(seed, ts_ns) / 2⁵³ (both as 8 bytes, little
    endian; bits from the first byte of the digest on): the smallest value v with P(latency <= v) > u.
    """
    if not config.latency_sample_ns:
        return np.full(len(ts_ns), config.latency_ns, np.int64)
    sample = np.sort(np.array(config.latency_sample_ns, np.int64))
    pack = struct.Struct("<qq").pack
    digest = hashlib.blake2b
    heads = b"".join(digest(pack(config.latency_seed, t)).digest()[:8] for t in ts_ns.tolist())
    u = (np.frombuffer(heads, ">u8") >> np.uint64(11)).astype(np.float64) / 2.0**53
    return sample[np.floor(u * len(sample)).astype(np.int64)]


def span_end_ns(t_arrive_ns: Int64s, latency_ns: Int64s, config: LabelConfig) -> Int64s:
    """Return t_end (n,): the same for every row whatever becomes of its orders."""
    tail = np.maximum(SHORTEST_TAIL_NS, config.horizon_ns + latency_ns + config.order_life_ns)
    return np.asarray(t_arrive_ns + config.order_life_ns + tail, np.int64)


def broken_spans(time_ns: Int64s, bid: Int64s, ask: Int64s, gaps: Int64s) -> Int64s:
    """Return the spans (k, 2) in which the book is not valid, ascending: open intervals (after, before) in ns.

    While it is not whole (``gaps`` (g, 2), as ``MessageStream.broken_spans``), and while the best prices lock or cross,
    the message's own instant included. An empty side breaks nothing: it makes null what needs it.
    """
    crossed = np.flatnonzero((bid >= ask) & (bid >= 0) & (ask >= 0))
    until = np.append(time_ns[1:], _AFTER_ALL)
    spans = np.concatenate(
        [
            np.stack([time_ns[crossed] - 1, until[crossed]], axis=1),
            np.asarray(gaps, np.int64).reshape(-1, 2),
        ]
    )
    return np.asarray(spans[np.lexsort((spans[:, 1], spans[:, 0]))], np.int64)


def valid_rows(
    ts_ns: Int64s, t_arrive_ns: Int64s, t_end_ns: Int64s, step_ns: int, last_ns: int, broken: Int64s, trade_gaps: Int64s
) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) are valid: the book is on [t - step, t_end], a later message came, no trade is missing.

    ``broken`` as of ``broken_spans``; ``trade_gaps`` (k, 2): closed intervals [first, last] in ns in which a trade id
    is missing; ``last_ns``: time of the partition's last message (audit snapshots not counted).
    """
    valid = t_end_ns < last_ns
    first = np.searchsorted(np.maximum.accumulate(broken[:, 1]), ts_ns - step_ns, side="right")
    starts = np.append(broken[:, 0], _AFTER_ALL)
    valid &= ~(starts[first] < t_end_ns)
    if len(trade_gaps):
        gaps = trade_gaps[np.argsort(trade_gaps[:, 0], kind="stable")]
        at = np.searchsorted(np.maximum.accumulate(gaps[:, 1]), t_arrive_ns, side="left")
        valid &= ~(np.append(gaps[:, 0], _AFTER_ALL)[at] <= t_end_ns)
    return np.asarray(valid, np.bool_)


def trade_id_gaps(trade_ids: npt.NDArray[np.int64], time_ns: Int64s) -> Int64s:
    """Return the closed intervals (k, 2) in ns in which ids are missing: from the trade before to the trade after.

    ``trade_ids`` (n,) must count up by one in the venue's order (Binance); order of arrival and repeats do not matter.
    """
    order = np.argsort(trade_ids, kind="stable")
    ids, times = trade_ids[order], time_ns[order]
    at = np.flatnonzero(np.diff(ids) > 1)
    between = np.stack([times[at], times[at + 1]], axis=1)
    return np.asarray(np.sort(between, axis=1), np.int64)


def uniqueness(t_arrive_ns: Int64s, t_end_ns: Int64s) -> npt.NDArray[np.float64]:
    """Return the uniqueness of each row (n,) of one side: mean over its span of 1 / (rows whose span holds an instant).

    Every span must have a length. Rows may come in any order.
    """
    edges, position = np.unique(np.concatenate([t_arrive_ns, t_end_ns]), return_inverse=True)
    n = len(t_arrive_ns)
    change = np.bincount(position[:n], minlength=len(edges)) - np.bincount(position[n:], minlength=len(edges))
    holding = np.cumsum(change)[:-1]
    width = np.diff(edges).astype(np.float64)
    share = np.concatenate([[0.0], np.cumsum(np.where(holding > 0, width / np.maximum(holding, 1), 0.0))])
    return np.asarray((share[position[n:]] - share[position[:n]]) / (t_end_ns - t_arrive_ns), np.float64)


def effective_n(t_fill_ns: Int64s, side: npt.NDArray[np.int8], price_ticks: Int64s) -> int:
    """Return the number of distinct (t_fill, side, P) among filled rows, all (n,)."""
    if not len(t_fill_ns):
        return 0
    keys = np.stack([t_fill_ns, side.astype(np.int64), price_ticks], axis=1)
    order = np.lexsort(keys.T)
    return 1 + int(np.any(np.diff(keys[order], axis=0) != 0, axis=1).sum())

"""The truth table of probes: what became of orders whose place in the queue is known, in the labels' own columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import Column, Table
from lob_pipeline.labels.overlap import span_end_ns
from lob_pipeline.labels.spec import ADVERSE_NS, LABELS, MARKOUT_NS, LabelConfig
from lob_pipeline.sim.probe_state import AHEAD, ARRIVE_NS, DONE_LOTS, FILL_NS, PRICE, REACHED_NS, SIDE, N, Probes
from lob_pipeline.sim.state import BID_SIDE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_AS_LABELS = (
    *("ts_ns", "side", "valid", "t_decide_ns", "t_arrive_ns", "t_end_ns"),
    *("filled", "filled_lots", "fill_delay_ns", "fill_kind"),
    *(f"markout_{name}_bps" for name in MARKOUT_NS),
    "adverse",
)
_LABEL = {label.column.name: label.column for label in LABELS}

PROBES = Table(
    "probes",
    1,
    clocked=True,
    key=("ts_ns", "side"),
    doc="true fate of a probe: an order that holds a place in the queue, is not displayed and takes nothing",
    columns=(
        *(_LABEL[name] for name in _AS_LABELS),
        Column("price_ticks", doc="P: the best price of the probe's side in its decision row", minimum=1),
        Column("queue_ahead_lots", doc="lots of the orders before it at arrival; -1: rejected", minimum=-1),
        Column(
            "reached_delay_ns",
            doc="arrival to when a taker first dropped lots that a displayed order would have met; -1 never",
            nullable=True,
            minimum=-1,
        ),
        Column(
            "volatility_60s_bps",
            "float64",
            "root of the sum of squared 1 s mid returns over the 60 s before t; null where the day is younger",
            nullable=True,
            minimum=0,
        ),
    ),
)


def mid2_at(quotes: Ints, time_ns: Ints) -> Ints:
    """Return bid + ask in ticks at each time (int64 (n,)), -1 before the first quote and where a side is empty.

    ``quotes`` int64 (m, 3): time in ns, never falling, best bid, best ask.
    """
    at = np.searchsorted(quotes[:, 0], time_ns, side="right") - 1
    bid, ask = quotes[np.maximum(at, 0), 1], quotes[np.maximum(at, 0), 2]
    return np.where((at >= 0) & (bid >= 0) & (ask >= 0), bid + ask, -1)


def probe_columns(
    probes: Probes, decided: Ints, quotes: Ints, volatility_bps: Floats, last_ns: int, config: LabelConfig
) -> Columns:
    """Return ``PROBES`` by (ts_ns, side).

    ``decided`` int64 (n, 3): grid instant, decision and latency of each given probe, in ns. ``quotes`` as ``mid2_at``,
    event by event. ``volatility_bps`` (n,). A probe is valid where its span ends before ``last_ns``, the day's last
    message, as labels are.
    """
    n = int(probes.meta[N])
    given, fate = probes.given[:n], probes.fate[:n]
    arrive_ns, price = given[:, ARRIVE_NS], given[:, PRICE]
    side = np.where(given[:, SIDE] == BID_SIDE, 1, -1).astype(np.int8)
    t_end_ns = span_end_ns(arrive_ns, decided[:, 2], config)
    valid = t_end_ns < last_ns
    fill_ns = fate[:, FILL_NS]
    filled = fill_ns >= 0
    out: Columns = {
        "ts_ns": decided[:, 0],
        "side": side,
        "valid": valid,
        "t_decide_ns": decided[:, 1],
        "t_arrive_ns": arrive_ns,
        "t_end_ns": t_end_ns,
        "filled": np.ma.MaskedArray(filled, ~valid),
        "filled_lots": np.ma.MaskedArray(fate[:, DONE_LOTS], ~valid),
        "fill_delay_ns": np.ma.MaskedArray(np.where(filled, fill_ns - arrive_ns, -1), ~valid),
        "fill_kind": np.ma.MaskedArray(probes.kind[:n], ~valid),
        "reached_delay_ns": np.ma.MaskedArray(
            np.where(fate[:, REACHED_NS] >= 0, fate[:, REACHED_NS] - arrive_ns, -1), ~valid
        ),
        "price_ticks": price,
        "queue_ahead_lots": fate[:, AHEAD],
        "volatility_60s_bps": volatility_bps,
    }
    for name, after_ns in MARKOUT_NS.items():
        m2 = mid2_at(quotes, fill_ns + after_ns)
        known = filled & valid & (m2 >= 0)
        markout = np.where(known, 1e4 * side / price * 0.5 * (m2 - 2 * price), np.nan)
        out[f"markout_{name}_bps"] = markout
        if after_ns == ADVERSE_NS:
            out["adverse"] = np.ma.MaskedArray(markout < config.adverse_below_bps, ~known)
    order = np.lexsort((side, decided[:, 0]))
    return {name: out[name][order] for name in PROBES.names}

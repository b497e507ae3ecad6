"""What is watched for drift in each table: one row a minute of a few named quantities, and how each may move.

A row belongs to the minute of its instant minus 1 ns, as it does to its day. A minute in which nothing could be seen of
a quantity (no valid row, no filled order) is NaN there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.units import NS_PER_S

Rule = Literal["factor", "span", "rate"]
Floats = np.ndarray[Any, Any]

_MINUTE_NS = 60 * NS_PER_S


@dataclass(frozen=True)
class Metric:
    """A quantity and what is expected of it.

    ``factor``: positive; the day's median and most minutes within half and twice of what the trailing days show.
    ``span``: of any sign; the same within their range widened by a part of itself. ``rate``: a base rate, often 0 in a
    minute; the day's mean within half and twice of theirs, most minutes as for ``span``.
    """

    name: str
    rule: Rule


@dataclass(frozen=True)
class Suite:
    """The drift suite of one table: the columns it reads and the minute profile made of them."""

    table: str
    columns: tuple[str, ...]
    metrics: tuple[Metric, ...]
    profile: Callable[[Columns], Columns]

    @property
    def name(self) -> str:
        """Return the suite's name in the Data Docs."""
        return f"{self.table} drift"

    @property
    def checks(self) -> tuple[str, ...]:
        """Return the names of its checks."""
        return tuple(f"drift_{metric.name}" for metric in self.metrics)


class _Minutes:
    """Rows grouped by the minute of their instant; all arrays have shape (rows,), results (minutes,) float64."""

    def __init__(self, ts_ns: Floats) -> None:
        minute = (np.asarray(ts_ns, np.int64) - 1) // _MINUTE_NS
        self._starts = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1)) if len(minute) else np.zeros(0, np.int64)
        self._rows = np.diff(self._starts, append=len(minute))

    def total(self, values: Floats) -> Floats:
        """Return the sum a minute."""
        if not len(self._starts):
            return np.zeros(0)
        return np.asarray(np.add.reduceat(np.asarray(values, np.float64), self._starts))

    def share(self, chosen: Floats, among: Floats | None = None) -> Floats:
        """Return the share of ``chosen`` rows among the rows (those of ``among``; NaN where there is none)."""
        if among is None:
            return self.total(chosen) / self._rows if len(self._rows) else np.zeros(0)
        return self.mean(np.asarray(chosen, np.float64), among)

    def mean(self, values: Floats, among: Floats) -> Floats:
        """Return the mean of the finite ``values`` of the rows ``among``; NaN where there is none."""
        counted = np.asarray(among, np.bool_) & np.isfinite(values)
        rows = self.total(counted)
        total = self.total(np.where(counted, values, 0.0))
        return np.divide(total, rows, out=np.full(len(rows), np.nan), where=rows > 0)


def book_minutes(columns: Columns) -> Columns:
    """Return spread (ticks), depth within 4 bps of both sides (lots), messages and the valid share of each minute."""
    minutes, valid = _Minutes(columns["ts_ns"]), columns["valid"]
    spread = np.subtract(columns["ask_ticks_1"], columns["bid_ticks_1"]).astype(np.float64)
    depth = np.add(columns["bid_depth_4bps_lots"], columns["ask_depth_4bps_lots"]).astype(np.float64)
    return {
        "spread_ticks": minutes.mean(spread, valid),
        "depth_4bps_lots": minutes.mean(depth, valid),
        "messages": minutes.total(columns["messages"]),
        "valid_share": minutes.share(valid),
    }


WATCHED = (
    "spread_ticks",
    "queue_imbalance_l1_ratio",
    "depth_imbalance_4bps_ratio",
    "bid_depth_l10_log1p_lots",
    "ask_depth_l10_log1p_lots",
    "ofi_l1_5s_lots",
    "log_return_5s_bps",
    "realised_vol_30s_bps",
    "message_rate_1s_hz",
    "signed_volume_30s_lots",
)
"""The features that stand for the others: at least one of every group, and of the tape."""
_POSITIVE = ("spread_ticks", "realised_vol_30s_bps", "message_rate_1s_hz")
_TAPE = "signed_volume_30s_lots"


def feature_minutes(columns: Columns) -> Columns:
    """Return the mean of each watched feature over the valid rows of each minute, and two shares.

    ``nan_share``: rows that are not valid, so with a NaN among the features of the book; ``tape_nan_share``: rows whose
    tape is NaN.
    """
    minutes, valid = _Minutes(columns["ts_ns"]), columns["valid"]
    means = {name: minutes.mean(columns[name].astype(np.float64), valid) for name in WATCHED}
    tape = np.isnan(columns[_TAPE])
    return {**means, "nan_share": minutes.share(~valid.astype(np.bool_)), "tape_nan_share": minutes.share(tape)}


_QUEUES = ("", "_pess", "_opt")


def label_minutes(columns: Columns) -> Columns:
    """Return the base rates of each minute, over valid rows of both sides.

    ``valid_share`` of all rows; of the valid ones the share ``filled`` under each queue model and the share ``entry``;
    of the filled ones (proportional) the share ``adverse`` and the mean ``edge_bps``.
    """
    minutes, valid = _Minutes(columns["ts_ns"]), columns["valid"].astype(np.bool_)
    filled = {suffix: valid & _true(columns[f"filled{suffix}"]) for suffix in _QUEUES}
    return {
        "valid_share": minutes.share(valid),
        **{f"fill_share{suffix}": minutes.share(filled[suffix], valid) for suffix in _QUEUES},
        "entry_share": minutes.share(_true(columns["entry"]), valid),
        "adverse_share": minutes.share(_true(columns["adverse"]), filled[""]),
        "edge_bps": minutes.mean(np.asarray(columns["edge_bps"], np.float64), filled[""]),
    }


def _true(column: Floats) -> Floats:
    """Return where a nullable flag is true; null is not."""
    return np.asarray(np.ma.filled(column, False), np.bool_)


def _metrics(rule: Rule, *names: str) -> tuple[Metric, ...]:
    return tuple(Metric(name, rule) for name in names)


BOOKS = Suite(
    "book_snapshots",
    ("ts_ns", "valid", "bid_ticks_1", "ask_ticks_1", "bid_depth_4bps_lots", "ask_depth_4bps_lots", "messages"),
    _metrics("factor", "spread_ticks", "depth_4bps_lots", "messages", "valid_share"),
    book_minutes,
)
FEATURES = Suite(
    "features",
    ("ts_ns", "valid", *WATCHED),
    (
        *(Metric(name, "factor" if name in _POSITIVE else "span") for name in WATCHED),
        *_metrics("span", "nan_share", "tape_nan_share"),
    ),
    feature_minutes,
)
LABELS = Suite(
    "labels",
    ("ts_ns", "valid", *(f"filled{suffix}" for suffix in _QUEUES), "entry", "adverse", "edge_bps"),
    (
        *_metrics("factor", "valid_share"),
        *_metrics("rate", *(f"fill_share{suffix}" for suffix in _QUEUES), "entry_share", "adverse_share"),
        *_metrics("span", "edge_bps"),
    ),
    label_minutes,
)
SUITES = {suite.table: suite for suite in (BOOKS, FEATURES, LABELS)}
"""Table -> its drift suite."""

"""The built features of FEATURES.md once more, row by row in plain Python: fractions and lists, no running state.

Every value is computed from the stored rows by its definition; a window is sliced anew for every row. Nothing of the
kernel, its state or its window arithmetic is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import ROW
from lob_pipeline_tests.naive.tape import (
    History,
    Season,
    Trade,
    offset,
    season_features,
    tape_features,
    temporal_features,
)

DAY_NS = 86_400_000_000_000


class Row:
    """One book row, read by column name."""

    def __init__(self, values: npt.NDArray[np.int64]) -> None:
        self._values = values
        self.ts = self.col("ts_ns")
        self.valid = bool(self.col("valid"))
        self.bids = self._levels("bid")
        self.asks = self._levels("ask")

    def col(self, name: str) -> int:
        return int(self._values[ROW[name]])

    def _levels(self, side: str) -> list[tuple[int, int]]:
        levels = [(self.col(f"{side}_ticks_{k}"), self.col(f"{side}_lots_{k}")) for k in range(1, 21)]
        return [(price, lots) for price, lots in levels if price >= 0]

    @property
    def m2(self) -> int:
        return self.bids[0][0] + self.asks[0][0]


def rows_in(window_ns: int, step_ns: int) -> int:
    return max(1, math.floor(Fraction(window_ns, step_ns) + Fraction(1, 2)))


def ratio(bid: int, ask: int) -> float:
    return float(Fraction(bid - ask, bid + ask)) if bid + ask else 0.0


def clip(value: float, bound: float) -> float:
    return max(-bound, min(bound, value))


def vwap(levels: list[tuple[int, int]], q: int) -> Fraction:
    paid, left = 0, q
    for price, lots in levels:
        taken = min(lots, left)
        paid += taken * price
        left -= taken
    paid += left * levels[-1][0]
    return Fraction(paid, q)


def order_lots(instrument: Instrument, quote: int, m2: int) -> int:
    if instrument.contract == "inverse":
        return math.ceil(Fraction(quote) / Fraction(instrument.contract_value))
    return math.ceil(Fraction(2 * quote) / (m2 * Fraction(instrument.tick) * Fraction(instrument.lot)))


def depth_features(row: Row, instrument: Instrument) -> dict[str, float]:
    sides = {"bid": row.bids, "ask": row.asks}
    out: dict[str, float] = {"spread_ticks": row.asks[0][0] - row.bids[0][0]}
    for k in (1, 2, 3, 5, 10, 20):
        out[f"queue_imbalance_l{k}_ratio"] = ratio(*(sum(s for _, s in levels[:k]) for levels in sides.values()))
    for side, levels in sides.items():
        best = levels[0][0]
        ten = levels[:10]
        lots = sum(s for _, s in ten)
        for k in (1, 5, 10, 20):
            out[f"{side}_depth_l{k}_log1p_lots"] = math.log(1 + sum(s for _, s in levels[:k]))
        out[f"{side}_slope_l10_log1p_lots_per_tick"] = math.log(1 + lots / (abs(ten[-1][0] - best) + 1))
        out[f"{side}_centre_of_mass_l10_ticks"] = sum(s * abs(p - best) for p, s in ten) / lots
        for n in (1, 2):
            gap = abs(levels[n][0] - levels[n - 1][0]) if len(levels) > n else 1000
            out[f"{side}_gap_{n}_ticks"] = min(gap, 1000)
        out[f"{side}_concentration_l10_ratio"] = float(Fraction(sum(s * s for _, s in ten), lots * lots))
    mid = Fraction(row.m2, 2)
    for size, quote in (("small", instrument.small_order_quote), ("large", instrument.large_order_quote)):
        q = order_lots(instrument, quote, row.m2)
        out[f"buy_cost_{size}_bps"] = float(10_000 * (vwap(row.asks, q) - mid) / mid)
        out[f"sell_cost_{size}_bps"] = float(10_000 * (mid - vwap(row.bids, q)) / mid)
    for k in (5, 10):
        b, a = sum(s for _, s in row.bids[:k]), sum(s for _, s in row.asks[:k])
        pb = Fraction(sum(p * s for p, s in row.bids[:k]), b)
        pa = Fraction(sum(p * s for p, s in row.asks[:k]), a)
        out[f"weighted_mid_offset_l{k}_ticks"] = float((pb * a + pa * b) / (a + b) - mid)
    for n in (1, 2, 4):
        out[f"depth_imbalance_{n}bps_ratio"] = ratio(
            row.col(f"bid_depth_{n}bps_lots"), row.col(f"ask_depth_{n}bps_lots")
        )
    return out


def worse_times(rows: list[Row], column: str) -> list[int]:
    """Per row: time of the last worsening. A carried book restarts the column at midnight; the older holds."""
    times: list[int] = []
    for i, row in enumerate(rows):
        value = row.col(column)
        continues = i > 0 and row.ts > rows[i - 1].ts and rows[i - 1].ts % DAY_NS == 0 and value == rows[i - 1].ts
        unchanged = i > 0 and value == rows[i - 1].col(column)
        times.append(times[-1] if continues or unchanged else value)
    return times


def run_rows(rows: list[Row], step_ns: int) -> list[int]:
    """Per row: its index in its run, -1 where it is invalid."""
    at: list[int] = []
    for i, row in enumerate(rows):
        fresh = i == 0 or at[-1] < 0 or row.col("run_start") == 1 or row.ts != rows[i - 1].ts + step_ns
        at.append(-1 if not row.valid else 0 if fresh else at[-1] + 1)
    return at


def flow_features(rows: list[Row], i: int, in_run: int, step_ns: int, worse: dict[str, list[int]]) -> dict[str, float]:
    """The queue group of row ``i``, which is row ``in_run`` of its run: only what its windows can hold."""
    out: dict[str, float] = {}

    def window(ns: int) -> list[Row] | None:
        n = rows_in(ns, step_ns)
        return rows[i - n + 1 : i + 1] if in_run >= n else None

    def total(span: list[Row], name: str) -> int:
        return sum(r.col(name) for r in span)

    second = 1_000_000_000
    for levels, ns, text in (
        (1, second // 10, "100ms"),
        (1, second, "1s"),
        (1, 5 * second, "5s"),
        (1, 30 * second, "30s"),
        (5, second, "1s"),
        (5, 5 * second, "5s"),
        (10, second, "1s"),
    ):
        if (span := window(ns)) is not None:
            out[f"ofi_l{levels}_{text}_lots"] = total(span, f"ofi_l{levels}_lots")
    now = rows[i]
    if (span := window(second)) is not None:
        _one_second(out, span, rows[i - len(span)], now, total)
    if (span := window(5 * second)) is not None:
        _five_seconds(out, span, rows[i - len(span)], now, total, step_ns)
    if (span := window(60 * second)) is not None:
        for side in ("bid", "ask"):
            mean = Fraction(total(span, f"{side}_depth_2bps_lots"), len(span))
            here = now.col(f"{side}_depth_2bps_lots")
            out[f"{side}_depth_2bps_vs_60s_ratio"] = clip(float(here / mean), 10) if mean else 1.0
            out[f"{side}_since_worse_ms"] = min(60_000.0, float(Fraction(now.ts - worse[side][i], 1_000_000)))
    return out


Total = Callable[[list[Row], str], int]


def _one_second(out: dict[str, float], span: list[Row], before: Row, now: Row, total: Total) -> None:
    for side in ("bid", "ask"):
        add, remove = total(span, f"{side}_add_lots"), total(span, f"{side}_remove_lots")
        mean = Fraction(total(span, f"{side}_lots_1"), len(span))
        out[f"{side}_adds_1s_lots"], out[f"{side}_removals_1s_lots"] = add, remove
        out[f"{side}_net_depletion_1s_ratio"] = clip(float((remove - add) / (1 + mean)), 10)
    for way in ("up", "down"):
        out[f"mid_{way}_moves_1s_count"] = total(span, f"mid_{way}_moves")
    now_then = [ratio(r.bids[0][1], r.asks[0][1]) for r in (now, before)]
    out["queue_imbalance_l1_change_1s_ratio"] = now_then[0] - now_then[1]


def _five_seconds(out: dict[str, float], span: list[Row], before: Row, now: Row, total: Total, step_ns: int) -> None:
    pairs = list(zip([before, *span[:-1]], span, strict=True))
    for side in ("bid", "ask"):
        add, remove = total(span, f"{side}_add_lots"), total(span, f"{side}_remove_lots")
        out[f"{side}_removal_share_5s_ratio"] = float(Fraction(remove, remove + add)) if remove + add else 0.5
        same = [b for a, b in pairs if a.col(f"{side}_ticks_1") == b.col(f"{side}_ticks_1")]
        net = [r.col(f"{side}_add_lots") - r.col(f"{side}_remove_lots") for r in same]
        gained, lost = sum(x for x in net if x > 0), sum(-x for x in net if x < 0)
        out[f"{side}_refill_5s_ratio"] = clip(float(Fraction(gained, 1 + lost)), 10)
        window_s = Fraction(len(span) * step_ns, 1_000_000_000)
        lots = now.col(f"{side}_lots_1")
        out[f"{side}_time_to_empty_s"] = min(60.0, float(window_s * lots / remove)) if remove else 60.0
    for way in ("up", "down"):
        out[f"mid_{way}_moves_5s_count"] = total(span, f"mid_{way}_moves")
    mean_lots = Fraction(sum(r.bids[0][1] + r.asks[0][1] for r in span), 2 * len(span))
    flow = total(span, "ofi_l1_lots")
    out["flow_per_move_5s_ratio"] = clip(float(flow / ((1 + mean_lots) * (1 + abs(now.m2 - before.m2)))), 10)
    out["ofi_l6_to_l10_5s_lots"] = total(span, "ofi_l10_lots") - total(span, "ofi_l5_lots")


WINDOWS = {"100ms": 100, "500ms": 500, "1s": 1_000, "5s": 5_000, "30s": 30_000, "60s": 60_000, "300s": 300_000}


def naive_features(
    rows: npt.NDArray[np.int64],
    instrument: Instrument,
    step_ns: int,
    names: list[str],
    tape: list[list[Trade] | None] | None = None,
    season: Season | None = None,
) -> npt.NDArray[np.float64]:
    """Return float64 (n, len(names)): every named feature of every row, NaN where its rows are not all there.

    ``tape``: the trades of each row, None for a row of which none were recorded; None: no row's were.
    """
    book = [Row(values) for values in rows]
    at = run_rows(book, step_ns)
    worse = {side: worse_times(book, f"{side}_worse_ns") for side in ("bid", "ask")}
    n = {name: rows_in(ms * 1_000_000, step_ns) for name, ms in WINDOWS.items()}
    history = History(book, tape or [None] * len(book))
    out = np.full((len(book), len(names)), np.nan)
    known = 0
    for i, row in enumerate(book):
        known = 0 if at[i] <= 0 or history.tape[i] is None else known + 1
        if at[i] < 0:
            continue
        found: dict[str, Any] = depth_features(row, instrument)
        found["microprice_offset_ticks"] = offset(history.lots[i], history.spread[i], season)
        found.update(flow_features(book, i, at[i], step_ns, worse))
        found.update(temporal_features(history, i, at[i], n, step_ns, season))
        found.update(season_features(history, i, at[i], n, instrument, season))
        small = order_lots(instrument, instrument.small_order_quote, row.m2)
        found.update(tape_features(history, i, known, n, step_ns, small))
        out[i] = [found.get(name, np.nan) for name in names]
    return out

"""Which row a trade counts in, and the temporal, seasonality and tape features, once more in plain Python.

Fractions and lists over whole histories; a window is sliced anew for every row. Nothing of the kernels is used but the
names of the columns.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from lob_pipeline.core.instrument import Instrument

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


class Trade(NamedTuple):
    """One trade that counts: time, lots (+ taker bought), price in ticks."""

    ts: int
    signed: int
    price: int


@dataclass
class Season:
    """A profile in plain numbers: correction by [decile][spread state], usual spread and messages by quarter-hour."""

    microprice: list[list[float]]
    spread: list[float | None]
    messages: list[float | None]


def rows_of_trades(
    rows: list[tuple[int, int]], trades: list[tuple[int, Trade]]
) -> tuple[list[list[Trade]], list[Trade]]:
    """Return each row's trades, and those that still wait after the last. ``rows``: (instant, where it closes).

    A trade counts in the first row with t >= its time that has not closed when it arrives.
    """
    found: list[list[Trade]] = [[] for _ in rows]
    waiting = []
    instants, closes = [t for t, _ in rows], [place for _, place in rows]  # both ascend
    for arrives, trade in trades:
        i = max(bisect_left(instants, trade.ts), bisect_right(closes, arrives))
        (found[i] if i < len(rows) else waiting).append(trade)
    return found, waiting


class History:
    """Plain lists of what the windows read; index i is the row's place in the whole input."""

    def __init__(self, rows: list[Any], tape: list[list[Trade] | None]) -> None:
        self.ts = [row.ts for row in rows]
        self.m2 = [row.m2 if row.valid else 0 for row in rows]
        self.spread = [row.asks[0][0] - row.bids[0][0] if row.valid else 0 for row in rows]
        self.lots = [(row.bids[0][1], row.asks[0][1]) if row.valid else (0, 0) for row in rows]
        self.messages = [row.col("messages") for row in rows]
        self.tape = tape


def clip(value: float, bound: float) -> float:
    return max(-bound, min(bound, value))


def offset(lots: tuple[int, int], spread: int, season: Season | None) -> float:
    """G* of the state; the decile's border belongs to the decile nearer one half, and one half itself has none."""
    share = Fraction(lots[0], lots[0] + lots[1])
    if season is None or share == Fraction(1, 2):
        return 0.0
    decile = math.floor(10 * share) if share < Fraction(1, 2) else math.ceil(10 * share) - 1
    return season.microprice[decile][min(spread, 3) - 1]


def temporal_features(
    h: History, i: int, r: int, n: dict[str, int], step: int, season: Season | None
) -> dict[str, Any]:
    """The temporal group of row ``i``, which is row ``r`` of its run; ``n``: rows of a window by its name."""
    out: dict[str, Any] = {}
    m2 = h.m2

    def moves(rows: int) -> list[int]:
        return [m2[j] - m2[j - 1] for j in range(i - rows + 1, i + 1)]

    for w in ("100ms", "500ms", "1s", "5s", "30s", "60s"):
        if r >= n[w]:
            out[f"log_return_{w}_bps"] = 1e4 * math.log(m2[i] / m2[i - n[w]])
    for w in ("1s", "5s", "30s", "300s"):
        if r >= n[w]:
            out[f"realised_vol_{w}_bps"] = 1e4 * math.sqrt(sum(x * x for x in moves(n[w]))) / m2[i]
    if r >= n["300s"]:
        part, whole = (Fraction(sum(x * x for x in moves(n[w])), n[w]) for w in ("5s", "300s"))
        out["realised_vol_5s_vs_300s_ratio"] = math.sqrt(part / whole) if whole else 1.0
    if r >= n["30s"] + 1:
        span = moves(n["30s"] + 1)
        products = sum(a * b for a, b in pairwise(span))
        squares = sum(x * x for x in span[1:])
        out["return_autocorr_lag1_30s_ratio"] = clip(products / squares, 1) if squares else 0.0
    if r >= n["1s"]:
        now, then = (offset(h.lots[j], h.spread[j], season) for j in (i, i - n["1s"]))
        out["microprice_momentum_1s_ticks"] = now - then
        window_s = Fraction(n["1s"] * step, SECOND)
        out["message_rate_1s_hz"] = float(sum(h.messages[i - n["1s"] + 1 : i + 1]) / window_s)
    if r >= n["60s"]:
        span = m2[i - n["60s"] + 1 : i + 1]
        out["mid_range_60s_bps"] = 1e4 * (max(span) - min(span)) / m2[i]
        mean = Fraction(sum(h.spread[i - n["60s"] + 1 : i + 1]), n["60s"])
        out["spread_vs_60s_ratio"] = min(20.0, float(h.spread[i] / mean))
    return out


def season_features(
    h: History, i: int, r: int, n: dict[str, int], market: Instrument, season: Season | None
) -> dict[str, Any]:
    """The seasonality group of row ``i``, which is row ``r`` of its run."""
    t = h.ts[i]
    periods = {"hour": (t, DAY), "weekday": (t - 4 * DAY, 7 * DAY)}
    out: dict[str, Any] = {"funding_sin": 0.0, "funding_cos": 1.0}
    if market.funding_interval_hours:
        periods["funding"] = (t, market.funding_interval_hours * 3_600 * SECOND)
    for name, (ns, period) in periods.items():
        phase = 2 * math.pi * float(Fraction(ns % period, period))
        out[f"{name}_sin"], out[f"{name}_cos"] = math.sin(phase), math.cos(phase)
    if r >= n["60s"]:
        quarter = t % DAY // (900 * SECOND)
        spread = season.spread[quarter] if season else None
        messages = season.messages[quarter] if season else None
        mean = sum(h.spread[i - n["60s"] + 1 : i + 1]) / n["60s"]
        count = sum(h.messages[i - n["60s"] + 1 : i + 1])
        out["spread_vs_season_log"] = 0.0 if spread is None else clip(math.log(mean / spread), 5)
        out["activity_vs_season_log"] = 0.0 if messages is None else clip(math.log((1 + count) / (1 + messages)), 5)
    return out


def tape_features(h: History, i: int, k: int, n: dict[str, int], step: int, q: int) -> dict[str, Any]:
    """The tape group of row ``i``: ``k`` rows before it, itself included, have a known tape. ``q``: the small order."""
    out: dict[str, Any] = {}

    def span(rows: int) -> list[Trade]:
        return [trade for j in range(i - rows + 1, i + 1) for trade in h.tape[j] or []]

    def mean_size(trades: list[Trade]) -> Fraction:
        return Fraction(sum(abs(x.signed) for x in trades), len(trades)) if trades else Fraction(0)

    for w in ("1s", "5s", "30s"):
        if k >= n[w]:
            trades = span(n[w])
            signed, volume = sum(x.signed for x in trades), sum(abs(x.signed) for x in trades)
            out[f"signed_volume_{w}_lots"] = signed
            out[f"trade_count_{w}_count"] = len(trades)
            out[f"trade_imbalance_{w}_ratio"] = float(Fraction(signed, volume)) if volume else 0.0
            if w == "5s":
                mid = Fraction(h.m2[i], 2)
                paid = Fraction(sum(x.price * abs(x.signed) for x in trades), volume) if volume else mid
                out["vwap_offset_5s_bps"] = float(10_000 * (paid - mid) / mid)
    if k >= n["60s"]:
        known = [x.ts for j in range(i - k, i + 1) for x in h.tape[j] or []]
        out["time_since_trade_ms"] = min(60_000.0, (h.ts[i] - max(known)) / 1e6) if known else 60_000.0
    if k >= n["300s"]:
        last, five, long = span(n["1s"]), span(n["5s"]), span(n["300s"])
        mean = mean_size(long)
        out["large_trade_1s_flag"] = float(bool(mean) and any(abs(x.signed) >= 50 * mean for x in last))
        out["trade_size_5s_vs_300s_ratio"] = min(20.0, float(mean_size(five) / mean)) if five and mean else 1.0
        volumes = [Fraction(sum(abs(x.signed) for x in part), n[w]) for part, w in ((five, "5s"), (long, "300s"))]
        out["volume_5s_vs_300s_ratio"] = min(100.0, float(volumes[0] / volumes[1])) if volumes[1] else 1.0
    out.update(_bars(h, i, k, step, q))
    return out


def _bars(h: History, i: int, k: int, step: int, q: int) -> dict[str, Any]:
    """vpin and kyle: sixty bars of one second that end at the last whole second, where all their rows are known."""
    t = h.ts[i]
    whole = t - t % SECOND

    def last_row(second: int) -> int:
        """The last row at or before ``second``."""
        return i - math.ceil(Fraction(t - second, step))

    if i - last_row(whole - 60 * SECOND) > k:
        return {}
    net = volume = 0
    xy = xx = 0
    for b in range(60, 0, -1):
        first, last = last_row(whole - b * SECOND), last_row(whole - (b - 1) * SECOND)
        trades = [trade for j in range(first + 1, last + 1) for trade in h.tape[j] or []]
        x, y = sum(trade.signed for trade in trades), h.m2[last] - h.m2[first]
        net, volume = net + abs(x), volume + sum(abs(trade.signed) for trade in trades)
        xy, xx = xy + x * y, xx + x * x
    return {
        "vpin_60s_ratio": float(Fraction(net, volume)) if volume else 0.0,
        "kyle_lambda_60s_half_ticks": float(q * Fraction(xy, xx)) if xx else 0.0,
    }

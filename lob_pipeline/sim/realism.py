"""Twelve statistics of a market, each a vector of numbers on a scale where a difference means the same everywhere.

A statistic reads pieces of a ``MarketView`` (successive rows inside a piece, nothing across pieces) and returns a
vector: quantiles of a logarithm, logarithms of a curve, or correlations. The distance of two markets in a statistic is
the mean absolute difference of the vectors. For quantiles that is the Wasserstein-1 distance of the logarithms, so 0.1
reads "a tenth off on average"; for curves the mean relative difference; for correlations their mean difference.
A vector with NaN says that the pieces hold too little to tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.sim.realism_view import (
    ASK,
    ASK_LOTS,
    BID,
    BID_LOTS,
    CHANGES,
    DEPTH,
    REACH_TICKS,
    STEP_MS,
    MarketView,
)

Floats = npt.NDArray[np.float64]
Pieces = list[MarketView]
QUANTILES = (np.arange(200) + 0.5) / 200.0
SIGNATURE_MS = np.array([100, 200, 500, 1000, 2000, 5000, 10000])
SLOPE_MS = np.array([100, 200, 500, 1000])
RETURN_LAGS_MS = np.arange(1, 6) * STEP_MS
SIGN_LAGS = np.array([1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50])
FEWEST = 8  # values below which a distribution says nothing
_FEWEST_LOTS = 1e-3
_LEAST_SLOPE = 1e-3  # bps per 1,000 lots; a flat or falling slope counts as it


class Statistic(NamedTuple):
    """``name``: as in the table; ``unit``: of the vector before the logarithm; ``kind``: ``quantiles`` or ``curve``.

    ``x``: where the entries stand (shares of a distribution, ticks, ms, lags); ``logged``: whether entries are
    logarithms; ``measure``: pieces -> float64 (len(x),).
    """

    name: str
    unit: str
    kind: str
    x: Floats
    x_unit: str
    logged: bool
    measure: Callable[[Pieces], Floats]


def _log_quantiles(values: npt.NDArray[np.generic]) -> Floats:
    """Return the quantiles of the logarithm of positive values, each a value that occurs; NaN where too few."""
    if len(values) < FEWEST:
        return np.full(len(QUANTILES), np.nan)
    return np.log(np.quantile(values.astype(np.float64), QUANTILES, method="inverted_cdf"))


def _joined(pieces: Pieces, of: Callable[[MarketView], npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    return np.concatenate([of(piece) for piece in pieces])


def spread(pieces: Pieces) -> Floats:
    """Best ask less best bid in ticks, at every row."""
    return _log_quantiles(_joined(pieces, lambda v: v.rows[:, ASK] - v.rows[:, BID]))


def depth_profile(pieces: Pieces) -> Floats:
    """Mean lots a side within so many ticks of its best price."""
    lots = np.concatenate([v.rows[:, DEPTH:] for v in pieces])
    return np.log(np.maximum(lots.mean(axis=0) / 2.0, _FEWEST_LOTS))


def best_queues(pieces: Pieces) -> Floats:
    """Lots at the best prices, both sides pooled, at every row."""
    return _log_quantiles(_joined(pieces, lambda v: v.rows[:, [BID_LOTS, ASK_LOTS]].ravel()))


def level_changes(pieces: Pieces) -> Floats:
    """Levels (of the 200 best a side) that differ from the row before, plus one."""
    return _log_quantiles(_joined(pieces, lambda v: v.rows[1:, CHANGES] + 1))


def trade_rate(pieces: Pieces) -> Floats:
    """Trades in each whole second, plus one."""

    def counts(v: MarketView) -> npt.NDArray[np.generic]:
        second = (v.trades[:, 0] - v.time_ms[0]) // 1000
        whole = int(v.seconds)
        return np.bincount(second[(second >= 0) & (second < whole)], minlength=whole) + 1

    return _log_quantiles(_joined(pieces, counts))


def taker_orders(v: MarketView) -> npt.NDArray[np.int64]:
    """Return taker orders, int64 (n, 3) as ``MarketView.trades``: neighbours of one side in one millisecond are one."""
    trades = v.trades
    if not len(trades):
        return trades
    starts = np.flatnonzero(np.append(True, (np.diff(trades[:, 0]) != 0) | (np.diff(trades[:, 1]) != 0)))
    return np.column_stack([trades[starts, 0], trades[starts, 1], np.add.reduceat(trades[:, 2], starts)])


def inter_trade_times(pieces: Pieces) -> Floats:
    """Milliseconds between successive taker orders, at least one."""
    return _log_quantiles(_joined(pieces, lambda v: np.maximum(np.diff(taker_orders(v)[:, 0]), 1)))


def trade_sizes(pieces: Pieces) -> Floats:
    """Lots of taker orders."""
    return _log_quantiles(_joined(pieces, lambda v: taker_orders(v)[:, 2]))


def _log_mid(v: MarketView) -> Floats:
    return np.log((v.rows[:, BID] + v.rows[:, ASK]) / 2.0)


def volatility_signature(pieces: Pieces) -> Floats:
    """Root mean square mid return over each horizon, in bps per square root of a minute."""
    found = []
    for ms in SIGNATURE_MS:
        h = int(ms) // STEP_MS
        moves = np.concatenate([_log_mid(v)[h:] - _log_mid(v)[:-h] for v in pieces if len(v.rows) > h] or [np.empty(0)])
        mean = float(np.mean(moves**2)) if len(moves) else 0.0
        found.append(np.log(1e4 * np.sqrt(mean * 60_000 / ms)) if mean > 0 else np.nan)
    return np.array(found)


def _correlation(x: Floats, y: Floats) -> float:
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _autocorrelation(series: list[Floats], lags: npt.NDArray[np.int64]) -> Floats:
    found = []
    for lag in lags:
        long = [s for s in series if len(s) > lag]
        before = np.concatenate([s[:-lag] for s in long] or [np.empty(0)])
        after = np.concatenate([s[lag:] for s in long] or [np.empty(0)])
        found.append(_correlation(before, after))
    return np.array(found)


def return_autocorrelation(pieces: Pieces) -> Floats:
    """Autocorrelation of mid returns over 100 ms."""
    return _autocorrelation([np.diff(_log_mid(v)) for v in pieces], RETURN_LAGS_MS // STEP_MS)


def order_flow_imbalance(v: MarketView) -> Floats:
    """Return the order-flow imbalance of the best queues between successive rows, in lots.

    Source: Cont, Kukanov, Stoikov, "The price impact of order book events", J. Financial Econometrics 12 (2014), (3).
    """
    bid, bid_lots, ask, ask_lots = (v.rows[:, k] for k in (BID, BID_LOTS, ASK, ASK_LOTS))
    bought = np.where(bid[1:] >= bid[:-1], bid_lots[1:], 0) - np.where(bid[1:] <= bid[:-1], bid_lots[:-1], 0)
    sold = np.where(ask[1:] <= ask[:-1], ask_lots[1:], 0) - np.where(ask[1:] >= ask[:-1], ask_lots[:-1], 0)
    return (bought - sold).astype(np.float64)


def impact_slope(pieces: Pieces) -> Floats:
    """Slope of the mid return on the order-flow imbalance of the same stretch, bps per 1,000 lots, least squares."""
    found = []
    for ms in SLOPE_MS:
        h = int(ms) // STEP_MS
        flow, moves = [np.empty(0)], [np.empty(0)]
        for v in pieces:
            n = (len(v.rows) - 1) // h
            if n:
                flow.append(order_flow_imbalance(v)[: n * h].reshape(n, h).sum(axis=1))
                moves.append(1e4 * np.diff(_log_mid(v)[: n * h + 1 : h]))
        x, y = np.concatenate(flow), np.concatenate(moves)
        enough = len(x) >= FEWEST and np.ptp(x) > 0 and np.ptp(y) > 0
        slope = 1000.0 * float(np.cov(x, y)[0, 1] / np.var(x, ddof=1)) if enough else np.nan
        found.append(np.log(max(slope, _LEAST_SLOPE)) if np.isfinite(slope) else np.nan)
    return np.array(found)


def best_lifetimes(pieces: Pieces) -> Floats:
    """Milliseconds for which a price stays the best of its side; stays that a piece cuts off do not count."""

    def stays(v: MarketView) -> npt.NDArray[np.generic]:
        moved = [np.flatnonzero(np.diff(v.rows[:, k])) for k in (BID, ASK)]
        return np.concatenate([np.diff(at) for at in moved]) * STEP_MS

    return _log_quantiles(_joined(pieces, stays))


def sign_autocorrelation(pieces: Pieces) -> Floats:
    """Autocorrelation of the sides of successive taker orders."""
    return _autocorrelation([taker_orders(v)[:, 1].astype(np.float64) for v in pieces], SIGN_LAGS)


def _quantiles(name: str, unit: str, measure: Callable[[Pieces], Floats]) -> Statistic:
    return Statistic(name, unit, "quantiles", QUANTILES.astype(np.float64), "share", True, measure)


def _curve(
    name: str, unit: str, x: npt.NDArray[np.int64], x_unit: str, logged: bool, of: Callable[[Pieces], Floats]
) -> Statistic:
    return Statistic(name, unit, "curve", x.astype(np.float64), x_unit, logged, of)


STATISTICS = (
    _quantiles("spread", "ticks", spread),
    _curve("depth profile", "lots", REACH_TICKS, "ticks behind the best", True, depth_profile),
    _quantiles("best queues", "lots", best_queues),
    _quantiles("level changes", "levels in 100 ms, plus 1", level_changes),
    _quantiles("trade rate", "trades a second, plus 1", trade_rate),
    _quantiles("inter-trade times", "ms", inter_trade_times),
    _quantiles("trade sizes", "lots", trade_sizes),
    _curve("volatility signature", "bps per root minute", SIGNATURE_MS, "ms", True, volatility_signature),
    _curve("return autocorrelation", "correlation", RETURN_LAGS_MS, "ms", False, return_autocorrelation),
    _curve("impact slope", "bps per 1,000 lots", SLOPE_MS, "ms", True, impact_slope),
    _quantiles("best-price lifetimes", "ms", best_lifetimes),
    _curve("sign autocorrelation", "correlation", SIGN_LAGS, "orders", False, sign_autocorrelation),
)
"""The twelve, in the order of the table."""


def distance(a: Floats, b: Floats) -> float:
    """Return the mean absolute difference of two vectors of one statistic; NaN where either does not know."""
    return float(np.mean(np.abs(a - b)))

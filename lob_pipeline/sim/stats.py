"""What a market looked like: spread, queues, depth, rates, volatility, predictability, fate of passive orders.

One function for simulated and recorded markets alike: it reads the best quotes at each message and the trades.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.presets import FITTED, configured
from lob_pipeline.sim.publish import Messages
from lob_pipeline.sim.state import Tape
from lob_pipeline.sim.wire import STAMP_US

Ints = npt.NDArray[np.int64]
_FILL_MS = 30_000
_MARKOUT_MS = 5_000


@dataclass
class MarketSeries:
    """The observed market, in pieces that ``describe`` joins.

    ``book``: int64 arrays (n, 9): time_ms, then bid ticks, bid lots, bid depth lots, bid span ticks, the same of the
    ask (the columns of ``publish.Messages.summary``). ``trades``: int64 (m, 4): time in 100 µs, side, ticks, lots.
    """

    book: list[Ints] = field(default_factory=list)
    trades: list[Ints] = field(default_factory=list)
    level_rows: int = 0

    def add(self, messages: Messages, trades: Tape) -> None:
        """Append a chunk of a simulated day; trades at the stamp their file shows."""
        n, m = int(messages.n[0]), int(trades.n[0])
        self.book.append(np.column_stack([messages.cts_ms[:n], messages.summary[:n]]))
        stamp = -(-trades.t_us[:m] // STAMP_US)
        self.trades.append(np.column_stack([stamp, trades.side[:m], trades.price[:m], trades.lots[:m]]))
        self.level_rows += int(messages.n[1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: npt.NDArray[np.float64] = ends - (counts - 1) / 2.0
    return middle[inverse]


def _correlation(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float | None:
    """Return Spearman's coefficient with average ranks, None where one side is constant."""
    rx, ry = _ranks(x), _ranks(y)
    if rx.size < 3 or np.ptp(rx) == 0 or np.ptp(ry) == 0:
        return None
    return round(float(np.corrcoef(rx, ry)[0, 1]), 4)


@njit(cache=True)
def passive_fills(book: Ints, trades: Ints, step: int) -> tuple[int, int, int]:
    """Follow orders that join the end of a best queue for 30 s, at every ``step``-th message and both sides.

    Only trades and quotes speak: an order is filled by a trade through its price, by more volume at its price than
    stood there when it came, or by an opposite quote at or through it. Cancels ahead of it are not credited, so the
    filled share is a lower bound. ``book`` (time_ms first, never stepping back) and ``trades`` as in ``MarketSeries``.
    Returns (orders, filled, sum of the filled's 5 s markouts in half ticks).
    """
    time_ms = book[:, 0]
    orders = filled = half_ticks = trade_at = 0
    for i in range(0, book.shape[0], step):
        start, end = time_ms[i], time_ms[i] + _FILL_MS
        if end + _MARKOUT_MS > time_ms[-1]:
            break
        while trade_at < trades.shape[0] and trades[trade_at, 0] <= start * 10:
            trade_at += 1
        for side in (1, -1):
            price = book[i, 1] if side == 1 else book[i, 5]
            ahead = book[i, 2] if side == 1 else book[i, 6]
            fill_ms = end + 1
            for k in range(trade_at, trades.shape[0]):
                if trades[k, 0] > end * 10:
                    break
                if trades[k, 1] == -side:
                    through = (price - trades[k, 2]) * side
                    ahead -= trades[k, 3] if through == 0 else 0
                    if through > 0 or ahead < 0:
                        fill_ms = -(-trades[k, 0] // 10)
                        break
            for j in range(i + 1, book.shape[0]):
                if time_ms[j] >= fill_ms or time_ms[j] > end:
                    break
                if ((book[j, 5] if side == 1 else book[j, 1]) - price) * side <= 0:
                    fill_ms = time_ms[j]
            orders += 1
            if fill_ms <= end:
                later = np.searchsorted(time_ms, fill_ms + _MARKOUT_MS, side="right") - 1
                filled += 1
                half_ticks += side * (book[later, 1] + book[later, 5] - 2 * price)
    return orders, filled, half_ticks


def _quantiles(values: Ints, *q: float) -> list[float]:
    return [round(float(v), 4) for v in np.quantile(values, q)]


def describe(series: MarketSeries) -> dict[str, Any]:
    """Return the market's statistics as plain JSON types; needs at least two messages.

    Rows for volatility and prediction are the state at every 100 ms; sizes are lots, distances ticks.
    """
    book = np.concatenate(series.book)
    trades = np.concatenate(series.trades) if series.trades else np.zeros((0, 4), np.int64)
    seconds = float(book[-1, 0] - book[0, 0]) / 1000.0
    time_ms = np.maximum.accumulate(book[:, 0])
    grid = np.arange(time_ms[0] // 100 * 100 + 100, time_ms[-1], 100)
    rows = book[np.searchsorted(time_ms, grid, side="right") - 1]
    mid2 = (rows[:, 1] + rows[:, 5]).astype(np.float64)
    lean = (rows[:, 2] - rows[:, 6]) / (rows[:, 2] + rows[:, 6])
    spread = book[:, 5] - book[:, 1]
    out: dict[str, Any] = {
        "seconds": seconds,
        "messages": len(book),
        "level_rows": series.level_rows,
        "messages_per_s": round(len(book) / seconds, 3),
        "level_rows_per_message": round(series.level_rows / len(book), 3),
        "spread_ticks": {
            "one": round(float(np.mean(spread == 1)), 5),
            "two": round(float(np.mean(spread == 2)), 5),
            "more": round(float(np.mean(spread > 2)), 5),
            "mean": round(float(spread.mean()), 4),
            "max": int(spread.max()),
            "crossed_or_locked": int(np.sum(spread <= 0)),
        },
        "best_queue_lots_q10_q50_q90": _quantiles(np.concatenate([book[:, 2], book[:, 6]]), 0.1, 0.5, 0.9),
        "depth_lots_q10_q50_q90": _quantiles(np.concatenate([book[:, 3], book[:, 7]]), 0.1, 0.5, 0.9),
        "depth_span_ticks_q10_q50_q90": _quantiles(np.concatenate([book[:, 4], book[:, 8]]), 0.1, 0.5, 0.9),
    }
    for name, h in (("100ms", 1), ("1s", 10), ("5s", 50), ("30s", 300), ("60s", 600)):
        if len(mid2) > 3 * h:
            move = mid2[h:] - mid2[:-h]
            bps = 1e4 * np.log(mid2[h:] / mid2[:-h])
            out[f"volatility_{name}_bps_per_sqrt_min"] = round(float(np.sqrt(np.mean(bps**2) * 600 / h)), 4)
            out[f"unchanged_{name}_share"] = round(float(np.mean(move == 0)), 4)
            out[f"ic_queue_imbalance_{name}"] = _correlation(lean[:-h], move)
    out["trades"] = len(trades)
    if len(trades) > 1:
        counts = np.bincount((trades[:, 0] // 10_000 - trades[0, 0] // 10_000), minlength=int(seconds))
        sign = trades[:, 1].astype(np.float64)
        out["trades_per_s"] = round(len(trades) / seconds, 3)
        out["trades_per_s_variance_to_mean"] = round(float(counts.var() / counts.mean()), 3)
        out["trade_lots_q10_q50_q90_q99"] = _quantiles(trades[:, 3], 0.1, 0.5, 0.9, 0.99)
        out["trade_lots_mean"] = round(float(trades[:, 3].mean()), 3)
        out["trade_sign_autocorrelation"] = round(float(np.corrcoef(sign[:-1], sign[1:])[0, 1]), 4)
        book[:, 0] = time_ms
        orders, filled, half_ticks = passive_fills(book, trades, 10)
        if orders:
            out["passive_30s_fill_share_lower_bound"] = round(filled / orders, 4)
        if filled:
            out["passive_markout_5s_bps"] = round(1e4 * half_ticks / filled / float(mid2.mean()), 4)
    return out


def main(arguments: list[str] | None = None) -> int:
    """Print the statistics of a stretch of simulated market; nothing is written."""
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline.sim.stats", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--edge-bps", type=float, default=0.0)
    parser.add_argument("--preset", default=FITTED)
    options = parser.parse_args(arguments)
    fields = {"seed": options.seed, "days": 1, "minutes": options.minutes, "edge_bps": options.edge_bps}
    config = configured(options.preset, **fields)
    series, date = MarketSeries(), config.dates[0]
    for chunk in run_day(config, date, new_session(config, date)):
        series.add(chunk.messages, chunk.trades)
    for name, value in describe(series).items():
        print(f"{name:40s} {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

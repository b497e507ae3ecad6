"""The policy that the verdict judges: one order or position at a time, where p_fill · edge exceeds a threshold.

The order's fate is the label row's own: filled or not, when, and what the whole trade left after fees. The same
threshold is played against all three queue models.

How long the policy is busy (nothing else is sent meanwhile): a rejected order until it arrives; an unfilled one until
it expires; a filled one until its position has surely ended. When the exit really happened is not stored, so the
latest possible instant is taken: t_fill + (t_end − t_arrive − T_order), which is t_fill + max(60 s, H + latency +
T_order), with each row's own latency. That keeps the policy out of the market longer than it would have to be.

Every call starts flat: a position that outlives the last row handed in is counted in full and binds nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.evaluation.gates import Gates
from lob_pipeline.labels.spec import KIND_REJECTED, LabelConfig
from lob_pipeline.models.outputs import COLUMN

Int = npt.NDArray[np.int64]
Int8 = npt.NDArray[np.int8]
Float = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SUFFIXES: dict[str, str] = {"proportional": "", "pessimistic": "_pess", "optimistic": "_opt"}
"""Queue models by name; the suffix is that of the label columns."""
ALWAYS_BPS = -1e6
"""A threshold below every value: the better side is sent whenever the policy is free."""
_EDGE, _FILL = COLUMN["edge_buy"], COLUMN["fill_buy"]  # each pair is (buy, sell)


@dataclass(frozen=True)
class Trades:
    """The orders that were sent, in time order, all (k,).

    ``row``: index into the instants. ``side``: +1 buy, −1 sell. ``pnl_bps``: 0 where not filled. ``maker_legs``: legs
    that paid the maker fee (1 + the exit's maker share; 0 where not filled). ``edge_unknown``: filled, but the book was
    too thin to price the exit; ``pnl_bps`` then holds the charge. ``fill_ns``: −1 where not filled.
    """

    row: Int
    side: Int8
    filled: Mask
    pnl_bps: Float
    maker_legs: Float
    start_ns: Int
    end_ns: Int
    fill_ns: Int
    price_ticks: Int
    edge_unknown: Mask

    @property
    def filled_count(self) -> int:
        """Return the number of trades: orders that were filled."""
        return int(self.filled.sum())

    @property
    def total_bps(self) -> float:
        """Return the sum of the P&L of all orders."""
        return float(self.pnl_bps.sum())

    def distinct_fills(self) -> int:
        """Return the effective n: distinct (t_fill, side, price)."""
        keys = np.stack([self.fill_ns, self.side.astype(np.int64), self.price_ticks])[:, self.filled]
        return int(np.unique(keys, axis=1).shape[1])


@dataclass(frozen=True)
class Threshold:
    """θ in bps of p_fill · edge, why it was chosen, and what it did on the held rows (proportional model)."""

    theta_bps: float
    why: str
    trades: int
    total_bps: float
    wanted: int


@njit(cache=True)
def play(
    ts_ns: Int,
    t_arrive_ns: Int,
    position_ns: Int,
    order_life_ns: int,
    score: Float,
    theta: float,
    filled: Mask,
    kind: Int8,
    delay_ns: Int,
    row: Int,
    side: Int8,
    end_ns: Int,
) -> int:
    """Send orders row by row; write position, side index (0 buy, 1 sell) and end of each; return how many.

    ``ts_ns``, ``t_arrive_ns``, ``position_ns`` (the longest a position may last): int64 (m,) in time order. ``score``
    float64 (m, 2), −inf where there is nothing to send. ``filled``, ``kind``, ``delay_ns`` (m, 2): the label's fate.
    ``row``, ``side``, ``end_ns`` (m,): outputs. A tie between the sides goes to the buy.
    """
    count = 0
    free_ns = np.int64(-(2**62))
    for i in range(ts_ns.shape[0]):
        if ts_ns[i] < free_ns:
            continue
        s = 1 if score[i, 1] > score[i, 0] else 0
        if not score[i, s] > theta:
            continue
        if filled[i, s]:
            free_ns = t_arrive_ns[i] + delay_ns[i, s] + position_ns[i]
        elif kind[i, s] == KIND_REJECTED:
            free_ns = t_arrive_ns[i]
        else:
            free_ns = t_arrive_ns[i] + order_life_ns
        row[count] = i
        side[count] = s
        end_ns[count] = free_ns
        count += 1
    return count


def side_scores(instants: Instants, forecast: Float32, rows: Int) -> Float:
    """Return p_fill · edge of each side in bps, float64 (m, 2); −inf where there is no label or no forecast.

    ``forecast`` float32 (m, 15), one line for each of ``rows`` (m,).
    """
    score = forecast[:, _FILL : _FILL + 2].astype(np.float64) * forecast[:, _EDGE : _EDGE + 2].astype(np.float64)
    return np.where(instants.orders.valid[rows] & np.isfinite(score), score, -np.inf)


@dataclass(frozen=True)
class Queue:
    """The fate of every order of a stretch under one queue model: gathered once, played for many thresholds.

    ``filled``, ``kind``, ``delay_ns``, ``edge_bps``, ``exit_maker``, ``price_ticks`` (m, 2); the rest (m,).
    ``charge_bps``: what a position that could not be priced costs.
    """

    rows: Int
    ts_ns: Int
    t_arrive_ns: Int
    position_ns: Int
    order_life_ns: int
    filled: Mask
    kind: Int8
    delay_ns: Int
    edge_bps: Float
    exit_maker: Float
    price_ticks: Int
    charge_bps: float

    def play(self, score: Float, theta_bps: float) -> Trades:
        """Return the orders sent where ``score`` float64 (m, 2), −inf for nothing to send, exceeds the threshold."""
        m = self.rows.size
        at, s, end = np.empty(m, np.int64), np.empty(m, np.int8), np.empty(m, np.int64)
        k = play(
            self.ts_ns, self.t_arrive_ns, self.position_ns, self.order_life_ns, score, float(theta_bps),
            self.filled, self.kind, self.delay_ns, at, s, end,
        )  # fmt: skip
        at, s, end = at[:k], s[:k], end[:k]
        took, edge = self.filled[at, s], self.edge_bps[at, s]
        unknown = took & np.isnan(edge)
        return Trades(
            row=self.rows[at],
            side=np.where(s == 0, 1, -1).astype(np.int8),
            filled=took,
            pnl_bps=np.where(took, np.where(unknown, self.charge_bps, edge), 0.0),
            maker_legs=np.where(took, 1.0 + np.nan_to_num(self.exit_maker[at, s]), 0.0),
            start_ns=self.ts_ns[at],
            end_ns=end,
            fill_ns=np.where(took, self.t_arrive_ns[at] + self.delay_ns[at, s], -1),
            price_ticks=self.price_ticks[at, s],
            edge_unknown=unknown,
        )


@dataclass(frozen=True)
class Field:
    """The rows (m,) of one stretch with the value of both sides, ready to be played in every queue model."""

    instants: Instants
    rows: Int
    score: Float
    config: LabelConfig
    unknown_edge_bps: float

    def queue(self, suffix: str) -> Queue:
        """Return the orders' fates under the queue model of ``suffix``."""
        instants, rows, orders = self.instants, self.rows, self.instants.orders
        arrive, life_ns = instants.t_arrive_ns[rows], self.config.order_life_ns
        filled, edge = orders.filled[suffix][rows], orders.edge_bps[suffix][rows]
        known = edge[filled & ~np.isnan(edge)]
        return Queue(
            rows=rows,
            ts_ns=instants.ts_ns[rows],
            t_arrive_ns=arrive,
            position_ns=instants.t_end_ns[rows] - arrive - life_ns,
            order_life_ns=life_ns,
            filled=filled,
            kind=orders.fill_kind[suffix][rows],
            delay_ns=orders.fill_delay_ns[suffix][rows],
            edge_bps=edge,
            exit_maker=orders.exit_maker_ratio[suffix][rows],
            price_ticks=orders.price_ticks[rows],
            # the worst known edge of the stretch, or the gate's number where that is worse
            charge_bps=float(known.min(initial=self.unknown_edge_bps)),
        )

    def play(self, theta_bps: float, suffix: str) -> Trades:
        """Return the orders sent at a threshold, with their fate under the queue model of ``suffix``."""
        return self.queue(suffix).play(self.score, theta_bps)


def field_of(
    instants: Instants, forecast: Float32, rows: Int, gates: Gates, config: LabelConfig | None = None
) -> Field:
    """Return the rows (m,) with their forecast (m, 15) ready to be played. ``rows`` ascend."""
    if forecast.shape[0] != rows.size:
        raise ValueError(f"a forecast of {forecast.shape[0]} lines for {rows.size} rows")
    score = side_scores(instants, forecast, rows)
    return Field(instants, rows, score, config or LabelConfig(), gates.unknown_edge_bps)


def run_policy(
    instants: Instants,
    forecast: Float32,
    rows: Int,
    theta_bps: float,
    suffix: str,
    gates: Gates,
    config: LabelConfig | None = None,
) -> Trades:
    """Return the orders of the policy on ``rows`` (m,) with forecast float32 (m, 15), in time order."""
    return field_of(instants, forecast, rows, gates, config).play(theta_bps, suffix)


def observed_ns(ts_ns: Int) -> int:
    """Return the time that rows cover: the sum of their steps, pauses of a minute and more left out."""
    steps = np.diff(ts_ns)
    return int(steps[steps < 60_000_000_000].sum())


def choose_threshold(
    instants: Instants, forecast: Float32, rows: Int, gates: Gates, config: LabelConfig | None = None
) -> Threshold:
    """Choose θ on the held rows (m,), forecast (m, 15), under the proportional queue model; test rows are not seen.

    Candidates are 0, ``ALWAYS_BPS`` and quantiles of the better side's score. *Often enough* is
    ``threshold_trades_per_block`` filled trades a test block, scaled to the time held. In this order:

    1. of 0 or more, often enough, and earned something: the largest total P&L;
    2. below 0 (a forecast that is too gloomy), often enough, and earned something: the largest total;
    3. nothing earned: 0 where that trades often enough, else ``ALWAYS_BPS``. The model has then shown no order worth
       sending; the verdict must still rest on trades, and on as many as there are.
    """
    field = field_of(instants, forecast, rows, gates, config)
    best = field.score.max(axis=1) if rows.size else np.empty(0)
    best = best[np.isfinite(best)]
    share = observed_ns(instants.ts_ns[rows]) / instants.block_ns
    wanted = max(gates.threshold_minimum_trades, int(np.ceil(gates.threshold_trades_per_block * share)))
    if not best.size:
        return Threshold(0.0, "no held row has a forecast", 0, 0.0, wanted)
    at = np.linspace(0.0, gates.threshold_highest_quantile, gates.threshold_quantiles)
    queue = field.queue("")
    tried = {}
    for theta in np.unique(np.concatenate((np.quantile(best, at), [0.0, ALWAYS_BPS]))).tolist():
        trades = queue.play(field.score, theta)
        tried[theta] = Threshold(theta, "", trades.filled_count, trades.total_bps, wanted)
    often = [t for t in tried.values() if t.trades >= wanted]
    earned = [t for t in often if t.total_bps > 0.0]
    worth = [t for t in earned if t.theta_bps >= 0.0]
    if worth:
        why = "the largest total on the held rows among thresholds that trade often enough"
        return replace(max(worth, key=lambda t: t.total_bps), why=why)
    if earned:
        why = "no threshold of 0 or more trades often enough and earns: the largest total among lower ones"
        return replace(max(earned, key=lambda t: t.total_bps), why=why)
    if tried[0.0].trades >= wanted:
        return replace(tried[0.0], why="no threshold earned anything on the held rows: every order valued above 0")
    why = "nothing earned on the held rows and too few orders valued above 0: an order whenever free"
    return replace(tried[ALWAYS_BPS], why=why)

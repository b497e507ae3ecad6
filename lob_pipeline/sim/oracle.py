"""What a trader who knows every signal earns: the planted edge, measured with the labels' own simulated order.

The oracle reads the truth's start and direction of a signal and nothing of the price that follows. At the first
decision row at or after the start it sends the order of the labels on the signalled side; the same instant's order on
the other side is followed too, as what the same trader earns with its direction turned round. Fees are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.labels.day import DecisionRows, label_columns, make_tape, run_day
from lob_pipeline.labels.spec import Fees, LabelConfig
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.day import new_session
from lob_pipeline.sim.day import run_day as simulate_day
from lob_pipeline.sim.planted import DRIFT_BPS, drawn_signals
from lob_pipeline.sim.publish import ASK, BID, Messages
from lob_pipeline.sim.signals import Signals
from lob_pipeline.sim.state import Tape
from lob_pipeline.sim.wire import STAMP_US

STEP_NS = 100 * NS_PER_MS  # the clock of the default market
MODELS = {"proportional": "", "pessimistic": "_pess", "optimistic": "_opt"}
_Z95 = 1.96
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Orders:
    """The oracle's orders under one queue model, signals in order.

    ``edge_bps`` float64 (n,): gross of fees, NaN where the order was not filled; ``against_bps``: the same of the order
    on the other side. Only signals whose label is valid count.
    """

    edge_bps: Floats
    against_bps: Floats

    def __add__(self, other: Orders) -> Orders:
        """Return the orders of two days or seeds together."""
        return Orders(
            np.concatenate([self.edge_bps, other.edge_bps]), np.concatenate([self.against_bps, other.against_bps])
        )

    def to_json(self) -> dict[str, Any]:
        """Return counts, fill share, mean edge in bps before fees and its 95 % interval (signals do not overlap)."""
        low, mean, high = interval(self.edge_bps)
        against = interval(self.against_bps)
        worth = interval(self.edge_bps - self.against_bps)
        filled = int(np.isfinite(self.edge_bps).sum())
        return {
            "signals": len(self.edge_bps),
            "trades": filled,
            "fill_share": round(filled / max(1, len(self.edge_bps)), 4),
            "mean_edge_bps": mean,
            "interval_95_bps": [low, high],
            "other_side_mean_edge_bps": against[1],
            "direction_worth_bps": worth[1],
            "direction_worth_interval_95_bps": [worth[0], worth[2]],
        }


def interval(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Return (low, mean, high) of the finite values' mean, 95 %, by the normal law; None where fewer than two are."""
    found = values[np.isfinite(values)]
    if len(found) < 2:
        return None, None, None
    mean, half = found.mean(), _Z95 * found.std(ddof=1) / np.sqrt(len(found))
    return round(float(mean - half), 4), round(float(mean), 4), round(float(mean + half), 4)


def together(days: Iterable[dict[str, Orders]]) -> dict[str, Orders]:
    """Return the orders of several days or seeds as one; each maps the names of ``MODELS`` to its orders."""
    total: dict[str, Orders] = {}
    for day in days:
        total = {name: total[name] + day[name] if total else day[name] for name in MODELS}
    return total


def told(orders: dict[str, Orders]) -> dict[str, Any]:
    """Return ``Orders.to_json`` of each queue model."""
    return {name: found.to_json() for name, found in orders.items()}


class OracleTape:
    """Collects a simulated day, chunk by chunk, and reads it back in the columns that the labels take."""

    def __init__(self) -> None:
        self._messages: list[npt.NDArray[np.int64]] = []
        self._rows: list[tuple[npt.NDArray[Any], ...]] = []
        self._trades: list[npt.NDArray[np.int64]] = []

    def add(self, messages: Messages, trades: Tape) -> None:
        """Append a chunk."""
        n, rows, m = int(messages.n[0]), int(messages.n[1]), int(trades.n[0])
        best = messages.summary[:n]
        time_ns, kind = messages.cts_ms[:n] * NS_PER_MS, np.where(messages.snapshot[:n], KIND_SNAPSHOT, KIND_DELTA)
        self._messages.append(
            np.column_stack([time_ns, best[:, BID], best[:, ASK], messages.update_id[:n], messages.seq[:n], kind])
        )
        signed = messages.row_side[:rows] * messages.row_price[:rows]
        lots = messages.row_lots[:rows].astype(np.int32)
        self._rows.append((messages.first_row[: n + 1].copy(), signed.astype(np.int32), lots))
        stamp_ns = -(-trades.t_us[:m] // STAMP_US) * STAMP_US * 1000
        self._trades.append(np.column_stack([stamp_ns, trades.side[:m], trades.price[:m], trades.lots[:m]]))

    def events(self) -> Iterator[Columns]:
        """Yield the level rows as columns of ``l2_events``, chunk by chunk."""
        for messages, (first_row, signed, lots) in zip(self._messages, self._rows, strict=True):
            of = np.repeat(np.arange(len(messages)), np.diff(first_row))
            time_ns, _, _, update_id, seq, kind = messages[of].T
            first = np.zeros(len(of), np.bool_)
            first[first_row[:-1]] = True
            yield {
                "ts_event_ns": time_ns,
                "ts_recv_ns": np.zeros(len(of), np.int64),
                "update_id": update_id,
                "prev_update_id": np.where(kind == KIND_SNAPSHOT, -1, update_id - 1),
                "seq": seq,
                "kind": kind.astype(np.int8),
                "side": np.sign(signed).astype(np.int8),
                "price_ticks": np.abs(signed),
                "size_lots": lots.astype(np.int64),
                "first_in_message": first,
            }

    def rows(self, start_us: npt.NDArray[np.int64]) -> tuple[DecisionRows, npt.NDArray[np.bool_]]:
        """Return the decision row of each start (int64 (n,), ascending) and which starts (bool (n,)) have one."""
        best = np.concatenate(self._messages)
        time_ns = np.maximum.accumulate(best[:, 0])
        ts_ns = -(-start_us * 1000 // STEP_NS) * STEP_NS
        closing = np.searchsorted(time_ns, ts_ns, side="right")
        inside = (closing > 0) & (closing < len(time_ns))
        closing = np.where(inside, closing, 1)
        decides = inside & (ts_ns + STEP_NS >= time_ns[closing])
        at = closing[decides]
        return DecisionRows(ts_ns[decides], time_ns[at], best[at - 1, 1], best[at - 1, 2]), decides

    def trades(self) -> Columns:
        """Return the trades as the labels read them."""
        time_ns, side, price, lots = np.concatenate(self._trades).T
        return {
            "ts_event_ns": time_ns,
            "seq": np.full(len(time_ns), -1, np.int64),
            "side": side.astype(np.int8),
            "price_ticks": price,
            "size_lots": lots,
            "flags": np.zeros(len(time_ns), np.int32),
        }

    def judge(self, config: SimConfig, signals: Signals) -> dict[str, Orders]:
        """Return the oracle's orders by queue model (names of ``MODELS``)."""
        if not len(signals.start_us):
            return {name: Orders(np.empty(0), np.empty(0)) for name in MODELS}
        rows, decides = self.rows(signals.start_us)
        day = run_day(
            rows, self.events(), make_tape(self.trades()), LabelConfig(), config.instrument.sequence, STEP_NS
        )
        columns = _joined(label_columns(day, Fees(0.0, 0.0)))
        signalled = np.where(signals.direction[decides] > 0, 1, 0)  # rows of an instant: -1, then +1
        valid = np.asarray(columns["valid"], np.bool_).reshape(-1, 2)[:, 0]
        found = {}
        for name, suffix in MODELS.items():
            edge = np.asarray(columns[f"edge_bps{suffix}"], np.float64).reshape(-1, 2)
            here = np.arange(len(edge))
            found[name] = Orders(edge[here, signalled][valid], edge[here, 1 - signalled][valid])
        return found


def _joined(chunks: Iterable[Columns]) -> Columns:
    parts = list(chunks)
    names = ("valid", *(f"edge_bps{suffix}" for suffix in MODELS.values()))
    return {name: np.ma.concatenate([part[name] for part in parts]).filled(0) for name in names}


def oracle_day(config: SimConfig, date: str) -> dict[str, Orders]:
    """Simulate the session of ``date`` alone and return the oracle's orders in it, by queue model."""
    tape = OracleTape()
    for chunk in simulate_day(config, date, new_session(config, date)):
        tape.add(chunk.messages, chunk.trades)
    return tape.judge(config, drawn_signals(config, date))


def oracle(config: SimConfig, seeds: Iterable[int]) -> Iterator[tuple[int, dict[str, Orders]]]:
    """Yield (seed, the oracle's orders by queue model) of the first day of ``config`` under each seed."""
    for seed in seeds:
        yield seed, oracle_day(replace(config, seed=seed, days=1), config.first_day)


def main(arguments: list[str] | None = None) -> int:
    """Print what the oracle earns: by seed, then together, mean edge in bps before fees with its 95 % interval."""
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline.sim.oracle", description=main.__doc__)
    parser.add_argument("--edge-bps", type=float, default=10.0)
    parser.add_argument("--horizon-s", type=float, default=SimConfig.horizon_s)
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=240)
    parser.add_argument("--calibrate", action="store_true", help="by drift instead: the rows of sim/planted.py")
    options = parser.parse_args(arguments)
    config = SimConfig(days=1, minutes=options.minutes, edge_bps=options.edge_bps, horizon_s=options.horizon_s)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.calibrate:
        for drift in DRIFT_BPS[1:].tolist():
            shape = config.shape._replace(drift_bps=drift)
            found = together(orders for _, orders in oracle(replace(config, edge_bps=1.0, shape=shape), seeds))
            print(_line(f"drift {drift:g}", found["proportional"]), flush=True)
        return 0
    by_seed = []
    for seed, found in oracle(config, seeds):
        by_seed.append(found)
        print(_line(f"seed {seed}", found["proportional"]), flush=True)
    for name, orders in together(by_seed).items():
        print(_line(name, orders))
    return 0


def _line(name: str, orders: Orders) -> str:
    said = orders.to_json()
    return (
        f"{name:13s} {said['signals']:5d} signals, {said['trades']:5d} trades ({said['fill_share']:.0%}), edge before "
        f"fees {said['mean_edge_bps']} bps {said['interval_95_bps']}, other side {said['other_side_mean_edge_bps']}, "
        f"worth of the direction {said['direction_worth_bps']} {said['direction_worth_interval_95_bps']}"
    )


if __name__ == "__main__":
    raise SystemExit(main())

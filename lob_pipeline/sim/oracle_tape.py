"""A simulated day in the columns that the labels take, and what a maker who knows every signal earns in it.

He reads the truth's start and direction of a signal and nothing of the price that follows. At the first decision row
at or after the start he sends the order of the labels on the signalled side, before the move: join the best, wait up to
30 s, hold 30 s, leave passively. The same instant's order on the other side is followed too. Fees are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.labels.day import DecisionRows, label_columns, make_tape, run_day
from lob_pipeline.labels.spec import Fees, LabelConfig
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.earned import Earned
from lob_pipeline.sim.publish import Messages
from lob_pipeline.sim.quotes import STEP_NS, Quotes, QuoteTape
from lob_pipeline.sim.signals import Signals
from lob_pipeline.sim.state import Tape
from lob_pipeline.sim.taker import taker_trades
from lob_pipeline.sim.wire import STAMP_US

TAKER = "taker"
MODELS = {"proportional": "", "pessimistic": "_pess", "optimistic": "_opt"}  # the maker's, by queue model


class OracleTape:
    """Collects a simulated day, chunk by chunk, and reads it back in the columns that the labels take."""

    def __init__(self) -> None:
        self._quotes = QuoteTape()
        self._messages: list[npt.NDArray[np.int64]] = []
        self._rows: list[tuple[npt.NDArray[Any], ...]] = []
        self._trades: list[npt.NDArray[np.int64]] = []

    def add(self, messages: Messages, trades: Tape) -> None:
        """Append a chunk."""
        n, rows, m = int(messages.n[0]), int(messages.n[1]), int(trades.n[0])
        self._quotes.add(messages)
        time_ns, kind = messages.cts_ms[:n] * NS_PER_MS, np.where(messages.snapshot[:n], KIND_SNAPSHOT, KIND_DELTA)
        self._messages.append(np.column_stack([time_ns, messages.update_id[:n], messages.seq[:n], kind]))
        signed = messages.row_side[:rows] * messages.row_price[:rows]
        lots = messages.row_lots[:rows].astype(np.int32)
        self._rows.append((messages.first_row[: n + 1].copy(), signed.astype(np.int32), lots))
        stamp_ns = -(-trades.t_us[:m] // STAMP_US) * STAMP_US * 1000
        self._trades.append(np.column_stack([stamp_ns, trades.side[:m], trades.price[:m], trades.lots[:m]]))

    def events(self) -> Iterator[Columns]:
        """Yield the level rows as columns of ``l2_events``, chunk by chunk."""
        for messages, (first_row, signed, lots) in zip(self._messages, self._rows, strict=True):
            of = np.repeat(np.arange(len(messages)), np.diff(first_row))
            time_ns, update_id, seq, kind = messages[of].T
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

    def judge(self, config: SimConfig, signals: Signals) -> dict[str, Earned]:
        """Return what the taker and, by queue model, the maker earned (``TAKER`` and the names of ``MODELS``)."""
        if not len(signals.start_us):
            return {name: Earned(np.empty(0), np.empty(0)) for name in (TAKER, *MODELS)}
        quotes = self._quotes.done()
        made = {TAKER: taker_trades(quotes, signals, config.shape.lead_s, config.horizon_s)}
        return made | self._maker(config, signals, quotes)

    def _maker(self, config: SimConfig, signals: Signals, quotes: Quotes) -> dict[str, Earned]:
        ts_ns, closing, decides = quotes.decisions(signals.start_us)
        at = closing[decides]
        rows = DecisionRows(ts_ns[decides], quotes.time_ns[at], quotes.bid[at - 1], quotes.ask[at - 1])
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
            found[name] = Earned(edge[here, signalled][valid], edge[here, 1 - signalled][valid])
        return found


def _joined(chunks: Iterable[Columns]) -> Columns:
    parts = list(chunks)
    names = ("valid", *(f"edge_bps{suffix}" for suffix in MODELS.values()))
    return {name: np.ma.concatenate([part[name] for part in parts]).filled(0) for name in names}

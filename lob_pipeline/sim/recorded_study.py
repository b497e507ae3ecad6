"""Probes in a real queue: the queue models' score on a recording that names every order."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.labels.day import DecisionRows
from lob_pipeline.labels.overlap import span_end_ns
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.sim.batched import batched
from lob_pipeline.sim.order_log import OrderLog
from lob_pipeline.sim.probe_day import VOLATILITY_S, draw_grid, volatility_before
from lob_pipeline.sim.probe_kernel import follow
from lob_pipeline.sim.probe_state import FAULT, Ints, Probes, Seen, give, new_probe_book, new_probes, new_seen
from lob_pipeline.sim.probe_study import PUBLISHED, UNBATCHED, Look, labels_of
from lob_pipeline.sim.probe_table import probe_columns
from lob_pipeline.sim.quotes import STEP_NS
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE
from lob_pipeline.sim.unbatched import UnbatchedFeed


def _followed(log: OrderLog, probes: Probes, labels: LabelConfig) -> Seen:
    book, seen = new_probe_book(), new_seen(int(log.n[0]))
    follow(book, probes, log, labels.order_life_ns, labels.q_lots, seen)
    if book.scalars[FAULT] >= 0:
        raise LobError(f"row {book.scalars[FAULT]} of the recording's order log contradicts the rows before it")
    return seen


def recorded_look(log: OrderLog, date: str, instants: int, seed: int, labels: LabelConfig | None = None) -> Look:
    """Return the true fate and the labels of the orders of ``instants`` random instants of a recording of ``date``.

    An instant decides at once, on the quotes in force; the published feed shows every ``STEP_NS`` what has changed.
    Raises ``BadInputError`` for a recording too short for so many instants.
    """
    settings = labels or LabelConfig()
    silent = _followed(log, new_probes(1), settings)
    quotes: Ints = silent.quotes[: int(silent.n[0])]
    if not len(quotes):
        raise BadInputError("the recording has no order: there is nothing to stand behind")
    latency_ns = settings.latency_ns
    span_ns = int(span_end_ns(np.array([latency_ns]), np.array([latency_ns]), settings)[0]) + STEP_NS
    first = int(quotes[0, 0] + (VOLATILITY_S + 1) * 10**9) // STEP_NS + 1
    room = int(quotes[-1, 0] - span_ns) // STEP_NS - first
    if instants > room:
        raise BadInputError(
            f"{instants} instants: the recording holds {max(0, room)} whose labels begin and end in it; ask for fewer"
        )
    ts_ns = draw_grid(seed, date, first, room, instants)
    at = np.searchsorted(quotes[:, 0], ts_ns, side="left") - 1
    bid, ask = quotes[at, 1], quotes[at, 2]
    both = (bid > 0) & (ask > bid)
    ts_ns, bid, ask = ts_ns[both], bid[both], ask[both]
    probes = new_probes(2 * len(ts_ns))
    for side, price in ((BID_SIDE, bid), (ASK_SIDE, ask)):
        give(probes, ts_ns + latency_ns, np.full(len(ts_ns), side), price)
    seen = _followed(log, probes, settings)
    decided = np.tile(np.column_stack([ts_ns, ts_ns, np.full(len(ts_ns), latency_ns)]), (2, 1))
    volatility = volatility_before(quotes, decided[:, 0])
    truth = probe_columns(probes, decided, quotes, volatility, int(quotes[-1, 0]), settings)
    feed = UnbatchedFeed()
    events = feed.take(log, seen.shown)
    trades, rows = feed.trades(), DecisionRows(ts_ns, ts_ns, bid, ask)
    timed = {**trades, "seq": np.full(len(trades["seq"]), -1, np.int64)}
    found = {
        UNBATCHED: labels_of(rows, [events], trades, settings),
        PUBLISHED: labels_of(rows, [batched(events, STEP_NS)], timed, settings),
    }
    return Look(seed, truth, found)

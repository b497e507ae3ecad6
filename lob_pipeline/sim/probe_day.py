"""Probes at random instants of a simulated day: drawn ahead, placed as labels place theirs, followed to the end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S, parse_date
from lob_pipeline.labels.day import DecisionRows
from lob_pipeline.labels.overlap import draw_latency, span_end_ns
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.sim.config import DAY_US, SimConfig, day_start_us, session_start_us
from lob_pipeline.sim.day import Chunk
from lob_pipeline.sim.probe_kernel import follow
from lob_pipeline.sim.probe_state import FAULT, Seen, give, new_probe_book, new_probes, new_seen
from lob_pipeline.sim.probe_table import Floats, mid2_at, probe_columns
from lob_pipeline.sim.publish import ASK, BID
from lob_pipeline.sim.quotes import STEP_NS, Quotes
from lob_pipeline.sim.rng import below, new_stream
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE

Ints = npt.NDArray[np.int64]

_PROBE_STREAM = 6 << 40
VOLATILITY_S = 60


def draw_instants(config: SimConfig, date: str, instants: int, labels: LabelConfig) -> Ints:
    """Return that many different grid instants of a day (int64 ns, ascending), each as likely as any other.

    The first 61 s are left out (no volatility is known of them), and the last ones, whose labels would not end within
    the day. Raises ``BadInputError`` where the day has not so many.
    """
    longest = max((labels.latency_ns, *labels.latency_sample_ns))
    tail_ns = int(span_end_ns(np.array([longest]), np.array([longest]), labels)[0]) + 2 * NS_PER_S
    first = (session_start_us(config, date) * 1000 + (VOLATILITY_S + 1) * NS_PER_S) // STEP_NS
    room = ((day_start_us(date) + DAY_US) * 1000 - tail_ns) // STEP_NS - first
    if instants > room:
        raise BadInputError(
            f"{instants} instants: {config.minutes} minutes a day hold {max(0, room)} instants whose labels begin and "
            "end within the day; ask for fewer or simulate longer days"
        )
    return draw_grid(config.market_seed, date, first, room, instants)


def draw_grid(seed: int, date: str, first: int, room: int, instants: int) -> Ints:
    """Return ``instants`` different ones of the ``room`` grid steps from number ``first`` on (int64 ns, ascending)."""
    stream = new_stream(seed, _PROBE_STREAM + parse_date(date).toordinal())
    drawn: dict[int, None] = {}
    while len(drawn) < min(instants, room - instants):  # the smaller of the set and its complement
        drawn[below(stream, room)] = None
    chosen = np.zeros(room, np.bool_)
    chosen[np.fromiter(drawn, np.int64, len(drawn))] = True
    return (first + np.flatnonzero(chosen if instants <= room - instants else ~chosen)) * STEP_NS


class ProbeDay:
    """Follows a day's probes, chunk by chunk; the config must ask for the order log.

    Each instant that decides (some message closed its grid row, and it was the last one which that closed) gets a probe
    on both sides: at the best price shown in its row, arriving after the labels' latency.
    """

    def __init__(self, config: SimConfig, date: str, instants: int, labels: LabelConfig | None = None) -> None:
        self.labels = labels or LabelConfig()
        self._waiting = draw_instants(config, date, instants, self.labels)
        self._probes = new_probes(2 * instants)
        self._book = new_probe_book()
        self._last = np.empty((0, 3), np.int64)
        self._decided: list[Ints] = []
        self._grid: list[Ints] = []
        self._quotes: list[Ints] = []

    def add(self, chunk: Chunk) -> Seen:
        """Place the probes whose decision falls into ``chunk`` and follow its log; return what the log showed.

        Raises ``LobError`` where the log contradicts itself: then the engine is not first-in-first-out.
        """
        messages, n = chunk.messages, int(chunk.messages.n[0])
        best = messages.summary[:n]
        now = np.stack([messages.cts_ms[:n] * NS_PER_MS, best[:, BID], best[:, ASK]], axis=1)
        shown = np.concatenate([self._last, now])
        if len(shown):
            self._place(Quotes(*shown.T))
        self._grid.append(now)
        self._last = shown[-1:]
        seen = new_seen(int(chunk.orders.n[0]))
        follow(self._book, self._probes, chunk.orders, self.labels.order_life_ns, self.labels.q_lots, seen)
        if self._book.scalars[FAULT] >= 0:
            raise LobError(
                f"row {self._book.scalars[FAULT]} of the order log contradicts the rows before it: the matching engine "
                "did not keep price-time priority; report this as a fault of the simulator"
            )
        self._quotes.append(seen.quotes[: int(seen.n[0])].copy())
        return seen

    def _place(self, quotes: Quotes) -> None:
        ready = self._waiting < quotes.time_ns[-1]
        ts_ns, closing, decides = quotes.decisions(self._waiting[ready] // 1000)
        self._waiting = self._waiting[~ready]
        ts_ns, at = ts_ns[decides], closing[decides]
        rows = np.stack([ts_ns, quotes.time_ns[at], quotes.bid[at - 1], quotes.ask[at - 1]], axis=1)
        latency_ns = draw_latency(ts_ns, self.labels)
        for side, price in ((BID_SIDE, rows[:, 2]), (ASK_SIDE, rows[:, 3])):
            give(self._probes, rows[:, 1] + latency_ns, np.full(len(rows), side), price)
        self._decided.append(np.column_stack([rows, latency_ns]))

    @property
    def rows(self) -> DecisionRows:
        """Return the decision rows of the probes placed so far, as the labels take them."""
        ts_ns, close_ns, bid, ask, _ = np.concatenate(self._decided).T.copy()
        return DecisionRows(ts_ns, close_ns, bid, ask)

    def truth(self) -> Columns:
        """Return ``PROBES`` of the day once its last chunk was added."""
        twice = [np.tile(part, (2, 1)) for part in self._decided]  # in the order given: a batch's bids, then its asks
        decided = np.concatenate(twice)
        grid = np.concatenate(self._grid)
        volatility = volatility_before(grid, decided[:, 0])
        last_ns = int(grid[:, 0].max())
        quotes = np.concatenate(self._quotes)
        return probe_columns(self._probes, decided[:, (0, 1, 4)], quotes, volatility, last_ns, self.labels)


def volatility_before(shown: Ints, ts_ns: Ints) -> Floats:
    """Return the realised volatility in bps over ``VOLATILITY_S`` before each instant, of the quotes shown by then."""
    back = np.arange(VOLATILITY_S, -1, -1) * NS_PER_S
    m2 = mid2_at(shown, (ts_ns[:, None] - back).reshape(-1)).reshape(len(ts_ns), -1).astype(np.float64)
    m2[m2 < 0] = np.nan
    found: Floats = np.sqrt(np.square(1e4 * np.diff(np.log(m2), axis=1)).sum(axis=1))
    return found

"""The certificate of one book partition, gathered in the pass that builds its rows (CONTRACT.md, Certificate)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.advance import (
    M_ASK,
    M_ASK_LOTS,
    M_BID,
    M_BID_LOTS,
    M_EXPECTED,
    M_GAP,
    M_LATE,
    M_VERDICT,
    Events,
)
from lob_pipeline.book.audits import Audits, closing_books, match_opening, opening_depth
from lob_pipeline.book.grid import USELESS, GridState
from lob_pipeline.book.matches import QuoteMatch, TradeTouch, implied_spread_ticks, market_trades
from lob_pipeline.book.sequence import BRIDGE, DUPLICATE, FOLLOWS, MODES, NOT_WHOLE, REPLACES, STALE, UNBRIDGED
from lob_pipeline.book.state import BookState, Int64Array
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_SNAPSHOT, LEVELS, ROW
from lob_pipeline.core.units import NS_PER_S

TRADE_TOUCH_MINIMUM = 20
TRADE_TOUCH_SHARE = 0.8
UNSOUND_SHARE = 0.05  # of the rows of a whole book
SPREAD_FACTOR = 10  # times (traded spread + 1 tick)
SPREAD_PAIRS = 10
WARM_WINDOW_NS = 300 * NS_PER_S  # the longest window of the book features

_TS, _VALID, _RUN_START, _TRUNCATED = ROW["ts_ns"], ROW["valid"], ROW["run_start"], ROW["truncated"]
_BID, _ASK = ROW["bid_ticks_1"], ROW["ask_ticks_1"]


@dataclass
class RowCounts:
    """What the rows add up to. ``spreads``: how often each spread of a valid row occurs, capped at 2^16 - 1 ticks."""

    rows: int = 0
    valid: int = 0
    warm: int = 0
    truncated: int = 0
    crossed_valid: int = 0
    whole: int = 0
    whole_unsound: int = 0  # whole book, but a side is empty or the sides cross
    depths: Int64Array = field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))  # whole rows by thinner side
    spreads: Int64Array = field(default_factory=lambda: np.zeros(1 << 16, np.int64))
    _run: int = 0  # rows of the present run so far
    _last_ns: int = -1

    def add(self, rows: Int64Array, whole: npt.NDArray[np.bool_], step_ns: int, warm_rows: int) -> None:
        """Count a batch. A row is warm when it and the ``warm_rows`` rows before it are valid rows of one run."""
        valid = rows[:, _VALID] != 0
        bid, ask = rows[:, _BID], rows[:, _ASK]
        self.rows += len(rows)
        self.valid += int(valid.sum())
        self.truncated += int(rows[:, _TRUNCATED].sum())
        self.crossed_valid += int((valid & (bid >= ask)).sum())
        self.whole += int(whole.sum())
        self.whole_unsound += int((whole & ((bid < 0) | (ask < 0) | (bid >= ask))).sum())
        shown = [(rows[:, first : first + LEVELS] >= 0).sum(axis=1) for first in (_BID, _ASK)]
        self.depths += np.bincount(np.minimum(*shown)[whole], minlength=LEVELS + 1)
        spread = np.clip(ask - bid, 0, len(self.spreads) - 1)[valid]
        self.spreads += np.bincount(spread, minlength=len(self.spreads))
        before = np.concatenate([[self._last_ns], rows[:-1, _TS]])
        breaks = ~valid | (rows[:, _RUN_START] != 0) | (rows[:, _TS] - before != step_ns)
        index = np.arange(1, len(rows) + 1)
        since = np.maximum.accumulate(np.where(breaks, index, 0))
        length = np.where(since == 0, self._run + index, index - since + valid[np.maximum(since - 1, 0)])
        self.warm += int((valid & (length > warm_rows)).sum())
        self._run, self._last_ns = int(length[-1]), int(rows[-1, _TS])

    def thinner_than(self, levels: int) -> int:
        """Return how many rows of a whole book show fewer than ``levels`` on a side."""
        return int(self.depths[:levels].sum())

    def median_spread_ticks(self) -> float:
        """Return the median spread of the valid rows, 0 where there is none."""
        return float(np.searchsorted(np.cumsum(self.spreads), (self.valid + 1) // 2)) if self.valid else 0.0


class Certificate:
    """Watches a replay (``replay.Watcher``) and says what it saw.

    ``trades``: the day's trades (columns ts_event_ns, side, price_ticks, flags) or None; ``trade_ids``: their numeric
    ids, None where ids are no numbers; ``quotes``: chunks of the ``quotes`` table; ``closing_before``: what the day
    before left in ``closing_books()``, None where it is absent.
    """

    def __init__(
        self,
        instrument: Instrument,
        clock: Clock,
        date: str,
        *,
        trades: Columns | None = None,
        trade_ids: Int64Array | None = None,
        quotes: Iterator[Columns] | None = None,
        closing_before: list[dict[str, Any]] | None = None,
    ) -> None:
        self.instrument, self.clock, self.date = instrument, clock, date
        self.mode = MODES[instrument.sequence]
        self.closing_before = closing_before
        self.counts = RowCounts()
        self.audits = Audits(instrument)
        traded = None if trades is None else market_trades(trades)
        self.touch = None if traded is None else TradeTouch(traded, clock.step_ns)
        self.traded_spread = (0, 0.0) if traded is None else implied_spread_ticks(traded)
        self.quotes = None if quotes is None else QuoteMatch(quotes)
        self.trade_id_gaps = 0 if trade_ids is None else int((np.diff(np.unique(trade_ids)) > 1).sum())
        self.messages = self.level_rows = self.snapshots = self.replaced = 0
        self.crossed = self.locked = self.late = self.dropped = self.unbridged = 0
        self.gaps: list[dict[str, int]] = []
        self.boundary: bool | None = None
        self.opening_depth = 0  # levels of the thinner side of the first snapshot
        self.closing: list[dict[str, Any]] = []
        self._dropped: list[Int64Array] = []
        self._waiting: int | None = None  # id of the last snapshot, until an event joins it

    def chunk(self, events: Events, starts: Int64Array, marks: Int64Array) -> None:
        """Count what happened at each message of a chunk."""
        first = starts[:-1]
        if self.opening_depth == 0:
            self.opening_depth = opening_depth(events, starts)
        if self.messages == 0:
            self.boundary = match_opening(self.closing_before, self.mode, events, int(starts[1]))
        verdict = marks[:, M_VERDICT]
        replaces = verdict == REPLACES
        snapshots = int((replaces & (events.kind[first] == KIND_SNAPSHOT)).sum())
        self.messages += len(first)
        self.level_rows += len(events.kind)
        self.snapshots += snapshots
        self.replaced += int(replaces.sum())
        self.late += int(marks[:, M_LATE].sum())
        self.dropped += int(np.isin(verdict, (DUPLICATE, STALE)).sum())
        applied = replaces | (verdict == FOLLOWS)
        both = applied & (marks[:, M_BID] >= 0) & (marks[:, M_ASK] >= 0)
        self.crossed += int((both & (marks[:, M_BID] > marks[:, M_ASK])).sum())
        self.locked += int((both & (marks[:, M_BID] == marks[:, M_ASK])).sum())
        for j in np.flatnonzero(marks[:, M_GAP]).tolist():
            at = int(first[j])
            got = events.update_id[at] if replaces[j] else events.prev_update_id[at]
            self.gaps.append(
                {
                    "at_ns": int(events.ts_event_ns[at]),
                    "expected": int(marks[j, M_EXPECTED]),
                    "got": int(got),
                }
            )
        if self.mode == BRIDGE:
            self._note_lost(events, first, verdict)
        if self.quotes is not None:
            shown = verdict == FOLLOWS
            tops = marks[:, [M_BID, M_BID_LOTS, M_ASK, M_ASK_LOTS]]
            self.quotes.messages(events.update_id[first[shown]], tops[shown])

    def _note_lost(self, events: Events, first: Int64Array, verdict: Int64Array) -> None:
        """Remember the snapshots that came to nothing, and the ids that dropped events span."""
        lost = first[np.isin(verdict, (NOT_WHOLE, UNBRIDGED))]
        self._dropped.append(np.stack([events.prev_update_id[lost], events.update_id[lost]], axis=1))
        decisive = np.flatnonzero(np.isin(verdict, (FOLLOWS, REPLACES, UNBRIDGED)))
        snapshots = (verdict[decisive] == REPLACES) & (events.kind[first[decisive]] == KIND_SNAPSHOT)
        for k in [-1, *np.flatnonzero(snapshots).tolist()]:
            if k >= 0:
                self._waiting = int(events.update_id[first[decisive[k]]])
            if self._waiting is not None and k + 1 < len(decisive):
                if verdict[decisive[k + 1]] != FOLLOWS:
                    self.audits.loose.append(self._waiting)
                self._waiting = None

    def audit(self, book: BookState, grid: GridState, events: Events, lo: int, hi: int) -> None:
        """Compare an audit message with the book at its place."""
        self.audits.see(book, grid, events, lo, hi)

    def rows(self, rows: Int64Array, ids: Int64Array) -> None:
        """Count rows, hold the trades and the quotes against them."""
        whole = ids >= 0
        warm = self.clock.rows(WARM_WINDOW_NS)
        self.counts.add(rows, whole, self.clock.step_ns, warm)
        if self.touch is not None:
            self.touch.rows(rows, whole)
        if self.quotes is not None:
            self.quotes.rows(rows, ids)

    def end(self, book: BookState, grid: GridState) -> None:
        """Take what is known after the last message."""
        self.unbridged = int(grid.meta[USELESS])
        self.closing = closing_books(book, grid, self.audits)

    @property
    def touch_match(self) -> dict[str, int] | None:
        """Trades against the touch; None below the minimum."""
        if self.touch is None or self.touch.compared < TRADE_TOUCH_MINIMUM:
            return None
        return {"compared": self.touch.compared, "agree": self.touch.agree}

    @property
    def quote_match(self) -> dict[str, int] | None:
        """Book against quotes at the same update id; None where no id occurs in both."""
        if self.quotes is None or self.quotes.compared == 0:
            return None
        return {"compared": self.quotes.compared, "equal": self.quotes.equal}

    @property
    def unsound(self) -> bool:
        """Whether more rows of a whole book lack a side or are crossed than a sound book ever shows."""
        return self.counts.whole_unsound > UNSOUND_SHARE * self.counts.whole

    @property
    def thin_rows(self) -> int:
        """Rows of a whole book with less than half of the (at most 20) levels a side that the first snapshot had."""
        return self.counts.thinner_than((min(self.opening_depth, LEVELS) + 1) // 2)

    @property
    def too_thin(self) -> bool:
        """Whether the book lost its depth: deltas that replace it leave only the levels they name."""
        return self.thin_rows > UNSOUND_SHARE * self.counts.whole

    @property
    def spread_implausible(self) -> bool:
        """Whether the median spread is wider than the trades themselves allow (from SPREAD_PAIRS pairs on)."""
        pairs, traded = self.traded_spread
        return pairs >= SPREAD_PAIRS and self.counts.median_spread_ticks() > SPREAD_FACTOR * (traded + 1)

    @property
    def unapplied_bridges(self) -> int:
        """Snapshots that an event of the stream would have bridged, but that came to nothing."""
        chain = np.concatenate([np.empty((0, 2), np.int64), *self._dropped])
        useless = [s for s in self.audits.loose if ((chain[:, 0] <= s) & (s <= chain[:, 1])).any()]
        return len(useless)

    def to_json(self) -> dict[str, Any]:
        """Return the certificate with the keys of the contract."""
        c, touch, quote = self.counts, self.touch_match, self.quote_match
        holds = (
            c.rows > 0
            and c.crossed_valid == 0
            and self.unapplied_bridges == 0
            and (touch is None or touch["agree"] >= TRADE_TOUCH_SHARE * touch["compared"])
            and (quote is None or quote["equal"] == quote["compared"])
            and self.audits.match is not False
            and self.boundary is not False
            and not self.unsound
            and not self.too_thin
            and not self.spread_implausible
        )
        return {
            "market": str(self.instrument.market),
            "date": self.date,
            "holds": holds,
            "messages": self.messages,
            "level_rows": self.level_rows,
            "snapshots": self.snapshots,
            "rows": c.rows,
            "warm_rows": c.warm,
            "gaps": self.gaps,
            "resets": max(0, self.replaced - self.unbridged - 1),
            "crossed": self.crossed,
            "locked": self.locked,
            "late_messages": self.late,
            "trade_id_gaps": self.trade_id_gaps,
            "truncated_rows": c.truncated,
            "invalid_ns": (c.rows - c.valid) * self.clock.step_ns,
            "coverage": c.valid / c.rows if c.rows else 0.0,
            "unbridged_snapshots": self.unbridged,
            "trade_touch_match": touch,
            "closing_snapshot_match": self.audits.match,
            "boundary_match": self.boundary,
            "top_of_book_match": quote,
        }

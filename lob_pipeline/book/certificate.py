"""The certificate of one book partition, gathered in the pass that builds its rows (CONTRACT.md, Certificate)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

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
from lob_pipeline.book.certificate_checks import (
    TRADE_TOUCH_MINIMUM,
    TRADE_TOUCH_SHARE,
    clock_pairs,
    own_checks,
    unshown,
)
from lob_pipeline.book.depth_agreement import DepthAgreement, has_second_depth
from lob_pipeline.book.grid import USELESS, GridState
from lob_pipeline.book.grid_tight import GridTight
from lob_pipeline.book.level_laws import LevelLaws
from lob_pipeline.book.matches import TradeTouch, implied_spread_ticks, market_trades
from lob_pipeline.book.quote_match import QuoteMatch
from lob_pipeline.book.row_counts import RowCounts
from lob_pipeline.book.seen import Seen, Witness
from lob_pipeline.book.sequence import BRIDGE, DUPLICATE, FOLLOWS, MODES, NOT_WHOLE, REPLACES, STALE, UNBRIDGED
from lob_pipeline.book.state import BookState, Int64Array
from lob_pipeline.book.stream_order import StreamOrder
from lob_pipeline.book.trade_ids import TradeIds
from lob_pipeline.book.trade_quotes import TradeQuotes
from lob_pipeline.book.trade_sides import TradeSides
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.core.tables import KIND_SNAPSHOT
from lob_pipeline.core.units import NS_PER_S

__all__ = ["TRADE_TOUCH_MINIMUM", "TRADE_TOUCH_SHARE", "WARM_WINDOW_NS", "Certificate"]

WARM_WINDOW_NS = 300 * NS_PER_S  # the longest window of the book features


class Certificate:
    """Watches a replay (``replay.Watcher``) and says what it saw.

    ``trades``: the day's trades (columns ts_event_ns, side, price_ticks, flags; where known ts_recv_ns, seq,
    size_lots) or None; ``trade_ids``: their numeric ids, None where ids are no numbers; ``trade_id_counts``: (rows,
    different ids); ``quotes``, ``quotes_again``: two passes over the chunks of the ``quotes`` table;
    ``closing_before``: what the day before left in ``closing_books()``, None where it is absent; ``events_extra``:
    what the manifest of ``l2_events`` adds. ``also``: checks of the rows themselves, set before the certificate is
    asked for.
    """

    def __init__(
        self,
        instrument: Instrument,
        clock: Clock,
        date: str,
        *,
        trades: Columns | None = None,
        trade_ids: Int64Array | None = None,
        trade_id_counts: tuple[int, int] | None = None,
        quotes: Iterator[Columns] | None = None,
        quotes_again: Iterator[Columns] | None = None,
        events_extra: dict[str, Any] | None = None,
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
        self.depths = None
        if quotes is not None and has_second_depth(events_extra or {}):
            # What stands in ``quotes`` is then another depth, by ``seq``: no quote of the venue's, no update id.
            self.depths, quotes, quotes_again = DepthAgreement(quotes), None, None
        self.quotes = None if quotes is None else QuoteMatch(quotes)
        self.trade_ids = TradeIds(trade_id_counts, trade_ids)
        self.order = StreamOrder(date)
        self.laws = LevelLaws(instrument)
        grid = GridTight(instrument, trades, int((events_extra or {}).get("off_grid_lots", 0)))
        self.witnesses: list[Witness] = [self.laws, self.order, grid]
        if trades is not None:
            self.witnesses.append(TradeSides(trades, instrument))
        if self.depths is not None:
            self.witnesses.append(self.depths)
        self.trade_quotes = None
        if trades is not None and quotes_again is not None:
            self.trade_quotes = TradeQuotes(trades, quotes_again)
        self.events_extra = events_extra or {}
        self.also: list[CheckOutcome] = []
        self.messages = self.level_rows = self.snapshots = self.replaced = 0
        self.crossed = self.locked = self.late = self.dropped = self.unbridged = self.unapplied = 0
        self.applied = 0
        self.gaps: list[dict[str, int]] = []
        self.boundary: bool | None = None
        self.opening_depth = 0  # levels of the thinner side of the first snapshot
        self.closing: list[dict[str, Any]] = []
        self._dropped: list[Int64Array] = []
        self._waiting: int | None = None  # id of the last snapshot, until an event joins it

    def chunk(self, events: Events, starts: Int64Array, marks: Int64Array, seq: Int64Array) -> None:
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
        self.unapplied += int((verdict == NOT_WHOLE).sum())
        applied = replaces | (verdict == FOLLOWS)
        self.applied += int(applied.sum())
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
            at = first[shown]
            self.quotes.messages(
                events.update_id[at], tops[shown], events.ts_event_ns[at], events.prev_update_id[at]
            )
        seen = Seen(events, starts, marks, seq)
        for witness in self.witnesses:
            witness.chunk(seen)

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
        self.laws.show(rows, ids)
        if self.touch is not None:
            self.touch.rows(rows, whole)
        if self.quotes is not None:
            self.quotes.rows(rows, ids)
        if self.depths is not None:
            self.depths.show(rows, ids)

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
    def unapplied_bridges(self) -> int:
        """Snapshots that an event of the stream would have bridged, but that came to nothing."""
        chain = np.concatenate([np.empty((0, 2), np.int64), *self._dropped])
        useless = [s for s in self.audits.loose if ((chain[:, 0] <= s) & (s <= chain[:, 1])).any()]
        return len(useless)

    def checks(self) -> list[CheckOutcome]:
        """Return every check of the certificate's own, then ``also``; without the verdict on the whole."""
        out = own_checks(self)
        if self.quotes is not None:
            out += self.quotes.outcomes()
        for witness in self.witnesses:
            out += witness.outcomes()
        out += self.trade_ids.outcomes()
        if self.trade_quotes is not None:
            out += self.trade_quotes.outcomes()
        out += self.also
        return out if self.counts.valid else unshown(out)

    def to_json(self) -> dict[str, Any]:
        """Return the certificate: the keys of the contract, then what else was found, then every check."""
        c, checks = self.counts, self.checks()
        found: dict[str, Any] = {
            "market": str(self.instrument.market),
            "date": self.date,
            "holds": not any(check.refuses for check in checks),
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
            "trade_id_gaps": self.trade_ids.gaps,
            "truncated_rows": c.truncated,
            "invalid_ns": (c.rows - c.valid) * self.clock.step_ns,
            "coverage": c.valid / c.rows if c.rows else 0.0,
            "unbridged_snapshots": self.unbridged,
            "trade_touch_match": self.touch_match,
            "closing_snapshot_match": self.audits.match,
            "boundary_match": self.boundary,
            "top_of_book_match": self.quote_match,
            "invalid_spans": c.invalid_spans,
            "invalid_span_count": c.invalid_span_count,
            "unapplied_messages": self.unapplied,
        }
        found["depth_agreement"] = None
        for witness in self.witnesses:
            found.update(witness.facts())
        found.update(self.trade_ids.facts())
        found.update(self.trade_quotes.facts() if self.trade_quotes else {"trade_quotes": None})
        found.update(self.quotes.facts() if self.quotes else {})
        found["checksum_match"] = self.events_extra.get("checksums")
        found["clock_pairs"] = clock_pairs(self.events_extra)
        found["checks"] = [{k: v for k, v in check.to_json().items() if k != "facts"} for check in checks]
        return found

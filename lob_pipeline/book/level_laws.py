"""Laws of the levels that hold message by message, without any other source.

A feed of a fixed depth (Bybit, OKX) always shows exactly that many levels a side; Bybit's deletes only what it showed
and sends a level only when its size changed. One ghost, one level on the wrong side, one message left out, repeated or
taken twice breaks one of these laws soon and mostly for good. Feeds of changes to an unlimited book (Binance) delete
levels outside of what their snapshot showed, so there only snapshots and silence of one side are judged.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from lob_pipeline.book import level_tally as tally
from lob_pipeline.book.level_tally import LevelTally
from lob_pipeline.book.seen import Seen
from lob_pipeline.book.sequence import BRIDGE, MODES, PLUS_ONE, REPLACES
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import KIND_SNAPSHOT

FULL_DEPTHS = frozenset({25, 50, 100, 200, 400, 500, 1000})
"""Depths that venues publish: a first snapshot of just as many levels on both sides fills its window."""
EXACT_FEEDS = ("bybit-", "sim")
"""Venues that name a level only when its size changed and delete only what they showed. OKX and Kraken, whose own
checksums verify the book, send levels again (other order counts, levels back in reach)."""
ODD_SHARE = 1e-4  # of messages
ODD_ROWS_SHARE, ODD_ROWS = 3e-4, 1  # of level rows, and how many never count: the venue calls a strange delete no error
SHORT_SHARE = 0.01  # of messages: a thin side may really have fewer levels than the window
CONSECUTIVE_SHARE = 0.5  # of its levels a snapshot right after an applied message shares with the book
GROWTH_MESSAGES, GROWTH_BELOW = 1000, 100  # a whole snapshot of so few levels does not triple in so few messages
SILENT_MINIMUM = 30
RESTART_ID = 1
BURST_ROWS, BURST_FACTOR = 2.5, 10  # feeds of fewer level rows a message come in bursts
SILENT_FACTOR = 200.0  # chance of the longest silence of a side is at most e^-200, were messages independent
SILENT_SHARE = 5e-4  # of a day's messages may leave a side out on end: a thin hour is no sample of a busy day


class LevelLaws:
    """Holds the laws against each message. ``windowed``: whether the feed shows a window of fixed depth."""

    def __init__(self, instrument: Instrument) -> None:
        self._mode = MODES[instrument.sequence]
        self._exact = instrument.market.venue.startswith(EXACT_FEEDS)
        self._tally = LevelTally(instrument.depth_limit)
        self.window = 0  # levels a side of a full window, 0 where the feed has none
        self.snapshots = self.thin_snapshots = 0
        self.consecutive = self.foreign = 0
        self.messages = self.rows = self.unknown = self.repeats = 0
        self.over = self.short = self.windowed = 0
        self._deepest = 0
        self.grown = 0  # snapshots that were no more than a part of the book
        self._opened: tuple[int, int] | None = None  # levels of the thinner side of the last one, messages since
        self._last_id: int | None = None
        self._rows = np.zeros(2, np.int64)  # messages that had a row of the side
        self._silent = np.zeros(2, np.int64)  # messages since the side last had a row
        self.longest_silence = np.zeros(2, np.int64)

    def chunk(self, seen: Seen) -> None:
        """Tally the next messages and hold the laws against them."""
        found = self._tally.chunk(seen.events, seen.starts, seen.verdict)
        applied, replaces = seen.applied, seen.verdict == REPLACES
        deltas = applied & ~replaces
        self.messages += int(deltas.sum())
        self.rows += int(found[deltas, tally.ROWS : tally.ROWS + 2].sum())
        self.unknown += int(found[deltas, tally.UNKNOWN].sum())
        self.repeats += int(found[deltas, tally.REPEATS].sum())
        for j in np.flatnonzero(replaces).tolist():
            self._snapshot(seen, j, found[j])
        self._note_ids(seen, applied)
        self._growth(found, applied, replaces, seen.events.update_id[seen.first])
        if self.window:
            levels = found[applied, tally.LEVELS : tally.LEVELS + 2]
            self.windowed += len(levels)
            self.over += int((levels > self.window).any(axis=1).sum())
            self.short += int((levels < self.window).any(axis=1).sum())
        self._silences(found[deltas, tally.ROWS : tally.ROWS + 2] > 0)

    def show(self, rows: Int64Array, ids: Int64Array) -> None:
        """Take emitted rows of a whole book (ids >= 0 where it is), before the chunk of messages that closed them."""
        self._tally.show(rows, ids)

    def _snapshot(self, seen: Seen, j: int, found: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        at = int(seen.first[j])
        thinner = int(found[tally.LEVELS : tally.LEVELS + 2].min())
        if seen.events.kind[at] == KIND_SNAPSHOT:
            self.snapshots += 1
            if not self._restarts(int(seen.events.update_id[at])):
                self.thin_snapshots += 2 * thinner < self._deepest or thinner == 0
        same = found[tally.LEVELS] == found[tally.LEVELS + 1]
        if self._deepest == 0 and self._mode != BRIDGE and same and thinner in FULL_DEPTHS:
            self.window = thinner
        self._deepest = max(self._deepest, thinner)
        before = self._last_id
        if j > 0:
            before = int(seen.events.update_id[seen.first[j - 1]]) if seen.applied[j - 1] else None
        if self._mode != BRIDGE and before is not None and int(seen.events.update_id[at]) in (before, before + 1):
            self.consecutive += 1
            sent = int(found[tally.LEVELS : tally.LEVELS + 2].sum())
            self.foreign += int(found[tally.SHARED]) < CONSECUTIVE_SHARE * max(sent, int(found[tally.HELD]))

    def _restarts(self, ids: Any) -> Any:
        """Return where a snapshot follows a restart of the service: its market may open with an empty book."""
        return (ids == RESTART_ID) & (self._mode == PLUS_ONE)

    def _growth(
        self,
        found: Int64Array,
        applied: np.ndarray[Any, np.dtype[np.bool_]],
        replaces: np.ndarray[Any, np.dtype[np.bool_]],
        ids: Int64Array,
    ) -> None:
        """Find snapshots of a few levels that soon turn out to be a part of a deeper book."""
        thinner = found[applied, tally.LEVELS : tally.LEVELS + 2].min(axis=1)
        restarts = self._restarts(ids[applied])
        opens = np.flatnonzero(replaces[applied])
        for lo, hi in itertools.pairwise([0, *opens.tolist(), len(thinner)]):
            if lo in opens:
                self._opened = None if restarts[lo] else (int(thinner[lo]), 0)
            if self._opened is None or hi == lo:
                continue
            levels, since = self._opened
            seen = int(thinner[lo : min(hi, lo + GROWTH_MESSAGES - since)].max(initial=0))
            if levels < GROWTH_BELOW and seen >= max(3 * levels, levels + 50):
                self.grown += 1
                self._opened = None
            else:
                self._opened = (levels, since + hi - lo) if since + hi - lo < GROWTH_MESSAGES else None

    def _note_ids(self, seen: Seen, applied: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        if len(applied):
            self._last_id = int(seen.events.update_id[seen.first[-1]]) if applied[-1] else None

    def _silences(self, has: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Follow how long each side had no row while messages came."""
        self._rows += has.sum(axis=0)
        for s in range(2):
            at = np.flatnonzero(has[:, s])
            ends = np.concatenate([[-1 - self._silent[s]], at, [len(has)]])
            gaps = np.diff(ends) - 1
            self.longest_silence[s] = max(self.longest_silence[s], gaps.max(initial=0))
            self._silent[s] = gaps[-1]

    @property
    def silence_bound(self) -> int:
        """Return the longest silence of a side that can be chance: the livelier side says how often a side is named.

        Where a message is one order's (a row or two), one trader's burst names one side only.
        """
        if not self.messages:
            return SILENT_MINIMUM
        share = min(self._rows.max() / self.messages, 0.999)
        bound = SILENT_FACTOR / max(-math.log(1 - share), 1e-3)
        if self.rows < BURST_ROWS * self.messages:
            bound *= BURST_FACTOR
        return max(SILENT_MINIMUM, math.ceil(bound), math.ceil(SILENT_SHARE * self.messages))

    def outcomes(self) -> list[CheckOutcome]:
        """Return the laws that this feed is under: of its window, of its snapshots, and ``both_sides_move``."""
        out = self._of_feed()
        rows, wrong = self._tally.state[1:3].tolist()
        if rows:
            message = f"{wrong} of {rows} rows show other levels than the messages leave" if wrong else ""
            out.append(judge("rows_equal_levels", not wrong, examined=rows, judged=rows, message=message))
        if self.snapshots:
            out.append(
                judge(
                    "snapshot_depth",
                    self.thin_snapshots + self.grown == 0,
                    examined=self.snapshots,
                    judged=self.snapshots,
                    message=f"{self.thin_snapshots} of {self.snapshots} snapshots hold less than half of the levels a "
                    f"side of an earlier one, or none; {self.grown} soon turn out to be a part of a deeper book",
                )
            )
        if self.consecutive:
            out.append(
                judge(
                    "snapshot_continues",
                    self.foreign == 0,
                    examined=self.snapshots,
                    judged=self.consecutive,
                    message=f"{self.foreign} of {self.consecutive} snapshots that follow the message before them share "
                    "less than half of their levels with the book",
                )
            )
        silence, bound = int(self.longest_silence.max()), self.silence_bound
        out.append(
            judge(
                "both_sides_move",
                silence <= bound,
                examined=self.messages,
                judged=self.messages,
                minimum=SILENT_MINIMUM,
                message=f"a side is not named for {silence} messages on end, {bound} can be chance",
            )
        )
        return out

    def _of_feed(self) -> list[CheckOutcome]:
        """Return the laws of a window of fixed depth, and those of a feed that names what changed and nothing else."""
        n, rows = self.windowed, self.rows
        within = self.over <= ODD_SHARE * n and self.short <= SHORT_SHARE * n
        found = (
            (
                "levels_within_depth",
                within,
                n,
                f"after {self.over} of {n} messages a side holds more than the {self.window} levels that the feed "
                f"shows, after {self.short} fewer",
            ),
            (
                "deletes_known",
                self.unknown <= max(ODD_ROWS, ODD_ROWS_SHARE * rows),
                rows,
                f"{self.unknown} of {rows} level rows delete a level that the book does not hold",
            ),
            (
                "updates_change",
                self.repeats <= max(ODD_ROWS, ODD_ROWS_SHARE * rows),
                rows,
                f"{self.repeats} of {rows} level rows name the size that the book holds already",
            ),
        )
        wanted = found[0 if self.window else 1 : len(found) if self._exact else 1]
        return [judge(name, ok, examined=n, judged=judged, message=text) for name, ok, judged, text in wanted]

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``levels``."""
        return {
            "levels": {
                "window": self.window or None,
                "over": self.over,
                "short": self.short,
                "unknown_deletes": self.unknown,
                "repeated_sizes": self.repeats,
                "longest_silence": int(self.longest_silence.max()),
                "rows_compared": int(self._tally.state[1]),
                "rows_wrong": int(self._tally.state[2]),
            }
        }

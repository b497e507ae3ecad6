"""One topic of one connection: its last id and time, and what they say about the next message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lob_pipeline.venues.protocol import DELTA, NO_ID, SNAPSHOT, TRADES, Heard, Topic

Note = Callable[..., None]
_MOST_MISSING = 10_000
"""Ids of gaps that are waited for; what comes in another order comes soon."""


@dataclass
class Mark:
    """Where a topic's recording stands: ``last_id`` (-1: nothing yet) of the message received at ``wall_ns``.

    ``alive`` is false once its connection is gone; ``cause`` then says why (``capture.ledger``, ``unknown``).
    """

    last_id: int | str = NO_ID
    wall_ns: int = 0
    alive: bool = False
    cause: str = "stopped"


@dataclass
class Track:
    """Follows a topic. ``note`` writes ledger lines; ``before``: where an earlier connection left the topic.

    ``first_id``: id of the first message. ``broken``: messages are missing and no snapshot has mended the book yet.
    ``chain_first_id``: first update id of the unbroken run of deltas (Binance's ``U``): a REST snapshot must reach it.
    """

    topic: Topic
    market: str
    conn: int
    note: Note
    before: Mark | None = None
    contiguous_trades: bool = False
    mark: Mark = field(default_factory=lambda: Mark(alive=True))
    frames: int = 0
    first_id: int | str = NO_ID
    first_is_snapshot: bool = False
    broken: bool = False
    heard_mono_ns: int = 0
    snapshots: int = 0
    chain_first_id: int = NO_ID
    fetching: bool = False
    resyncs: int = 0
    resynced_mono_ns: int = 0
    silences: int = 0
    frames_at_silence: int = 0
    _missing: set[int] = field(default_factory=set)

    def hear(self, heard: Heard, wall_ns: int, mono_ns: int) -> bool:
        """Take what was heard of the topic. Returns whether messages were found to be missing just now."""
        self.heard_mono_ns = mono_ns
        self.frames += 1
        if self.frames == 1:
            self._begin(heard, wall_ns)
        gap = False
        if heard.kind == DELTA:
            gap = self._delta(heard, wall_ns)
        elif heard.kind == SNAPSHOT:
            self._snapshot(heard, wall_ns)
        elif heard.kind == TRADES and self.contiguous_trades:
            self._trade(heard, wall_ns)
        elif heard.last_id != NO_ID:
            self.mark.last_id = heard.last_id
        self.mark.wall_ns = wall_ns
        return gap

    def _begin(self, heard: Heard, wall_ns: int) -> None:
        self.first_id = heard.last_id if heard.first_id == NO_ID or heard.kind != TRADES else heard.first_id
        self.first_is_snapshot = heard.kind == SNAPSHOT
        if heard.kind == DELTA and isinstance(self.first_id, int) and heard.prev_id != NO_ID:
            self.first_id = heard.prev_id + 1
        if self.before is not None and not self.before.alive:
            self.say_unknown(self.before, wall_ns, self.before.cause)

    def say_unknown(self, before: Mark, wall_ns: int, cause: str) -> None:
        """Say that nothing is known between ``before`` and the first message of this connection."""
        self._say(
            "unknown",
            last_id=before.last_id,
            next_id=self.first_id,
            snapshot=self.first_is_snapshot,
            from_wall_ns=before.wall_ns,
            to_wall_ns=wall_ns,
            cause=cause,
        )

    def _delta(self, heard: Heard, wall_ns: int) -> bool:
        mark, update = self.mark, heard.last_id
        last = mark.last_id
        if last == NO_ID and isinstance(heard.first_id, int):
            self.chain_first_id = heard.first_id
        if last == NO_ID or heard.prev_id == NO_ID or heard.prev_id == last:
            mark.last_id = update
            return False
        assert isinstance(last, int)  # books have numbers
        assert isinstance(update, int)
        if update <= last:
            self._old(update)
            return False
        self._gap(last, heard.prev_id, update, wall_ns, snapshot=False)
        mark.last_id = update
        self.broken = True
        if isinstance(heard.first_id, int):
            self.chain_first_id = heard.first_id
        return True

    def _snapshot(self, heard: Heard, wall_ns: int) -> None:
        last, update = self.mark.last_id, heard.last_id
        assert isinstance(update, int)
        if isinstance(last, int) and last != NO_ID:
            if update > last + 1:
                self._gap(last, update - 1, update, wall_ns, snapshot=True)
            elif update > last:
                self._say("replaced", last_id=last, id=update)
            elif update < last:
                self._say("restart", last_id=last, id=update)
                self._missing.clear()
        self.mark.last_id = update
        self.mended()

    def mended(self) -> None:
        """A snapshot has come: the book is whole again."""
        self.broken = False
        self.resyncs = 0
        self.snapshots += 1

    def _trade(self, heard: Heard, wall_ns: int) -> None:
        last, trade = self.mark.last_id, heard.last_id
        assert isinstance(trade, int)
        if isinstance(last, int) and last != NO_ID:
            if trade <= last:
                self._old(trade)
                return
            if trade > last + 1:
                self._gap(last, trade - 1, trade, wall_ns, snapshot=False)
        self.mark.last_id = trade

    def _gap(self, last: int, claimed: int, update: int, wall_ns: int, *, snapshot: bool) -> None:
        times = {"from_wall_ns": self.mark.wall_ns, "to_wall_ns": wall_ns}
        self._say("gap", expected=last, got=claimed, id=update, snapshot=snapshot, **times)
        missing = range(last + 1, (update if snapshot else claimed) + 1)
        if len(missing) + len(self._missing) > _MOST_MISSING:
            self._missing.clear()
        self._missing.update(missing[-_MOST_MISSING:])

    def _old(self, update: int) -> None:
        """A message with an id that is not newer: one that was missed, or a repeated one."""
        if update in self._missing:
            self._missing.discard(update)
            self._say("late", id=update)
        else:
            self._say("duplicate", id=update)

    def _say(self, kind: str, **facts: Any) -> None:
        self.note(kind, market=self.market, topic=self.topic.name, conn=self.conn, **facts)

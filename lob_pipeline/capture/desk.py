"""What the connections of one recorder share: settings, ledger, where each topic stands, and the figures of the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lob_pipeline.capture.config import RecordConfig
from lob_pipeline.capture.ledger import LINES_A_MINUTE, SegmentLedger
from lob_pipeline.capture.segments import segments_root
from lob_pipeline.capture.track import Mark, Track
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import storing

_LIMITED = ("unread", "duplicate")
_SPOKEN = ("reconnect", "rollover", "refused", "snapshot_failed", "silence", "full")
_MINUTE_NS = 60_000_000_000


@dataclass
class Stats:
    """Figures since the start. ``lag_ns``: the largest (receive time - venue's time) since it was last asked for."""

    frames: int = 0
    bytes: int = 0
    segments: int = 0
    lag_ns: int = 0


@dataclass
class Desk:
    """One recorder's shared state; everything happens in one thread. ``marks``: where earlier sessions left a topic."""

    home: Home
    config: RecordConfig
    ledger: SegmentLedger
    session: str
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)
    tracks: dict[tuple[str, str], Track] = field(default_factory=dict)
    stats: Stats = field(default_factory=Stats)
    connections: int = 0
    say: Callable[[str], None] = lambda _line: None
    _minute: int = 0
    _said: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = segments_root(self.home)
        self._reserve = self.root / ".reserve"

    def take_reserve(self) -> None:
        """Occupy the room in which a full disk can still be told of. Raises ``LobError`` when there is none."""
        with storing(self._reserve):
            self._reserve.write_bytes(b"\0" * self.config.reserve_bytes)

    def release_reserve(self) -> None:
        """Give that room back."""
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def next_conn(self) -> int:
        """Return the number of a new connection."""
        self.connections += 1
        return self.connections

    def note(self, kind: str, **facts: Any) -> None:
        """Write a line to the ledger; of kinds that a broken feed can send without end, so many a minute."""
        if kind in _LIMITED and not self._may_say(kind):
            return
        self.ledger.note(kind, **facts)
        if kind in _SPOKEN:
            told = (facts.get(name) for name in ("market", "topic", "url", "why", "text", "error"))
            self.say(f"{kind}: {'; '.join(str(t) for t in told if t)}")

    def _may_say(self, kind: str) -> bool:
        minute = time.monotonic_ns() // _MINUTE_NS
        if minute != self._minute:
            self.say_rest()
            self._minute = minute
        self._said[kind] = self._said.get(kind, 0) + 1
        return self._said[kind] <= LINES_A_MINUTE

    def say_rest(self) -> None:
        """Say how many lines of the limited kinds were left out."""
        for kind, count in self._said.items():
            if count > LINES_A_MINUTE:
                self.ledger.note(kind, count=count - LINES_A_MINUTE)
        self._said.clear()

    def before(self, market: str, topic: str) -> Mark | None:
        """Return where a topic stands: in another connection of this session, else as an earlier session left it."""
        track = self.tracks.get((market, topic))
        return track.mark if track is not None else self.marks.get((market, topic))

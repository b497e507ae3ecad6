"""A script of faults at work: what happens to each message that is about to be sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from lob_pipeline.sim.faults import PER_MESSAGE, Fault
from lob_pipeline.sim.feed import BOOK, Feed, Message
from lob_pipeline.sim.sender_log import (
    DROPPED,
    DUPLICATED,
    HALF,
    MALFORMED,
    REORDERED,
    SENT,
    SNAPSHOT,
    WRONG_SYMBOL,
)

ANY = "*"
"""As a fault's topic: every message, trades too."""
_SYMBOL = re.compile(rb"[A-Z0-9]{2,}(?=USDT?\b)")


class Treated(NamedTuple):
    """What becomes of one message: the ``payloads`` to send now, its fate and flags. ``half``: cut in mid-frame."""

    message: Message
    payloads: list[bytes]
    fate: int = SENT
    flags: int = 0
    half: bool = False


@dataclass
class _Active:
    kind: str
    left: int
    topic: str

    def hits(self, message: Message) -> bool:
        if self.kind == "restart":
            return message.kind == BOOK and message.topic == self.topic and message.update_id == 1
        if self.topic:
            return self.topic in (ANY, message.topic)
        return message.kind == BOOK


class Trouble:
    """The faults that wait for their moment, and those that are at work on messages."""

    def __init__(self, faults: list[Fault], feed: Feed) -> None:
        self._feed = feed
        self._by_number = sorted((f for f in faults if not f.timed), key=lambda f: f.at)
        self._by_time = sorted((f for f in faults if f.timed), key=lambda f: f.at)
        self._active: list[_Active] = []
        self._held: list[Message] = []

    def due(self, number: int, elapsed_s: float) -> list[Fault]:
        """Return the faults whose moment is message ``number`` or ``elapsed_s`` seconds; each once."""
        found = []
        while self._by_number and self._by_number[0].at <= number:
            found.append(self._by_number.pop(0))
        while self._by_time and self._by_time[0].at <= elapsed_s:
            found.append(self._by_time.pop(0))
        return found

    def start(self, fault: Fault) -> None:
        """Set a fault to work on the messages that come; kinds that concern connections are not for here."""
        if fault.kind == "restart":
            for topic in [fault.topic] if fault.topic else self._feed.books():
                self._feed.restart(topic)
                self._active.append(_Active("restart", 1, topic))
        elif fault.kind == "clock_step":
            self._feed.step_clock(fault.ms)
        elif fault.kind in PER_MESSAGE or fault.kind == "midstream_snapshot":
            least = 2 if fault.kind == "reorder" else 1
            self._active.append(_Active(fault.kind, max(least, int(fault.count)), fault.topic))

    def treat(self, message: Message) -> Treated:
        """Return what becomes of ``message``."""
        if self._active:
            for active in self._active:
                if active.hits(message):
                    return self._under(active, message)
        return Treated(message, [message.payload])

    def held_back(self) -> list[Message]:
        """Return the messages that wait to be sent in another order, the last first; they wait no longer."""
        late = self._held[::-1]
        self._held.clear()
        if late:
            self._active = [active for active in self._active if active.kind != "reorder"]
        return late

    def _under(self, active: _Active, message: Message) -> Treated:
        active.left -= 1
        last = active.left <= 0
        if last:
            self._active.remove(active)
        payload = message.payload
        if active.kind == "drop":
            return Treated(message, [], DROPPED)
        if active.kind == "duplicate":
            return Treated(message, [payload, payload], SENT, DUPLICATED)
        if active.kind == "malformed":
            return Treated(message, [payload[: len(payload) * 3 // 5]], MALFORMED)
        if active.kind == "wrong_symbol":
            return Treated(message, [_SYMBOL.sub(b"OTHER", payload)], WRONG_SYMBOL)
        if active.kind == "half_frame":
            return Treated(message, [payload], HALF, half=True)
        if active.kind == "reorder":
            active.topic = message.topic
            self._held.append(message)
            return Treated(message, [m.payload for m in self.held_back()] if last else [], SENT, REORDERED)
        whole = self._feed.as_snapshot(message)
        return Treated(whole, [whole.payload], SENT, SNAPSHOT)

"""A venue's websocket protocol as plain values: what is said to it, and how a frame is told from another without
parsing it. Pure: no connection, no clock, no file. ``venues.protocols`` lists the venues.

A frame is looked at once, by byte searches near its ends, so that thousands a second cost little. What that look cannot
place (another symbol, no known topic, cut short) is ``UNREAD``: kept, never routed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lob_pipeline.core.instrument import Instrument

Lane = Literal["main", "extra"]
TopicKind = Literal["book", "trades", "quotes", "other"]

CONTROL, SNAPSHOT, DELTA, TRADES, QUOTE, OTHER, UNREAD = range(7)
"""What a frame is: the connection's own talk, a book message of either kind, trades, a best bid and ask, a message of
an extra topic, nothing that can be placed."""

NO_ID = -1
_ENDS = (b"{}", b"[]")


@dataclass(frozen=True)
class Topic:
    """One subscription. ``name``: as it is subscribed to; ``key``: as ``Protocol.hear`` names it in frames.

    ``lane``: ``main`` feeds the lake, ``extra`` is recorded for later.
    """

    name: str
    key: bytes
    symbol: str
    lane: Lane
    kind: TopicKind


class Heard(NamedTuple):
    """What one look at a frame says. ``key``: of its topic, empty where it names none.

    ``last_id``: update id of a book message or quote, id of the last trade (text where the venue's ids are); ``first``:
    id of the first trade of the frame. ``prev_id``: the update id that a delta claims to follow, -1 unknown.
    ``event_ms``: when the venue made the message (milliseconds UTC), 0 unknown. ``why``: of ``UNREAD``.
    """

    kind: int
    key: bytes = b""
    last_id: int | str = NO_ID
    prev_id: int = NO_ID
    event_ms: int = 0
    first_id: int | str = NO_ID
    why: str = ""


@dataclass(frozen=True)
class Protocol:
    """How a venue is talked to. Times in seconds.

    ``url``, ``rest_url``: public addresses. ``ping``: text of a ping, empty where the websocket's own ping is used.
    ``limit_s``: age at which the venue cuts connections, 0 never. ``snapshot_path``: path and query of the book of a
    symbol on ``rest_url``, None where the stream brings its own. ``trade_ids_rise_by_one``: a missing trade shows.
    ``needle(topic)``: bytes that stand once in every frame of the topic and in no other, None where there are none.
    ``refuses_whole``: one topic that the venue does not know makes it refuse a request with all others in it.
    ``fresh_start``: books have no ids of their own, so each file of a recording must begin with a snapshot.
    """

    url: str
    rest_url: str
    topics: Callable[[Instrument], tuple[Topic, ...]]
    subscribe: Callable[[Sequence[str], int], list[str]]
    unsubscribe: Callable[[Sequence[str], int], list[str]]
    hear: Callable[[bytes], Heard]
    ping: str = ""
    ping_s: float = 20.0
    limit_s: float = 0.0
    snapshot_path: Callable[[str], str] | None = None
    trade_ids_rise_by_one: bool = False
    fresh_start: bool = False
    refuses_whole: bool = False
    needle: Callable[[Topic], bytes] | None = None


def unread(why: str, key: bytes = b"") -> Heard:
    """Return what is said of a frame that cannot be placed."""
    return Heard(UNREAD, key, why=why)


def looks_whole(frame: bytes) -> bool:
    """Return whether a frame opens and closes as a JSON object or list does: cut-off text does not.

    No venue writes braces inside its strings.
    """
    if frame[:1] + frame[-1:] not in _ENDS:
        frame = frame.strip()
        if frame[:1] + frame[-1:] not in _ENDS:
            return False
    return frame.count(b"{") == frame.count(b"}")


def whole_number(pattern: re.Pattern[bytes], frame: bytes, start: int = 0, end: int = 1 << 30) -> int:
    """Return the number that ``pattern``'s first group finds in ``frame[start:end]``, -1 where it finds none."""
    found = pattern.search(frame, start, end)
    return int(found[1]) if found else NO_ID

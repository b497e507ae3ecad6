"""Lines of a recorder that wraps what it saw: ``{"t":"recv","conn":…,"ts":<seconds>,"data":"<the venue's text>"}``.

``t`` says what a line is: ``recv`` a message of the venue, ``http`` an answer of its REST interface (``url``: which),
``header``, ``connect``, ``disconnect`` and ``send`` the recorder's own doings. Other recordings of the same venues hold
the venue's text alone, with or without a receive stamp in front; ``opened`` reads all three.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NamedTuple

from lob_pipeline.core.units import NS_PER_S, NS_PER_US
from lob_pipeline.venues.lines import UnreadableError, shown

DOINGS = frozenset({"header", "connect", "disconnect", "send"})
_BARE = ("ping", "pong")  # OKX keeps its connections alive with words that are no JSON
_STAMP = re.compile(rb"([0-9]+)[ \t\r]+")
_DATA = re.compile(rb'"data"\s*:\s*"')


class Opened(NamedTuple):
    """One line, out of its wrapper. ``kind``: ``recv``, ``http`` or one of ``DOINGS``; ``found``: the venue's message
    (of a ``recv`` or ``http``), else the line itself. ``recv_ns``: 0 where the line has no time of its own.
    ``exchange``: as the wrapper names it (``OKX``, ``KRAKEN``), empty without a wrapper."""

    kind: str
    found: Any
    recv_ns: int
    url: str = ""
    exchange: str = ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError("each key once in an object", "a repeated key")
    return found


def _no_constant(text: str) -> Any:
    raise UnreadableError("a JSON value", text)


def parse_value(text: str) -> Any:
    """Return any JSON value, numbers with a fraction or exponent as exact ``Decimal``.

    Raises ``UnreadableError`` whose ``at`` is the character of ``text`` where it shows.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        found = shown(text[error.pos : error.pos + 40]) or "the line's end"
        raise UnreadableError("one JSON message", found, error.pos) from error
    except (RecursionError, ValueError, ArithmeticError) as error:  # absurd nesting, thousands of digits, exponents
        raise UnreadableError("one JSON message", shown(str(error))) from error


def _text(line: bytes, start: int) -> str:
    try:
        return line[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError("UTF-8 text", "other bytes", start + error.start) from error


def stamp_of(line: bytes) -> tuple[int, int]:
    """Return (where the JSON begins, receive time in ns) of a line; (0, 0) where it has no stamp.

    A stamp has 16 digits (microseconds) or 19 (nanoseconds). Raises ``UnreadableError`` for any other.
    """
    found = _STAMP.match(line)
    if found is None:
        return 0, 0
    digits = found[1]
    if digits[:1] in (b"0", b"9") or len(digits) not in (16, 19):
        raise UnreadableError(
            "a receive stamp of 16 digits (microseconds) or 19 (nanoseconds)", shown(digits[:40].decode())
        )
    return found.end(), int(digits) * (NS_PER_US if len(digits) == 16 else 1)


def seconds_ns(value: object) -> int | None:
    """Return decimal seconds of 10 whole digits in nanoseconds; None for anything else, or finer than a nanosecond."""
    if not (type(value) is int or isinstance(value, Decimal)) or not 10**9 <= value < 9 * 10**9:
        return None
    ns = value * NS_PER_S
    return int(ns) if ns == int(ns) else None


def opened(line: bytes) -> Opened:
    """Return what a line holds. Raises ``UnreadableError``, with the byte of the line, when it cannot be read."""
    start, recv_ns = stamp_of(line)
    text = _text(line, start)
    if text.strip() in _BARE:
        return Opened("send", text, recv_ns)
    try:
        found = parse_value(text)
    except UnreadableError as error:
        error.at = start + len(text[: error.at].encode())
        raise
    if not is_wrapper(found):
        return Opened("recv", found, recv_ns)
    kind, exchange = found["t"], _exchange(found)
    if kind in DOINGS:
        return Opened(kind, found, 0, "", exchange)
    if kind not in ("recv", "http"):
        raise UnreadableError('"t" to be ' + ", ".join(sorted({*DOINGS, "recv", "http"})), shown(kind))
    wall_ns = seconds_ns(found.get("ts"))
    if wall_ns is None:
        raise UnreadableError('"ts" to be the receive time in seconds', shown(found.get("ts")))
    inner = found.get("data")
    if not isinstance(inner, str):
        raise UnreadableError('the venue\'s text as "data"', shown(inner))
    url = found.get("url", "")
    if inner in _BARE:
        return Opened("send", found, wall_ns, "", exchange)
    try:
        return Opened(kind, parse_value(inner), wall_ns, url if isinstance(url, str) else "", exchange)
    except UnreadableError as error:
        error.at = start + _outer(line[start:], inner, error.at)
        raise


def is_wrapper(found: object) -> bool:
    """Whether a line's value is one of the recorder's."""
    return isinstance(found, dict) and isinstance(found.get("t"), str) and ("ts" in found or "exchange" in found)


def _outer(line: bytes, inner: str, at: int) -> int:
    """Return the byte of ``line`` where character ``at`` of its "data" text stands, escapes counted."""
    begins = _DATA.search(line)
    position = begins.end() if begins else 0
    for character in inner[:at]:
        if line[position : position + 2] == b"\\u":
            position += 12 if ord(character) > 0xFFFF else 6
        elif line[position : position + 1] == b"\\":
            position += 2
        else:
            position += len(character.encode())
    return position


def message_object(value: object) -> dict[str, Any]:
    """Return ``value``, which must be an object."""
    if not isinstance(value, dict):
        raise UnreadableError("a JSON object", shown(value))
    return value


def _exchange(found: dict[str, Any]) -> str:
    name = found.get("exchange") or str(found.get("conn", "")).partition(".")[0]
    return name.upper() if isinstance(name, str) and name else "?"

"""The form of a recorder's segment, without what decodes it: its first line, its market, its frames as they came.

Lines are ``<wall_ns> <mono_ns> <frame>``, ``=<base64>`` for a frame that holds a newline, ``!<base64>`` for one that is
no message of a subscribed topic; lines that begin with ``#`` are notes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market

HEADER_KEY = "lob_segment"
MAGIC = b'# {"' + HEADER_KEY.encode() + b'":'
VERSION = 1


class Line(NamedTuple):
    """One recorded frame. ``readable`` is false for frames that are no message of a subscribed topic."""

    wall_ns: int
    mono_ns: int
    frame: bytes
    readable: bool


def header_of(path: Path, first_line: bytes) -> dict[str, Any]:
    """Return the facts of a segment's first line. Raises ``BadInputError`` for one that is damaged or of the future."""
    try:
        facts: dict[str, Any] = json.loads(first_line[2:])
        parse_market(f"{facts['venue']}.{facts['symbol']}")
        version, _lane = facts[HEADER_KEY], facts["lane"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path}: the first line of a recorder's segment is damaged ({error}): fetch the segment again"
        ) from error
    if version != VERSION:
        raise BadInputError(f"{path} is a segment of form {version}, expected {VERSION}: read it with a newer program")
    return facts


def market_of(path: Path, header: dict[str, Any]) -> Market:
    """Return the market of a segment whose lane feeds the lake. Raises ``BadInputError`` for another lane."""
    market = Market(header["venue"], header["symbol"])
    if header["lane"] != "main":
        raise BadInputError(
            f"{path} holds the {header['lane']} topics of {market}, which no table is built from: give segments of its "
            "main lane"
        )
    return market


def read_lines(data: bytes) -> Iterator[Line]:
    """Yield the frames in whole lines of a segment, exactly as they were received; notes are left out."""
    for line in data.split(b"\n")[:-1]:
        if line.startswith(b"#"):
            continue
        wall, mono, frame = line.split(b" ", 2)
        readable = not frame.startswith(b"!")
        if frame[:1] in (b"!", b"="):
            frame = base64.b64decode(frame[1:], validate=True)
        yield Line(int(wall), int(mono), frame, readable)

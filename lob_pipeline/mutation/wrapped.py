"""Lines of the wrapper ``{"t":"recv","conn":…,"ts":…,"data":"<message as a JSON string>"}``."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

_DATA = b'"data":'


def unwrapped(line: bytes) -> tuple[Any, bytes]:
    """Return (the message inside, the bytes before it); (None, b"") of a line that is no received message."""
    head, found, rest = line.partition(_DATA)
    if not found or not head.startswith(b'{"t":"recv"'):
        return None, b""
    text = json.loads(rest.rstrip(b"}") if rest.endswith(b'"}') else rest)
    return json.loads(text), head + found


def restamped(prefix: bytes, by_ms: int) -> bytes:
    """Return the bytes before the message with the receive time moved by ``by_ms``."""
    if not prefix:
        return prefix
    old = stamp_of(prefix)
    new = str(Decimal(old) + Decimal(by_ms) / 1000)
    return prefix.replace(f'"ts":{old}'.encode(), f'"ts":{new}'.encode(), 1)


def stamp_of(prefix: bytes) -> str:
    """Return the receive time in seconds, as written."""
    return prefix.split(b'"ts":')[1].split(b",")[0].decode()

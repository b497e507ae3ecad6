"""Finds a message of ``l2_events`` in the bytes it was recorded as: file, offset, line, text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import KIND_CARRIED
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.ingest_files import kept_file
from lob_pipeline.stages.ingest_sources import registered, why_not_kept
from lob_pipeline.venues.source import open_source

_TEXT_BYTES = 700
_ROWS_SHOWN = 12


class MessageKey(NamedTuple):
    """What a message is found by: its id, matching-engine time and kind in ``l2_events``."""

    update_id: int
    ts_event_ns: int
    kind: int


def raw_message(home: Home, instrument: Instrument, date: str, key: MessageKey) -> dict[str, Any]:
    """Return where a book message of ``date`` was recorded: ``file``, ``sha256``, ``byte_offset``, ``line``, ``text``.

    The offset is that in the inflated data. ``note`` says why where there are no bytes to show: a book carried over
    midnight, sources that were not kept, a message whose file belongs to another day. A snapshot may have no time of
    its own in the file.
    """
    if key.kind == KIND_CARRIED:
        return {"note": "no message: the book carried over midnight from the end of the day before"}
    sources = registered(home).of_day(instrument.market, date)
    if not sources:
        return {"note": "no source of this day is registered in the raw ledger"}
    for source in sources:
        if not source.kept:
            return {"note": f"{source.name} {why_not_kept(home, source)}: its bytes are not here"}
        file = kept_file(home, source)
        if not file.has_book:
            continue
        for block in file.blocks(instrument):
            book = block.book
            same = (book.update_id == key.update_id) & np.isin(book.ts_event_ns, (key.ts_event_ns, 0))
            for i in np.flatnonzero(same):
                offset = int(book.offset[i])
                return {
                    "file": source.name,
                    "sha256": source.sha256,
                    "stored": str(file.path),
                    "byte_offset": offset,
                    "line": int(book.line[i]) + 1,
                    "text": shortened(line_at(file.path, offset)),
                }
    return {"note": "not found in the files registered for this day: it may stand in the next day's file"}


def line_at(path: Path, offset: int) -> bytes:
    """Return the line that holds byte ``offset`` of the inflated data. Raises ``LobError`` beyond its end."""
    for block in open_source(path):
        if block.offset <= offset < block.offset + block.size:
            data = bytes(block.data[: block.size])
            at = offset - block.offset
            start = data.rfind(b"\n", 0, at) + 1
            return data[start : data.find(b"\n", at)].rstrip(b"\r")
    raise LobError(f"{path} has no byte {offset} once inflated: it is not the file that was registered")


def shortened(line: bytes, limit: int = _TEXT_BYTES) -> str:
    """Return a line for a terminal: its middle cut out where it is long, control characters replaced."""
    text = line.decode("utf-8", "replace")
    text = "".join(c if c.isprintable() else "�" for c in text)
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} characters … {text[-half:]}"


def level_rows(side: np.ndarray, price: np.ndarray, size: np.ndarray) -> dict[str, Any]:
    """Return a message's level rows as they stand in ``l2_events``, the first few of them."""
    shown = [
        {"side": int(s), "price_ticks": int(p), "size_lots": int(v)}
        for s, p, v in zip(side[:_ROWS_SHOWN], price[:_ROWS_SHOWN], size[:_ROWS_SHOWN], strict=True)
    ]
    return {"level_rows": len(price), "shown": shown}

"""What a local exchange sent and what it withheld, message by message: the truth that a recorder is held against.

``frames.bin``: a record a message (``RECORD``); ``events.jsonl``: connections and faults with the number of the last
message before them; ``topics.json``: the topics' numbers. Readable while it is written, up to the last flush.
"""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.feed import Message

SENT, DROPPED, SILENCED, MALFORMED, WRONG_SYMBOL, HALF, NOBODY = range(7)
FATES = ("sent", "dropped", "silenced", "malformed", "wrong_symbol", "half_frame", "nobody")
"""Fates of a message. ``sent`` is whole and right to at least one client; ``nobody``: no client had subscribed."""
DUPLICATED, REORDERED, SNAPSHOT = 1, 2, 4
"""Flags of a message: sent twice, sent late, sent as a snapshot of the book after it."""

_PACK = struct.Struct("<QqqqiBBBBH")
RECORD = np.dtype(
    [
        ("number", "<u8"),  # from 1, over all topics
        ("wall_ns", "<i8"),  # the sender's clock when it was made, unmoved by clock steps
        ("update_id", "<i8"),  # u, -1 for trades
        ("seq", "<i8"),
        ("template", "<i4"),  # place in a looped recording
        ("topic", "u1"),
        ("fate", "u1"),
        ("flags", "u1"),
        ("receivers", "u1"),  # clients it was written to
        ("size", "<u2"),  # bytes of the payload, 65535 for more
    ]
)
_FLUSH_RECORDS = 4096


class SenderLog:
    """Writes the three files into ``folder`` (use as a context manager, or call ``close``)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._topics: dict[str, int] = {}
        self._topics_path = folder / "topics.json"
        self._frames = (folder / "frames.bin").open("wb")
        self._events = (folder / "events.jsonl").open("w", encoding="utf-8")
        self._waiting: list[bytes] = []

    def message(self, number: int, message: Message, fate: int, flags: int, receivers: int, wall_ns: int) -> None:
        """Note what became of one message."""
        topic = self._topics.get(message.topic)
        if topic is None:
            topic = self._topics[message.topic] = len(self._topics)
            self._topics_path.write_text(json.dumps(list(self._topics)))
        self._waiting.append(
            _PACK.pack(
                number,
                wall_ns,
                message.update_id,
                message.seq,
                message.template,
                topic,
                fate,
                flags,
                min(receivers, 255),
                min(len(message.payload), 65535),
            )
        )
        if len(self._waiting) >= _FLUSH_RECORDS:
            self.flush()

    def event(self, kind: str, number: int, **more: Any) -> None:
        """Note something that is no message, after message ``number``."""
        line = {"event": kind, "after": number, "wall_ns": time.time_ns(), **more}
        self._events.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._events.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._frames.write(b"".join(self._waiting))
        self._waiting.clear()
        self._frames.flush()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._frames.close()
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Sent(NamedTuple):
    """A sender's log: ``frames`` (structured array, ``RECORD``), the topics by number, the events."""

    frames: np.ndarray
    topics: list[str]
    events: list[dict[str, Any]]


def read_sender_log(folder: Path) -> Sent:
    """Return the log in ``folder``, as far as it was flushed. Raises ``BadInputError`` when there is none."""
    try:
        size = (folder / "frames.bin").stat().st_size // RECORD.itemsize
        rows = np.fromfile(folder / "frames.bin", dtype=RECORD, count=size)
        topics = json.loads((folder / "topics.json").read_text("utf-8")) if size else []
        lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    except OSError as error:
        raise BadInputError(f"{folder} holds no sender's log ({error.strerror}): name the folder of --log") from error
    return Sent(rows, topics, [json.loads(line) for line in lines])

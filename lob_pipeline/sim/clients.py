"""One client of a local exchange: what it subscribed to, and the bytes on their way to it."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection


@dataclass
class Client:
    """One connection: its topics (None: all), which of them are silent until when, and bytes that wait for a write.

    ``topics``: by the name that messages carry, as the client named them. ``combined``: its messages are wrapped with
    that name (Binance's ``/stream``).
    """

    connection: ServerConnection
    name: str
    topics: dict[str, str] | None = field(default_factory=dict)
    combined: bool = False
    silent: dict[str, float] = field(default_factory=dict)
    waiting: list[bytes] = field(default_factory=list)
    gone: bool = False

    @property
    def listens(self) -> bool:
        """Whether it is there and has subscribed to anything."""
        return not self.gone and (self.topics is None or bool(self.topics))

    def say(self, payload: bytes) -> None:
        """Queue one message."""
        self.waiting.append(frame_of(payload))

    def wrapped(self, topic: str, payload: bytes) -> bytes:
        """Return a message as the frame of a combined stream."""
        name = (self.topics or {}).get(topic, topic).encode()
        return frame_of(b'{"stream":"%b","data":%b}' % (name, payload))

    def flush(self) -> None:
        """Write what waits. A connection that is closing takes nothing more."""
        if self.waiting:
            if not self.gone and self.connection.state.name == "OPEN":
                self.connection.transport.write(b"".join(self.waiting))
            self.waiting.clear()

    @property
    def behind_bytes(self) -> int:
        """How much was written that the client has not taken."""
        return 0 if self.gone else self.connection.transport.get_write_buffer_size()

    def cut(self, *, reset: bool) -> None:
        """End the connection without a word; ``reset``: what was written and not yet delivered is lost with it."""
        self.waiting.clear()
        self.gone = True
        if reset:
            with suppress(OSError):  # it may be gone already
                peer = self.connection.transport.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()


def frame_of(payload: bytes) -> bytes:
    """Return a text message as one unmasked websocket frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload

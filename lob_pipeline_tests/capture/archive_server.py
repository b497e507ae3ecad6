"""A small archive on loopback: ranges, validators, and answers that go wrong by script."""

from __future__ import annotations

import gzip
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DAY_MS = 1_733_011_200_000  # 2024-12-01 00:00:00 UTC


def book_zip(date_ms: int = DAY_MS, symbol: str = "BTCUSDT", messages: int = 400, *, stored: bool = True) -> bytes:
    """Return a day's book archive: a snapshot and deltas of a few levels, large enough to be cut in the middle."""
    lines = []
    for i in range(messages):
        levels = {"b": [["100.0", f"{i + 1}.000"]], "a": [["100.1", f"{i + 1}.000"]]}
        data = {"s": symbol, **levels, "u": 1000 + i, "seq": 5000 + i}
        said = {"topic": f"orderbook.500.{symbol}", "type": "delta" if i else "snapshot", "ts": date_ms + 100 * i}
        lines.append(json.dumps({**said, "data": data, "cts": date_ms + 100 * i}, separators=(",", ":")))
    out = io.BytesIO()
    member = zipfile.ZipInfo(f"2024-12-01_{symbol}_ob500.data", (2024, 12, 2, 0, 0, 0))  # same bytes at every call
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(member, "\n".join(lines) + "\n", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return out.getvalue()


def trades_gz(date_s: int = DAY_MS // 1000, symbol: str = "BTCUSDT") -> bytes:
    """Return a day's trades archive."""
    head = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    rows = [
        f"{date_s + i}.5,{symbol},Buy,0.001,100.1,ZeroPlusTick,00000000-0000-5000-8000-{i:012d},1e+07,0.001,0.1"
        for i in range(30)
    ]
    return gzip.compress("\n".join([head, *rows, ""]).encode(), mtime=0)


Behaviour = Callable[["Handler", bytes], bool]
"""Looks at a request first; True: it has answered."""


@dataclass
class Archive:
    """What the server has: path -> bytes, and what goes wrong: path -> behaviours, each used once, in order."""

    files: dict[str, bytes]
    wrong: dict[str, list[Behaviour]] = field(default_factory=dict)
    ranges: bool = True
    etags: bool = True
    asked: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [path for path, _, _ in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Answers GET from the server's ``archive``."""

    protocol_version = "HTTP/1.1"
    archive: Archive
    running = False

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        import time

        archive = self.archive
        with archive.lock:
            archive.asked.append((self.path, dict(self.headers), time.monotonic()))
            archive.at_once += 1
            self.running = True
            archive.most_at_once = max(archive.most_at_once, archive.at_once)
            wrong = archive.wrong.get(self.path)
            behaviour = wrong.pop(0) if wrong else None
        try:
            body = archive.files.get(self.path)
            if behaviour is not None and behaviour(self, body or b""):
                return
            if body is None:
                self.over()
                self.head(404, 0)
            else:
                self.whole(body)
        finally:
            self.over()

    def over(self) -> None:
        """Count the request as answered: before its last byte, after which the client may send the next one."""
        with self.archive.lock:
            self.archive.at_once -= self.running
            self.running = False

    def head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def etag(self, body: bytes) -> str:
        """Return the validator of a file: of its bytes."""
        return f'"{hash(body) & 0xFFFFFFFF:x}"'

    def whole(self, body: bytes, cut: int | None = None) -> None:
        """Answer with the file, or the part that was asked for; ``cut``: close after so many bytes."""
        etag = self.etag(body)
        start, status = 0, 200
        asked = self.headers.get("Range", "")
        if asked and self.archive.ranges and self.headers.get("If-Range", etag) == etag:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
        headers = {"ETag": etag} if self.archive.etags else {}
        if status == 206:
            headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        part = body[start:]
        self.head(status, len(part), **headers)
        part = part[:cut]
        self.wfile.write(part[:-1])
        self.over()
        self.wfile.write(part[-1:])
        if cut is not None:
            self.close_connection = True


def status(code: int, **headers: str) -> Behaviour:
    """Answer with a status and nothing else."""

    def answer(handler: Handler, _body: bytes) -> bool:
        handler.head(code, 0, **headers)
        return True

    return answer


def cut_at(size: int) -> Behaviour:
    """Announce the whole answer, send ``size`` bytes of it and hang up."""

    def answer(handler: Handler, body: bytes) -> bool:
        handler.whole(body, cut=size)
        return True

    return answer


def hang_up(handler: Handler, _body: bytes) -> bool:
    """Close without an answer."""
    handler.close_connection = True
    return True


def instead(other: bytes) -> Behaviour:
    """Send other bytes."""

    def answer(handler: Handler, _body: bytes) -> bool:
        handler.whole(other)
        return True

    return answer


@contextmanager
def serving_archive(archive: Archive) -> Iterator[str]:
    """Serve on loopback while the context lasts; yield the address."""
    handler = type("Bound", (Handler,), {"archive": archive})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""REST book snapshots, and other work that would hold the loop up: in threads that no stop waits for."""

from __future__ import annotations

import asyncio
import http.client
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import TypeVar

from lob_pipeline.core.errors import BadInputError

T = TypeVar("T")
_TIMEOUT_S = 10.0
_MOST_BYTES = 16 << 20


class FetchError(Exception):
    """A snapshot could not be fetched; the text says why."""


def rest_base(ws_url: str) -> str:
    """Return the address of the same host and port over HTTP: where a local exchange answers both."""
    parts = urllib.parse.urlsplit(ws_url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"


def require_http(url: str) -> None:
    """Raise ``BadInputError`` unless ``url`` is an http address."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadInputError(f"{url!r} is no REST address: expected https://host or http://host:port")


def fetch(url: str) -> bytes:
    """Return the body of ``url``. Raises ``FetchError``."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http(s) only (require_http)
            body: bytes = answer.read(_MOST_BYTES)
            return body
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise FetchError(f"{url}: {getattr(error, 'reason', None) or error}") from error


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a daemon thread: a stop never waits for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except Exception as caught:
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, daemon=True).start()
    return await done

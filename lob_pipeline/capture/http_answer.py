"""HTTP answers of whatever status, over the standard library (proxies from the environment, redirects followed)."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPMessage
from typing import Any

from lob_pipeline.core.errors import BadInputError


class AgainError(Exception):
    """Worth another attempt. ``wait_s``: what the server asked for."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Answer:
    """An HTTP answer, of whatever status."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.status: int = raw.status
        self.headers: HTTPMessage = raw.headers

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        return bytes(self._raw.read(size))

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()


def open_url(url: str, headers: dict[str, str], timeout_s: float) -> Answer:
    """Return the server's answer, whatever its status. Raises ``AgainError`` when it cannot be reached."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        return Answer(urlopen(Request(url, headers=headers), timeout=timeout_s))  # noqa: S310 - see require_http
    except HTTPError as error:
        return Answer(error)
    except URLError as error:
        raise AgainError(f"the server cannot be reached ({error.reason})") from error


def retry_after(head: HTTPMessage) -> float:
    """Return the seconds that a Retry-After header asks for, 0 without one that can be read."""
    text = str(head.get("Retry-After", "")).strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def require_http(url: str) -> None:
    """Raise ``BadInputError`` unless ``url`` is an http or https address."""
    if not re.match(r"https?://[^/\s]+", url):
        raise BadInputError(f"{url!r} is no web address: expected http://host or https://host")

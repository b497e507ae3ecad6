"""JSON object keys as machine words: a key of up to eight characters is one comparison."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import PADDING, byte_at, get, word_at
from lob_pipeline.venues.scan import scan_mark, scan_string, skip_space

OTHER = np.uint64(0)
"""What ``scan_key`` calls a key of no or more than eight characters."""


def word(text: str) -> np.uint64:
    """Return the word by which ``scan_key`` and ``text_word`` know ``text`` (1 to 8 ASCII characters)."""
    data = text.encode("ascii")
    if not 0 < len(data) <= 8:
        raise ValueError(f"{text!r} does not fit a word")
    return np.uint64(int.from_bytes(data, "little") << (64 - 8 * len(data)))


@njit(cache=True)
def text_word(p: int, end: int) -> np.uint64:
    """Return the word of the bytes from ``p`` to ``end``, ``OTHER`` when they do not fit one."""
    if p < end <= p + 8:
        return word_at(p) << np.uint64(64 - 8 * (end - p))
    return OTHER


@njit(cache=True)
def scan_key(p: int) -> tuple[int, np.uint64]:
    """Read ``"key":`` at ``p``, blanks allowed. Returns (address of the value, the key's word)."""
    start = skip_space(p)
    p = scan_string(start)
    if p < 0:
        return p, OTHER
    key = text_word(start + 1, p - 1)
    p = scan_mark(p, 58)
    if p < 0:
        return p, OTHER
    return skip_space(p), key


@njit(cache=True)
def scan_next(p: int) -> tuple[int, bool]:
    """Return (address after, whether a member follows) of the comma or closing brace at ``p``."""
    p = skip_space(p)
    if byte_at(p) == 44:
        return p + 1, True
    if byte_at(p) == 125:
        return p + 1, False
    return ~p, False


def spelled(parts: tuple[str, ...], symbol: str) -> bytes:
    """Return ``parts``, with ``SYMBOL`` replaced, as ``match`` reads them: each after its length in eight bytes."""
    texts = [part.replace("SYMBOL", symbol).encode("ascii") for part in parts]
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts) + b"\0" * PADDING


@njit(cache=True)
def match(p: int, part: int) -> tuple[int, int]:
    """Compare the bytes at ``p`` with the part of a spelling at ``part``.

    Returns (address after, the next part); the address is negative when a byte differs.
    """
    length = get(part, 0)
    part += 8
    k = 0
    while k + 8 <= length:
        if word_at(p + k) != word_at(part + k):
            return ~p, part
        k += 8
    if k < length and (word_at(p + k) ^ word_at(part + k)) << np.uint64(64 - 8 * (length - k)) != 0:
        return ~p, part
    return p + length, part + length

"""Step over a JSON value that no table stores, as strictly as if it were read: corruption there is corruption too."""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, word_at
from lob_pipeline.venues.scan import scan_mark, scan_string, skip_space

_MAX_DEPTH = 60  # one bit of an int64 a level: 1 where the level is an object

_TRUE = int.from_bytes(b"true", "little")
_FALSE = int.from_bytes(b"false", "little")
_NULL = int.from_bytes(b"null", "little")
_FOUR_BYTES = 0xFFFFFFFF
_FIVE_BYTES = 0xFFFFFFFFFF


@njit(cache=True)
def _digits_end(p: int) -> int:
    while 48 <= byte_at(p) <= 57:
        p += 1
    return p


@njit(cache=True)
def _skip_number(p: int) -> int:
    """Return the address after the JSON number at ``p``."""
    if byte_at(p) == 45:  # minus
        p += 1
    end = _digits_end(p)
    if end == p or (end > p + 1 and byte_at(p) == 48):
        return ~p
    p = end
    if byte_at(p) == 46:  # point
        end = _digits_end(p + 1)
        if end == p + 1:
            return ~p
        p = end
    if byte_at(p) == 101 or byte_at(p) == 69:  # e, E
        p += 1
        if byte_at(p) == 43 or byte_at(p) == 45:
            p += 1
        end = _digits_end(p)
        if end == p:
            return ~p
        p = end
    return p


@njit(cache=True)
def scan_bool(p: int) -> tuple[int, bool]:
    """Return (address after, value) of the ``true`` or ``false`` at ``p``."""
    word = word_at(p)
    if word & _FOUR_BYTES == _TRUE:
        return p + 4, True
    if word & _FIVE_BYTES == _FALSE:
        return p + 5, False
    return ~p, False


@njit(cache=True)
def _skip_scalar(p: int) -> int:
    c = byte_at(p)
    if c == 34:
        return scan_string(p)
    if c == 116 or c == 102:  # t, f
        return scan_bool(p)[0]
    if c == 110:  # n
        return p + 4 if word_at(p) & _FOUR_BYTES == _NULL else ~p
    return _skip_number(p)


@njit(cache=True)
def _skip_key(p: int) -> int:
    p = scan_string(p)
    return p if p < 0 else scan_mark(p, 58)


@njit(cache=True)
def skip_value(p: int) -> int:
    """Return the address after the JSON value at ``p``, nested or not; ``~p`` where it is no JSON."""
    depth = 0
    objects = 0  # bit d: whether level d is an object
    while True:
        p = skip_space(p)
        c = byte_at(p)
        if c == 123 or c == 91:  # { [
            depth += 1
            if depth > _MAX_DEPTH:
                return ~p
            is_object = c == 123
            objects = (objects << 1) | (1 if is_object else 0)
            p = skip_space(p + 1)
            if byte_at(p) == (125 if is_object else 93):  # empty
                p += 1
                depth -= 1
                objects >>= 1
            else:
                if is_object:
                    p = _skip_key(p)
                    if p < 0:
                        return p
                continue
        else:
            p = _skip_scalar(p)
            if p < 0:
                return p
        while depth > 0:  # a value has ended: close what ends here, or go on to the next member
            p = skip_space(p)
            is_object = objects & 1 == 1
            if byte_at(p) == 44:  # comma
                p += 1
                if is_object:
                    p = _skip_key(skip_space(p))
                    if p < 0:
                        return p
                break
            if byte_at(p) != (125 if is_object else 93):
                return ~p
            p += 1
            depth -= 1
            objects >>= 1
        if depth == 0:
            return p

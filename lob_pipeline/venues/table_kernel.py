"""Tables of level changes and of trades as CSV, scanned: columns in any order, their meanings on the card.

A row is written as a trade's (``venues.job``); a level row keeps its update id, previous id and snapshot mark in the
columns that a trade has for its sequence, its id and its flags.
"""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put
from lob_pipeline.core.units import NS_PER_MS, NS_PER_US
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decimals import scan_units
from lob_pipeline.venues.keys import text_word, word
from lob_pipeline.venues.rows import put_origin
from lob_pipeline.venues.scan import same, scan_digits, scan_int

TIME, TIME_NS, RECV, RECV_NS, SIDE, PRICE, SIZE, SNAPSHOT, UPDATE_ID, PREV_ID, ID, SYMBOL, MARKS, IGNORED = range(1, 15)
"""Meanings of a column; 0 is no column. ``TIME_NS`` and ``RECV_NS`` are nanoseconds alone, the others any unit.
``MARKS``: a trade's flags, as stored."""
MAX_COLUMNS = 31

LEVEL_UPDATE, LEVEL_PREV, LEVEL_SNAPSHOT = card.TRADE_SEQ, card.ID_AT, card.FLAGS
"""Where a level row keeps what a trade has not."""

_POSITIVE = (word("bid"), word("buy"), word("Bid"), word("Buy"), word("b"), word("B"), word("1"), word("+1"))
_NEGATIVE = (word("ask"), word("sell"), word("Ask"), word("Sell"), word("a"), word("A"), word("-1"), word("s"))
_YES = (word("true"), word("True"), word("TRUE"), word("1"))
_NO = (word("false"), word("False"), word("FALSE"), word("0"))


@njit(cache=True)
def _cell_end(p: int) -> int:
    """Return the address of the comma or line end that ends the plain cell at ``p``."""
    while byte_at(p) != 44 and byte_at(p) != 10 and byte_at(p) != 13:
        c = byte_at(p)
        if c < 32 or c > 126 or c == 34:
            return ~p
        p += 1
    return p


@njit(cache=True)
def _time(p: int, ns_only: bool) -> tuple[int, int]:
    """Return (address after, nanoseconds): the number of digits is the unit (13 ms, 16 µs, 19 ns), 2001 to 2255."""
    end, value = scan_digits(p, 19)
    if end < 0 or byte_at(p) == 48 or byte_at(p) == 57:
        return ~p, 0
    digits = end - p
    if digits == 19:
        return end, value
    if digits == 16 and not ns_only:
        return end, value * NS_PER_US
    if digits == 13 and not ns_only:
        return end, value * NS_PER_MS
    return ~p, 0


@njit(cache=True)
def _scan_row(p: int, base: int, job: int) -> int:
    """Read one row. Returns the address of its line end."""
    row = get(job, card.TRADES_AT) + 8 * card.TRADE_WIDTH * get(job, card.N_TRADES)
    put_origin(row, job, p - base)
    put(row, card.TRADE_SEQ, -1)
    put(row, card.ID_AT, -1)
    put(row, card.ID_LENGTH, 0)
    put(row, card.FLAGS, 0)
    rounded = 0
    column = 0
    while True:
        meaning = get(job, card.FIELDS + column)
        at = p
        good = meaning != 0
        if meaning in (TIME, TIME_NS):
            p, value = _time(p, meaning == TIME_NS)
            put(row, card.EVENT_NS, value)
        elif meaning in (RECV, RECV_NS):
            if byte_at(p) != 44 and byte_at(p) != 10:
                p, value = _time(p, meaning == RECV_NS)
                put(row, card.RECV_NS, value)
        elif meaning == PRICE:
            p, value, good = scan_units(p, get(job, card.PRICE_SCALE), get(job, card.PRICE_STEP))
            good = good and value > 0
            put(row, card.PRICE, value)
        elif meaning == SIZE:
            p, value, exact = scan_units(p, get(job, card.LOT_SCALE), get(job, card.LOT_STEP))
            good = exact or get(job, card.ROUND_OFF) != 0
            rounded += 0 if exact else 1
            put(row, card.SIZE, value)
        elif meaning in (UPDATE_ID, PREV_ID):
            if byte_at(p) != 44 and byte_at(p) != 10:
                p, value = scan_int(p)
                put(row, LEVEL_UPDATE if meaning == UPDATE_ID else LEVEL_PREV, value)
        elif meaning == MARKS:
            p, value = scan_int(p)
            good = value < 8
            put(row, card.FLAGS, value)
        else:
            p = _cell_end(p)
            text = text_word(at, p)
            if meaning == SIDE:
                good = text in _POSITIVE or text in _NEGATIVE
                put(row, card.SIDE, 1 if text in _POSITIVE else -1)
            elif meaning == SNAPSHOT:
                good = text in _YES or text in _NO
                put(row, LEVEL_SNAPSHOT, 1 if text in _YES else 0)
            elif meaning == ID:
                good = p > at
                put(row, card.ID_AT, at - base)
                put(row, card.ID_LENGTH, p - at)
            elif meaning == SYMBOL:
                name, length = get(job, card.NAME_AT), get(job, card.NAME_LENGTH)
                good = p >= 0 and (same(at, p, name, length) or same(at, p, name + length, length))
        if p < 0:
            return p
        if not good:
            return ~at
        column += 1
        if byte_at(p) == 13 and byte_at(p + 1) == 10:
            p += 1
        if byte_at(p) == 10:
            if get(job, card.FIELDS + column) != 0:
                return ~p
            put(job, card.N_ROUNDED, get(job, card.N_ROUNDED) + rounded)
            return p
        if byte_at(p) != 44:
            return ~p
        p += 1


@njit(cache=True)
def scan_block(base: int, start: int, end: int, job: int) -> int:
    """Read whole lines from ``base + start`` to ``base + end`` until the end or a line that is not understood.

    Returns the position of the first line not read; ``STOPPED_AT`` of the card is then the byte that stopped it.
    """
    p = base + start
    while p < base + end:
        after = _scan_row(p, base, job)
        if after < 0:
            put(job, card.STOPPED_AT, ~after - base)
            break
        put(job, card.N_TRADES, get(job, card.N_TRADES) + 1)
        put(job, card.N_LINES, get(job, card.N_LINES) + 1)
        p = after + 1
    return p - base

"""Binance payloads, scanned: the members of any of its objects, keys in any order, into the scratch of the card.

What a member means depends on the message (``b`` is levels in one and a price in another), and the message's kind may
come after it. So members are first collected, each with a bit in ``seen``, and given meaning once all are there.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put, word_at
from lob_pipeline.venues import job as card
from lob_pipeline.venues.keys import scan_key, scan_next, text_word, word
from lob_pipeline.venues.levels import scan_levels
from lob_pipeline.venues.scan import same, scan_int, scan_mark, scan_string, skip_space
from lob_pipeline.venues.skip import scan_bool, skip_value
from lob_pipeline.venues.stamps import scan_ms_or_us

# Kinds of messages; the first are what "e" says, a REST snapshot has no "e".
DEPTH, TRADE, AGG_TRADE, TICKER, MARK_PRICE, SNAPSHOT = range(1, 7)

# Where on the card a member's value stands, relative to FIELDS; strings by the address of their opening quote.
KIND, E_NS, T_NS, FIRST, UPDATE, PREV, ID_AT, ID_LENGTH, LAST, TAKER_SOLD, NOT_MARKET = range(11)
P_AT, Q_AT, B_AT, BB_AT, A_AT, AA_AT, LEVELS, ROUNDED = range(11, 19)

# Bits of ``seen``.
(
    HAS_KIND, HAS_E, HAS_T, HAS_FIRST, HAS_UPDATE, HAS_PREV, HAS_TRADE_ID, HAS_AGG_ID, HAS_LAST, HAS_TAKER,
    HAS_MARKET, HAS_P, HAS_Q, HAS_BID, HAS_BID_SIZE, HAS_ASK, HAS_ASK_SIZE, HAS_BIDS, HAS_ASKS, HAS_SYMBOL,
    HAS_REST_BIDS, HAS_REST_ASKS,
) = (1 << k for k in range(22))  # fmt: skip

_KIND, _E, _T, _U, _UPDATE, _PU = word("e"), word("E"), word("T"), word("U"), word("u"), word("pu")
_TRADE_ID, _M, _X, _P, _Q, _S = word("t"), word("m"), word("X"), word("p"), word("q"), word("s")
_B, _BB, _A, _AA, _BIDS, _ASKS = word("b"), word("B"), word("a"), word("A"), word("bids"), word("asks")
_LAST_ID = (word("lastUpda"), word("UpdateId"))
_MARKET, _TRADE, _AGG_TRADE, _SNAPSHOT = word("MARKET"), word("trade"), word("aggTrade"), word("snapshot")
_DEPTH_UPDATE = (word("depthUpd"), word("thUpdate"))
_TICKER = (word("bookTick"), word("okTicker"))
_MARK = (word("markPric"), word("ceUpdate"))


@njit(cache=True)
def kind_of(p: int, end: int) -> int:
    """Return the kind that the text from ``p`` to ``end`` names (of ``e``, or a wrapper's ``type``), 0 for others."""
    length = end - p
    text = text_word(p, end)
    if text == _TRADE:
        return TRADE
    if text == _AGG_TRADE:
        return AGG_TRADE
    if text == _SNAPSHOT:
        return SNAPSHOT
    if length == 11 and word_at(p) == _DEPTH_UPDATE[0] and word_at(p + 3) == _DEPTH_UPDATE[1]:
        return DEPTH
    if length == 10 and word_at(p) == _TICKER[0] and word_at(p + 2) == _TICKER[1]:
        return TICKER
    if length == 15 and word_at(p) == _MARK[0] and word_at(p + 7) == _MARK[1]:
        return MARK_PRICE
    return 0


@njit(cache=True)
def _scan_number(p: int, fields: int, slot: int) -> int:
    p, value = scan_int(p)
    put(fields, slot, value)
    return p


@njit(cache=True)
def _scan_time(p: int, fields: int, slot: int) -> int:
    p, value = scan_ms_or_us(p)
    put(fields, slot, value)
    return p


@njit(cache=True)
def _scan_text(p: int, fields: int, slot: int) -> int:
    put(fields, slot, p)
    return scan_string(p)


@njit(cache=True)
def _scan_id(p: int, fields: int) -> int:
    """A trade's numeric id, kept as its digits."""
    end, _ = scan_int(p)
    put(fields, ID_AT, p)
    put(fields, ID_LENGTH, end - p)
    return end


@njit(cache=True)
def _scan_side(p: int, job: int, fields: int, side: int, levels_bit: int, best_bit: int, slot: int) -> tuple[int, int]:
    """Read ``b`` or ``a``: levels of a side, or the best price. Returns (address after, bit of what it was)."""
    if byte_at(p) != 91:
        return _scan_text(p, fields, slot), best_bit
    p, levels, rounded = scan_levels(p, side, job, get(fields, LEVELS))
    put(fields, LEVELS, levels)
    put(fields, ROUNDED, get(fields, ROUNDED) + rounded)
    return p, levels_bit


@njit(cache=True)
def _scan_member(p: int, key: np.uint64, name: int, job: int, fields: int) -> tuple[int, int]:
    """Read the value at ``p`` of the member ``key`` (its text at ``name``). Returns (address after, its bit)."""
    if key == _B:
        return _scan_side(p, job, fields, 1, HAS_BIDS, HAS_BID, B_AT)
    if key == _A:
        if 48 <= byte_at(p) <= 57:
            return _scan_id(p, fields), HAS_AGG_ID
        return _scan_side(p, job, fields, -1, HAS_ASKS, HAS_ASK, A_AT)
    if key == _BIDS and byte_at(p) == 91:
        return _scan_side(p, job, fields, 1, HAS_REST_BIDS, 0, B_AT)
    if key == _ASKS and byte_at(p) == 91:
        return _scan_side(p, job, fields, -1, HAS_REST_ASKS, 0, A_AT)
    if key == _E:
        return _scan_time(p, fields, E_NS), HAS_E
    if key == _T:
        return _scan_time(p, fields, T_NS), HAS_T
    if key == _U:
        return _scan_number(p, fields, FIRST), HAS_FIRST
    if key == _UPDATE:
        return _scan_number(p, fields, UPDATE), HAS_UPDATE
    if key == _PU:
        return _scan_number(p, fields, PREV), HAS_PREV
    if key == _TRADE_ID:
        return _scan_id(p, fields), HAS_TRADE_ID
    if key == _P:
        return _scan_text(p, fields, P_AT), HAS_P
    if key == _Q:
        return _scan_text(p, fields, Q_AT), HAS_Q
    if key == _BB:
        return _scan_text(p, fields, BB_AT), HAS_BID_SIZE
    if key == _AA:
        return _scan_text(p, fields, AA_AT), HAS_ASK_SIZE
    if word_at(name) == _LAST_ID[0] and word_at(name + 4) == _LAST_ID[1] and byte_at(name + 12) == 34:
        return _scan_number(p, fields, LAST), HAS_LAST
    end = p
    bit = 0
    if key == _KIND:
        end = scan_string(p)
        bit = HAS_KIND
        put(fields, KIND, kind_of(p + 1, end - 1))
    elif key == _S:
        end = scan_string(p)
        bit = HAS_SYMBOL
        if end >= 0 and not same(p + 1, end - 1, get(job, card.NAME_AT), get(job, card.NAME_LENGTH)):
            return ~p, 0
    elif key == _X:
        end = scan_string(p)
        bit = HAS_MARKET
        put(fields, NOT_MARKET, 0 if text_word(p + 1, end - 1) == _MARKET else 1)
    elif key == _M:
        end, sold = scan_bool(p)
        bit = HAS_TAKER
        put(fields, TAKER_SOLD, 1 if sold else 0)
    else:
        end = skip_value(p)
    return end, bit


@njit(cache=True)
def scan_payload(p: int, job: int) -> tuple[int, int]:
    """Collect the members of the object at ``p``. Returns (address after, bits of the members it had)."""
    fields = job + 8 * card.FIELDS
    put(fields, LEVELS, get(job, card.N_LEVELS))
    put(fields, ROUNDED, 0)
    seen = 0
    p = scan_mark(p, 123)
    more = p >= 0
    while more:
        name = skip_space(p) + 1
        p, key = scan_key(p)
        if p < 0:
            return p, 0
        at = p
        p, bit = _scan_member(p, key, name, job, fields)
        if p < 0:
            return p, 0
        if seen & bit:
            return ~at, 0
        seen |= bit
        p, more = scan_next(p)
    return p, seen

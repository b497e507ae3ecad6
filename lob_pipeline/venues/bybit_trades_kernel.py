"""Bybit trades inside a ``publicTrade`` message, scanned: an array of objects, keys in any order."""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put
from lob_pipeline.core.tables import FLAG_BLOCK, FLAG_RPI
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decimals import scan_quoted_units
from lob_pipeline.venues.keys import scan_key, scan_next, text_word, word
from lob_pipeline.venues.scan import same, scan_int, scan_mark, scan_string, skip_space
from lob_pipeline.venues.skip import scan_bool, skip_value
from lob_pipeline.venues.stamps import scan_ms

_T, _SYMBOL, _SIDE, _SIZE, _PRICE = word("T"), word("s"), word("S"), word("v"), word("p")
_ID, _SEQ, _BLOCK, _RPI = word("i"), word("seq"), word("BT"), word("RPI")
_BUY, _SELL = word("Buy"), word("Sell")
_REQUIRED = 63  # T, s, S, v, p, i; older messages have no seq, BT or RPI


@njit(cache=True)
def scan_symbol(p: int, job: int) -> int:
    """Return the address after the string at ``p``, which must be the job's symbol."""
    end = scan_string(p)
    if end >= 0 and not same(p + 1, end - 1, get(job, card.NAME_AT), get(job, card.NAME_LENGTH)):
        return ~p
    return end


@njit(cache=True)
def _scan_trade(p: int, base: int, job: int, row: int) -> int:
    """Read one trade object into the trade row at ``row``. Returns the address after it."""
    seen = 0
    flags = 0
    put(row, card.TRADE_SEQ, -1)
    p = scan_mark(p, 123)
    more = p >= 0
    while more:
        p, key = scan_key(p)
        if p < 0:
            return p
        bit = 0
        at = p
        exact = True
        if key == _T:
            bit = 1
            p, value = scan_ms(p)
            put(row, card.EVENT_NS, value)
        elif key == _SYMBOL:
            bit = 2
            p = scan_symbol(p, job)
        elif key == _SIDE:
            bit = 4
            p = scan_string(p)
            side = text_word(at + 1, p - 1)
            bought, sold = side == _BUY, side == _SELL
            exact = bought or sold
            put(row, card.SIDE, 1 if bought else -1)
        elif key == _SIZE:
            bit = 8
            p, value, exact = scan_quoted_units(p, get(job, card.LOT_SCALE), get(job, card.LOT_STEP))
            put(row, card.SIZE, value)
        elif key == _PRICE:
            bit = 16
            p, value, exact = scan_quoted_units(p, get(job, card.PRICE_SCALE), get(job, card.PRICE_STEP))
            exact = exact and value > 0
            put(row, card.PRICE, value)
        elif key == _ID:
            bit = 32
            p = scan_string(p)
            exact = p > at + 2  # an empty id names no trade
            put(row, card.ID_AT, at + 1 - base)
            put(row, card.ID_LENGTH, p - at - 2)
        elif key == _SEQ:
            bit = 64
            p, value = scan_int(p)
            put(row, card.TRADE_SEQ, value)
        elif key == _BLOCK or key == _RPI:  # noqa: SIM109  numba compares words, it does not search tuples
            bit = 128 if key == _BLOCK else 256
            p, yes = scan_bool(p)
            if yes:
                flags |= FLAG_BLOCK if key == _BLOCK else FLAG_RPI
        else:
            p = skip_value(p)
        if p < 0:
            return p
        if not exact or seen & bit:
            return ~at
        seen |= bit
        p, more = scan_next(p)
    if p >= 0 and seen & _REQUIRED != _REQUIRED:
        return ~p
    put(row, card.FLAGS, flags)
    return p


@njit(cache=True)
def scan_trades(p: int, base: int, job: int) -> tuple[int, int]:
    """Read a trade message's ``data`` array into the trade rows after those counted. Returns (address after, rows)."""
    n = get(job, card.N_TRADES)
    p = scan_mark(p, 91)
    while p >= 0:
        p = _scan_trade(p, base, job, get(job, card.TRADES_AT) + 8 * card.TRADE_WIDTH * n)
        if p < 0:
            break
        n += 1
        p = skip_space(p)
        if byte_at(p) == 93:
            return p + 1, n
        p = scan_mark(p, 44)
    return p, n

"""Bybit's trade archive, scanned: ``BTCUSDT2024-08-08.csv.gz``, columns in any order, decimal seconds.

The meaning of each column stands on the card (``FIELDS``), written there by ``venues.bybit_csv`` from the header.
"""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put
from lob_pipeline.core.tables import FLAG_RPI
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decimals import scan_units
from lob_pipeline.venues.keys import text_word, word
from lob_pipeline.venues.rows import put_origin
from lob_pipeline.venues.scan import same
from lob_pipeline.venues.stamps import scan_seconds

TIME, SYMBOL, TAKER, SIZE, PRICE, ID, RPI, IGNORED = range(1, 9)
"""Meanings of a column; 0 is no column."""
MAX_COLUMNS = 31

_BUY, _SELL, _YES, _NO = word("Buy"), word("Sell"), word("1"), word("0")


@njit(cache=True)
def _cell_end(p: int) -> int:
    """Return the address of the comma or line end that ends the cell at ``p``."""
    while byte_at(p) != 44 and byte_at(p) != 10:
        c = byte_at(p)
        if c < 32 or c > 126 or c == 34:
            return ~p
        p += 1
    return p


@njit(cache=True)
def _scan_row(p: int, base: int, job: int) -> int:
    """Read one trade. Returns the address of its line end."""
    row = get(job, card.TRADES_AT) + 8 * card.TRADE_WIDTH * get(job, card.N_TRADES)
    put_origin(row, job, p - base)
    put(row, card.TRADE_SEQ, -1)
    put(row, card.FLAGS, 0)
    column = 0
    while True:
        meaning = get(job, card.FIELDS + column)
        at = p
        good = meaning != 0
        if meaning == TIME:
            p, value = scan_seconds(p)
            put(row, card.EVENT_NS, value)
        elif meaning == SIZE:
            p, value, good = scan_units(p, get(job, card.LOT_SCALE), get(job, card.LOT_STEP))
            put(row, card.SIZE, value)
        elif meaning == PRICE:
            p, value, good = scan_units(p, get(job, card.PRICE_SCALE), get(job, card.PRICE_STEP))
            good = good and value > 0
            put(row, card.PRICE, value)
        else:
            p = _cell_end(p)
            text = text_word(at, p)
            if meaning == SYMBOL:
                good = p >= 0 and same(at, p, get(job, card.NAME_AT), get(job, card.NAME_LENGTH))
            elif meaning == TAKER:
                bought, sold = text == _BUY, text == _SELL
                good = bought or sold
                put(row, card.SIDE, 1 if bought else -1)
            elif meaning == ID:
                good = p > at
                put(row, card.ID_AT, at - base)
                put(row, card.ID_LENGTH, p - at)
            elif meaning == RPI:
                yes, no = text == _YES, text == _NO
                good = yes or no
                put(row, card.FLAGS, FLAG_RPI if yes else 0)
        if p < 0:
            return p
        if not good:
            return ~at
        column += 1
        if byte_at(p) == 10:
            return p if get(job, card.FIELDS + column) == 0 else ~p
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

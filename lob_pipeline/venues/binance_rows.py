"""Binance payloads, scanned: from the members that ``binance_fields`` collected to rows, by the kind of message."""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import get, put
from lob_pipeline.core.tables import FLAG_NOT_MARKET, KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.venues import binance_fields as f
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decimals import scan_quoted_units
from lob_pipeline.venues.rows import put_message, put_origin

_DEPTH_NEEDS = f.HAS_E | f.HAS_FIRST | f.HAS_UPDATE | f.HAS_BIDS | f.HAS_ASKS | f.HAS_SYMBOL
_TRADE_NEEDS = f.HAS_E | f.HAS_P | f.HAS_Q | f.HAS_TAKER | f.HAS_SYMBOL
_TICKER_NEEDS = f.HAS_UPDATE | f.HAS_BID | f.HAS_BID_SIZE | f.HAS_ASK | f.HAS_ASK_SIZE | f.HAS_SYMBOL
_REST_NEEDS = f.HAS_LAST | f.HAS_REST_BIDS | f.HAS_REST_ASKS


@njit(cache=True)
def _put_book(job: int, offset: int, fields: int, seen: int, kind: int, speed: int) -> bool:
    """Write a depth update or REST snapshot; False when it lacks a member or belongs to another stream."""
    spot = get(job, card.IS_SPOT) == 1
    levels, rounded = get(fields, f.LEVELS), get(fields, f.ROUNDED)
    if kind == f.SNAPSHOT:
        if seen & _REST_NEEDS != _REST_NEEDS or seen & (f.HAS_BIDS | f.HAS_ASKS):
            return False
        ts_ns = get(fields, f.T_NS) if seen & f.HAS_T and not spot else 0
        put_message(job, offset, ts_ns, get(fields, f.LAST), -1, -1, -1, KIND_SNAPSHOT, levels, rounded)
        return True
    futures = f.HAS_T | f.HAS_PREV
    if seen & _DEPTH_NEEDS != _DEPTH_NEEDS or seen & futures != (0 if spot else futures):
        return False
    if seen & (f.HAS_REST_BIDS | f.HAS_REST_ASKS):
        return False
    known = get(job, card.BOOK_STREAM)
    if speed != 0 and known != 0 and known != speed:
        return False
    if speed != 0:
        put(job, card.BOOK_STREAM, speed)
    ts_ns = get(fields, f.E_NS if spot else f.T_NS)
    first = get(fields, f.FIRST)
    prev = first - 1 if spot else get(fields, f.PREV)
    put_message(job, offset, ts_ns, get(fields, f.UPDATE), first, prev, -1, KIND_DELTA, levels, rounded)
    return True


@njit(cache=True)
def _put_trade(job: int, base: int, offset: int, fields: int, seen: int, kind: int) -> bool:
    spot = get(job, card.IS_SPOT) == 1
    needs = _TRADE_NEEDS | (f.HAS_TRADE_ID if kind == f.TRADE else f.HAS_AGG_ID) | (0 if spot else f.HAS_T)
    known = get(job, card.TRADE_STREAM)
    both_ids = f.HAS_TRADE_ID | f.HAS_AGG_ID
    if seen & needs != needs or seen & both_ids == both_ids or (known != 0 and known != kind):
        return False
    _, price, price_exact = scan_quoted_units(
        get(fields, f.P_AT), get(job, card.PRICE_SCALE), get(job, card.PRICE_STEP)
    )
    _, size, size_exact = scan_quoted_units(get(fields, f.Q_AT), get(job, card.LOT_SCALE), get(job, card.LOT_STEP))
    if not price_exact or not size_exact or price == 0:
        return False
    put(job, card.TRADE_STREAM, kind)
    row = get(job, card.TRADES_AT) + 8 * card.TRADE_WIDTH * get(job, card.N_TRADES)
    put_origin(row, job, offset)
    put(row, card.EVENT_NS, get(fields, f.E_NS if spot else f.T_NS))
    put(row, card.TRADE_SEQ, -1)
    put(row, card.ID_AT, get(fields, f.ID_AT) - base)
    put(row, card.ID_LENGTH, get(fields, f.ID_LENGTH))
    put(row, card.SIDE, -1 if get(fields, f.TAKER_SOLD) == 1 else 1)
    put(row, card.PRICE, price)
    put(row, card.SIZE, size)
    put(row, card.FLAGS, FLAG_NOT_MARKET if seen & f.HAS_MARKET and get(fields, f.NOT_MARKET) == 1 else 0)
    put(job, card.N_TRADES, get(job, card.N_TRADES) + 1)
    return True


@njit(cache=True)
def _put_quote(job: int, offset: int, fields: int, seen: int) -> bool:
    if seen & _TICKER_NEEDS != _TICKER_NEEDS:
        return False
    row = get(job, card.QUOTES_AT) + 8 * card.QUOTE_WIDTH * get(job, card.N_QUOTES)
    price_scale, price_step = get(job, card.PRICE_SCALE), get(job, card.PRICE_STEP)
    lot_scale, lot_step = get(job, card.LOT_SCALE), get(job, card.LOT_STEP)
    _, bid, bid_exact = scan_quoted_units(get(fields, f.B_AT), price_scale, price_step)
    _, ask, ask_exact = scan_quoted_units(get(fields, f.A_AT), price_scale, price_step)
    _, bid_lots, bid_size_exact = scan_quoted_units(get(fields, f.BB_AT), lot_scale, lot_step)
    _, ask_lots, ask_size_exact = scan_quoted_units(get(fields, f.AA_AT), lot_scale, lot_step)
    if not bid_exact or not ask_exact or not bid_size_exact or not ask_size_exact:
        return False
    put_origin(row, job, offset)
    put(row, card.EVENT_NS, get(fields, f.T_NS) if seen & f.HAS_T and get(job, card.IS_SPOT) == 0 else 0)
    put(row, card.QUOTE_ID, get(fields, f.UPDATE))
    put(row, card.BID, bid)
    put(row, card.BID_SIZE, bid_lots)
    put(row, card.ASK, ask)
    put(row, card.ASK_SIZE, ask_lots)
    put(job, card.N_QUOTES, get(job, card.N_QUOTES) + 1)
    return True


@njit(cache=True)
def put_rows(job: int, base: int, offset: int, seen: int, said: int, speed: int) -> bool:
    """Write the rows of the payload on the card. ``said``: the kind its envelope names, 0 where it names none."""
    fields = job + 8 * card.FIELDS
    if seen & f.HAS_KIND:
        kind = get(fields, f.KIND)
    elif seen & f.HAS_LAST:
        kind = f.SNAPSHOT
    else:
        kind = f.TICKER
    if said not in (0, kind):
        return False
    if kind == f.SNAPSHOT and seen & f.HAS_KIND:
        return False
    if kind == f.DEPTH or kind == f.SNAPSHOT:
        return _put_book(job, offset, fields, seen, kind, speed)
    if kind == f.TRADE or kind == f.AGG_TRADE:
        return _put_trade(job, base, offset, fields, seen, kind)
    if kind == f.TICKER:
        return _put_quote(job, offset, fields, seen)
    if kind == f.MARK_PRICE:
        put(job, card.SKIPPED_OTHER_STREAM, get(job, card.SKIPPED_OTHER_STREAM) + 1)
        return True
    return False

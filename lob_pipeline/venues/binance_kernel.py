"""Binance recordings, scanned: ``stamp {"stream":…,"data":…}``, ``stamp {REST snapshot}``, bare payloads, and wrappers
``{"ts_local":…,"symbol":…,"type":…,"data":…}``, the one form in which a file may hold several symbols.

A line that this scanner does not understand to the last byte goes to ``venues.binance.read_line``.
"""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put, word_at
from lob_pipeline.venues import binance_fields as f
from lob_pipeline.venues import job as card
from lob_pipeline.venues.binance_rows import put_rows
from lob_pipeline.venues.keys import scan_key, scan_next, text_word, word
from lob_pipeline.venues.scan import same, scan_int, scan_mark, scan_string, skip_space
from lob_pipeline.venues.skip import skip_value
from lob_pipeline.venues.stamps import scan_recv_stamp, scan_seconds_or_ms

_STREAM, _DATA, _TS_LOCAL, _SYMBOL, _TYPE = (
    word("stream"), word("data"), word("ts_local"), word("symbol"), word("type"),
)  # fmt: skip
_DEPTH, _TRADE, _AGG_TRADE = word("depth"), word("trade"), word("aggTrade")
_TICKER = (word("bookTick"), word("okTicker"))
_MARK = (word("markPric"), word("arkPrice"))
_MS = word("ms")

PLAIN_DEPTH = 1
"""BOOK_STREAM of a depth stream without a speed in its name; with one it is FIRST_SPEED + milliseconds."""
FIRST_SPEED = 2

# Bits of the members of an envelope, and the two sets that make one.
_HAS_STREAM, _HAS_DATA, _HAS_TS_LOCAL, _HAS_SYMBOL, _HAS_TYPE = 1, 2, 4, 8, 16
_COMBINED, _WRAPPED = 3, 30


@njit(cache=True)
def _scan_stream(p: int, job: int) -> tuple[int, int, int]:
    """Read a stream's name, ``btcusdt@depth@100ms``. Returns (address after, kind, speed id of a depth stream)."""
    end = scan_string(p)
    length = get(job, card.NAME_LENGTH)
    at = p + 1 + length
    if end < 0 or not same(p + 1, min(at, end - 1), get(job, card.NAME_AT) + length, length) or byte_at(at) != 64:
        return ~p, 0, 0
    at += 1
    stop = end - 1
    part = at
    while part < stop and byte_at(part) != 64:
        part += 1
    text = text_word(at, part)
    if text == _DEPTH:
        if part == stop:
            return end, f.DEPTH, PLAIN_DEPTH
        part, speed = scan_int(part + 1)
        if part >= 0 and text_word(part, stop) == _MS:
            return end, f.DEPTH, FIRST_SPEED + speed
    elif part == stop:
        if text == _TRADE:
            return end, f.TRADE, 0
        if text == _AGG_TRADE:
            return end, f.AGG_TRADE, 0
        if part - at == 10 and word_at(at) == _TICKER[0] and word_at(at + 2) == _TICKER[1]:
            return end, f.TICKER, 0
    if part - at == 9 and word_at(at) == _MARK[0] and word_at(at + 1) == _MARK[1]:
        return end, f.MARK_PRICE, 0
    return ~p, 0, 0


@njit(cache=True)
def _is_envelope(p: int) -> bool:
    """Whether the object at ``p`` begins with a member of an envelope."""
    p = scan_mark(p, 123)
    if p < 0:
        return False
    p, key = scan_key(p)
    plain = key != _STREAM and key != _TS_LOCAL and key != _DATA and key != _TYPE
    return p >= 0 and not plain


@njit(cache=True)
def _scan_envelope(p: int, base: int, offset: int, job: int) -> int:
    """Read an envelope with its payload, and write its rows. Returns the address after it."""
    start = p
    seen, members, kind, speed = 0, 0, 0, 0
    ours = True
    recv_ns = get(job, card.RECV_NS_HERE)
    p = scan_mark(p, 123)
    more = p >= 0
    while more:
        p, key = scan_key(p)
        if p < 0:
            return p
        bit = 0
        at = p
        if key == _STREAM:
            bit = _HAS_STREAM
            p, kind, speed = _scan_stream(p, job)
        elif key == _DATA:
            bit = _HAS_DATA
            if ours:
                p, members = f.scan_payload(p, job)
            else:
                p = skip_value(p)
        elif key == _TS_LOCAL:
            bit = _HAS_TS_LOCAL
            p, recv_ns = scan_seconds_or_ms(p)
        elif key == _SYMBOL:
            bit = _HAS_SYMBOL
            p = scan_string(p)
            ours = same(at + 1, p - 1, get(job, card.NAME_AT), get(job, card.NAME_LENGTH))
        elif key == _TYPE:
            bit = _HAS_TYPE
            p = scan_string(p)
            kind = f.kind_of(at + 1, p - 1)
        else:
            p = skip_value(p)
        if p < 0:
            return p
        if seen & bit:
            return ~at
        seen |= bit
        p, more = scan_next(p)
    if p < 0:
        return p
    if byte_at(skip_space(p)) != 10:
        return ~p
    if not ours and seen == _WRAPPED:
        put(job, card.SKIPPED_OTHER_SYMBOL, get(job, card.SKIPPED_OTHER_SYMBOL) + 1)
        return p
    put(job, card.RECV_NS_HERE, recv_ns)
    whole = kind != 0 and (seen == _COMBINED or seen == _WRAPPED)  # noqa: SIM109
    if not whole or (seen == _COMBINED and kind == f.SNAPSHOT):
        return ~start
    return p if put_rows(job, base, offset, members, kind, speed) else ~start


@njit(cache=True)
def _scan_line(p: int, base: int, job: int) -> int:
    """Read one line and count its rows. Returns the address of its line end."""
    offset = p - base
    if 48 <= byte_at(p) <= 57:
        p, recv_ns = scan_recv_stamp(p)
        if p < 0 or byte_at(p) != 32:
            return p if p < 0 else ~p
        p = skip_space(p)
        put(job, card.RECV_NS_HERE, recv_ns)
    if _is_envelope(p):
        p = _scan_envelope(p, base, offset, job)
    else:
        start = p
        p, members = f.scan_payload(p, job)
        if p >= 0 and (byte_at(skip_space(p)) != 10 or not put_rows(job, base, offset, members, 0, 0)):
            return ~start
    return p if p < 0 else skip_space(p)


@njit(cache=True)
def scan_block(base: int, start: int, end: int, job: int) -> int:
    """Read whole lines from ``base + start`` to ``base + end`` until the end or a line that is not understood.

    Returns the position of the first line not read; ``STOPPED_AT`` of the card is then the byte that stopped it.
    """
    p = base + start
    default_recv_ns = get(job, card.RECV_NS_HERE)
    while p < base + end:
        after = _scan_line(p, base, job)
        put(job, card.RECV_NS_HERE, default_recv_ns)
        if after < 0:
            put(job, card.STOPPED_AT, ~after - base)
            break
        put(job, card.N_LINES, get(job, card.N_LINES) + 1)
        p = after + 1
    return p - base

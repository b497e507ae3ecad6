"""Bybit v5 public messages, scanned: ``orderbook.<depth>.<symbol>`` and ``publicTrade.<symbol>``.

Book messages in the exchange's own spelling are matched against it word by word; any other order of keys or spacing
takes the general reader below, with the same rows. A line that neither understands to its last byte goes to
``venues.bybit.read_line``, the complete one.
"""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put, word_at
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.venues import job as card
from lob_pipeline.venues.bybit_spelled_kernel import scan_spelled
from lob_pipeline.venues.bybit_trades_kernel import scan_symbol, scan_trades
from lob_pipeline.venues.keys import scan_key, scan_next, text_word, word
from lob_pipeline.venues.levels import scan_levels
from lob_pipeline.venues.rows import count_clocks, put_message, put_origin
from lob_pipeline.venues.scan import same, scan_int, scan_mark, scan_string, skip_space
from lob_pipeline.venues.skip import skip_value
from lob_pipeline.venues.stamps import scan_ms

_TOPIC, _TYPE, _TS, _DATA, _CTS = word("topic"), word("type"), word("ts"), word("data"), word("cts")
_SYMBOL, _BIDS, _ASKS, _UPDATE, _SEQ = word("s"), word("b"), word("a"), word("u"), word("seq")
_SNAPSHOT, _DELTA = word("snapshot"), word("delta")
_ORDERBOOK = (word("orderboo"), word("derbook."))
_PUBLIC_TRADE = (word("publicTr"), word("icTrade."))
_TRADES = -1  # what _scan_topic calls a trade topic; a book topic is its depth


@njit(cache=True)
def _scan_topic(p: int, job: int) -> tuple[int, int]:
    """Return (address after, the book's depth or _TRADES) of the topic string at ``p``."""
    name, length = get(job, card.NAME_AT), get(job, card.NAME_LENGTH)
    end = scan_string(p)
    if end < 0:
        return end, 0
    at = p + 1
    if word_at(at) == _PUBLIC_TRADE[0] and word_at(at + 4) == _PUBLIC_TRADE[1]:
        return (end, _TRADES) if same(at + 12, end - 1, name, length) else (~p, 0)
    if word_at(at) != _ORDERBOOK[0] or word_at(at + 2) != _ORDERBOOK[1]:
        return ~p, 0
    at, depth = scan_int(at + 10)
    if at < 0 or depth == 0 or byte_at(at) != 46 or not same(at + 1, end - 1, name, length):
        return ~p, 0
    return end, depth


@njit(cache=True)
def _scan_book(p: int, job: int) -> tuple[int, int, int, int, int]:
    """Read a book's ``data`` object. Returns (address after, level rows end, u, seq or -1, sizes rounded)."""
    n = get(job, card.N_LEVELS)
    update_id = -1
    seq = -1
    rounded = 0
    seen = 0
    p = scan_mark(p, 123)
    more = p >= 0
    while more:
        p, key = scan_key(p)
        if p < 0:
            break
        bit = 0
        at = p
        if key == _BIDS or key == _ASKS:  # noqa: SIM109  numba compares words, it does not search tuples
            bit = 1 if key == _BIDS else 2
            p, n, off = scan_levels(p, 1 if key == _BIDS else -1, job, n)
            rounded += off
        elif key == _UPDATE:
            bit = 4
            p, update_id = scan_int(p)
        elif key == _SEQ:
            bit = 8
            p, seq = scan_int(p)
        elif key == _SYMBOL:
            bit = 16
            p = scan_symbol(p, job)
        else:
            p = skip_value(p)
        if p < 0:
            break
        if seen & bit:
            return ~at, n, 0, 0, 0
        seen |= bit
        p, more = scan_next(p)
    if p >= 0 and seen & 23 != 23:
        p = ~p
    return p, n, update_id, seq, rounded


@njit(cache=True)
def _scan_any(p: int, base: int, job: int) -> int:
    """Read one message, keys in any order, and count its rows. Returns the address of its line end."""
    start = p
    seen = 0
    stream = 0
    kind = 0
    ts_ns = 0
    cts_ns = -1
    is_book = False
    levels, trades, update_id, seq, rounded = 0, 0, 0, 0, 0
    p = scan_mark(p, 123)
    more = p >= 0
    while more:
        p, key = scan_key(p)
        if p < 0:
            return p
        bit = 0
        at = p
        if key == _DATA:
            bit = 1
            is_book = byte_at(p) == 123
            if is_book:
                p, levels, update_id, seq, rounded = _scan_book(p, job)
            else:
                p, trades = scan_trades(p, base, job)
        elif key == _TOPIC:
            bit = 2
            p, stream = _scan_topic(p, job)
        elif key == _TYPE:
            bit = 4
            p = scan_string(p)
            value = text_word(at + 1, p - 1)
            kind = KIND_SNAPSHOT if value == _SNAPSHOT else (KIND_DELTA if value == _DELTA else 0)
        elif key == _TS:
            bit = 8
            p, ts_ns = scan_ms(p)
        elif key == _CTS:
            bit = 16
            p, cts_ns = scan_ms(p)
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
    p = skip_space(p)
    known = get(job, card.BOOK_STREAM)
    book_changed = is_book and known != 0 and known != stream
    if byte_at(p) != 10 or seen & 15 != 15 or kind == 0 or (stream > 0) != is_book or book_changed:
        return ~start
    if is_book:
        put(job, card.BOOK_STREAM, stream)
        prev = -1 if kind == KIND_SNAPSHOT else update_id - 1
        put_message(
            job, start - base, cts_ns if cts_ns >= 0 else ts_ns, update_id, -1, prev, seq, kind, levels, rounded
        )
        count_clocks(job, ts_ns, cts_ns)
    else:
        for k in range(get(job, card.N_TRADES), trades):
            put_origin(get(job, card.TRADES_AT) + 8 * card.TRADE_WIDTH * k, job, start - base)
        put(job, card.N_TRADES, trades)
    return p


@njit(cache=True)
def scan_block(base: int, start: int, end: int, job: int) -> int:
    """Read whole lines from ``base + start`` to ``base + end`` until the end or a line that is not understood.

    Returns the position of the first line not read; ``STOPPED_AT`` of the card is then the byte that stopped it.
    """
    p = base + start
    while p < base + end:
        after = scan_spelled(p, base, job)
        if after < 0:
            after = _scan_any(p, base, job)
            if after < 0:
                put(job, card.STOPPED_AT, ~after - base)
                break
        put(job, card.N_LINES, get(job, card.N_LINES) + 1)
        p = after + 1
    return p - base

"""Bybit deltas in the exchange's own spelling, matched eight bytes at a time: nearly every line of an archive."""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get
from lob_pipeline.core.tables import KIND_DELTA
from lob_pipeline.venues import job as card
from lob_pipeline.venues.keys import match
from lob_pipeline.venues.levels import scan_levels
from lob_pipeline.venues.rows import count_clocks, put_message
from lob_pipeline.venues.scan import scan_int
from lob_pipeline.venues.stamps import scan_ms

# The exchange's own spelling of a delta, around the topic's depth, the symbol, the levels and the numbers.
SPELLING = (
    '{"topic":"orderbook.',
    '.SYMBOL","type":"delta","ts":',
    ',"data":{"s":"SYMBOL","b":',
    ',"a":',
    ',"u":',
    ',"seq":',
    '},"cts":',
)


@njit(cache=True)
def scan_spelled(p: int, base: int, job: int) -> int:
    """Read one delta in the exchange's own spelling. Returns its line end, negative when it is spelled otherwise."""
    start = p
    spelling = get(job, card.SPELLING_AT)
    depth = get(job, card.BOOK_STREAM)
    p, spelling = match(p, spelling)
    if p < 0 or depth == 0:
        return -1
    p, value = scan_int(p)
    if p < 0 or value != depth:
        return -1
    ts_ns = 0
    p, spelling = match(p, spelling)
    if p >= 0:
        p, ts_ns = scan_ms(p)
    if p >= 0:
        p, spelling = match(p, spelling)
    if p < 0:
        return -1
    p, levels, bids_off = scan_levels(p, 1, job, get(job, card.N_LEVELS))
    if p >= 0:
        p, spelling = match(p, spelling)
    if p < 0:
        return -1
    p, levels, asks_off = scan_levels(p, -1, job, levels)
    if p >= 0:
        p, spelling = match(p, spelling)
    if p < 0:
        return -1
    p, update_id = scan_int(p)
    if p >= 0:
        p, spelling = match(p, spelling)
    if p < 0:
        return -1
    p, seq = scan_int(p)
    if p >= 0:
        p, spelling = match(p, spelling)
    if p < 0:
        return -1
    p, cts_ns = scan_ms(p)
    if p < 0 or byte_at(p) != 125:
        return -1
    p += 2 if byte_at(p + 1) == 13 else 1  # the archive ends its lines with CR LF
    if byte_at(p) != 10:
        return -1
    put_message(job, start - base, cts_ns, update_id, -1, update_id - 1, seq, KIND_DELTA, levels, bids_off + asks_off)
    count_clocks(job, ts_ns, cts_ns)
    return p

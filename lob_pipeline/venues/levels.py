"""Price levels, scanned: nearly all bytes of a recorded book are these, so this loop is what decoding costs."""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import byte_at, get, put, put_byte
from lob_pipeline.venues.decimals import scan_quoted_units
from lob_pipeline.venues.job import (
    LOT_SCALE,
    LOT_STEP,
    PRICE_SCALE,
    PRICE_STEP,
    PRICES_AT,
    ROUND_OFF,
    SIDES_AT,
    SIZES_AT,
)
from lob_pipeline.venues.scan import scan_mark, skip_space

_COMMA = 44
_OPEN = 91
_CLOSE = 93


@njit(cache=True)
def scan_levels(p: int, side: int, job: int, n: int) -> tuple[int, int, int]:
    """Read ``[["price","size"],…]`` at ``p`` into the level rows of ``job`` from row ``n``.

    Returns (address after, rows after, sizes rounded down). A price that is zero or off the grid is not understood,
    nor is a size off the grid where the job does not round.
    """
    price_scale, price_step, lot_scale, lot_step = (
        get(job, PRICE_SCALE),
        get(job, PRICE_STEP),
        get(job, LOT_SCALE),
        get(job, LOT_STEP),
    )
    sides, prices, sizes, round_off = get(job, SIDES_AT), get(job, PRICES_AT), get(job, SIZES_AT), get(job, ROUND_OFF)
    rounded = 0
    p = scan_mark(p, _OPEN)
    if p < 0:
        return p, n, 0
    p = skip_space(p)
    if byte_at(p) == _CLOSE:
        return p + 1, n, 0
    while True:
        p = scan_mark(p, _OPEN)
        if p < 0:
            return p, n, rounded
        at = p
        p, price, exact = scan_quoted_units(p, price_scale, price_step)
        if p < 0:
            return p, n, rounded
        if not exact or price == 0:
            return ~at, n, rounded
        p = scan_mark(p, _COMMA)
        if p < 0:
            return p, n, rounded
        at = p
        p, size, exact = scan_quoted_units(p, lot_scale, lot_step)
        if p < 0:
            return p, n, rounded
        if not exact:
            if round_off == 0:
                return ~at, n, rounded
            rounded += 1
        p = scan_mark(p, _CLOSE)
        if p < 0:
            return p, n, rounded
        put_byte(sides, n, side)
        put(prices, n, price)
        put(sizes, n, size)
        n += 1
        if byte_at(p) != _COMMA:
            p = skip_space(p)
            if byte_at(p) == _CLOSE:
                return p + 1, n, rounded
            if byte_at(p) != _COMMA:
                return ~p, n, rounded
        p += 1

"""How a scanner writes the rows of a line, and counts them: only when the whole line was understood."""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.core.memory import get, put
from lob_pipeline.venues import job as card


@njit(cache=True)
def put_origin(row: int, job: int, offset: int) -> None:
    """Write the columns that all kinds of rows share, but the event time."""
    put(row, card.LINE, get(job, card.N_LINES))
    put(row, card.OFFSET, offset)
    put(row, card.RECV_NS, get(job, card.RECV_NS_HERE))


@njit(cache=True)
def put_message(
    job: int,
    offset: int,
    ts_ns: int,
    update_id: int,
    first_id: int,
    prev_id: int,
    seq: int,
    kind: int,
    levels: int,
    rounded: int,
) -> None:
    """Write and count a book message whose level rows are in place up to ``levels``."""
    message = get(job, card.MESSAGES_AT) + 8 * card.MESSAGE_WIDTH * get(job, card.N_MESSAGES)
    put_origin(message, job, offset)
    put(message, card.EVENT_NS, ts_ns)
    put(message, card.UPDATE_ID, update_id)
    put(message, card.FIRST_ID, first_id)
    put(message, card.PREV_ID, prev_id)
    put(message, card.SEQ, seq)
    put(message, card.KIND, kind)
    put(message, card.LEVEL_START, get(job, card.N_LEVELS))
    put(job, card.N_MESSAGES, get(job, card.N_MESSAGES) + 1)
    put(job, card.N_LEVELS, levels)
    put(job, card.N_ROUNDED, get(job, card.N_ROUNDED) + rounded)


@njit(cache=True)
def count_clocks(job: int, ts_ns: int, cts_ns: int) -> None:
    """Count the two clocks of a book message; ``cts_ns`` is negative where it has one alone."""
    if cts_ns < 0:
        put(job, card.CLOCK_ALONE, get(job, card.CLOCK_ALONE) + 1)
        return
    put(job, card.CLOCK_PAIRS, get(job, card.CLOCK_PAIRS) + 1)
    put(job, card.CLOCK_EQUAL, get(job, card.CLOCK_EQUAL) + (1 if ts_ns == cts_ns else 0))

"""A scanner's job card: the instrument's grid, the state of the file, and where the rows go.

The card is one int64 array. Kernels get its address and nothing else, so that calling one for a single live message
costs no more than calling any function with three numbers.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.jit import njit
from lob_pipeline.venues.block import BookMessages, DecodedBlock, Int64s, QuoteRows, TradeRows, Uint8s
from lob_pipeline.venues.keys import spelled
from lob_pipeline.venues.scan import MAX_DIGITS

# The card. Of the file: grid, name of the symbol (as the venue writes it, then in lower case), addresses of the rows.
PRICE_SCALE, PRICE_STEP, LOT_SCALE, LOT_STEP, ROUND_OFF, NAME_AT, NAME_LENGTH, IS_SPOT = range(8)
MESSAGES_AT, SIDES_AT, PRICES_AT, SIZES_AT, TRADES_AT, QUOTES_AT = range(8, 14)
# State of the file: the one book stream and the one trade stream that it may hold, 0 before the first message.
BOOK_STREAM, TRADE_STREAM = range(14, 16)
# Counters of the block, and the byte that stopped the scanner.
N_MESSAGES, N_LEVELS, N_TRADES, N_QUOTES, N_LINES, N_ROUNDED = range(16, 22)
SKIPPED_CONTROL, SKIPPED_OTHER_SYMBOL, SKIPPED_OTHER_STREAM, SKIPPED_INFO, SKIPPED_EMPTY_TRADE = range(22, 27)
CLOCK_PAIRS, CLOCK_EQUAL, CLOCK_ALONE = range(27, 30)
COUNTERS = slice(16, 30)
STOPPED_AT, RECV_NS_HERE, SPELLING_AT = range(30, 33)
# Scratch of one line (``venues.binance_kernel``), or the meaning of each column (``venues.bybit_csv_kernel``).
FIELDS, CARD_SIZE = 40, 72

SKIPS = {
    "control": SKIPPED_CONTROL,
    "other_symbol": SKIPPED_OTHER_SYMBOL,
    "other_stream": SKIPPED_OTHER_STREAM,
    "instrument_info": SKIPPED_INFO,
    "empty_trade": SKIPPED_EMPTY_TRADE,
}

# A book message of Bybit has two clocks, ``ts`` when it was built and ``cts`` when the matching engine made it. Only
# ``cts`` may be aligned with trades and only it is kept: that it is no copy of ``ts``, and not lost, is counted here.
CLOCKS = {"clock_pairs": CLOCK_PAIRS, "clock_equal": CLOCK_EQUAL, "clock_alone": CLOCK_ALONE}

# Columns of a message, a trade and a quote while they are being scanned. The first four are the same in all.
LINE, OFFSET, EVENT_NS, RECV_NS = range(4)
UPDATE_ID, FIRST_ID, PREV_ID, SEQ, KIND, LEVEL_START, MESSAGE_WIDTH = range(4, 11)
TRADE_SEQ, ID_AT, ID_LENGTH, SIDE, PRICE, SIZE, FLAGS, TRADE_WIDTH = range(4, 12)
QUOTE_ID, BID, BID_SIZE, ASK, ASK_SIZE, QUOTE_WIDTH = range(4, 10)

# The shortest forms in which a venue can write each, in bytes: they bound how many fit a block.
_LEVEL_BYTES, _MESSAGE_BYTES, _TRADE_BYTES, _QUOTE_BYTES = 10, 32, 16, 32


class Job:
    """Row buffers for one block, and the card that leads a scanner to them.

    ``spelling``: the venue's own spelling of its commonest message (``keys.spelled``). Call ``renew`` before a block.
    """

    def __init__(self, instrument: Instrument, spelling: tuple[str, ...] = ()) -> None:
        symbol = instrument.market.symbol
        self.instrument = instrument
        self.name = np.frombuffer((symbol + symbol.lower()).encode("ascii"), dtype=np.uint8)
        self.spelling = np.frombuffer(spelled(spelling, symbol), dtype=np.uint8)
        self.extra = bytearray()
        """Trade ids that do not stand in the block as they are."""
        self.card = np.zeros(CARD_SIZE, dtype=np.int64)
        self.card[PRICE_SCALE:LOT_SCALE] = _step(instrument.tick, "tick")
        self.card[LOT_SCALE:ROUND_OFF] = _step(instrument.lot, "lot")
        self.card[ROUND_OFF] = instrument.round_off_grid_lots
        self.card[NAME_AT], self.card[NAME_LENGTH] = address(self.name), len(symbol)
        self.card[IS_SPOT] = instrument.contract == "spot"
        self.card[SPELLING_AT] = address(self.spelling)
        self.address = address(self.card)
        self._room_bytes = -1
        self.renew(0)

    def renew(self, size_bytes: int) -> None:
        """Make room for a block of at most ``size_bytes`` and count from 0; the file's state stays.

        The buffers are kept from block to block: to give them back and take them again costs as much as scanning.
        What they hold is overwritten, so ``finish`` hands out copies. Untouched pages of a buffer cost nothing.
        """
        if size_bytes > self._room_bytes:
            self._room_bytes = room = size_bytes + size_bytes // 4  # blocks differ by a line: do not grow each time
            self.messages = np.empty((room // _MESSAGE_BYTES + 1, MESSAGE_WIDTH), dtype=np.int64)
            self.trades = np.empty((room // _TRADE_BYTES + 1, TRADE_WIDTH), dtype=np.int64)
            self.quotes = np.empty((room // _QUOTE_BYTES + 1, QUOTE_WIDTH), dtype=np.int64)
            levels = room // _LEVEL_BYTES + 1
            self.sides = np.empty(levels, dtype=np.int8)
            self.prices = np.empty(levels, dtype=np.int64)
            self.sizes = np.empty(levels, dtype=np.int64)
            rows = (self.messages, self.sides, self.prices, self.sizes, self.trades, self.quotes)
            self.card[MESSAGES_AT : QUOTES_AT + 1] = [address(table) for table in rows]
        self.card[COUNTERS] = 0
        self.extra = bytearray()


def address(array: npt.NDArray[np.generic]) -> int:
    """Return the address of an array's data. The caller keeps the array alive."""
    return int(array.ctypes.data)


def _step(value: Decimal, name: str) -> tuple[int, int]:
    """Return (scale, step) with ``value == step * 10**-scale``, both whole."""
    _, digits, exponent = value.normalize().as_tuple()
    whole = int("".join(map(str, digits)))
    shift = int(exponent)
    scale, step = (-shift, whole) if shift < 0 else (0, whole * 10**shift)
    if scale > MAX_DIGITS or step >= 10**MAX_DIGITS:
        raise BadInputError(f"{name} {value} is out of reach: expected at most {MAX_DIGITS} digits, as venues write it")
    return scale, step


@njit(cache=True)
def _gather(data: Uint8s, extra: Uint8s, at: Int64s, ends: npt.NDArray[np.int32], out: Uint8s) -> None:
    """Copy each id's bytes to ``out``; a negative ``at`` is ``~position`` in ``extra``."""
    start = 0
    for i in range(at.shape[0]):
        end = ends[i + 1]
        for k in range(end - start):
            out[start + k] = data[at[i] + k] if at[i] >= 0 else extra[~at[i] + k]
        start = end


def _strings(data: Uint8s, extra: bytes, at: Int64s, lengths: Int64s) -> pa.StringArray:
    ends = np.zeros(len(at) + 1, dtype=np.int32)
    np.cumsum(lengths, out=ends[1:])
    out = np.empty(int(ends[-1]), dtype=np.uint8)
    if len(at):
        _gather(data, np.frombuffer(extra or b"\0", np.uint8), at, ends, out)
    return pa.StringArray.from_buffers(len(at), pa.py_buffer(ends), pa.py_buffer(out))


def finish(job: Job, data: Uint8s, first_line: int, offset: int, recv_times: Int64s | None) -> DecodedBlock:
    """Return the rows of a job as columns of their own.

    ``data``: the block that was scanned. ``offset``: its first byte in the inflated stream. ``recv_times`` (one a line
    of the file) replaces the lines' own receive times.
    """
    n = job.card
    level_rows = int(n[N_LEVELS])
    tables = []
    for table, count in ((job.messages, N_MESSAGES), (job.trades, N_TRADES), (job.quotes, N_QUOTES)):
        columns = table[: n[count]].T.copy(order="C")
        columns[OFFSET] += offset
        columns[LINE] += first_line
        if recv_times is not None:
            columns[RECV_NS] = recv_times[columns[LINE]]
        tables.append(columns)
    m, t, q = tables
    book = BookMessages(
        line=m[LINE],
        offset=m[OFFSET],
        ts_event_ns=m[EVENT_NS],
        ts_recv_ns=m[RECV_NS],
        update_id=m[UPDATE_ID],
        first_update_id=m[FIRST_ID],
        prev_update_id=m[PREV_ID],
        seq=m[SEQ],
        kind=m[KIND].astype(np.int8),
        level_start=np.append(m[LEVEL_START], level_rows),
        side=job.sides[:level_rows].copy(),
        price_ticks=job.prices[:level_rows].copy(),
        size_lots=job.sizes[:level_rows].copy(),
    )
    trades = TradeRows(
        line=t[LINE],
        offset=t[OFFSET],
        ts_event_ns=t[EVENT_NS],
        ts_recv_ns=t[RECV_NS],
        seq=t[TRADE_SEQ],
        trade_id=_strings(data, bytes(job.extra), t[ID_AT], t[ID_LENGTH]),
        side=t[SIDE].astype(np.int8),
        price_ticks=t[PRICE],
        size_lots=t[SIZE],
        flags=t[FLAGS].astype(np.int8),
    )
    quotes = QuoteRows(
        line=q[LINE],
        offset=q[OFFSET],
        ts_event_ns=q[EVENT_NS],
        ts_recv_ns=q[RECV_NS],
        update_id=q[QUOTE_ID],
        bid_ticks=q[BID],
        bid_lots=q[BID_SIZE],
        ask_ticks=q[ASK],
        ask_lots=q[ASK_SIZE],
    )
    return DecodedBlock(
        first_line=first_line,
        lines=int(n[N_LINES]),
        offset=offset,
        book=book,
        trades=trades,
        quotes=quotes,
        off_grid_lots=int(n[N_ROUNDED]),
        skipped={name: int(n[k]) for name, k in SKIPS.items() if n[k]},
    )

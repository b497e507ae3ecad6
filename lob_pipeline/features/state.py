"""The state of the feature kernel: what it remembers between two rows, as arrays that copy and serialise.

Windows are differences of running totals: ``ring[i, series]`` holds, for a row of the current run, the sum of the
series over the run's rows up to that one. A sum over the last n rows is then one integer subtraction, exact whatever
the start of the run was, so an earlier start, a resumed state and a batch give the same bits. A longer window is a
longer ring.
"""

from __future__ import annotations

import json
import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.clock import Clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.features.profile import Profile, checked, neutral_profile
from lob_pipeline.features.registry import ring_rows, warm_row

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

# params: fixed for the life of a state
STEP_NS, N_100MS, N_500MS, N_1S, N_5S, N_30S, N_60S, N_300S, N_WARM, INVERSE, SMALL, LARGE, FUNDING_NS = range(13)
# mark: where in the run the kernel is
AT, LAST_TS, BID_WORSE, BID_WORSE_COLUMN, ASK_WORSE, ASK_WORSE_COLUMN = range(6)
TAPE_FROM = 6  # the tape is known of every row of the run after this one
LAST_TRADE = 7  # time of the latest trade counted so far, -1 before the first
MAX_HEAD, MAX_TAIL, MIN_HEAD, MIN_TAIL = range(8, 12)  # the two queues of ``extremes``, counted from the run's start
BARS_AT = 12  # the whole second whose sixty bars ``bars`` holds, -1 where it holds none
MARKS = 13
# ring columns: running totals …
(
    OFI_L1,
    OFI_L5,
    OFI_L10,
    BID_ADD,
    BID_REMOVE,
    ASK_ADD,
    ASK_REMOVE,
    UP,
    DOWN,
    BID_LOTS,
    ASK_LOTS,
    BID_DEPTH_2BPS,
    ASK_DEPTH_2BPS,
    BID_REFILLED,
    BID_DRAINED,
    ASK_REFILLED,
    ASK_DRAINED,
    SPREAD,
    MESSAGES,
    MOVED_SQUARED,
    MOVED_PRODUCT,
    SIGNED,
    VOLUME,
    TRADES,
    NOTIONAL,
) = range(25)
# … and the row's own levels, which differences read, and its largest trade
BEST_BID, BEST_ASK, BEST_BID_LOTS, BEST_ASK_LOTS, LARGEST = range(25, 30)
RING_WIDTH = 30
# long ring columns: the totals that windows of 300 s read, so that the other ring stays in the cache
LONG_MOVED_SQUARED, LONG_VOLUME, LONG_TRADES = range(3)
# extremes: queues of the window's falling maxima and rising minima of M2
MAX_ROW, MAX_M2, MIN_ROW, MIN_M2 = range(4)
# bars: what the sixty one-second bars before ``mark[BARS_AT]`` sum to
BARS_NET, BARS_VOLUME, BARS_XY, BARS_XX = range(4)

_MAGIC = b"LOBFEAT2"
_LARGEST_ORDER = 1 << 60


class FeatureState(NamedTuple):
    """Everything a row's features depend on besides the row.

    ring       int64 (capacity, RING_WIDTH)  totals and levels of the run's last rows; row r is at r mod capacity
    long       int64 (capacity 300 s, 3)     the same for the longest windows
    mark       int64 (MARKS,)                AT: index of the last row in its run, -1 where there is none (invalid, new)
    params     int64 (13,)                   grid step, window lengths in rows, order sizes
    extremes   int64 (capacity 60 s, 4)      queues of rows and M2: the window's falling maxima and rising minima
    bars       float64 (4,)                  sums over the sixty bars that ended at the last whole second
    microprice float64 (10, 3)               offset in ticks by imbalance decile and spread; zeros: no profile
    season     float64 (96, 2)               mean spread in ticks and messages a minute by quarter-hour; NaN: none
    """

    ring: Int64s
    long: Int64s
    mark: Int64s
    params: Int64s
    extremes: Int64s
    bars: Float64s
    microprice: Float64s
    season: Float64s


def new_state(clock: Clock, instrument: Instrument, profile: Profile | None = None) -> FeatureState:
    """Return the empty state: the next valid row starts a run.

    ``profile``: what earlier days tell; None is the neutral one. Raises ``BadInputError`` when the instrument's tick
    times lot is so small that an order's lots leave 64 bits.
    """
    profile = neutral_profile() if profile is None else checked(profile)
    params = np.array(
        [
            clock.step_ns,
            clock.rows(100 * NS_PER_MS),
            clock.rows(500 * NS_PER_MS),
            clock.rows(NS_PER_S),
            clock.rows(5 * NS_PER_S),
            clock.rows(30 * NS_PER_S),
            clock.rows(60 * NS_PER_S),
            clock.rows(300 * NS_PER_S),
            warm_row(clock),
            instrument.contract == "inverse",
            _order_parameter(instrument, instrument.small_order_quote),
            _order_parameter(instrument, instrument.large_order_quote),
            instrument.funding_interval_hours * 3_600 * NS_PER_S,
        ],
        dtype=np.int64,
    )
    mark = np.zeros(MARKS, dtype=np.int64)
    mark[[AT, LAST_TRADE, BARS_AT]] = -1
    return FeatureState(
        ring=np.zeros((_power_of_two(ring_rows(clock)), RING_WIDTH), np.int64),
        long=np.zeros((_power_of_two(int(params[N_300S]) + 1), 3), np.int64),
        mark=mark,
        params=params,
        extremes=np.zeros((_power_of_two(int(params[N_60S]) + 1), 4), np.int64),
        bars=np.zeros(4),
        microprice=profile.microprice_ticks.astype(np.float64),
        season=np.column_stack([profile.spread_ticks, profile.messages_60s]).astype(np.float64),
    )


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _order_parameter(instrument: Instrument, quote: int) -> int:
    """Return q itself for an inverse contract, else c with q = ceil(c / M2).

    ceil(2·quote / (M2·tick·lot)) = ceil(ceil(2·quote / (tick·lot)) / M2): nested ceilings of whole divisors collapse,
    so the fraction is rounded once, here, in unbounded integers, and the kernel divides two int64.
    """
    value = instrument.order_lots(quote, 1)
    if value >= _LARGEST_ORDER:
        raise BadInputError(
            f"{instrument.market}: tick {instrument.tick} times lot {instrument.lot} is too small for an order of "
            f"{quote} quote units in 64-bit lots: pass a coarser --lot"
        )
    return value


def copy_state(state: FeatureState) -> FeatureState:
    """Return an independent copy."""
    return FeatureState._make(array.copy() for array in state)


def to_bytes(state: FeatureState) -> bytes:
    """Serialise a state: magic, JSON header with dtypes and shapes, then the arrays, little endian."""
    header = json.dumps([[array.dtype.str, list(array.shape)] for array in state]).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in state)
    return _MAGIC + struct.pack("<I", len(header)) + header + body


def from_bytes(data: bytes) -> FeatureState:
    """Rebuild a state from ``to_bytes``. Raises ``BadInputError`` when the bytes are no state of this version."""
    if data[: len(_MAGIC)] != _MAGIC:
        raise BadInputError(f"feature state starts with {data[:8]!r}, expected {_MAGIC!r}: written by another version")
    at = len(_MAGIC) + 4
    (length,) = struct.unpack("<I", data[len(_MAGIC) : at])
    shapes = json.loads(data[at : at + length])
    at += length
    arrays = []
    for dtype, shape in shapes:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if at + size > len(data):
            raise BadInputError(f"feature state ends at byte {len(data)}, expected {at + size}: it was cut short")
        arrays.append(np.frombuffer(data[at : at + size], dtype=dtype).reshape(shape).copy())
        at += size
    return FeatureState(*arrays)

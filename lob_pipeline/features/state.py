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
from lob_pipeline.features.registry import warmup_rows

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

# params: fixed for the life of a state
STEP_NS, N_100MS, N_1S, N_5S, N_30S, N_60S, INVERSE, SMALL, LARGE = range(9)
# mark: where in the run the kernel is
AT, LAST_TS, BID_WORSE, BID_WORSE_COLUMN, ASK_WORSE, ASK_WORSE_COLUMN = range(6)
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
) = range(17)
# … and the row's own levels, which differences read
BEST_BID, BEST_ASK, BEST_BID_LOTS, BEST_ASK_LOTS = range(17, 21)
RING_WIDTH = 21

PROFILE_SHAPE = (10, 3)
_MAGIC = b"LOBFEAT1"
_LARGEST_ORDER = 1 << 60


class FeatureState(NamedTuple):
    """Everything a row's features depend on besides the row.

    ring    int64 (capacity, RING_WIDTH)  totals and levels of the run's last rows; row r is at r mod capacity
    mark    int64 (6,)                    AT: index of the last row in its run, -1 where there is none (invalid, new)
    params  int64 (9,)                    grid step, window lengths in rows, order sizes
    profile float64 (10, 3)               micro-price offset in ticks by imbalance decile and spread; zeros: none
    """

    ring: Int64s
    mark: Int64s
    params: Int64s
    profile: Float64s


def new_state(clock: Clock, instrument: Instrument, profile: Float64s | None = None) -> FeatureState:
    """Return the empty state: the next valid row starts a run.

    ``profile``: float64 (10, 3), ticks; None is the neutral profile. Raises ``BadInputError`` when the instrument's
    tick times lot is so small that an order's lots leave 64 bits.
    """
    if profile is None:
        profile = np.zeros(PROFILE_SHAPE)
    if profile.shape != PROFILE_SHAPE:
        raise ValueError(f"profile has shape {profile.shape}, expected {PROFILE_SHAPE}")
    capacity = 1 << (warmup_rows(clock) - 1).bit_length()
    params = np.array(
        [
            clock.step_ns,
            clock.rows(100 * NS_PER_MS),
            clock.rows(NS_PER_S),
            clock.rows(5 * NS_PER_S),
            clock.rows(30 * NS_PER_S),
            clock.rows(60 * NS_PER_S),
            instrument.contract == "inverse",
            _order_parameter(instrument, instrument.small_order_quote),
            _order_parameter(instrument, instrument.large_order_quote),
        ],
        dtype=np.int64,
    )
    mark = np.zeros(6, dtype=np.int64)
    mark[AT] = -1
    return FeatureState(np.zeros((capacity, RING_WIDTH), np.int64), mark, params, profile.astype(np.float64))


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
    return FeatureState(state.ring.copy(), state.mark.copy(), state.params.copy(), state.profile.copy())


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

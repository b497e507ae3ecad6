"""Feature rows to forecasts: the one function that batch and live share, and what identifies a forecast.

A forecast depends on the last ``receptive_field`` valid rows and on nothing else. Their digests, oldest first, are
hashed to ``input_sha256``, so that anyone who has those rows can tell whether a forecast was made from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.features.registry import INDEX
from lob_pipeline.models.outputs import N_OUTPUTS

Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

DIGEST_BYTES = 16
"""Of a row's SHA-256: what is kept of it."""
INPUT_BYTES = 32


class Stream(Protocol):
    """The streaming model (``models.stream.StreamModel``), as far as this module uses it."""

    def new_state(self) -> Any:
        """Return the state before the first row."""

    def run(self, state: Any, features: Float32s, valid: Bools) -> tuple[Float32s, Bools]:
        """Advance over rows (n, F); return the forecasts (n, 15) and whether each is ready (n,)."""


@dataclass(frozen=True)
class Identity:
    """Who forecasts what: the columns of a prediction that are the same in every row of a partition.

    ``inputs``: names of the features in the model's order. ``window``: valid rows after which a forecast is ready.
    ``receptive_field``: rows that it can depend on.
    """

    market: Market
    clock_id: str
    step_ns: int
    bundle_sha256: str
    model_name: str
    model_version: str
    alias: str
    features_fingerprint: str
    inputs: tuple[str, ...]
    window: int
    receptive_field: int

    @property
    def bundle(self) -> str:
        """Return the twelve hex digits by which partitions name the bundle."""
        return self.bundle_sha256[:12]

    def columns(self) -> Int64s:
        """Return where the inputs stand among the built features, int64 (F,). Raises ``RefusedError`` for others."""
        unknown = [name for name in self.inputs if name not in INDEX]
        if unknown:
            raise RefusedError(
                f"bundle {self.bundle} reads features that this code does not build ({', '.join(unknown[:3])}): "
                "use the version of the code that made it, or train again"
            )
        return np.array([INDEX[name] for name in self.inputs], np.int64)

    def prediction_id(self, ts_ns: int, side: int) -> str:
        """Return the id of the prediction of one instant and side (+1, -1)."""
        return f"{self.bundle}-{self.market}-{self.clock_id}-{ts_ns}-{'b' if side > 0 else 's'}"


class Forecasts(NamedTuple):
    """Forecasts of n instants.

    ts_ns int64 (n,); valid bool (n,); numbers float32 (n, 15) in the order of ``models.outputs.OUTPUTS``, NaN where not
    valid; seen int64 (n,): unbroken usable rows up to this one, 0 where it is not usable itself; inputs uint8 (n, 32):
    SHA-256 of what the forecast depends on.
    """

    ts_ns: Int64s
    valid: Bools
    numbers: Float32s
    seen: Int64s
    inputs: npt.NDArray[np.uint8]

    def last(self) -> Forecasts:
        """Return the last instant alone."""
        return Forecasts(self.ts_ns[-1:], self.valid[-1:], self.numbers[-1:], self.seen[-1:], self.inputs[-1:])


class Forecaster:
    """Takes feature rows in order, one or many at a time, and returns the same bits either way.

    A row that is not valid, has an input that is no finite number, or does not come exactly one step after the one
    before it breaks the run: what was seen before it counts no more.
    """

    def __init__(self, identity: Identity, model: Stream) -> None:
        self.identity = identity
        self._model = model
        self._columns = identity.columns()
        self._memory = DIGEST_BYTES * identity.receptive_field
        self._state = model.new_state()
        self._last_ns = -1
        self._seen = 0
        self._digests = bytearray()

    def run(self, ts_ns: Int64s, features: Float32s, valid: Bools) -> Forecasts:
        """Forecast the next rows: ts_ns int64 (n,), features float32 (n, N_BUILT), valid bool (n,)."""
        n = len(ts_ns)
        rows = features.take(self._columns, axis=1)
        usable = valid & np.isfinite(rows).all(axis=1)
        broken = np.empty(n, np.bool_)
        broken[:1] = ts_ns[:1] != self._last_ns + self.identity.step_ns
        broken[1:] = ts_ns[1:] - ts_ns[:-1] != self.identity.step_ns
        if broken.any():
            numbers, ready = self._over_breaks(rows, usable, broken)
        else:
            numbers, ready = self._model.run(self._state, rows, usable)
        numbers[~ready] = np.nan
        seen, inputs = self._witness(rows, usable, broken)
        if n:
            self._last_ns = int(ts_ns[-1])
        return Forecasts(ts_ns.copy(), ready, numbers, seen, inputs)

    def _over_breaks(self, rows: Float32s, usable: Bools, broken: Bools) -> tuple[Float32s, Bools]:
        numbers = np.empty((len(rows), N_OUTPUTS), np.float32)
        ready = np.zeros(len(rows), np.bool_)
        starts = np.flatnonzero(broken).tolist()
        for lo, hi in pairwise(sorted({0, *starts, len(rows)})):
            if broken[lo]:
                self._state = self._model.new_state()
            numbers[lo:hi], ready[lo:hi] = self._model.run(self._state, rows[lo:hi], usable[lo:hi])
        return numbers, ready

    def _witness(self, rows: Float32s, usable: Bools, broken: Bools) -> tuple[Int64s, npt.NDArray[np.uint8]]:
        """Return how many usable rows each row is the end of, and the hash of what its forecast depends on."""
        n, width = rows.shape[0], 4 * rows.shape[1]
        data = rows.tobytes()
        seen = np.empty(n, np.int64)
        inputs = bytearray()
        held, count = self._digests, self._seen
        for i, (use, cut) in enumerate(zip(usable.tolist(), broken.tolist(), strict=True)):
            if cut or not use:
                held, count = bytearray(), 0
            if use:
                held += sha256(data[i * width : (i + 1) * width]).digest()[:DIGEST_BYTES]
                count += 1
                if len(held) > 4 * self._memory:
                    held = held[-self._memory :]
            seen[i] = count
            inputs += sha256(held[-self._memory :]).digest()
        self._digests, self._seen = held, count
        return seen, np.frombuffer(inputs, np.uint8).reshape(n, INPUT_BYTES)

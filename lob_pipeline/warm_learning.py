"""Compile the kernels between labels and predictions: a few hundred random rows through one fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.datasets.folds import walk_forward
from lob_pipeline.datasets.instants import SUFFIXES, Instants, empty_orders, segments
from lob_pipeline.datasets.normalise import fit_normaliser
from lob_pipeline.datasets.targets import targets
from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.legs import oracle_direction
from lob_pipeline.evaluation.overfitting import reality_check
from lob_pipeline.evaluation.walk import score_fold
from lob_pipeline.live.push_kernel import compile_push

_NAMES = ("spread_ticks", "ofi_l1_1s_lots", "log_return_1s_bps")
_BLOCK_NS = 300 * NS_PER_S
_SPAN_NS = 9 * NS_PER_S


def warm_learning() -> None:
    """Fit, score, and stream a tiny network on random rows; compile what the live process applies messages with."""
    from lob_pipeline.models.config import preset
    from lob_pipeline.models.fit import fit, predict
    from lob_pipeline.models.stream import StreamModel

    instants = _random_instants(900)
    fold = walk_forward(instants)[0]
    wanted = targets(instants, fold)
    normaliser = fit_normaliser(instants.features, fold.train, _NAMES)
    model, training = preset("demo", len(_NAMES))
    small = replace(training, epochs=1, max_train_rows=0)
    fitted = fit(normaliser.apply(instants.features), instants.segment, wanted, fold, model, small)
    normalised = normaliser.apply(instants.features)
    held, test = (predict(fitted, normalised, instants.segment, rows) for rows in (fold.held, fold.test))
    score = score_fold(instants, fold, held, test, wanted.masked_heads)
    reality_check({"a": score.series["pessimistic"], "b": score.series["optimistic"]})
    oracle_direction(instants, fold.test, test, load_gates())
    stream = StreamModel.from_fitted(fitted, normaliser)
    stream.run(stream.new_state(), instants.features[:64], instants.segment[:64] >= 0)
    compile_push()


def _random_instants(n: int) -> Instants:
    """Return ``n`` rows a second apart, each with two orders of random fate."""
    rng = np.random.default_rng(1)
    ts_ns = 1000 * _BLOCK_NS + np.arange(1, n + 1, dtype=np.int64) * NS_PER_S
    features = rng.normal(size=(n, len(_NAMES))).astype(np.float32)
    orders = empty_orders(n)
    orders.valid[:], orders.price_ticks[:] = True, 1000
    for suffix in SUFFIXES:
        filled = rng.random((n, 2)) < 0.6
        edge = np.where(filled, rng.normal(size=(n, 2)), np.nan)
        orders.filled[suffix][:], orders.edge_bps[suffix][:] = filled, edge
        orders.fill_delay_ns[suffix][:] = np.where(filled, NS_PER_S, -1)
        orders.adverse[suffix][:] = np.where(filled, edge < -1, np.nan)
        orders.entry[suffix][:] = edge > 0
        orders.exit_maker_ratio[suffix][:] = np.where(filled, 1.0, np.nan)
    orders.mfe_bps[:], orders.mae_bps[:] = np.abs(orders.edge_bps[""]), -np.abs(orders.edge_bps[""])
    arrive = ts_ns + NS_PER_S // 20
    return Instants(
        market="sim.BTCUSDT",
        clock_id="t1s",
        step_ns=NS_PER_S,
        block_ns=_BLOCK_NS,
        names=_NAMES,
        features=features,
        ts_ns=ts_ns,
        segment=segments(ts_ns, np.ones(n, np.bool_), NS_PER_S),
        t_arrive_ns=arrive,
        t_end_ns=arrive + _SPAN_NS,
        mid_return_bps=rng.normal(size=n),
        orders=orders,
        dates=("1970-01-04",),
    )

"""The placebo moves outcomes in blocks and touches nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.datasets.permute import permute_blocks
from lob_pipeline_tests.datasets.synthetic import random_instants

MINUTE_NS = 60_000_000_000


def test_outcomes_change_place_and_stay_the_same_set() -> None:
    instants = random_instants(3, 4000, gap_rate=0.0)
    moved = permute_blocks(instants, 1, MINUTE_NS)
    scored = instants.scored
    for suffix in ("", "_pess", "_opt"):
        before, after = instants.orders.edge_bps[suffix][scored], moved.orders.edge_bps[suffix][scored]
        assert not np.array_equal(before, after, equal_nan=True)
        assert np.array_equal(np.sort(before, axis=0), np.sort(after, axis=0), equal_nan=True)
    assert np.array_equal(np.sort(instants.mid_return_bps), np.sort(moved.mid_return_bps), equal_nan=True)
    # blocks, not rows: neighbours stay neighbours
    before, after = instants.orders.filled[""][scored][:, 0], moved.orders.filled[""][scored][:, 0]
    assert np.mean(before[1:] == before[:-1]) == pytest.approx(np.mean(after[1:] == after[:-1]), abs=0.02)


def test_all_that_became_of_a_row_moves_together() -> None:
    instants = random_instants(8, 4000, gap_rate=0.0)
    number = np.arange(instants.rows, dtype=np.float64)
    instants.mid_return_bps[:] = instants.orders.mfe_bps[:, 0] = instants.orders.mae_bps[:, 1] = number
    fields = ("edge_bps", "adverse", "entry", "markout_5s_bps", "exit_maker_ratio", "filled", "fill_delay_ns")
    moved = permute_blocks(instants, 1, MINUTE_NS)
    source = moved.mid_return_bps[instants.scored].astype(np.int64)
    assert np.mean(source != np.flatnonzero(instants.scored)) > 0.8
    assert np.array_equal(moved.orders.mfe_bps[instants.scored, 0], source)
    assert np.array_equal(moved.orders.mae_bps[instants.scored, 1], source)
    assert np.array_equal(moved.orders.valid[instants.scored], instants.orders.valid[source])
    for name in fields:
        for suffix, after in getattr(moved.orders, name).items():
            before = getattr(instants.orders, name)[suffix][source]
            assert np.array_equal(after[instants.scored], before, equal_nan=True), f"{name}{suffix}"


def test_features_times_and_prices_stay() -> None:
    instants = random_instants(4, 4000, gap_rate=0.0)
    moved = permute_blocks(instants, 1, MINUTE_NS)
    for name in ("features", "ts_ns", "segment", "t_arrive_ns", "t_end_ns"):
        assert getattr(moved, name) is getattr(instants, name)
    assert moved.orders.price_ticks is instants.orders.price_ticks
    unscored = ~instants.scored
    assert np.array_equal(instants.orders.valid[unscored], moved.orders.valid[unscored])


def test_another_seed_another_order() -> None:
    instants = random_instants(5, 4000, gap_rate=0.0)
    first, second = (permute_blocks(instants, seed, MINUTE_NS).orders.edge_bps[""] for seed in (1, 2))
    assert not np.array_equal(first, second, equal_nan=True)
    again = permute_blocks(instants, 1, MINUTE_NS).orders.edge_bps[""]
    assert np.array_equal(first, again, equal_nan=True)


def test_too_little_for_a_placebo() -> None:
    with pytest.raises(BadInputError, match="a placebo needs at least 8"):
        permute_blocks(random_instants(6, 300), 1)

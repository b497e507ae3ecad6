"""Laws of the feature kernel: mirror, prefix, warm-up, resume, copies, and batch as nothing but a loop over step."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import LEVELS, ROW
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.kernel import step
from lob_pipeline.features.registry import BOOK, BUILT, INDEX, N_BUILT
from lob_pipeline.features.spec import Feature
from lob_pipeline.features.state import FeatureState, copy_state, from_bytes, new_state, to_bytes
from lob_pipeline.features.tape_rows import T_NOTIONAL, T_SIGNED, T_VOLUME, unknown_tape
from lob_pipeline_tests.features.rows import RowPlan, random_rows
from lob_pipeline_tests.features.trades import random_profile, season_of, tape_of_rows
from lob_pipeline_tests.naive.tape import offset

CLOCK = parse_clock("t2s")
MARKET = instrument(parse_market("bybit-linear.BTCUSDT"))
Rows = npt.NDArray[np.int64]
PROFILE = random_profile(0)
EXACT_UNITS = {
    "ticks",
    "lots",
    "count",
    "ratio",
    "log1p_lots",
    "log1p_lots_per_tick",
    "ms",
    "s",
    "hz",
    "flag",
    "log_ratio",
}
seeds = st.integers(0, 10_000)
fast = settings(max_examples=25, deadline=None)


def make(seed: int, rows: int = 200, **rest: float) -> Rows:
    defaults = {"invalid": 0.002, "snapshots": 0.0005, "messages": 4.0}
    return random_rows(RowPlan(rows, seed=seed, step_ns=CLOCK.step_ns, **{**defaults, **rest}))  # type: ignore[arg-type]


def bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    return values.view(np.uint32)


def fresh() -> FeatureState:
    return new_state(CLOCK, MARKET, PROFILE)


def tape_of(rows: Rows) -> Rows:
    return tape_of_rows(rows, CLOCK.step_ns)


def compute(rows: Rows, tape: Rows | None = None) -> npt.NDArray[np.float32]:
    return run_batch(fresh(), rows, tape_of(rows) if tape is None else tape)[0]


@fast
@given(seeds)
def test_batch_is_a_loop_over_step(seed: int) -> None:
    rows = make(seed)
    tape = tape_of(rows)
    whole, valid = run_batch(fresh(), rows, tape)
    state, out = fresh(), np.empty(N_BUILT, dtype=np.float32)
    for i, row in enumerate(rows):
        assert step(state, row, tape[i], out) == valid[i]
        assert np.array_equal(bits(out), bits(whole[i]))


@fast
@given(seeds, st.integers(0, 200))
def test_deleting_the_future_changes_nothing(seed: int, kept: int) -> None:
    rows = make(seed)
    assert np.array_equal(bits(compute(rows[:kept])), bits(compute(rows)[:kept]))


@fast
@given(seeds, st.integers(0, 199))
def test_a_later_start_changes_no_feature_it_has(seed: int, start: int) -> None:
    rows = make(seed)
    late, early = compute(rows[start:]), compute(rows)[start:]
    seen = ~np.isnan(late)
    assert np.array_equal(bits(late)[seen], bits(early)[seen])


@fast
@given(seeds, st.integers(0, 200))
def test_stop_and_resume_at_any_row_is_bit_identical(seed: int, stop: int) -> None:
    rows = make(seed)
    state, tape = fresh(), tape_of(rows)
    first, _ = run_batch(state, rows[:stop], tape[:stop])
    second, _ = run_batch(from_bytes(to_bytes(state)), rows[stop:], tape[stop:])
    assert np.array_equal(bits(np.concatenate([first, second])), bits(compute(rows)))


def test_nan_has_one_bit_pattern() -> None:
    features = compute(make(2))
    assert set(bits(features)[np.isnan(features)].tolist()) == {0x7FC00000}


def test_a_copied_state_is_independent() -> None:
    rows = make(1)
    state, tape = fresh(), tape_of(rows)
    run_batch(state, rows[:100], tape[:100])
    kept = to_bytes(state)
    twin = copy_state(state)
    run_batch(twin, rows[100:], tape[100:])
    assert to_bytes(state) == kept
    assert to_bytes(twin) != kept


def test_a_cut_or_foreign_state_is_refused() -> None:
    data = to_bytes(fresh())
    with pytest.raises(BadInputError, match="cut short"):
        from_bytes(data[:-1])
    with pytest.raises(BadInputError, match="another version"):
        from_bytes(b"x" + data[1:])


def mirrored(rows: Rows, k: int) -> Rows:
    """Swap the sides of every row, price p becomes k − p; flow, worse times and depths change sides."""
    out = rows.copy()
    for kind in ("ticks", "lots"):
        for level in range(1, LEVELS + 1):
            bid, ask = ROW[f"bid_{kind}_{level}"], ROW[f"ask_{kind}_{level}"]
            out[:, bid], out[:, ask] = rows[:, ask], rows[:, bid]
            if kind == "ticks":
                for column in (bid, ask):
                    out[:, column] = np.where(out[:, column] >= 0, k - out[:, column], -1)
    pairs = [("bid_add_lots", "ask_add_lots"), ("bid_remove_lots", "ask_remove_lots"), ("bid_worse_ns", "ask_worse_ns")]
    pairs += [("mid_up_moves", "mid_down_moves")]
    pairs += [(f"bid_depth_{n}bps_lots", f"ask_depth_{n}bps_lots") for n in (1, 2, 4)]
    for one, other in pairs:
        out[:, ROW[one]], out[:, ROW[other]] = rows[:, ROW[other]], rows[:, ROW[one]]
    for name in ("ofi_l1_lots", "ofi_l5_lots", "ofi_l10_lots"):
        out[:, ROW[name]] = -rows[:, ROW[name]]
    return out


def mirrored_tape(tape: Rows, k: int) -> Rows:
    """Swap who bought and who sold, price p becomes k − p."""
    out = tape.copy()
    out[:, T_SIGNED] = -tape[:, T_SIGNED]
    out[:, T_NOTIONAL] = k * tape[:, T_VOLUME] - tape[:, T_NOTIONAL]
    return out


@cache
def mirror_case(seed: int, lots: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Rows]:
    """Return the features of random rows, those of the mirrored rows, and M2/K − 1 of each row."""
    rows = make(seed, rows=500, depth=25, holes=0.05, lots=lots)
    m2 = rows[:, ROW["bid_ticks_1"]] + rows[:, ROW["ask_ticks_1"]]
    k = int(np.sort(m2)[len(m2) // 2])
    tape = tape_of(rows)
    return compute(rows, tape), compute(mirrored(rows, k), mirrored_tape(tape, k)), m2 / k - 1


def both_sides_of_the_mirror(
    feature: Feature, seed: int, lots: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Rows]:
    plain, swapped, moved = mirror_case(seed, lots)
    sign = np.float32(-1 if feature.mirror == "odd" else 1)
    partner = feature.name if feature.mirror in {"odd", "even"} else feature.mirror
    return plain[:, INDEX[feature.name]], sign * swapped[:, INDEX[partner]], moved


LEVELS_ONLY = {f.name for f in BUILT if f.unit == "bps" and not f.window}
"""Costs: functions of one row, so exact where that row's M2 is K."""


@pytest.mark.parametrize("feature", BUILT, ids=lambda f: f.name)
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_mirror_law(feature: Feature, seed: int) -> None:
    """Exact in ticks, lots, counts and ratios; costs where M2 = K too; other bps to a relative 4·max|M2/K − 1|."""
    ours, theirs, moved = both_sides_of_the_mirror(feature, seed, 5_000)
    assert not np.isnan(ours).all()
    if feature.unit in EXACT_UNITS:
        assert np.array_equal(ours, theirs, equal_nan=True)
        return
    assert feature.unit in {"bps", "half_ticks"}
    relative = 4.0 * np.abs(moved).max() + 1e-6
    if feature.unit == "half_ticks":  # an order's lots are rounded up, at another price to another whole
        relative += 1.0 / MARKET.order_lots(MARKET.small_order_quote, 1_000_000)
    if feature.name in LEVELS_ONLY:
        assert np.array_equal(ours[moved == 0], theirs[moved == 0], equal_nan=True)
    else:
        assert np.allclose(ours, theirs, rtol=relative, atol=0.0, equal_nan=True)


@pytest.mark.parametrize("name", sorted(LEVELS_ONLY))
def test_mirror_law_of_costs_is_relative_to_the_move(name: str) -> None:
    """4·max|M2/K − 1|, and float32's own step. Only where the order stays at the best: its size in lots moves too."""
    ours, theirs, moved = both_sides_of_the_mirror(BUILT[INDEX[name]], 14, 100_000_000)
    assert not np.isnan(ours).all()
    assert np.allclose(ours, theirs, rtol=4.0 * np.abs(moved).max() + 1e-6, atol=0.0, equal_nan=True)


def test_a_run_start_restarts_the_windows_but_keeps_the_levels() -> None:
    rows = make(5, invalid=0.0, snapshots=0.0)
    rows[100, ROW["run_start"]] = 1
    features = compute(rows)
    levels = [INDEX[f.name] for f in BUILT if not f.window]  # and the phases of the day
    assert not np.isnan(features[100, levels]).any()
    assert np.isnan(np.delete(features[100], levels)).all()
    assert np.isnan(features[101, INDEX["ofi_l1_5s_lots"]])
    assert features[101, INDEX["ofi_l1_1s_lots"]] == np.float32(rows[101, ROW["ofi_l1_lots"]])


def test_a_missing_row_starts_a_run() -> None:
    rows = make(6, invalid=0.0, snapshots=0.0)
    features = compute(np.delete(rows, 100, axis=0))
    assert np.isnan(features[100, INDEX["ofi_l1_1s_lots"]])
    assert np.array_equal(bits(features[:100]), bits(compute(rows)[:100]))


def test_ages_cross_midnight_although_the_carried_book_restarts_their_column() -> None:
    midnight = 1_700_006_400_000_000_000
    assert midnight % 86_400_000_000_000 == 0
    start = midnight - 100 * CLOCK.step_ns
    rows = random_rows(RowPlan(200, seed=7, step_ns=CLOCK.step_ns, messages=0.2, start_ns=start))
    unbroken = compute(rows)
    stored = rows.copy()
    for name in ("bid_worse_ns", "ask_worse_ns"):
        older = rows[:, ROW[name]] < midnight
        stored[100:, ROW[name]] = np.where(older[100:], midnight, rows[100:, ROW[name]])
    assert not np.array_equal(stored, rows)
    assert np.array_equal(bits(compute(stored)), bits(unbroken))


def test_a_profile_sets_the_micro_price_offset_by_decile_and_spread() -> None:
    rows = make(8, invalid=0.0)
    rows[5, [ROW["bid_lots_1"], ROW["ask_lots_1"]]] = 700
    rows[6, [ROW["bid_lots_1"], ROW["ask_lots_1"]]] = 600, 400
    rows[7, [ROW["bid_lots_1"], ROW["ask_lots_1"]]] = 400, 600
    found = compute(rows)[:, INDEX["microprice_offset_ticks"]]
    states = season_of(PROFILE)
    for i, row in enumerate(rows):
        spread = int(row[ROW["ask_ticks_1"]] - row[ROW["bid_ticks_1"]])
        assert found[i] == np.float32(
            offset((int(row[ROW["bid_lots_1"]]), int(row[ROW["ask_lots_1"]])), spread, states)
        )
    assert found[5] == 0.0
    assert found[6] in PROFILE.microprice_ticks[5].astype(np.float32)
    assert found[7] in PROFILE.microprice_ticks[4].astype(np.float32)


def test_a_row_without_a_tape_restarts_the_windows_of_the_tape_only() -> None:
    rows = make(5, invalid=0.0, snapshots=0.0)
    tape = tape_of(rows)
    cut = tape.copy()
    cut[20] = unknown_tape(1)[0]
    whole, found = compute(rows, tape), compute(rows, cut)
    assert np.array_equal(bits(found[:, BOOK]), bits(whole[:, BOOK]))
    assert np.isnan(found[20, ~BOOK]).all()
    assert found[21, INDEX["signed_volume_1s_lots"]] == whole[21, INDEX["signed_volume_1s_lots"]]
    assert np.isnan(found[22, INDEX["signed_volume_5s_lots"]])
    assert np.array_equal(bits(found[171:, ~BOOK]), bits(whole[171:, ~BOOK]))


def test_rows_and_tape_must_be_of_one_length() -> None:
    rows = make(5)
    with pytest.raises(BadInputError, match="tape is int64"):
        run_batch(fresh(), rows, tape_of(rows)[:-1])

"""The oracle earns on a planted market and not on a null one, reads no future, and is what the lake's labels say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, TRADES
from lob_pipeline.demo import known_truth
from lob_pipeline.labels.day import decision_rows, label_day, make_tape
from lob_pipeline.labels.spec import Fees, LabelConfig
from lob_pipeline.labels.stream import NEEDED
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.calibrate import DRIFTS_BPS, calibrate, fit_line
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.earned import Earned, interval, together
from lob_pipeline.sim.oracle import oracle_day, taker_day
from lob_pipeline.sim.oracle_tape import MODELS, TAKER
from lob_pipeline.sim.planted import drawn_signals
from lob_pipeline.sim.presets import configured
from lob_pipeline.sim.quotes import Quotes
from lob_pipeline.sim.signals import no_signals
from lob_pipeline.sim.taker import taker_trades
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import DECISION, TAPE, build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import SimReport, simulate
from lob_pipeline.stages.verify import verify
from lob_pipeline_tests.sim import linear

MARKET = parse_market("sim.BTCUSDT")
CLOCK = "t100ms"
PHASES = ("start", "move")
CONFIG = SimConfig(seed=2, days=1, minutes=20, edge_bps=10.0, horizon_s=30.0)  # a horizon that the labels have


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, SimReport]:
    root = tmp_path_factory.mktemp("planted")
    report = simulate(root / "market", CONFIG)
    home = Home(root / "home")
    ingest(home, MARKET, report.files)
    for build in (build_books, build_features, build_labels):
        assert not build(home, MARKET, CONFIG.first_day).refused
    return home, report


def test_a_planted_market_passes_every_gate_and_its_labels_are_the_oracles(planted: tuple[Home, SimReport]) -> None:
    home, report = planted
    date = CONFIG.first_day
    certificate = verify(home, MARKET, date, None)
    assert certificate["holds"]
    assert certificate["closing_snapshot_match"] is True
    wanted = {name: {signal[f"{name}_ns"]: signal["direction"] for signal in report.days[0].signals} for name in PHASES}
    books = PartitionKey("book_snapshots", MARKET, date, CLOCK)
    with (
        open_partition(home, books, BOOK_SNAPSHOTS) as book,
        open_partition(home, PartitionKey("l2_events", MARKET, date), L2_EVENTS) as events,
        open_partition(home, PartitionKey("trades", MARKET, date), TRADES) as trades,
    ):
        rows = decision_rows(book.chunks(1 << 16, DECISION))
        tape, chunks = make_tape(trades.read(TAPE)), events.chunks(1 << 18, list(NEEDED))
        labels = list(label_day(rows, chunks, tape, LabelConfig(), Fees(0.0, 0.0), "plus_one", 10**8))
    keys = ("ts_ns", "side", "valid")
    ts, side, valid = (np.concatenate([np.asarray(part[name]) for part in labels]) for name in keys)
    columns = {TAKER: ("move", "taker_edge_30s_bps"), **{n: ("start", f"edge_bps{s}") for n, s in MODELS.items()}}
    for name, (phase, column) in columns.items():
        edge = np.concatenate([np.ma.filled(part[column], np.nan) for part in labels])
        by_hand = []
        for instant, direction in wanted[phase].items():
            at = np.flatnonzero((ts == -(-instant // 10**8) * 10**8) & (side == direction))
            by_hand += edge[at[valid[at].astype(bool)]].tolist()
        assert len(by_hand) >= 5
        told = report.days[0].oracle[name].edge_bps
        np.testing.assert_allclose(told[: len(by_hand)], by_hand, rtol=0, atol=1e-9)
        assert len(told) - len(by_hand) <= (1 if name == TAKER else 0)  # his last trade ends before a label's span does


def test_the_demo_tells_what_was_planted_and_what_knowing_it_was_worth(planted: tuple[Home, SimReport]) -> None:
    _, report = planted
    lines = list(known_truth(report.truth, 2, 2.0, 5.5))
    assert "an edge of 10 bps net of the spread was planted (seed 2)" in lines[0]
    assert "5.5 bps a crossing one" in lines[0]
    for line, name in zip(lines[1:], (TAKER, "pessimistic"), strict=True):
        said = report.truth["oracle"][name]
        assert f"earned {said['mean_edge_bps']:+.2f} bps" in line
        assert f"({said['trades']} trades)" in line
    (null,) = known_truth({"edge_bps": 0.0}, 3, 2.0, 5.5)
    assert "null market (seed 3)" in null


def test_a_linear_model_of_the_book_sees_the_drift(planted: tuple[Home, SimReport]) -> None:
    home, _ = planted
    block = linear.load(home, CONFIG.first_day)
    half = len(block.ts_ns) * 3 // 5
    early, late = block.cut(slice(0, half - linear.PURGE)), block.cut(slice(half, None))
    model = linear.fitted([early], "mid_return_bps", 0, False)
    moved, seen = late.label["mid_return_bps"][late.usable, 0], model(late.inputs[late.usable])
    assert late.usable.sum() > 2000
    assert np.sum((moved - seen) ** 2) < 0.8 * np.sum((moved - moved.mean()) ** 2)


def test_the_taker_earns_what_is_planted_and_nothing_where_nothing_is() -> None:
    config = replace(CONFIG, minutes=40, horizon_s=20.0)
    planted = together({TAKER: taker_day(replace(config, seed=s), config.first_day)} for s in (5, 6))[TAKER]
    null = together({TAKER: taker_day(replace(config, seed=s, edge_bps=0.0), config.first_day)} for s in (5, 6))[TAKER]
    earned, nothing = planted.to_json(), null.to_json()
    assert earned["signals"] == earned["trades"] == nothing["trades"] > 20
    assert earned["mean_edge_bps"] == pytest.approx(10.0, rel=0.2)
    assert nothing["interval_95_bps"][0] < 0 < nothing["interval_95_bps"][1]
    assert nothing["direction_worth_interval_95_bps"][0] < 0 < nothing["direction_worth_interval_95_bps"][1]
    # crossing twice costs the spread whichever way one goes: the two directions lose it together
    assert np.all(null.edge_bps + null.against_bps < 0)


def test_ten_seeds_of_the_fitted_market_have_the_edge_that_is_planted_and_none_where_none_is() -> None:
    seeds, means = range(1, 11), {}
    for edge_bps in (10.0, 0.0):
        config = configured(days=1, minutes=20, edge_bps=edge_bps)
        by_seed = [{TAKER: taker_day(replace(config, seed=seed), config.first_day)} for seed in seeds]
        means[edge_bps] = together(by_seed)[TAKER].to_json()
        assert means[edge_bps]["trades"] > 60
    assert means[10.0]["mean_edge_bps"] == pytest.approx(10.0, rel=0.2)
    low, high = means[0.0]["interval_95_bps"]
    assert low <= 0.0 <= high


def test_a_maker_who_knows_earns_less_than_the_taker_and_still_a_lot() -> None:
    found = oracle_day(replace(CONFIG, seed=5, minutes=40, horizon_s=20.0), CONFIG.first_day)
    for name in MODELS:
        said = found[name].to_json()
        assert said["traded_share"] > 0.4
        assert said["interval_95_bps"][0] > 0
        assert said["mean_edge_bps"] < found[TAKER].to_json()["mean_edge_bps"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12))
def test_taker_trades_are_the_naive_ones(seed: int, messages: int, signals: int) -> None:
    rng = np.random.default_rng(seed)
    time_ns = 10**18 + np.cumsum(rng.integers(0, 3 * 10**9, messages))
    bid = 600_000 + rng.integers(-40, 41, messages)
    quotes = Quotes(time_ns, bid, bid + rng.integers(1, 9, messages))
    start_us = np.sort(10**15 + rng.integers(-(10**6), 60 * 10**6, signals))
    way = rng.choice([-1, 1], signals)
    drawn = no_signals()._replace(start_us=start_us, direction=way, drift_bps=np.zeros(signals))
    made = taker_trades(quotes, drawn, 2.5, 7.0)
    edges = []
    for start, direction in zip(start_us.tolist(), way.tolist(), strict=True):
        row = -(-(start + 2_500_000) * 1000 // 10**8) * 10**8
        later = [i for i in range(messages) if time_ns[i] > row]
        if not later or later[0] == 0 or time_ns[later[0]] > row + 10**8:  # the message closes a later row too
            continue
        arrive = int(time_ns[later[0]]) + 50 * 10**6
        if arrive + 7 * 10**9 >= time_ns[-1]:
            continue
        paid, got = (max(i for i in range(messages) if time_ns[i] <= t) for t in (arrive, arrive + 7 * 10**9))
        enter, leave = (quotes.ask[paid], quotes.bid[got]) if direction > 0 else (quotes.bid[paid], quotes.ask[got])
        edges.append(1e4 * direction * np.log(leave / enter))
    np.testing.assert_allclose(made.edge_bps, edges, rtol=0, atol=1e-9)


def test_the_calibrations_line_is_the_one_behind_the_points() -> None:
    rng = np.random.default_rng(4)
    drifts = np.array([4.0, 16.0, 48.0])
    noise = [rng.normal(0.0, 1.5, 400) for _ in drifts]
    line = fit_line(drifts, [0.97 * d - 0.2 + e - e.mean() for d, e in zip(drifts, noise, strict=True)])
    assert (line.slope, line.cost_bps, line.misfit) == pytest.approx((0.97, 0.2, 0.0), abs=1e-9)
    assert 0 < line.slope_error < 0.01
    bent = fit_line(drifts, [0.97 * d + (3.0 if d == 16 else 0.0) + e for d, e in zip(drifts, noise, strict=True)])
    assert bent.misfit > 5.0
    with pytest.raises(ValueError, match="3 drifts"):
        fit_line(drifts[:2], noise[:2])


def test_calibrating_runs_each_drift_with_every_seed() -> None:
    asked: list[tuple[float, float, int]] = []

    def earned(config: SimConfig) -> Earned:
        asked.append((config.horizon_s, config.shape.drift_bps, config.seed))
        edges = config.shape.drift_bps - 0.5 + np.array([-0.1, 0.0, 0.1])
        return Earned(edges, -edges)

    said = list(calibrate(CONFIG, (7, 8), (10.0, 20.0), earned))
    assert sorted(asked) == sorted((h, d, s) for h in (10.0, 20.0) for d in DRIFTS_BPS for s in (7, 8))
    assert next(line for line in said if line.startswith("horizon 10 s: slope 1.0000")).count("cost 0.500 bps") == 1


def test_signals_are_drawn_without_a_look_at_the_market() -> None:
    other = replace(CONFIG, flow=CONFIG.flow._replace(value_rate=0.5, noise_rate=0.6))
    one, two = drawn_signals(CONFIG, CONFIG.first_day), drawn_signals(other, CONFIG.first_day)
    np.testing.assert_array_equal(one.start_us, two.start_us)
    np.testing.assert_array_equal(one.direction, two.direction)


def test_interval_is_the_normal_one_of_what_was_filled() -> None:
    low, mean, high = interval(np.array([1.0, np.nan, 3.0, 5.0]))
    assert (low, mean, high) == pytest.approx((3 - 1.96 * 2 / 3**0.5, 3.0, 3 + 1.96 * 2 / 3**0.5), abs=1e-3)
    assert interval(np.array([np.nan, 2.0])) == (None, None, None)
    assert Earned(np.empty(0), np.empty(0)).to_json()["traded_share"] == 0.0


def test_the_command_prints_seeds_and_queue_models() -> None:
    command = [sys.executable, "-m", "lob_pipeline.sim.oracle", "--seeds", "1", "--minutes", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    lines = done.stdout.splitlines()
    assert [line.split()[0].rstrip(",") for line in lines] == ["seed", lines[1][0], "taker", "maker", "maker", "maker"]
    assert "of 1 seeds within 20 % of 10 bps" in lines[1]
    assert all("edge before fees" in line for i, line in enumerate(lines) if i != 1)

"""The oracle earns on a planted market and not on a null one, reads no future, and is what the lake's labels say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, TRADES
from lob_pipeline.labels.day import decision_rows, label_day, make_tape
from lob_pipeline.labels.spec import Fees, LabelConfig
from lob_pipeline.labels.stream import NEEDED
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.oracle import MODELS, Orders, interval, oracle_day, together
from lob_pipeline.sim.planted import drawn_signals
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import DECISION, TAPE, build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import SimReport, simulate
from lob_pipeline.stages.verify import verify
from lob_pipeline_tests.sim import linear

MARKET = parse_market("sim.BTCUSDT")
CLOCK = "t100ms"
CONFIG = SimConfig(seed=2, days=1, minutes=20, edge_bps=10.0)


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
    wanted = {signal["start_ns"]: signal["direction"] for signal in report.days[0].signals}
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
    for name, suffix in MODELS.items():
        edge = np.concatenate([np.ma.filled(part[f"edge_bps{suffix}"], np.nan) for part in labels])
        by_hand = []
        for start, direction in wanted.items():
            at = np.flatnonzero((ts == -(-start // 10**8) * 10**8) & (side == direction))
            by_hand += edge[at[valid[at].astype(bool)]].tolist()
        assert len(by_hand) >= 5
        np.testing.assert_array_equal(report.days[0].oracle[name].edge_bps, by_hand)


def test_a_linear_model_of_the_book_sees_the_drift(planted: tuple[Home, SimReport]) -> None:
    home, _ = planted
    block = linear.load(home, CONFIG.first_day)
    half = len(block.ts_ns) * 3 // 5
    early, late = block.cut(slice(0, half - linear.PURGE)), block.cut(slice(half, None))
    model = linear.fitted([early], "mid_return_bps", 0, False)
    moved, seen = late.label["mid_return_bps"][late.usable, 0], model(late.inputs[late.usable])
    assert late.usable.sum() > 2000
    assert np.sum((moved - seen) ** 2) < 0.8 * np.sum((moved - moved.mean()) ** 2)


def test_the_oracle_earns_where_an_edge_is_planted_and_not_where_none_is() -> None:
    planted = together(oracle_day(replace(CONFIG, seed=s, minutes=40), CONFIG.first_day) for s in (5, 6))
    null = together(oracle_day(replace(CONFIG, seed=s, minutes=40, edge_bps=0.0), CONFIG.first_day) for s in (5, 6))
    for name in MODELS:
        earned, nothing = planted[name].to_json(), null[name].to_json()
        assert earned["signals"] == nothing["signals"] > 20
        assert earned["fill_share"] > 0.4
        assert earned["interval_95_bps"][0] > 5.0
        assert nothing["interval_95_bps"][0] < 0.5
        assert nothing["direction_worth_interval_95_bps"][0] < 0 < nothing["direction_worth_interval_95_bps"][1]
    assert planted["proportional"].to_json()["mean_edge_bps"] == pytest.approx(10.0, rel=0.2)


def test_signals_are_drawn_without_a_look_at_the_market() -> None:
    other = replace(CONFIG, flow=CONFIG.flow._replace(value_rate=0.5, noise_rate=0.6))
    one, two = drawn_signals(CONFIG, CONFIG.first_day), drawn_signals(other, CONFIG.first_day)
    np.testing.assert_array_equal(one.start_us, two.start_us)
    np.testing.assert_array_equal(one.direction, two.direction)


def test_interval_is_the_normal_one_of_what_was_filled() -> None:
    low, mean, high = interval(np.array([1.0, np.nan, 3.0, 5.0]))
    assert (low, mean, high) == pytest.approx((3 - 1.96 * 2 / 3**0.5, 3.0, 3 + 1.96 * 2 / 3**0.5), abs=1e-3)
    assert interval(np.array([np.nan, 2.0])) == (None, None, None)
    assert Orders(np.empty(0), np.empty(0)).to_json()["fill_share"] == 0.0


def test_the_command_prints_seeds_and_queue_models() -> None:
    command = [sys.executable, "-m", "lob_pipeline.sim.oracle", "--seeds", "1", "--minutes", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["seed", "proportional", "pessimistic", "optimistic"]
    assert all("edge before fees" in line for line in lines)

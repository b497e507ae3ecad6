"""Batch predictions, their replay and the shadow report, on two small days whose features are made up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pytest

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import PREDICTIONS, Table
from lob_pipeline.core.units import day_start_ns
from lob_pipeline.features.registry import FEATURES_TABLE, N_BUILT
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey, key_of_path, list_partitions
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.live.opened import open_bundle, open_released
from lob_pipeline.live.rows import NUMBERS
from lob_pipeline.registry.bundle import Bundle
from lob_pipeline.registry.releases import read_releases, record_promoted, record_registered
from lob_pipeline.stages import predict
from lob_pipeline.stages.predict import build_predictions, predictions_of_day
from lob_pipeline.stages.replay_prediction import parse_id, replay, replay_random
from lob_pipeline.stages.shadow import calibration, shadow_report
from lob_pipeline_tests.lake.helpers import gates_of
from lob_pipeline_tests.live.days import read_predictions
from lob_pipeline_tests.live.random_bundle import random_bundle

MARKET = parse_market("sim.BTCUSDT")
DAYS = ("2026-01-05", "2026-01-06")
STEP = 100_000_000
ROWS = 300
"""Rows of each day: the last of the first and the first of the second."""


class Small(NamedTuple):
    """A home with two days that touch at midnight, and a bundle in it."""

    home: Home
    bundle: Bundle

    def key(self, date: str, origin: str = "batch") -> PartitionKey:
        """Return the partition of the bundle's predictions."""
        return PartitionKey("predictions", MARKET, date, "t100ms", self.bundle.sha12, origin)

    def predictions(self, date: str) -> dict[str, np.ndarray]:
        """Return the bundle's batch predictions of a day."""
        return read_predictions(self.home, self.key(date))


def write(home: Home, table: Table, date: str, columns: Columns, code: str) -> None:
    """Publish a partition that passed one gate."""
    with PartitionWriter(home, PartitionKey(table.name, MARKET, date, "t100ms"), table) as writer:
        writer.write(columns)
        gate = judge("made_up", True, examined=ROWS, judged=ROWS)
        writer.commit(code_fingerprint=code, inputs={}, outcomes=gates_of(table.name, gate))


def write_features(home: Home, date: str, first_ns: int, seed: int, code: str | None = None) -> np.ndarray:
    """Publish ``ROWS`` random feature rows that begin at ``first_ns``; one of them is not valid. Return the times."""
    times = first_ns + STEP * np.arange(ROWS, dtype=np.int64)
    rng = np.random.default_rng(seed)
    columns: Columns = {"ts_ns": times, "valid": np.arange(ROWS) != 150}
    columns |= {name: rng.normal(size=ROWS).astype(np.float32) for name in FEATURES_TABLE.names[2:]}
    assert len(columns) == N_BUILT + 2
    write(home, FEATURES_TABLE, date, columns, code or code_fingerprint("features", instrument(MARKET)))
    return times


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    home = Home(tmp_path_factory.mktemp("small"))
    midnight = day_start_ns(DAYS[1])
    write_features(home, DAYS[0], midnight - STEP * (ROWS - 1), seed=1)  # the row of 24:00 closes its day
    write_features(home, DAYS[1], midnight + STEP, seed=2)
    bundle = random_bundle(home.root / "bundles", "sim.BTCUSDT", "t100ms")
    for date in DAYS:
        assert not build_predictions(home, MARKET, date, bundle.path).refused
    return Small(home, bundle)


@pytest.fixture
def own(small: Small, tmp_path: Path) -> Small:
    """A copy that a test may spoil."""
    shutil.copytree(small.home.root, tmp_path / "home")
    home = Home(tmp_path / "home")
    return Small(home, Bundle(home.root / "bundles" / small.bundle.sha12, *_rest(small.bundle)))


def _rest(bundle: Bundle) -> tuple[Any, ...]:
    return bundle.sha256, bundle.info, bundle.arrays


def test_every_feature_row_has_two_rows_and_context_makes_the_second_day_warm(small: Small) -> None:
    window = open_bundle(small.bundle.path).identity.window
    one, two = (small.predictions(date) for date in DAYS)
    assert len(one["ts_ns"]) == len(two["ts_ns"]) == 2 * ROWS
    ready = np.arange(ROWS) >= window - 1
    ready[150 : 150 + window] = False
    assert (one["valid"][::2] == ready).all()
    assert two["valid"][0], "the last rows of the day before are its memory"
    assert (one["side"].reshape(-1, 2) == [-1, 1]).all()


def test_the_second_day_alone_starts_cold(own: Small) -> None:
    warm = own.predictions(DAYS[1])
    (own.home.lake / PartitionKey("features", MARKET, DAYS[0], "t100ms").folder / "part-0.parquet").unlink()
    build_predictions(own.home, MARKET, DAYS[1], own.bundle.path)
    cold = own.predictions(DAYS[1])
    assert not cold["valid"][0]
    both = cold["valid"] & warm["valid"]
    settled = np.arange(2 * ROWS) >= 2 * 250  # the whole memory lies behind the invalid row, in both
    assert (both & settled).any()
    for name in (*NUMBERS, "input_sha256"):
        assert (cold[name] == warm[name])[both & settled].all()


def test_days_that_do_not_touch_share_no_memory(own: Small) -> None:
    write_features(own.home, DAYS[1], day_start_ns(DAYS[1]) + 2 * STEP, seed=2)
    result = build_predictions(own.home, MARKET, DAYS[1], own.bundle.path)
    assert result.manifest.extra["rows_before_the_day"] == 0
    assert not own.predictions(DAYS[1])["valid"][0]


def test_rows_of_other_code_are_no_memory(own: Small) -> None:
    write_features(own.home, DAYS[0], day_start_ns(DAYS[1]) - STEP * (ROWS - 1), seed=1, code="other code")
    result = build_predictions(own.home, MARKET, DAYS[1], own.bundle.path)
    assert result.manifest.extra["rows_before_the_day"] == 0
    assert not own.predictions(DAYS[1])["valid"][0]


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_size_of_the_chunks_changes_nothing(own: Small, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    before = build_predictions(own.home, MARKET, DAYS[1], own.bundle.path).manifest.content_sha256
    chunks = predict.feature_chunks
    monkeypatch.setattr(predict, "feature_chunks", lambda features: chunks(features, chunk))
    assert build_predictions(own.home, MARKET, DAYS[1], own.bundle.path).manifest.content_sha256 == before


def test_what_does_not_belong_together_is_refused(own: Small, tmp_path: Path) -> None:
    eth = random_bundle(tmp_path / "more", "sim.ETHUSDT", "t100ms", grid={"tick": "0.01", "lot": "0.01"})
    slow = random_bundle(tmp_path / "more", "sim.BTCUSDT", "t1s")
    with pytest.raises(RefusedError, match=r"trained on sim\.ETHUSDT"):
        build_predictions(own.home, MARKET, DAYS[0], eth.path)
    with pytest.raises(RefusedError, match="trained on clock t1s"):
        build_predictions(own.home, MARKET, DAYS[0], slow.path, "t100ms")
    with pytest.raises(RefusedError, match="not in the lake"):
        build_predictions(own.home, MARKET, DAYS[0], slow.path)
    write_features(own.home, DAYS[0], day_start_ns(DAYS[0]) + STEP, seed=1, code="other code")
    with pytest.raises(RefusedError, match="computed by other code"):
        build_predictions(own.home, MARKET, DAYS[0], own.bundle.path)
    (own.bundle.path / "bundle.json").write_bytes(b"{}")
    with pytest.raises(RefusedError):
        build_predictions(own.home, MARKET, DAYS[1], own.bundle.path)


def test_partitions_of_predictions_are_found_and_read_by_others(small: Small) -> None:
    keys = list(list_partitions(small.home, "predictions"))
    assert keys == [small.key(date) for date in DAYS]
    assert key_of_path(keys[0].path(small.home), small.home.lake) == keys[0]
    glob = str(small.home.lake / "predictions" / "**" / "part-0.parquet")
    query = f"select origin, bundle, date, count(*) from read_parquet('{glob}', hive_types_autocast=false) group by all"
    found = sorted(duckdb.sql(query).fetchall())
    assert found == [("batch", small.bundle.sha12, date, 2 * ROWS) for date in DAYS]
    with pytest.raises(BadInputError, match="names a bundle"):
        PartitionKey("predictions", MARKET, DAYS[0], "t100ms")
    with pytest.raises(BadInputError, match="neither"):
        PartitionKey("features", MARKET, DAYS[0], "t100ms", "0" * 12, "batch")


def test_a_partition_moved_to_another_bundles_place_is_refused(own: Small) -> None:
    stolen = PartitionKey("predictions", MARKET, DAYS[0], "t100ms", "0" * 12, "batch")
    stolen.path(own.home).parent.mkdir(parents=True)
    shutil.copy(own.key(DAYS[0]).path(own.home), stolen.path(own.home))
    with pytest.raises(RefusedError, match="another partition"):
        open_partition(own.home, stolen, PREDICTIONS)


def test_champion_and_challenger_predict_the_day(own: Small) -> None:
    with pytest.raises(RefusedError, match="no model of"):
        predictions_of_day(own.home, MARKET, DAYS[0])
    second = random_bundle(own.home.root / "bundles", "sim.BTCUSDT", "t100ms", seed=9, semver="1.1.0")
    record_registered(own.home, own.bundle.info, own.bundle.sha256, 1, "first", [])
    first = read_releases(own.home).with_bundle(own.bundle.sha256)
    assert first is not None
    record_promoted(own.home, None, first, "only one", [], "recipe")
    record_registered(own.home, second.info, second.sha256, 2, "second", [])
    report = predictions_of_day(own.home, MARKET, DAYS[0])
    assert {role: r.manifest.extra["alias"] for role, r in report.results.items()} == {
        "champion": "champion",
        "challenger": "challenger",
    }
    assert report.results["challenger"].path != report.results["champion"].path
    assert set(own.predictions(DAYS[0])["alias"]) == {"champion"}
    opened = open_released(own.home, MARKET, "lob-moe@challenger")
    assert opened.identity.bundle_sha256 == second.sha256


def test_another_bundle_in_the_champions_folder_predicts_nothing(own: Small) -> None:
    other = random_bundle(own.home.root / "elsewhere", "sim.BTCUSDT", "t100ms", seed=9)
    record_registered(own.home, own.bundle.info, own.bundle.sha256, 1, "first", [])
    shutil.rmtree(own.bundle.path)
    shutil.copytree(other.path, own.bundle.path)
    with pytest.raises(RefusedError, match="as registered"):
        predictions_of_day(own.home, MARKET, DAYS[0])
    with pytest.raises(RefusedError, match="as registered"):
        open_released(own.home, MARKET, "lob-moe@challenger")
    assert not PartitionKey("predictions", MARKET, DAYS[0], "t100ms", other.sha12, "batch").path(own.home).exists()


def test_registered_models_predict_no_other_clock(own: Small) -> None:
    record_registered(own.home, own.bundle.info, own.bundle.sha256, 1, "first", [])
    with pytest.raises(RefusedError, match="trained on clock t100ms"):
        predictions_of_day(own.home, MARKET, DAYS[0], "t1s")


@pytest.mark.parametrize(
    ("grid", "words"),
    [({"tick": "0.5", "lot": "0.001"}, "tick 0.5"), ({"tick": "0.1", "contract": "inverse"}, "contract inverse")],
)
def test_a_bundle_of_other_settings_predicts_nothing(own: Small, grid: dict[str, str], words: str) -> None:
    other = random_bundle(own.home.root / "bundles", "sim.BTCUSDT", "t100ms", grid=grid)
    with pytest.raises(RefusedError, match=f"trained with {words}"):
        build_predictions(own.home, MARKET, DAYS[0], other.path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperatures", {"entry": 1.0}),
        ("masked_heads", ["nose"]),
        ("scaling", {}),
        ("scaling", {"centre_bps": [1.0], "scale_bps": [1.0]}),
        ("model", {"layers": "two"}),
    ],
    ids=str,
)
def test_a_bundle_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path, key: str, value: Any) -> None:
    sound = random_bundle(tmp_path, "sim.BTCUSDT", "t100ms").info[key]
    changed = {**sound, **value} if value and key != "temperatures" and isinstance(value, dict) else value
    spoilt = random_bundle(tmp_path, "sim.BTCUSDT", "t100ms", **{key: changed})
    with pytest.raises(RefusedError, match="no model of this version") as caught:
        open_bundle(spoilt.path)
    assert "\n" not in str(caught.value)


def test_random_predictions_replay_byte_for_byte(small: Small) -> None:
    report = replay_random(small.home, MARKET, DAYS[1], 40)
    assert report["replayed"] == {f"{small.bundle.sha12} batch": 40}


def test_the_first_prediction_after_midnight_reads_the_day_before(small: Small) -> None:
    first = small.predictions(DAYS[1])
    assert first["valid"][1]
    report = replay(small.home, first["prediction_id"][1])
    assert report["equal"]
    assert report["rows_read"] > 1


def test_a_prediction_that_was_changed_is_named(own: Small) -> None:
    rows = own.predictions(DAYS[0])
    at = int(np.flatnonzero(rows["valid"])[10])
    rows["p_fill"][at] = np.nextafter(rows["p_fill"][at], 2.0)
    _rewrite(own, DAYS[0], rows)
    with pytest.raises(RefusedError, match="p_fill differs"):
        replay(own.home, rows["prediction_id"][at])
    other = at + 20
    assert replay(own.home, rows["prediction_id"][other])["equal"]


def test_features_built_otherwise_since_are_noticed(own: Small) -> None:
    rows = own.predictions(DAYS[0])
    write_features(own.home, DAYS[0], int(rows["ts_ns"][0]), seed=7)
    with pytest.raises(RefusedError, match="input_sha256 differs"):
        replay(own.home, rows["prediction_id"][-1])


def test_ids_that_are_none_and_predictions_that_do_not_stand(own: Small) -> None:
    rows = own.predictions(DAYS[0])
    name = parse_id(rows["prediction_id"][-1])
    assert (name.bundle, name.market, name.ts_ns) == (own.bundle.sha12, MARKET, int(rows["ts_ns"][-1]))
    with pytest.raises(BadInputError, match="is no id"):
        replay(own.home, "yesterday")
    missing = rows["prediction_id"][0].replace(str(rows["ts_ns"][0]), str(int(rows["ts_ns"][0]) - STEP))
    with pytest.raises(RefusedError, match="no row of that instant"):
        replay(own.home, missing)
    shutil.rmtree(own.bundle.path)
    with pytest.raises(RefusedError, match="give its folder"):
        replay(own.home, rows["prediction_id"][0])


def _rewrite(small: Small, date: str, rows: dict[str, np.ndarray]) -> None:
    """Publish other rows in the place of a day's predictions, past every gate."""
    import pyarrow as pa

    with PartitionWriter(small.home, small.key(date), PREDICTIONS) as writer:
        strings = {c.name: pa.array(rows[c.name], pa.string()) for c in PREDICTIONS.columns if c.dtype == "string"}
        writer.write({name: values for name, values in rows.items() if name not in strings}, strings)
        gate = judge("made_up", True, examined=ROWS, judged=ROWS)
        writer.commit(code_fingerprint="x", inputs={}, outcomes=[gate])


def write_labels(home: Home, date: str, times: np.ndarray, filled: np.ndarray) -> None:
    """Publish labels of instants and both sides: orders that are filled earn 1 bps, the others are null."""
    n = 2 * len(times)
    columns: Columns = {}
    for column in LABELS_TABLE.columns:
        if column.dtype == "float64":
            values: Any = np.where(filled, 1.0, np.nan)
        else:
            values = np.zeros(n, column.dtype)
            if column.name.startswith("filled") and column.dtype == "bool":
                values = filled.copy()
            if column.nullable:
                values = np.ma.MaskedArray(values, mask=np.zeros(n, np.bool_))
        columns[column.name] = values
    columns["ts_ns"], columns["side"] = np.repeat(times, 2), np.tile(np.array([-1, 1], np.int8), len(times))
    columns["valid"] = np.ones(n, np.bool_)
    columns["exit_maker_ratio"] = np.full(n, np.nan)
    write(home, LABELS_TABLE, date, columns, "labels")


def test_shadow_joins_orders_with_what_was_said_of_them(own: Small) -> None:
    with pytest.raises(RefusedError, match="labels"):
        shadow_report(own.home, MARKET, DAYS[0])
    rows = own.predictions(DAYS[0])
    times = rows["ts_ns"][::2][20:]
    filled = np.random.default_rng(3).random(2 * len(times)) < 0.4
    write_labels(own.home, DAYS[0], times, filled)
    report = shadow_report(own.home, MARKET, DAYS[0])
    (model,) = report.document["models"]
    mine = rows["valid"][40:]
    assert model["orders_with_a_label"] == 2 * len(times)
    assert model["orders_predicted"] == int(mine.sum())
    assert model["coverage"] == mine.sum() / (2 * len(times))
    assert model["fill_rate"]["predicted"] == pytest.approx(rows["p_fill"][40:][mine].mean())
    assert model["fill_rate"]["proportional"] == pytest.approx(filled[mine].mean())
    assert model["edge_given_a_fill_bps"]["proportional"] == 1.0
    assert sum(t["rows"] for t in model["tenths_of_value"]) == mine.sum()
    assert all(t["edge_an_order_bps"] == pytest.approx(t["fill_rate"]) for t in model["tenths_of_edge"])
    assert json.loads(report.path.read_text())["models"] == report.document["models"]
    assert own.bundle.sha12 in report.page.read_text()
    assert "<script" not in report.page.read_text()


def test_shadow_asks_each_side_its_own_order(own: Small) -> None:
    rows = own.predictions(DAYS[0])
    times = rows["ts_ns"][::2]
    write_labels(own.home, DAYS[0], times, np.tile([True, False], len(times)))  # every sell fills, no buy does
    (model,) = shadow_report(own.home, MARKET, DAYS[0]).document["models"]
    sells = rows["valid"] & (rows["side"] < 0)
    assert model["edge_given_a_fill_bps"]["predicted"] == pytest.approx(rows["edge_bps"][sells].mean())
    assert model["in_sample"] is None


def test_shadow_says_which_model_was_trained_on_the_day(own: Small) -> None:
    record_registered(own.home, own.bundle.info, own.bundle.sha256, 1, "first", [])
    times = own.predictions(DAYS[0])["ts_ns"][::2]
    write_labels(own.home, DAYS[0], times, np.ones(2 * len(times), np.bool_))
    document = shadow_report(own.home, MARKET, DAYS[0]).document
    assert document["models"][0]["in_sample"] is True
    assert "it was trained on this day (data up to 2026-01-07)" in document["reasons"][0]


def test_shadow_leaves_out_predictions_of_older_features(own: Small) -> None:
    rows = own.predictions(DAYS[0])
    write_labels(own.home, DAYS[0], rows["ts_ns"][::2], np.ones(2 * ROWS, np.bool_))
    write_features(own.home, DAYS[0], int(rows["ts_ns"][0]), seed=7)
    with pytest.raises(RefusedError, match="built again since"):
        shadow_report(own.home, MARKET, DAYS[0])
    other = random_bundle(own.home.root / "bundles", "sim.BTCUSDT", "t100ms", seed=5)
    build_predictions(own.home, MARKET, DAYS[0], other.path)
    document = shadow_report(own.home, MARKET, DAYS[0]).document
    assert [model["bundle"] for model in document["models"]] == [other.sha12]
    assert own.bundle.sha12 in document["reasons"][-1]


def test_shadow_compares_live_with_batch(own: Small) -> None:
    rows = own.predictions(DAYS[0])
    live = {name: values.copy() for name, values in rows.items()}
    at = int(np.flatnonzero(rows["valid"])[5])
    live["p_fill"][at] = 0.5
    moved = Small(own.home, own.bundle)
    import pyarrow as pa

    with PartitionWriter(own.home, moved.key(DAYS[0], "live"), PREDICTIONS) as writer:
        strings = {c.name: pa.array(live[c.name], pa.string()) for c in PREDICTIONS.columns if c.dtype == "string"}
        writer.write({name: values for name, values in live.items() if name not in strings}, strings)
        writer.commit(code_fingerprint="x", inputs={}, outcomes=[judge("made_up", True, examined=1, judged=1)])
    times = rows["ts_ns"][::2]
    write_labels(own.home, DAYS[0], times, np.ones(2 * len(times), np.bool_))
    (found,) = shadow_report(own.home, MARKET, DAYS[0]).document["live_against_batch"]
    valid = int(rows["valid"].sum())
    assert (found["valid_in_both"], found["equal"]) == (valid, valid - 1)


def test_shadow_of_a_day_without_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no predictions of"):
        shadow_report(Home(tmp_path), MARKET, DAYS[0])


def test_calibration_as_counted_by_hand() -> None:
    said = np.array([0.05, 0.06, 0.95, 1.0, np.nan, 0.5])
    real = np.array([0.0, 1.0, 1.0, 1.0, 1.0, np.nan])
    found = calibration(said, real)
    assert found["rows"] == 4
    assert [(b["from"], b["rows"], b["happened"]) for b in found["bins"]] == [(0.0, 2, 0.5), (0.9, 2, 1.0)]
    assert found["brier"] == pytest.approx((0.05**2 + 0.94**2 + 0.05**2) / 4)
    assert found["expected_calibration_error"] == pytest.approx((2 * 0.445 + 2 * 0.025) / 4)

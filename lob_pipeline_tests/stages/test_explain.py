"""One instant explained: its bytes are the file's, its row the lake's, its orders end as their labels say."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import NS_PER_S, format_ns
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.stages import explain as explain_stage
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.explain import explain, explain_lines
from lob_pipeline.stages.explain_raw import shortened
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import simulate

MARKET = parse_market("sim.BTCUSDT")
CLOCK = "t100ms"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str, Path]:
    """Six minutes of simulated market with books and labels (no features): home, date, the book archive."""
    root = tmp_path_factory.mktemp("explain")
    config = SimConfig(seed=3, days=1, minutes=6)
    report = simulate(root / "market", config)
    home, date = Home(root / "home"), config.dates[0]
    ingest(home, MARKET, report.files)
    assert not build_books(home, MARKET, date).refused
    assert not build_labels(home, MARKET, date).refused
    return home, date, report.files[0]


def label_instants(home: Home, date: str) -> list[int]:
    with open_partition(home, PartitionKey("labels", MARKET, date, CLOCK), LABELS_TABLE) as labels:
        columns = labels.read(["ts_ns", "valid"])
    return sorted({int(t) for t in columns["ts_ns"][columns["valid"].astype(bool)]})


def test_every_order_told_again_ends_as_its_label(day: tuple[Home, str, Path]) -> None:
    home, date, _ = day
    instants = label_instants(home, date)
    picked = np.random.default_rng(0).choice(instants, 25, replace=False)
    fills = set()
    for ts in picked:
        found = explain(home, MARKET, int(ts))
        assert [order["side"] for order in found["orders"]] == [1, -1]
        for order in found["orders"]:
            assert order["agrees_with_label"] is True
            assert order["fill_kind"] == order["label"]["fill_kind"]
            fills.add(order["fill"])
    assert len(fills) >= 2, fills


def test_the_raw_text_is_the_files_own_line(day: tuple[Home, str, Path]) -> None:
    home, date, archive = day
    with zipfile.ZipFile(archive) as packed:
        data = packed.read(packed.namelist()[0])
    ts = label_instants(home, date)[7]
    found = explain(home, MARKET, ts)
    before, closing = found["messages"]
    for message in (before, closing):
        raw = message["raw"]
        assert raw["file"] == archive.name
        line = data[raw["byte_offset"] : data.index(b"\n", raw["byte_offset"])].rstrip(b"\r")
        assert raw["text"] == shortened(line)
        assert data[: raw["byte_offset"]].count(b"\n") == raw["line"] - 1
        sent = json.loads(line)
        assert sent["data"]["u"] == message["update_id"]
        assert len(sent["data"]["b"]) + len(sent["data"]["a"]) == message["level_rows"]
    assert json.loads(data[before["raw"]["byte_offset"] :].split(b"\n")[0])["cts"] * 1_000_000 <= ts
    assert closing["ts_event_ns"] == found["row"]["close_ns"] > ts


def test_an_instant_between_two_rows_is_that_of_the_row_before(day: tuple[Home, str, Path]) -> None:
    home, date, _ = day
    ts = label_instants(home, date)[3]
    found = explain(home, MARKET, ts + 50_000_000)
    assert found["ts_ns"] == ts
    lines = list(explain_lines(found))
    assert lines[1] == f"asked for {format_ns(ts + 50_000_000)}: the row of the latest grid instant at or before it"
    assert any(line.startswith("Buy at the bid: 1 lot at") for line in lines)
    assert any("note: features of sim.BTCUSDT" in line for line in lines)
    json.dumps(found, allow_nan=False)


def test_features_come_with_their_formulas(day: tuple[Home, str, Path]) -> None:
    home, date, _ = day
    build_features(home, MARKET, date)
    found = explain(home, MARKET, label_instants(home, date)[5])
    spread = next(f for f in found["features"] if f["name"] == "spread_ticks")
    best = found["row"]["levels"][0]
    assert spread["value"] == best["ask_ticks"] - best["bid_ticks"]
    assert spread["formula"]


def test_a_label_that_does_not_follow_from_the_events_is_an_error(
    day: tuple[Home, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, date, _ = day
    stored = explain_stage._labels

    def shifted(home: Home, key: PartitionKey, row_ns: int) -> tuple[list[dict[str, object]], list[str]]:
        found, notes = stored(home, key, row_ns)
        return [{**label, "fill_delay_ns": 12_345} for label in found], notes

    monkeypatch.setattr(explain_stage, "_labels", shifted)
    with pytest.raises(LobError, match="the labels were made from other events"):
        explain(home, MARKET, label_instants(home, date)[3])


def test_an_instant_outside_the_day_is_bad_input_and_a_day_without_books_refused(day: tuple[Home, str, Path]) -> None:
    home, date, _ = day
    last = label_instants(home, date)[-1]
    with pytest.raises(BadInputError, match="its rows go from"):
        explain(home, MARKET, last - 3_600 * NS_PER_S)
    with pytest.raises(RefusedError, match="is not in the lake"):
        explain(home, MARKET, last + 3 * 86_400 * NS_PER_S)

"""A partition: what is written is what is read, published whole or not at all, and only used with its gates."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import QUOTES, TRADES, Column, Table
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import content_or_absent, must_follow, open_file, open_partition, open_standing
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline_tests.lake.helpers import KEY, MARKET, START_NS, gates_of, passed, publish, quotes, refused, tree

NULLS = Table(
    "labels",
    1,
    clocked=True,
    key=("ts_ns",),
    columns=(
        Column("ts_ns"),
        Column("edge_bps", "float64", nullable=True),
        Column("adverse", "bool", nullable=True),
        Column("fill_kind", "int8", nullable=True),
        Column("ofi", "float32"),
    ),
)


def test_rows_come_back_as_written_and_the_footer_describes_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    manifest, path = publish(home, rows=1000)
    assert path == tmp_path / "lake/quotes/venue=sim/symbol=BTCUSDT/date=2024-08-08/part-0.parquet"
    with open_partition(home, KEY, QUOTES) as partition:
        assert partition.manifest == manifest == read_manifest(path)
        assert partition.rows == manifest.rows == 1000
        for name, values in partition.read().items():
            np.testing.assert_array_equal(values, quotes(1000)[name])
        chunks = [c["order"] for c in partition.chunks(300, ["order"])]
    assert [c.shape[0] for c in chunks] == [300, 300, 300, 100]
    assert manifest.coverage == (START_NS, START_NS + 999_000_000)
    assert manifest.usable
    assert manifest.trainable
    assert list(list_partitions(home)) == [KEY]
    assert not home.staging.exists()


def test_other_programs_read_the_file(tmp_path: Path) -> None:
    _, path = publish(Home(tmp_path), rows=50)
    glob = str(tmp_path / "lake/quotes/**/*.parquet")
    options = "hive_partitioning=true, hive_types_autocast=false"
    query = f"select count(*), sum(bid_lots), min(date) from read_parquet(?, {options})"
    assert duckdb.execute(query, [glob]).fetchone() == (50, 350, "2024-08-08")
    assert pl.read_parquet(path)["ask_ticks"].sum() == 350


def test_nulls_travel_as_declared(tmp_path: Path) -> None:
    key = PartitionKey("labels", MARKET, "2024-08-08", "t1s")
    adverse = np.ma.MaskedArray(np.array([True, True, False]), mask=[False, True, False])
    kind = np.ma.MaskedArray(np.array([1, 9, 3], dtype=np.int8), mask=[False, True, False])
    nan = np.float32("nan")
    with PartitionWriter(Home(tmp_path), key, NULLS) as writer:
        writer.write(
            {
                "ts_ns": np.array([1, 2, 3]),
                "edge_bps": np.array([0.5, np.nan, -1.0]),
                "adverse": adverse,
                "fill_kind": kind,
                "ofi": np.array([1.0, nan, 2.0], dtype=np.float32),
            }
        )
        writer.commit(code_fingerprint="f", inputs={}, outcomes=gates_of("labels"))
    rows = duckdb.execute("select edge_bps, adverse, fill_kind, isnan(ofi) from read_parquet(?)", [str(writer.path)])
    assert rows.fetchall() == [(0.5, True, 1, False), (None, None, None, True), (-1.0, False, 3, False)]
    with open_partition(Home(tmp_path), key, NULLS) as partition:
        back = partition.read()
    assert isinstance(back["adverse"], np.ma.MaskedArray)
    assert back["adverse"].tolist() == [True, None, False]
    assert back["fill_kind"].tolist() == [1, None, 3]
    np.testing.assert_array_equal(back["edge_bps"], [0.5, np.nan, -1.0])


def test_strings_are_kept_in_order_over_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lob_pipeline.lake.writer.group_rows", lambda table: 64)
    ids = [f"id-{i}" for i in range(200)]
    key = PartitionKey("trades", MARKET, "2024-08-08")
    columns = {c.name: np.ones(200, dtype=c.dtype) for c in TRADES.columns if c.dtype != "string"}
    with PartitionWriter(Home(tmp_path), key, TRADES) as writer:
        for start in range(0, 200, 70):
            part = {n: v[start : start + 70] for n, v in columns.items()}
            writer.write(part, {"trade_id": pa.array(ids[start : start + 70])})
        writer.commit(code_fingerprint="f", inputs={}, outcomes=gates_of("trades"))
    with open_partition(Home(tmp_path), key, TRADES) as partition:
        assert partition.strings("trade_id").to_pylist() == ids
        assert "trade_id" not in partition.read()


def test_the_callers_arrays_may_be_reused(tmp_path: Path) -> None:
    buffer = quotes(10)
    with PartitionWriter(Home(tmp_path), KEY, QUOTES) as writer:
        writer.write(buffer)
        buffer["bid_ticks"][:] = -99
        writer.commit(code_fingerprint="f", inputs={}, outcomes=passed())
    with open_partition(Home(tmp_path), KEY, QUOTES) as partition:
        assert partition.read(["bid_ticks"])["bid_ticks"].tolist() == [7] * 10


@pytest.mark.parametrize("fault", ["dtype", "missing", "length"])
def test_a_chunk_of_another_shape_is_an_error(tmp_path: Path, fault: str) -> None:
    columns = quotes(4)
    if fault == "dtype":
        columns["order"] = columns["order"].astype(np.int32)
    elif fault == "missing":
        del columns["ask_lots"]
    else:
        columns["ask_lots"] = columns["ask_lots"][:2]
    with PartitionWriter(Home(tmp_path), KEY, QUOTES) as writer, pytest.raises((ValueError, KeyError)):
        writer.write(columns)
    assert tree(tmp_path) == {}


def _die_while_writing(home: Home) -> None:
    with PartitionWriter(home, KEY, QUOTES) as writer:
        writer.write(quotes(100_000))
        writer.flush()
        raise RuntimeError("boom")


def test_leaving_without_a_commit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"):
        _die_while_writing(Home(tmp_path))
    assert tree(tmp_path) == {}


def test_an_absent_gate_is_a_refused_gate(tmp_path: Path) -> None:
    home = Home(tmp_path)
    manifest, path = publish(home, outcomes=[])
    assert not manifest.usable
    assert path.is_relative_to(home.quarantine)
    with pytest.raises(RefusedError, match="no gate ran on it"):
        open_partition(home, KEY, QUOTES)
    warning = [judge("drift", True, examined=1, judged=1, severity="warning")]
    assert not publish(home, outcomes=warning)[0].usable


def test_a_file_put_into_the_lake_with_a_refused_gate_cannot_be_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _, path = publish(home, outcomes=refused())
    KEY.path(home).parent.mkdir(parents=True)
    path.rename(KEY.path(home))
    assert content_or_absent(home, KEY) == "absent"
    with pytest.raises(RefusedError, match="may not be used: schema: three rows are wrong"):
        open_partition(home, KEY, QUOTES)


def test_a_refused_replacement_takes_the_standing_partition_along(tmp_path: Path) -> None:
    home = Home(tmp_path)
    good, _ = publish(home, value=1)
    bad, path = publish(home, value=2, outcomes=refused())
    assert path == home.quarantine / KEY.folder / "0001" / "part-0.parquet"
    assert not KEY.path(home).exists()
    assert list(list_partitions(home)) == []
    assert read_manifest(path.parent / "standing" / "part-0.parquet") == good
    assert "three rows are wrong" in (path.parent / "reason.json").read_text()
    assert newest_refusal(home, KEY) == path
    assert open_file(path, QUOTES, KEY).manifest == bad
    with pytest.raises(RefusedError, match=r"was refused .*three rows are wrong"):
        open_partition(home, KEY, QUOTES)


def test_equal_refusals_do_not_pile_up_and_a_good_one_publishes_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = publish(home, value=2, outcomes=refused())[1]
    assert publish(home, value=2, outcomes=refused())[1] == first
    assert publish(home, value=3, outcomes=refused())[1].parent.name == "0002"
    publish(home, value=4)
    assert open_partition(home, KEY, QUOTES).read(["bid_lots"])["bid_lots"][0] == 4


def test_not_judged_publishes_and_bars_from_training(tmp_path: Path) -> None:
    outcomes = [*passed(), judge("warm", True, examined=5, judged=0)]
    manifest, _ = publish(Home(tmp_path), outcomes=outcomes)
    assert manifest.usable
    assert not manifest.trainable


def test_absent_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"is not in the lake .* run `lob ingest sim.BTCUSDT PATH`"):
        open_partition(Home(tmp_path), KEY, QUOTES)
    assert tree(tmp_path) == {}


def test_another_schema_is_not_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    publish(home)
    newer = Table(QUOTES.name, 2, False, QUOTES.key, QUOTES.columns)
    with pytest.raises(RefusedError, match="another schema than quotes version 2: rebuild it"):
        open_partition(home, KEY, newer)
    other = Table(QUOTES.name, 1, False, QUOTES.key, QUOTES.columns[:-1])
    with pytest.raises(RefusedError, match="another schema"):
        open_partition(home, KEY, other)


def test_the_file_of_another_partition_is_not_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _, path = publish(home)
    other = PartitionKey("quotes", MARKET, "2024-08-09")
    other.path(home).parent.mkdir(parents=True)
    other.path(home).write_bytes(path.read_bytes())
    with pytest.raises(RefusedError, match=r"another partition .*2024-08-08"):
        open_partition(home, other, QUOTES)
    assert content_or_absent(home, other) == "absent"


@pytest.mark.parametrize("keep", [0, 4, 300, -1])
def test_a_damaged_file_is_refused_by_name_and_counts_as_absent(tmp_path: Path, keep: int) -> None:
    home = Home(tmp_path)
    _, path = publish(home)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RefusedError, match="damaged"):
        open_partition(home, KEY, QUOTES)
    with pytest.raises(RefusedError, match="damaged"):
        read_manifest(path)
    assert content_or_absent(home, KEY) == "absent"
    publish(home, rows=7)  # and it is replaced like any other
    assert read_manifest(path).rows == 7


def test_what_never_stood_is_told_from_what_was_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert open_standing(home, KEY, QUOTES) is None
    publish(home, outcomes=refused())
    with pytest.raises(RefusedError, match="three rows are wrong"):
        open_standing(home, KEY, QUOTES)


def test_what_was_made_from_other_content_is_not_combined_with_its_source(tmp_path: Path) -> None:
    home = Home(tmp_path)
    publish(home)
    made = PartitionKey("quotes", MARKET, "2024-08-09")
    with open_partition(home, KEY, QUOTES) as source:
        content = source.manifest.content_sha256
    with PartitionWriter(home, made, QUOTES) as writer:
        writer.write(quotes(3))
        writer.commit(code_fingerprint="f", inputs={"quotes/2024-08-08": content}, outcomes=passed())
    with open_partition(home, KEY, QUOTES) as source, open_partition(home, made, QUOTES) as partition:
        must_follow(partition, source)
    publish(home, value=8)
    with (
        open_partition(home, KEY, QUOTES) as source,
        open_partition(home, made, QUOTES) as partition,
        pytest.raises(RefusedError, match="built from other quotes"),
    ):
        must_follow(partition, source)

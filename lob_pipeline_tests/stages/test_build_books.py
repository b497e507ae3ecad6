"""The books stage on a small lake: what it publishes, refuses, records, and how it meets its neighbours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.book.replay import replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, TRADES
from lob_pipeline.lake.home import Home, find_home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.stages.build_books import build_books, numeric_ids
from lob_pipeline.stages.verify import verify
from lob_pipeline_tests.book import defects
from lob_pipeline_tests.book.market import made_up, publish_day
from lob_pipeline_tests.book.streams import to_columns
from lob_pipeline_tests.naive.recordings import Recording

MARKET = parse_market("sim.BTCUSDT")
DAYS = ("2024-08-08", "2024-08-09")


@pytest.fixture(scope="module")
def recording() -> Recording:
    return made_up(Recording(instrument(MARKET)), *DAYS, messages=600)


@pytest.fixture
def home(tmp_path: Path, recording: Recording) -> Home:
    place = find_home(str(tmp_path))
    for date, messages in recording.days().items():
        publish_day(place, MARKET, date, recording, messages)
    return place


def _stored(home: Home, date: str) -> np.ndarray:
    with open_partition(home, PartitionKey("book_snapshots", MARKET, date, "t100ms"), BOOK_SNAPSHOTS) as partition:
        columns = partition.read()
    return np.column_stack([columns[name].astype(np.int64) for name in BOOK_SNAPSHOTS.names])


def test_rows_and_certificate_are_published(home: Home, recording: Recording) -> None:
    days = recording.days()
    for i, date in enumerate(DAYS):
        result = build_books(home, MARKET, date)
        assert not result.refused, result.reason
        expected = list(replay([to_columns(days[date])], recording.instrument, parse_clock("t100ms"), date))
        assert np.array_equal(_stored(home, date), np.concatenate(expected))
        certificate = verify(home, MARKET, date)
        assert certificate == result.manifest.certificate
        assert certificate["holds"]
        assert certificate["boundary_match"] is (True if i else None)
        assert certificate["top_of_book_match"]["compared"] == (300 if i else 299)
        assert set(result.manifest.inputs) == {
            f"l2_events/{date}",
            f"trades/{date}",
            f"quotes/{date}",
            f"book_snapshots/2024-08-0{7 + i}",
        }
        assert (result.manifest.inputs[f"book_snapshots/2024-08-0{7 + i}"] == "absent") == (i == 0)
        assert {o.name for o in result.manifest.outcomes if o.status != "passed"} == {"warm_rows"}


def test_the_order_of_days_does_not_change_the_rows(home: Home, tmp_path: Path, recording: Recording) -> None:
    other = find_home(str(tmp_path / "other"))
    for date, messages in recording.days().items():
        publish_day(other, MARKET, date, recording, messages)
    forwards = [build_books(home, MARKET, d).manifest.content_sha256 for d in DAYS]
    backwards = [build_books(other, MARKET, d).manifest.content_sha256 for d in reversed(DAYS)]
    assert forwards == backwards[::-1]


def test_another_clock_is_another_partition(home: Home) -> None:
    result = build_books(home, MARKET, DAYS[1], "t1s")
    assert result.clock == "t1s"
    assert verify(home, MARKET, DAYS[1], "t1s")["rows"] == result.manifest.rows == 29
    assert not PartitionKey("book_snapshots", MARKET, DAYS[1], "t100ms").path(home).exists()
    assert verify(home, MARKET, DAYS[1])["rows"] > 10 * 29  # built on the way: nobody had


def test_a_depth_index_bug_is_refused_and_takes_the_standing_partition_with_it(home: Home) -> None:
    good = build_books(home, MARKET, DAYS[1])
    bad = build_books(home, MARKET, DAYS[1], row_map=defects.depth_index_off_by_one)
    assert bad.refused
    assert "trade_touch_match" in bad.reason
    assert "top_of_book_on_rows" in bad.reason
    assert not good.path.exists()
    assert home.quarantine in bad.path.parents
    assert verify(home, MARKET, DAYS[1])["holds"] is False
    with pytest.raises(RefusedError, match="trade_touch_match"):
        _stored(home, DAYS[1])


@pytest.mark.parametrize(
    ("defect", "killer"),
    [
        (defects.sides_inverted_on_snapshots, "two_sided_uncrossed"),
        (defects.deltas_as_snapshots, "trade_touch_match"),
        (defects.sides_inverted, "trade_touch_match"),
        (defects.one_side_frozen, "trade_touch_match"),
        (defects.zero_sizes_kept, "top_of_book_match"),
    ],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_a_message_bug_is_refused_by_name(home: Home, recording: Recording, defect, killer: str) -> None:
    publish_day(home, MARKET, DAYS[0], recording, defect(recording.days()[DAYS[0]]))
    result = build_books(home, MARKET, DAYS[0])
    assert result.refused
    assert killer in {o.name for o in result.manifest.outcomes if o.status == "refused"}
    assert verify(home, MARKET, DAYS[0])["holds"] is False


def test_without_events_nothing_is_built(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="lob ingest"):
        build_books(find_home(str(tmp_path)), MARKET, DAYS[0])
    with pytest.raises(RefusedError, match="lob ingest"):
        verify(find_home(str(tmp_path)), MARKET, DAYS[0])


def test_trade_ids_are_numbers_or_none() -> None:
    import pyarrow as pa

    assert numeric_ids(pa.array(["3", "12"])).tolist() == [3, 12]
    assert numeric_ids(pa.array(["3", "5a7e-11"])) is None


def test_refused_trades_do_not_drop_the_check_against_them(home: Home) -> None:
    build_books(home, MARKET, DAYS[0])
    key = PartitionKey("trades", MARKET, DAYS[0])
    with PartitionWriter(home, key, TRADES) as writer:
        bad = judge("schema", False, examined=1, judged=1, message="a trade of no size")
        writer.commit(code_fingerprint="f", inputs={}, outcomes=[bad])
    with pytest.raises(RefusedError, match="a trade of no size"):
        build_books(home, MARKET, DAYS[0])


def test_the_certificate_stands_beside_its_partition_and_leaves_with_it(home: Home) -> None:
    result = build_books(home, MARKET, DAYS[1])
    beside = result.path.parent / "certificate.json"
    told = json.loads(beside.read_text())
    assert told == {"content_sha256": result.manifest.content_sha256, "certificate": verify(home, MARKET, DAYS[1])}
    assert {c["name"] for c in told["certificate"]["checks"]} >= {"rows_equal_levels", "trade_sides", "update_chain"}
    refused = build_books(home, MARKET, DAYS[1], row_map=defects.depth_index_off_by_one)
    assert not beside.exists()
    assert json.loads((refused.path.parent / "certificate.json").read_text())["certificate"]["holds"] is False
    assert (refused.path.parent / "standing" / "certificate.json").exists()


def test_books_without_their_certificate_gate_are_not_read(home: Home) -> None:
    result = build_books(home, MARKET, DAYS[1])
    key = PartitionKey("book_snapshots", MARKET, DAYS[1], "t100ms")
    with open_partition(home, key, BOOK_SNAPSHOTS) as partition, PartitionWriter(home, key, BOOK_SNAPSHOTS) as writer:
        writer.write(partition.read())
        some = [o for o in result.manifest.outcomes if o.name != "certificate"]
        manifest = writer.commit(code_fingerprint="f", inputs={}, outcomes=some, certificate={"holds": True})
    assert manifest.missing_gates == ("certificate",)
    with pytest.raises(RefusedError, match="without the gate certificate"):
        _stored(home, DAYS[1])

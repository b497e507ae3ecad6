"""What was spooled is published, once, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.home import Home
from lob_pipeline.live.forecast import Forecasts, Identity
from lob_pipeline.live.publish import live_key, merged, publish_all, publish_day
from lob_pipeline.live.rows import NUMBERS
from lob_pipeline.live.spool import RECORD, Spool, read_spool, records_of, spool_files, spooled_dates
from lob_pipeline.models.outputs import N_OUTPUTS
from lob_pipeline_tests.live.days import read_predictions
from lob_pipeline_tests.live.test_gates import IDENTITY, ROWS, forecasts

DAY = "2026-01-05"
DAY_NS = 1_767_571_200_000_000_000


def of_day(first: int, rows: int = ROWS) -> Forecasts:
    """Return forecasts of instants that begin ``first`` steps after midnight; no head says the same of both sides."""
    found = forecasts(rows)
    for at, column in enumerate((0, 1, *range(5, N_OUTPUTS))):  # all but direction
        found.numbers[:, column] += np.float32(0.01 * (at + 1))
    return found._replace(ts_ns=found.ts_ns + DAY_NS + 100_000_000 * first)


def spool(home: Home, found: Forecasts, identity: Identity = IDENTITY) -> Path:
    one = Spool(home, identity, DAY)
    for i in range(0, len(found.ts_ns), 50):
        one.append(records_of(Forecasts(*(part[i : i + 50] for part in found)), 7, 12.5))
    one.close()
    return one.path


def test_a_spool_comes_back_and_a_cut_record_is_ignored(tmp_path: Path) -> None:
    home = Home(tmp_path)
    path = spool(home, of_day(0))
    records, alias = read_spool(path, IDENTITY)
    assert len(records) == ROWS
    assert alias == ""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10)
    again, _ = read_spool(path, IDENTITY)
    assert again.tobytes() == records[:-1].tobytes()


def test_another_bundles_spool_is_refused(tmp_path: Path) -> None:
    path = spool(Home(tmp_path), of_day(0))
    path.write_bytes(path.read_bytes().replace(b"a" * 64, b"b" * 64))
    with pytest.raises(LobError, match="no spool of bundle"):
        read_spool(path, IDENTITY)


def test_published_rows_are_what_was_spooled_and_the_spool_is_gone(tmp_path: Path) -> None:
    home, found = Home(tmp_path), of_day(0)
    spool(home, found)
    assert spooled_dates(home, IDENTITY) == [DAY]
    publish_all(home, IDENTITY)
    assert spooled_dates(home, IDENTITY) == []
    rows = read_predictions(home, live_key(IDENTITY, DAY))
    assert (rows["ts_ns"] == np.repeat(found.ts_ns, 2)).all()
    assert (rows["ts_recv_ns"] == 7).all()
    assert (rows["latency_us"][rows["valid"]] == 12.5).all()


def test_a_second_session_adds_and_takes_nothing_away(tmp_path: Path) -> None:
    """It saw the last instants of the first again, cold, and then new ones."""
    home = Home(tmp_path)
    spool(home, of_day(0))
    publish_day(home, IDENTITY, DAY)
    before = read_predictions(home, live_key(IDENTITY, DAY))
    second = of_day(ROWS - 20)
    spool(home, second)
    result = publish_day(home, IDENTITY, DAY)
    assert result.manifest.usable
    after = read_predictions(home, live_key(IDENTITY, DAY))
    n = len(before["ts_ns"])
    assert len(after["ts_ns"]) == n + 2 * (ROWS - 20)
    for name, values in before.items():
        same = values.view(np.int64) == after[name][:n].view(np.int64) if name in NUMBERS else values == after[name][:n]
        assert np.asarray(same).all() or name == "latency_us", name
    assert (np.diff(after["ts_ns"][::2]) == 100_000_000).all()


def test_of_two_records_of_an_instant_the_first_valid_one_stays() -> None:
    rows = np.zeros(4, RECORD)
    rows["ts_ns"] = [5, 5, 4, 5]
    rows["valid"] = [False, True, True, True]
    rows["ts_recv_ns"] = [1, 2, 3, 4]
    found = merged([rows[:2], rows[2:]])
    assert found["ts_ns"].tolist() == [4, 5]
    assert found["ts_recv_ns"].tolist() == [3, 2]


def test_a_refused_day_keeps_its_spools(tmp_path: Path) -> None:
    home, found = Home(tmp_path), of_day(0)
    found.numbers[-1, 4] = 0.9  # p_up: direction sums to more than 1
    spool(home, found)
    result = publish_day(home, IDENTITY, DAY)
    assert not result.manifest.usable
    assert not live_key(IDENTITY, DAY).path(home).exists()
    assert len(spool_files(home, IDENTITY, DAY)) == 1

"""From recorded bytes to features: a market over midnight against an unbroken run, and parity of each day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.book.replay import replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import ROW
from lob_pipeline.features.batch import run_batch
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE, N_BUILT
from lob_pipeline.features.state import new_state
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.parity import parity
from lob_pipeline_tests.features.recordings import binance_events

pytestmark = pytest.mark.real
MARKET = parse_market("binance-usdm.BTCUSDT")
CLOCK = parse_clock("t100ms")
FILES = ("binance_usdm/btcusdt_20230404.gz", "binance_usdm/btcusdt_20230405.gz")
DAYS = ("2023-04-04", "2023-04-05")


@pytest.fixture(scope="module")
def home(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    ingest(home, MARKET, [real_data / file for file in FILES])
    for day in DAYS:
        assert not build_books(home, MARKET, day).refused
        assert not build_features(home, MARKET, day).refused
    return home


def test_two_days_apart_equal_one_unbroken_run(home: Home, real_data: Path) -> None:
    """The unbroken run is of events read by a plain JSON loop, with no partition and no midnight."""
    events = binance_events([real_data / file for file in FILES], instrument(MARKET))
    rows = np.concatenate(list(replay([events], instrument(MARKET), CLOCK, None)))
    expected, valid = run_batch(new_state(CLOCK, instrument(MARKET)), rows)
    done = 0
    for day in DAYS:
        with open_partition(home, PartitionKey("features", MARKET, day, CLOCK.id), FEATURES_TABLE) as partition:
            columns = partition.read()
        n = len(columns["ts_ns"])
        found = np.column_stack([columns[f.name] for f in BUILT])
        assert np.array_equal(columns["ts_ns"], rows[done : done + n, ROW["ts_ns"]])
        assert np.array_equal(found.view(np.uint32), expected[done : done + n].view(np.uint32))
        assert np.array_equal(columns["valid"], valid[done : done + n])
        done += n
    assert done == len(rows) > 5_000


@pytest.mark.parametrize("day", DAYS)
def test_batch_live_and_resumed_agree(home: Home, day: str) -> None:
    found = parity(home, MARKET, day)
    assert found["rows"] > 900
    assert found["warm_rows"] > 300
    assert found["values"] == found["rows"] * N_BUILT

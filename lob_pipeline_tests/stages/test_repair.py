"""A day with a hole, and its repair: what is masked meanwhile, what the better source replaces, what a reader sees."""

from __future__ import annotations

import gzip
import threading
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition, read_manifest
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.build_profile import build_profile
from lob_pipeline.stages.dossier import dossier, write_day_page
from lob_pipeline.stages.ingest import build_events, ingest, register
from lob_pipeline.stages.verify import verify

MARKET = parse_market("binance-usdm.BTCUSDT")
DATE = "2023-04-05"
FILES = ("btcusdt_20230404.gz", "btcusdt_20230405.gz")
CLOCK = "t100ms"


def with_hole(source: Path, target: Path) -> Path:
    """Write the recording without the depth updates of its third quarter."""
    lines = gzip.decompress(source.read_bytes()).splitlines(keepends=True)
    hole = range(len(lines) // 2, 3 * len(lines) // 4)
    kept = [line for i, line in enumerate(lines) if i not in hole or b"depthUpdate" not in line]
    assert len(kept) < len(lines)
    target.write_bytes(b"".join(kept))
    return target


def build_all(home: Home) -> None:
    for date in ("2023-04-04", DATE):
        assert not build_books(home, MARKET, date).refused
        build_profile(home, MARKET, date)
        assert not build_features(home, MARKET, date).refused
        assert not build_labels(home, MARKET, date).refused


@pytest.fixture(scope="module")
def holed(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("holed")
    first = real_data / "binance_usdm" / FILES[0]
    second = with_hole(real_data / "binance_usdm" / FILES[1], folder / "btcusdt_20230405.raw")
    home = Home(folder / "home")
    ingest(home, MARKET, [first, second])
    build_all(home)
    return home


def test_the_hole_is_placed_in_time_and_masked_downstream(holed: Home) -> None:
    certificate = read_manifest(PartitionKey("book_snapshots", MARKET, DATE, CLOCK).path(holed)).certificate
    assert certificate is not None
    assert certificate["holds"]
    assert len(certificate["gaps"]) == 1
    with open_partition(holed, PartitionKey("book_snapshots", MARKET, DATE, CLOCK), BOOK_SNAPSHOTS) as partition:
        books = partition.read(["ts_ns", "valid"])
    bad = books["ts_ns"][~books["valid"]]
    assert len(bad) * 100_000_000 == certificate["invalid_ns"] > 0
    with open_partition(holed, PartitionKey("features", MARKET, DATE, CLOCK), FEATURES_TABLE) as partition:
        features = partition.read(["ts_ns", "valid"])
    assert features["valid"].any()
    assert not features["valid"][np.isin(features["ts_ns"], bad)].any()
    with open_partition(holed, PartitionKey("labels", MARKET, DATE, CLOCK), LABELS_TABLE) as partition:
        labels = partition.read(["ts_ns", "valid", "t_end_ns"])
    assert labels["valid"].any()
    assert not np.isin(labels["ts_ns"], bad).any()  # an instant without a book has no order
    assert labels["t_end_ns"][labels["valid"]].max() <= bad.min()  # the hole lasts to the end of the day
    found = dossier(holed, MARKET, DATE)
    assert found.days[-1]["gaps"] == 1
    assert found.root is None


def test_a_better_source_replaces_the_day_at_once_with_its_lineage(
    holed: Home, real_data: Path, tmp_path: Path
) -> None:
    key = PartitionKey("l2_events", MARKET, DATE)
    before = read_manifest(key.path(holed))
    labels_before = read_manifest(PartitionKey("labels", MARKET, DATE, CLOCK).path(holed)).content_sha256
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(read_manifest(key.path(holed)).content_sha256)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        # Registered first, built afterwards: as it goes from the UI.
        days = register(holed, MARKET, [real_data / "binance_usdm" / name for name in FILES], replace=True)
        assert DATE in days
        build_events(holed, MARKET, DATE)
    finally:
        stop.set()
        reader.join()
    after = read_manifest(key.path(holed))
    assert seen <= {before.content_sha256, after.content_sha256}
    assert after.rows > before.rows
    assert [entry["content_sha256"] for entry in after.extra["lineage"]] == [before.content_sha256]
    build_all(holed)
    assert read_manifest(PartitionKey("labels", MARKET, DATE, CLOCK).path(holed)).content_sha256 != labels_before
    straight = Home(tmp_path / "straight")
    ingest(straight, MARKET, [real_data / "binance_usdm" / name for name in FILES])
    build_all(straight)
    for table in ("book_snapshots", "features", "labels"):
        place = PartitionKey(table, MARKET, DATE, CLOCK)
        assert read_manifest(place.path(holed)).content_sha256 == read_manifest(place.path(straight)).content_sha256
    found = dossier(holed, MARKET, DATE)
    assert found.headline == "every table of the day is in the lake and usable"
    page = write_day_page(holed, found).read_text("utf-8")
    assert before.content_sha256[:16] in page


def test_a_certificate_is_of_the_events_that_stand(real_data: Path, tmp_path: Path) -> None:
    """After a replacement the old book says nothing: it is built anew before anybody believes it."""
    home = Home(tmp_path / "home")
    first, second = (real_data / "binance_usdm" / name for name in FILES)
    ingest(home, MARKET, [first, second])
    assert verify(home, MARKET, DATE)["gaps"] == []
    holed = with_hole(second, tmp_path / "btcusdt_20230405.raw")
    ingest(home, MARKET, [holed], replace=True)
    assert len(verify(home, MARKET, DATE)["gaps"]) == 1

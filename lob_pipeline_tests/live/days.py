"""Homes with a market's days built by the batch stages, and the comparison of live with batch predictions."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.live.rows import VARYING
from lob_pipeline.registry.bundle import Bundle
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.predict import build_predictions
from lob_pipeline.stages.simulate import simulate
from lob_pipeline_tests.live.random_bundle import random_bundle


class Case(NamedTuple):
    """A recording of one market: its files in order, its days, its clock."""

    name: str
    market: str
    clock: str
    paths: tuple[Path, ...]
    dates: tuple[str, ...]

    def bundle(self, root: Path, seed: int = 1) -> Bundle:
        """Return a bundle of random weights for this market."""
        made = instrument(parse_market(self.market))
        grid = {"tick": str(made.tick), "lot": str(made.lot)}
        return random_bundle(root, self.market, self.clock, grid=grid, seed=seed)


def usdm(root: Path) -> Case:
    """Return the USDT-M recording that crosses midnight: deltas before their snapshot, audits, trades, quotes."""
    paths = tuple(root / "binance_usdm" / f"btcusdt_{day}.gz" for day in ("20230404", "20230405"))
    return Case("usdm", "binance-usdm.BTCUSDT", "t100ms", paths, ("2023-04-04", "2023-04-05"))


def nexo(root: Path) -> Case:
    """Return the spot recording of a quiet market: snapshots without a time, a book carried over midnight."""
    paths = tuple(root / "binance_spot" / f"nexousdt_{day}.gz" for day in ("20240723", "20240724"))
    return Case("nexo", "binance-spot.NEXOUSDT", "t1s", paths, ("2024-07-23", "2024-07-24"))


def simulated(folder: Path, minutes: int, days: int = 1) -> Case:
    """Return simulated days that end at midnight, each with the archive's closing snapshot."""
    report = simulate(folder, SimConfig(seed=3, days=days, minutes=minutes))
    books = tuple(folder / day.book for day in report.days)
    return Case("sim", "sim.BTCUSDT", "t100ms", books, tuple(day.date for day in report.days))


def build_days(home: Home, case: Case) -> None:
    """Ingest a case's files and build books and features of its days."""
    market = parse_market(case.market)
    ingest(home, market, list(case.paths))
    for date in case.dates:
        for build in (build_books, build_features):
            result = build(home, market, date, case.clock)
            assert not result.refused, result.reason


def predict_days(home: Home, case: Case, bundle: Bundle) -> None:
    """Predict a case's days in batch."""
    for date in case.dates:
        result = build_predictions(home, parse_market(case.market), date, bundle.path)
        assert not result.refused, result.reason


def predictions_key(case: Case, bundle: Bundle, date: str, origin: str) -> PartitionKey:
    """Return the partition of a bundle's predictions."""
    return PartitionKey("predictions", parse_market(case.market), date, case.clock, bundle.sha12, origin)


def read_predictions(home: Home, key: PartitionKey) -> dict[str, np.ndarray]:
    """Return every column of a predictions partition; strings as objects."""
    with open_partition(home, key, PREDICTIONS) as partition:
        return dict(partition.stretch(0, partition.rows))


def first_difference(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> str:
    """Return the first column and row in which two partitions differ bit by bit, '' where they are equal.

    Receive times and latencies are left out, nothing else.
    """
    for column in PREDICTIONS.columns:
        a, b = one[column.name], two[column.name]
        if column.name in VARYING:
            continue
        if len(a) != len(b):
            return f"{len(a)} rows against {len(b)}"
        if column.dtype == "float64":
            a, b = a.view(np.int64), b.view(np.int64)
        differs = np.flatnonzero(a != b)
        if len(differs):
            at = int(differs[0])
            return f"{column.name}, row {at}: {one[column.name][at]!r} against {two[column.name][at]!r}"
    return ""

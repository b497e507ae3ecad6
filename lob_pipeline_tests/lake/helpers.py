"""Small partitions to write, and a picture of a directory tree to compare."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import QUOTES
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import REQUIRED_GATES, Manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.writer import PartitionWriter

MARKET = parse_market("sim.BTCUSDT")
KEY = PartitionKey("quotes", MARKET, "2024-08-08")
START_NS = 1_723_075_200_000_000_000


def quotes(rows: int, value: int = 7) -> Columns:
    """Return ``rows`` rows of the quotes table in which every size column equals ``value``."""
    index = np.arange(rows, dtype=np.int64)
    columns: Columns = {name: np.full(rows, value, dtype=np.int64) for name in QUOTES.names}
    columns["order"] = index
    columns["ts_event_ns"] = START_NS + index * 1_000_000
    return columns


def passed(rows: int = 1) -> list[CheckOutcome]:
    """Return one gate that passed."""
    return [judge("schema", True, examined=rows, judged=rows)]


def gates_of(table: str, *more: CheckOutcome) -> list[CheckOutcome]:
    """Return every gate that ``table`` requires, passed, after ``more``."""
    named = {o.name for o in more}
    passes = (judge(name, True, examined=9, judged=9) for name in REQUIRED_GATES[table] if name not in named)
    return [*more, *passes]


def refused() -> list[CheckOutcome]:
    """Return one gate that refused."""
    return [judge("schema", False, examined=3, judged=3, message="three rows are wrong")]


def publish(
    home: Home, rows: int = 5, value: int = 7, outcomes: list[CheckOutcome] | None = None, key: PartitionKey = KEY
) -> tuple[Manifest, Path]:
    """Write and commit one quotes partition; return its manifest and where it went."""
    with PartitionWriter(home, key, QUOTES) as writer:
        writer.write(quotes(rows, value))
        manifest = writer.commit(
            code_fingerprint="f", inputs={"raw/ab": "ab"}, outcomes=passed(rows) if outcomes is None else outcomes
        )
    return manifest, writer.path


def tree(root: Path) -> dict[str, str]:
    """Return every path under ``root`` with its content hash (folders with ``/``): equal trees are equal dicts."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        found[name] = "/" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found

"""A small lake of features, labels and books: random values, real partitions, gates as asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, Table
from lob_pipeline.core.units import NS_PER_S, day_start_ns
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import REQUIRED_GATES
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import content_or_absent
from lob_pipeline.lake.writer import PartitionWriter

MARKET = parse_market("sim.BTCUSDT")
CLOCK = "t1s"
SPAN_NS = 90 * NS_PER_S
WRITTEN = ("spread_ticks", "ofi_l1_1s_lots", "log_return_1s_bps")
LABEL_SETTINGS: dict[str, Any] = {"config": {"q_lots": 1}, "fees_bps": {"maker": 2.0, "taker": 5.5, "as_of": "x"}}


def gates(table: str) -> list[CheckOutcome]:
    """Return the gates that a training set wants to see, all passed."""
    return [judge(name, True, examined=9, judged=9) for name in REQUIRED_GATES[table]]


def key_of(table: str, date: str) -> PartitionKey:
    """Return the key of a partition of the lake."""
    return PartitionKey(table, MARKET, date, CLOCK)


def book_columns(ts_ns: Any, seed: int) -> Columns:
    """Return book rows whose best prices tell the row they are of."""
    columns: Columns = {c.name: np.zeros(len(ts_ns), c.dtype) for c in BOOK_SNAPSHOTS.columns}
    columns["ts_ns"] = ts_ns
    columns["bid_ticks_1"] = 1000 + seed + ts_ns // (20 * NS_PER_S) % 7
    columns["ask_ticks_1"] = columns["bid_ticks_1"] + 2
    return columns


def feature_columns(ts_ns: Any, rng: np.random.Generator) -> Columns:
    """Return features: three random ones, the others 0; the first minute is NaN."""
    columns: Columns = {c.name: np.zeros(len(ts_ns), c.dtype) for c in FEATURES_TABLE.columns}
    columns["ts_ns"] = ts_ns
    for name in WRITTEN:
        columns[name] = rng.normal(size=len(ts_ns)).astype(np.float32)
        columns[name][:60] = np.nan
    columns["valid"] = ~np.isnan(columns[WRITTEN[0]])
    return columns


def label_columns(ts_ns: Any, rng: np.random.Generator) -> Columns:
    """Return labels of four rows in five, sells and buys in turn; fills share instants, spans past the day are invalid.
    """
    rows = ts_ns[rng.random(len(ts_ns)) < 0.8]
    n = 2 * len(rows)
    columns: Columns = {}
    columns["ts_ns"] = np.repeat(rows, 2)
    columns["side"] = np.tile(np.array([-1, 1], np.int8), len(rows))
    columns["t_decide_ns"] = columns["ts_ns"]
    columns["t_arrive_ns"] = columns["ts_ns"] + NS_PER_S // 20
    columns["t_end_ns"] = columns["t_arrive_ns"] + SPAN_NS
    valid = columns["valid"] = columns["t_end_ns"] < ts_ns[-1]
    for column in LABELS_TABLE.columns:
        if column.name in columns:
            continue
        suffix = next((s for s in ("_pess", "_opt") if column.name.endswith(s)), "")
        filled = valid & (np.arange(n) % 3 > 0 if suffix == "" else np.arange(n) % 4 > 1)
        if column.dtype == "float64":
            known = valid if column.name.startswith(("mid_return", "taker")) else filled & (np.arange(n) % 11 > 0)
            columns[column.name] = np.where(known, np.repeat(rng.normal(size=n // 2), 2) + np.arange(n) % 2, np.nan)
            if column.name == "mid_return_bps":  # of the instant: the same in both side rows
                columns[column.name][1::2] = columns[column.name][::2]
            continue
        delay = np.where(filled, 5 * NS_PER_S - columns["ts_ns"] % (5 * NS_PER_S), -1)
        value = {"filled": filled, "fill_delay_ns": delay, "adverse": filled & (np.arange(n) % 2 > 0)}
        own = value.get(column.name.removesuffix(suffix), np.zeros(n))
        null = ~filled if column.name.startswith("adverse") else ~valid
        columns[column.name] = np.ma.MaskedArray(own.astype(column.dtype), mask=null)
    for s in ("", "_pess", "_opt"):
        entry = np.ma.getdata(columns[f"filled{s}"]) & (np.nan_to_num(columns[f"edge_bps{s}"]) > 0)
        columns[f"entry{s}"] = np.ma.MaskedArray(entry, mask=~valid)
    return columns


def publish(
    home: Home,
    table: Table,
    date: str,
    columns: Columns,
    *,
    inputs: dict[str, str] | None = None,
    outcomes: list[CheckOutcome] | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write and commit one partition."""
    with PartitionWriter(home, key_of(table.name, date), table) as writer:
        writer.write(columns)
        writer.commit(
            code_fingerprint=code_fingerprint(table.name, instrument(MARKET)) if table == FEATURES_TABLE else "f",
            inputs=inputs or {},
            outcomes=gates(table.name) if outcomes is None else outcomes,
            certificate={"holds": True} if table == BOOK_SNAPSHOTS else None,
            extra=extra or {},
        )


def add_day(
    home: Home,
    date: str,
    *,
    seed: int = 0,
    from_s: int = 16 * 3600,
    rows: int = 8 * 3600,
    profiled: bool = False,
    outcomes: dict[str, list[CheckOutcome]] | None = None,
    settings: dict[str, Any] | None = None,
    without: str = "",
) -> None:
    """Put a day of books, features and labels into the lake; ``without`` leaves a table out."""
    rng = np.random.default_rng(seed)
    ts_ns = day_start_ns(date) + (from_s + 1 + np.arange(rows, dtype=np.int64)) * NS_PER_S
    said = outcomes or {}
    publish(home, BOOK_SNAPSHOTS, date, book_columns(ts_ns, seed), outcomes=said.get("book_snapshots"))
    inputs = {f"book_snapshots/{date}": content_or_absent(home, key_of("book_snapshots", date))}
    own = {"profile_version": "abc" if profiled else "none", "registry_sha256": "r"}
    if without != "features":
        found = feature_columns(ts_ns, rng)
        publish(home, FEATURES_TABLE, date, found, inputs=inputs, outcomes=said.get("features"), extra=own)
    if without != "labels":
        found = label_columns(ts_ns, rng)
        extra = {**LABEL_SETTINGS, **(settings or {})}
        publish(home, LABELS_TABLE, date, found, inputs=inputs, outcomes=said.get("labels"), extra=extra)

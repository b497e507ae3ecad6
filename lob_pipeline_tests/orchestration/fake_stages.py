"""Stage functions that keep the lake's rules and compute nothing: tiny partitions, content following their inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import judge
from lob_pipeline.core.tables import FIXED_TABLES, Table
from lob_pipeline.core.units import day_start_ns, shift_date
from lob_pipeline.features.registry import FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.ledger import append, raw_ledger
from lob_pipeline.lake.manifest import REQUIRED_GATES
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import content_or_absent, open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.expectations import DriftReport
from lob_pipeline.quality.schemas import check_schema
from lob_pipeline.resources import Stages, default_stages
from lob_pipeline.stages.days import event_inputs
from lob_pipeline.stages.ingest_merge import BookFacts
from lob_pipeline.stages.ingest_sources import Source as RawSource
from lob_pipeline.stages.layers import BOOKS, FEATURES, LABELS, PROFILE, RAW, Layer
from lob_pipeline.stages.result import StageResult, stage_result
from lob_pipeline_tests.lake.helpers import gates_of

TABLES = {**FIXED_TABLES, "features": FEATURES_TABLE, "labels": LABELS_TABLE}
ROWS = 3


def no_drift(_home: Home, _market: Market, _date: str) -> DriftReport:
    """Judge nothing: Great Expectations takes seconds to import, and tiny days have no drift."""
    return DriftReport((), None)


@dataclass
class Fake:
    """What to do wrong, and what was built. ``bad``, ``broken``: {(layer, market, date)} refused or raising."""

    bad: set[tuple[str, str, str]] = field(default_factory=set)
    broken: set[tuple[str, str, str]] = field(default_factory=set)
    salt: dict[str, str] = field(default_factory=dict)
    built: list[tuple[str, str, str]] = field(default_factory=list)

    def stages(self) -> Stages:
        """Return the functions for ``build_defs`` and ``run_stale``."""
        return replace(
            default_stages(),
            build_events=self._builder(RAW),
            build_books=self._builder(BOOKS),
            build_profile=self._builder(PROFILE),
            build_features=self._builder(FEATURES),
            build_labels=self._builder(LABELS),
            judge_drift=no_drift,
            judge_feature_drift=no_drift,
            judge_label_drift=no_drift,
        )

    def _builder(self, layer: Layer) -> Callable[[Home, Market, str], list[StageResult]]:
        def build(home: Home, market: Market, date: str) -> list[StageResult]:
            name = (layer.name, str(market), date)
            if name in self.broken:
                raise BadInputError(f"{market} {date}: broken on purpose")
            inputs = self._inputs(home, layer, market, date)
            results = [self._write(home, layer, table, market, date, inputs) for table in layer.tables]
            self.built.append(name)
            return results

        return build

    def _inputs(self, home: Home, layer: Layer, market: Market, date: str) -> dict[str, str]:
        if layer is RAW:
            return event_inputs(home, market, date)
        inputs = {}
        for source in layer.sources:
            day = shift_date(date, -source.days_back)
            key = PartitionKey(source.table, market, day, self._clock(source.table, market))
            if source.required:
                open_partition(home, key, TABLES[source.table]).close()
            inputs[f"{source.table}/{day}"] = content_or_absent(home, key)
        return inputs

    def _clock(self, table: str, market: Market) -> str | None:
        return instrument(market).clock if TABLES[table].clocked else None

    def _write(
        self, home: Home, layer: Layer, name: str, market: Market, date: str, inputs: dict[str, str]
    ) -> StageResult:
        table = TABLES[name]
        required = {k: v for k, v in inputs.items() if k.endswith(date) or k.startswith("raw/")}
        text = f"{name} {market} {date} {sorted(required.items())} {self.salt.get(layer.name, '')}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:2], "big")
        columns, strings = rows_of(table, date, seed)
        is_bad = (layer.name, str(market), date) in self.bad
        outcomes = [
            check_schema(table, {c: strings.get(c, columns.get(c)) for c in table.names}),
            judge("plausible", not is_bad, examined=ROWS, judged=ROWS, message="bad on purpose" if is_bad else ""),
        ]
        outcomes = gates_of(name, *outcomes) if name in REQUIRED_GATES else outcomes
        certificate = {"holds": not is_bad, "coverage": 1.0, "gaps": []} if name == "book_snapshots" else None
        with PartitionWriter(home, PartitionKey(name, market, date, self._clock(name, market)), table) as writer:
            writer.write(columns, strings)
            manifest = writer.commit(
                code_fingerprint=code_fingerprint(layer.stage, instrument(market)),
                inputs=inputs,
                outcomes=outcomes,
                certificate=certificate,
            )
        return stage_result(writer.key, manifest, writer.path)


def rows_of(table: Table, date: str, seed: int) -> tuple[Columns, dict[str, pa.Array]]:
    """Return ``ROWS`` rows that keep the declaration; ``seed`` decides the first column that is free to vary."""
    columns: Columns = {}
    strings: dict[str, pa.Array] = {}
    for column in table.columns:
        if column.dtype == "string":
            strings[column.name] = pa.array([str(i) for i in range(ROWS)])
            continue
        low = 0 if column.minimum is None else column.minimum
        columns[column.name] = np.full(ROWS, low, dtype=column.dtype)
    if table.key == ("cell",):
        columns["cell"] = np.arange(ROWS, dtype=np.int64)
        columns["messages_60s"] = columns["messages_60s"] + seed
        return columns, strings
    time = "ts_ns" if "ts_ns" in columns else "ts_event_ns"
    columns[time] = day_start_ns(date) + (np.arange(ROWS, dtype=np.int64) + 1) * 1_000_000_000
    free = {"features": "", "labels": "t_decide_ns", "book_snapshots": "close_ns"}.get(table.name, "ts_recv_ns")
    if free:
        columns[free] = columns[free] + seed
    else:
        columns[table.columns[2].name] = np.full(ROWS, 1 + seed % 7, dtype=table.columns[2].dtype)
    return columns, strings


def register_days(home: Home, market: Market, days: list[str], text: str = "") -> None:
    """Put a source of its own into the raw ledger for each day: what ``lob ingest`` does, without the bytes."""
    for day in days:
        start = day_start_ns(day)
        source = RawSource(
            market=str(market),
            sha256=hashlib.sha256(f"{market} {day} {text}".encode()).hexdigest(),
            name=f"{day}{text}.ndjson",
            size_bytes=0,
            tick="0.1",
            lot="0.001",
            first_ns=start + 1,
            last_ns=start + 2,
            has_recv=False,
            kinds={day: ["book", "trades"]},
            book=BookFacts(first=(start + 1, 0, 1, -1), first_is_snapshot=True),
        )
        append(raw_ledger(home), source.to_json())

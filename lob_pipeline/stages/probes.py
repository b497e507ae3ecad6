"""Probe truth on disk, and the queue models held against it: with the lake's labels, or on markets made in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.markets import settings
from lob_pipeline.labels.spec import (
    LABELS_TABLE,
    MARKOUT_NS,
    MODEL_SUFFIX,
    OPTIMISTIC,
    PESSIMISTIC,
    PROPORTIONAL,
    LabelConfig,
)
from lob_pipeline.lake.columns import arrow_schema, to_arrow, to_numpy
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.probe_study import PUBLISHED, UNBATCHED, study
from lob_pipeline.sim.probe_table import PROBES
from lob_pipeline.sim.truth_score import Comparison

_KEYS = ["ts_ns", "side", "valid", "t_arrive_ns"]
_FATE = ("filled", "fill_delay_ns")


def probes_file(date: str, symbol: str) -> str:
    """Return the name of a day's probe truth."""
    return f"{date}_{symbol}_probes.parquet"


def write_probes(path: Path, truth: Columns) -> dict[str, Any]:
    """Write ``PROBES`` whole or not at all; return its name, SHA-256 and counts."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(to_arrow(PROBES, truth, {}), part, store_schema=False)
    os.replace(part, path)
    filled = np.ma.filled(truth["filled"], False)
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "orders": len(filled),
        "valid": int(np.sum(truth["valid"])),
        "filled": int(filled.sum()),
    }


def read_probes(path: Path) -> Columns:
    """Return ``PROBES`` from its file. Raises ``BadInputError`` where there is none, or it is something else."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInputError(
            f"{path}: cannot be read as probe truth ({error}); `lob simulate --probes N --out DIR` writes it"
        ) from error
    if table.schema.names != arrow_schema(PROBES).names:
        raise BadInputError(f"{path}: this is not the probe truth that `lob simulate --probes N --out DIR` writes")
    return to_numpy(PROBES, table, list(PROBES.names))


def score_day(home: Home, market: Market, date: str, path: Path, clock: str | None = None) -> dict[str, Any]:
    """Return the score of the lake's labels of a day against the probe truth in ``path`` (``Comparison.report``).

    ``not_labelled``: probes whose decision row the lake has no label of. Raises ``BadInputError`` where the file is no
    probe truth, ``RefusedError`` where the labels are absent or of other orders.
    """
    truth = read_probes(path)
    columns = [*_KEYS, *(name + suffix for suffix in MODEL_SUFFIX.values() for name in _FATE)]
    markouts = [f"markout_{h}_bps{suffix}" for h in MARKOUT_NS for suffix in MODEL_SUFFIX.values()]
    columns += [name for name in markouts if name in LABELS_TABLE.names]
    key = PartitionKey("labels", market, date, clock or str(settings(market, home.markets)["clock"]))
    with open_partition(home, key, LABELS_TABLE) as labels:
        stored = labels.read(columns)
    place = {order: i for i, order in enumerate(zip(stored["ts_ns"].tolist(), stored["side"].tolist(), strict=True))}
    at = np.array([place.get(o, -1) for o in zip(truth["ts_ns"].tolist(), truth["side"].tolist(), strict=True)])
    found = at >= 0
    if not found.any():
        raise RefusedError(f"{path}: no probe decides in a row of {key}; is this the truth of the ingested files?")
    same = {name: column[found] for name, column in truth.items()}
    seed = np.zeros(int(found.sum()), np.int64)
    try:
        report = Comparison(same, {n: c[at[found]] for n, c in stored.items()}, LabelConfig(), seed).report()
    except ValueError as error:
        raise RefusedError(f"{path} against {key}: {error}") from error
    return {"market": str(market), "date": date, "not_labelled": int((~found).sum()), **report}


def score_markets(
    config: SimConfig, seeds: int, instants: int, progress: Callable[[float, str], None] | None = None
) -> dict[str, Any]:
    """Return ``sim.probe_study.study`` of the markets of ``config.seed`` and the next ones."""
    first = config.seed
    return study(replace(config, days=1), list(range(first, first + seeds)), instants, progress)


def score_lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield a score for a terminal: of one day, or of both feeds of simulated markets."""
    if "feeds" not in report:
        yield f"{report['market']} {report['date']}: {report['not_labelled']} probes without a label"
        yield from _feed_lines(report)
        return
    for feed, title in ((UNBATCHED, "event by event"), (PUBLISHED, "as published")):
        found = report["feeds"][feed]
        markets = len(found["markets"])
        yield f"{title}: " + (
            f"{markets} markets of {report['minutes']} minutes" if "seeds" in report else f"{report['market']}"
        )
        yield (
            f"  bracket holds the true fill rate in {found['markets_held']} of {markets}, "
            f"median width {found['median_width_points']:.2f} points"
        )
        yield from _feed_lines(found)
    yield "blur of batching (published - event by event):"
    for model, blur in report["blur"].items():
        yield (
            f"  {model:13} fill {blur['fill_points']:+.2f} points, {blur['outcome_differs_points']:.2f} % of orders "
            f"end otherwise, wait {blur['wait_ms']:+,.0f} ms, 5 s markout {blur['markout_5s_bps']:+.3f} bps"
        )
    for beside in report.get("recordings", []):
        days = f"{beside['days'][0]}..{beside['days'][-1]}"
        yield (
            f"recorded {beside['market']} {days}: bracket {beside['pessimistic']:.1%} to {beside['optimistic']:.1%}, "
            f"width {beside['width_points']:.2f} points; {beside['orders']:,} orders, {beside['distinct_fills']:,} "
            "distinct fills"
        )


def recorded_bracket(home: Home, market: Market, dates: list[str], clock: str | None = None) -> dict[str, Any]:
    """Return the bracket of the fill rate that the lake's labels of a recording give: its width needs no truth.

    ``distinct_fills``: distinct (t_fill, side) of the proportional model. Raises ``RefusedError`` where labels are
    absent or no row is valid.
    """
    names = ["ts_ns", "side", "valid", "t_arrive_ns", "fill_delay_ns", *(f"filled{s}" for s in MODEL_SUFFIX.values())]
    parts: list[Columns] = []
    for date in dates:
        key = PartitionKey("labels", market, date, clock or str(settings(market, home.markets)["clock"]))
        with open_partition(home, key, LABELS_TABLE) as labels:
            stored = labels.read(names)
        valid = np.asarray(stored["valid"], np.bool_)
        parts.append({name: np.ma.getdata(column)[valid] for name, column in stored.items()})
    rows = {name: np.concatenate([part[name] for part in parts]) for name in names}
    if not len(rows["ts_ns"]):
        raise RefusedError(f"{market} {dates[0]}..{dates[-1]}: no label is valid, so there is no bracket")
    rate = {name: float(rows["filled" + suffix].mean()) for name, suffix in MODEL_SUFFIX.items()}
    filled = rows["filled"].astype(np.bool_)
    fills = np.stack([rows["t_arrive_ns"] + rows["fill_delay_ns"], rows["side"].astype(np.int64)], axis=1)[filled]
    return {
        "market": str(market),
        "days": dates,
        "orders": len(rows["ts_ns"]),
        "distinct_fills": len(np.unique(fills, axis=0)),
        "pessimistic": round(rate[PESSIMISTIC], 4),
        "proportional": round(rate[PROPORTIONAL], 4),
        "optimistic": round(rate[OPTIMISTIC], 4),
        "width_points": round(100.0 * (rate[OPTIMISTIC] - rate[PESSIMISTIC]), 3),
    }


def _feed_lines(found: dict[str, Any]) -> Iterator[str]:
    bracket = found["bracket"]
    yield (
        f"  {found['orders']:,} orders, {found['distinct_true_fills']:,} distinct true fills, fill rate "
        f"{bracket['true']:.1%}; bracket {bracket['pessimistic']:.1%} to {bracket['optimistic']:.1%}; true fill within "
        f"the bounds of {bracket['coverage']:.1%} (within a message {bracket['coverage_within_a_message']:.1%})"
    )
    refused = found["rejected"]
    yield f"  {refused['orders']:,} orders were rejected in truth; of these the models fill " + ", ".join(
        f"{name} {0.0 if rate is None else rate:.1%}" for name, rate in refused["filled_all_the_same"].items()
    )
    for name, model in found["models"].items():
        yield (
            f"  {name:13} fill {_signed(model['bias_points'], model['half_interval_95_points'])} points, "
            f"error {model['error_points']:.2f}; wait {model['delay']['wait_bias_ms']:+,.0f} ms; 5 s markout "
            f"{_signed(model['markouts']['5s']['bias_bps'])} bps"
        )
    for by, thirds in found["thirds"].items():
        yield f"  proportional by third of {by}: " + "  ".join(
            f"{name} {_signed(third['models']['proportional']['bias_points'])}" for name, third in thirds.items()
        )


def _signed(value: float | None, half: float | None = None) -> str:
    shown = "none" if value is None else f"{value:+.2f}"
    return shown if half is None else f"{shown} ± {half:.2f}"

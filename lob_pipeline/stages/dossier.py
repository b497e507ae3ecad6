"""Why is this day (not) there? One day of a market, table by table: state, gates, certificate, history, what to do.

Everything is read from manifests, in the lake or in quarantine; nothing is judged anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.core.units import parse_date, shift_date
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import open_file
from lob_pipeline.lake.storage import storing
from lob_pipeline.quality.drift_suites import BOOKS
from lob_pipeline.stages.ingest_sources import registered
from lob_pipeline.stages.layers import TABLES, layer_of
from lob_pipeline.stages.plan import Planner, default_clock

HISTORY_DAYS = 14
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_COMMANDS = {
    "raw": "lob ingest {market} PATH... --replace",
    "books": "lob books {market} {date}",
    "profile": "lob profile {market} {date}",
    "features": "lob features {market} {date}",
    "labels": "lob labels {market} {date}",
}


@dataclass(frozen=True)
class Dossier:
    """What is known of a day. ``tables``: one entry a table in building order. ``days``: the book's figures of the day
    and of the trailing days that have any, oldest first. ``advice``: what to do, in sentences; empty when all is well.
    """

    market: str
    date: str
    clock: str
    tables: list[dict[str, Any]]
    days: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    advice: list[str] = field(default_factory=list)

    @property
    def root(self) -> dict[str, Any] | None:
        """The first table in building order that is refused or cannot be built: what the others wait for."""
        return next((t for t in self.tables if t["state"] in ("refused", "blocked")), None)

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The book's certificate, wherever it lies."""
        return next((t["certificate"] for t in self.tables if t["table"] == BOOK_SNAPSHOTS.name), None)

    @property
    def headline(self) -> str:
        """What holds the day back, in one sentence."""
        root = self.root
        if root is not None:
            refused = [g["name"] for g in root["gates"] if g["status"] == "refused" and g["severity"] == "gate"]
            return f"{root['table']} is {root['state']} by {', '.join(refused)}" if refused else (
                f"{root['table']} is {root['state']}: {root['why']}"
            )
        todo = [t for t in self.tables if t["state"] != "fresh"]
        if todo:
            return "; ".join(
                f"{t['table']} is {t['state']}" + (f" ({t['why']})" if t["why"] else "") for t in todo
            )
        return "every table of the day is in the lake and usable"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**self.__dict__, "headline": self.headline, "blocked": self.root is not None}


def dossier(home: Home, market: Market, date: str, clock: str | None = None) -> Dossier:
    """Gather what is known of one day (clocked tables at ``clock``, the market's own when None).

    Raises ``BadInputError`` for a date that is none or a market that is unknown.
    """
    parse_date(date)
    clock_id = clock or default_clock(market)
    planner = Planner(home)
    tables = [_table(home, planner, PartitionKey(t, market, date, _clock(t, clock_id))) for t in TABLES]
    sources = [
        {"name": s.name, "sha256": s.sha256, "size_bytes": s.size_bytes, "holds": s.kinds[date], "kept": s.kept}
        for s in registered(home).of_day(market, date)
    ]
    days = [
        found
        for back in range(HISTORY_DAYS, -1, -1)
        if (found := _day(home, planner, PartitionKey(BOOKS.table, market, shift_date(date, -back), clock_id)))
    ]
    _name_the_cause_once(tables)
    made = Dossier(str(market), date, clock_id, tables, days, sources)
    made.advice.extend(_advice(made))
    return made


def write_day_page(home: Home, found: Dossier, data_docs: Path | None = None) -> Path:
    """Write the day's page under ``HOME/reports/days``, whole or not at all, and return its path.

    ``data_docs``: the drift page of this day; the market's index stands in for it where none is given.
    """
    from lob_pipeline.evaluation.day_page import render_day

    path = home.reports / "days" / found.market / found.clock / f"{found.date}.html"
    docs = data_docs or home.reports / "data_docs" / found.market / found.clock / "site" / "index.html"
    links = {"Data Docs: every expectation of this market": os.path.relpath(docs, path.parent)} if docs.exists() else {}
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(render_day(found.to_json(), links), "utf-8")
        os.replace(staged, path)
    return path


def _clock(table: str, clock_id: str) -> str | None:
    return clock_id if layer_of(table).clocked else None


def _table(home: Home, planner: Planner, key: PartitionKey) -> dict[str, Any]:
    step, manifest = planner.judge(key), planner.manifest(key)
    refused = newest_refusal(home, key)
    stands = key.path(home).exists()
    return {
        "table": key.table,
        "state": step.state,
        "why": step.why,
        "rows": manifest.rows if manifest else 0,
        "gates": [outcome.to_json() for outcome in manifest.outcomes] if manifest else [],
        "certificate": manifest.certificate if manifest else None,
        "lineage": list(manifest.extra.get("lineage", [])) if manifest else [],
        "path": str(key.path(home)) if stands else None,
        "quarantine": str(refused.parent) if refused else None,
    }


def _name_the_cause_once(tables: list[dict[str, Any]]) -> None:
    """Say of what waits for a refused table only that it waits: the reason stands at that table."""
    refused = next((t["table"] for t in tables if t["state"] == "refused"), None)
    for entry in tables:
        if refused is not None and entry["state"] == "blocked":
            entry["why"] = f"waits for {refused}"


def _day(home: Home, planner: Planner, key: PartitionKey) -> dict[str, Any] | None:
    """Return quantiles over the minutes of a day's book and its certificate's counts; None where there is no book."""
    manifest = planner.manifest(key)
    path = key.path(home) if key.path(home).exists() else newest_refusal(home, key)
    if manifest is None or path is None:
        return None
    with open_file(path, BOOK_SNAPSHOTS, key) as partition:
        minutes = BOOKS.profile(partition.read(list(BOOKS.columns)))
    return {"date": key.date, "usable": manifest.usable, **_figures(minutes), **_counts(manifest)}


def _figures(minutes: Columns) -> dict[str, Any]:
    found: dict[str, Any] = {"minutes": len(next(iter(minutes.values())))}
    for metric in BOOKS.metrics:
        values = minutes[metric.name][np.isfinite(minutes[metric.name])]
        found[metric.name] = np.quantile(values.astype(np.float64), _QUANTILES).tolist() if len(values) else None
    return found


def _counts(manifest: Manifest) -> dict[str, Any]:
    certificate = manifest.certificate or {}
    names = ("coverage", "resets", "late_messages", "trade_id_gaps")
    return {"gaps": len(certificate.get("gaps", ())), **{name: certificate.get(name) for name in names}}


def _advice(found: Dossier) -> list[str]:
    """Return what to do about what is not fresh: the first cause first, since the rest follows from it."""
    where = {"market": found.market, "date": found.date}
    root = found.root
    rebuild = (
        f"then `lob run --market {found.market} --from {found.date} --to {found.date}`, or materialize partition "
        f"`{found.date}|{found.market}` of the stale assets in the UI"
    )
    if root is None:
        todo = [t["table"] for t in found.tables if t["state"] != "fresh"]
        return [f"{', '.join(todo)}: {rebuild.removeprefix('then ')}"] if todo else []
    command = _COMMANDS[layer_of(root["table"]).name].format(**where)
    if root["state"] == "blocked":
        return [f"no source of the day is registered: `{command.removesuffix(' --replace')}`, {rebuild}"]
    lines = [f"read the gates of {root['table']} below; the refused file lies in {root['quarantine']}"]
    lines.append(
        f"with a better source of the same day (the exchange's archive, another recorder): "
        f"`{_COMMANDS['raw'].format(**where)}` takes the standing one's place at once and keeps its lineage; {rebuild}"
    )
    if layer_of(root["table"]).name != "raw":
        lines.append(f"if the code was wrong and is mended: `{command}`, {rebuild}")
    return lines

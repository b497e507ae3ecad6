"""The first page from the lake: what a market looked like, whether its book can be trusted, what trading it costs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lob_pipeline import __version__
from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import parse_date
from lob_pipeline.evaluation.feasibility import feasibility
from lob_pipeline.evaluation.report import FirstPage, render
from lob_pipeline.labels.spec import fees_of
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest, read_manifest
from lob_pipeline.lake.paths import PART, PartitionKey, list_partitions
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.stages.survey import Progress, Survey, clock_of, crossing_of, empty_survey, survey


def first_page(
    home: Home,
    market: Market,
    first: str | None = None,
    last: str | None = None,
    clock: str | None = None,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the market's first page and return its path (``reports/`` in the home unless ``out`` names another).

    Days whose book was refused appear with their certificate and in no figure. Raises ``RefusedError`` when no day
    between ``first`` and ``last`` has a book at all, ``BadInputError`` when the page cannot be written.
    """
    page = build_page(home, market, first, last, clock, progress=progress)
    days = [c["date"] for c in page.certificates]
    span = days[0] if len(days) == 1 else f"{days[0]}_{days[-1]}"
    path = out or home.reports / f"first-page_{market}_{span}_{page.clock}.html"
    write_page(page, path)
    return path


def write_page(page: FirstPage, path: Path) -> None:
    """Write the page whole or not at all. Raises ``BadInputError`` when the place cannot be written."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(render(page), "utf-8")
        os.replace(staged, path)
    except OSError as error:
        if staged.exists():
            staged.unlink()
        raise BadInputError(f"{path} cannot be written ({error.strerror}): name another place for the page") from error


def build_page(
    home: Home,
    market: Market,
    first: str | None,
    last: str | None,
    clock: str | None,
    *,
    progress: Progress | None = None,
) -> FirstPage:
    """Gather the page's contents (see ``first_page`` for errors)."""
    clock_id = clock_of(home, market, clock)
    manifests = _manifests(home, market, clock_id, first, last)
    if not manifests:
        raise RefusedError(
            f"no book of {market} at {clock_id} was ever built in {home.root}: run `lob ingest {market} PATH`, "
            "then `lob run`"
        )
    usable = [day for day, manifest in manifests.items() if manifest.usable]
    if usable:
        found = survey(home, market, usable[0], usable[-1], clock_id, progress=progress)
    else:
        found = empty_survey(home, market, clock_id)
    costs = found.costs.summary()
    fees = fees_of(found.instrument)
    return FirstPage(
        market=str(market),
        clock=clock_id,
        certificates=[{"date": day, "certificate": m.certificate} for day, m in manifests.items() if m.certificate],
        overview=found.overview.summary(),
        costs=costs,
        feasibility=feasibility(found.overview.series(), fees, crossing_of(costs), found.labels),
        source=_sources(home, market, manifests),
        commands=_commands(market, clock_id, list(manifests)),
        notes=_notes(manifests, found),
    )


def _manifests(home: Home, market: Market, clock: str, first: str | None, last: str | None) -> dict[str, Manifest]:
    """Return the manifest of every day's book: the one in the lake, else that of its newest refusal."""
    for day in (first, last):
        if day is not None:
            parse_date(day)
    found: dict[str, Manifest] = {}
    for key in list_partitions(home, "book_snapshots"):
        if key.market == market and key.clock == clock:
            found[key.date] = read_manifest(key.path(home))
    folder = home.quarantine / PartitionKey("book_snapshots", market, "2000-01-01", clock).folder.parent
    for path in sorted(folder.glob(f"date=*/*/{PART}")):
        day = path.parent.parent.name.removeprefix("date=")
        refused = newest_refusal(home, PartitionKey("book_snapshots", market, day, clock))
        if day not in found and refused is not None:
            found[day] = read_manifest(refused)
    return {day: found[day] for day in sorted(found) if (first or "") <= day <= (last or "9999")}


def _sources(home: Home, market: Market, manifests: dict[str, Manifest]) -> list[str]:
    days = list(manifests)
    span = days[0] if len(days) == 1 else f"{len(days)} days"
    rows = 0
    for day in days:
        try:
            rows += read_manifest(PartitionKey("l2_events", market, day).path(home)).rows
        except FileNotFoundError:
            continue  # a refused or removed source: its rows are not in the lake
    return [f"{span}, {rows:,} level rows as sent"]


def _commands(market: Market, clock: str, days: list[str]) -> dict[str, str]:
    span = f"--market {market} --from {days[0]} --to {days[-1]} --clock {clock}"
    dates = days[0] if len(days) == 1 else f"{days[0]}..{days[-1]}"
    return {
        "overview": f"lob page {span}",
        "costs": f"lob costs {span}",
        "feasibility": f"lob feasibility {span}",
        "labels": f"lob feasibility {span}",
        "certificate": f"lob verify {market} {dates} --clock {clock}",
        "version": f"lob_pipeline {__version__}.",
    }


def _notes(manifests: dict[str, Manifest], found: Survey) -> list[str]:
    notes = list(found.notes)
    for day, manifest in manifests.items():
        if not manifest.usable:
            notes.append(f"The book of {day} was refused and is in no figure: {manifest.refusal}.")
            continue
        waiting = [o.name for o in manifest.gates if o.status == "not_judged"]
        if waiting:
            notes.append(f"{day}: too short to judge {', '.join(waiting)}; the day is published, not trained on.")
    return notes


def page_facts(page: FirstPage) -> dict[str, Any]:
    """Return what a command prints of a page."""
    return {
        "market": page.market,
        "clock": page.clock,
        "days": [c["date"] for c in page.certificates],
        "holds": page.holds,
        "rows": page.overview["rows"],
        "coverage": page.overview["coverage"],
        "sentence": page.feasibility["sentence"],
    }

"""The first page from the lake: what a market looked like, whether its book can be trusted, what trading it costs."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable
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
from lob_pipeline.stages.survey import Progress, Survey, clock_of, crossing_of, empty_survey, instrument_of, survey


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
        commands=_commands(home, market, clock_id, list(manifests)),
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


def _manifests_days(home: Home, market: Market, clock: str) -> list[str]:
    return list(_manifests(home, market, clock, None, None))


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


def _commands(home: Home, market: Market, clock: str, days: list[str]) -> dict[str, str]:
    there = f" --home {shlex.quote(str(home.root))}" if home.given else ""
    if clock != instrument_of(home, market).clock:
        there = f" --clock {clock}{there}"
    span = f"--market {market}"
    if days != _manifests_days(home, market, clock):
        span += f" --from {days[0]} --to {days[-1]}"
    span += there
    dates = days[0] if len(days) == 1 else f"{days[0]}..{days[-1]}"
    return {
        "overview": f"lob page {span}",
        "costs": f"lob costs {span}",
        "feasibility": f"lob feasibility {span}",
        "labels": f"lob feasibility {span}",
        "certificate": f"lob verify {market} {dates}{there}",
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


def try_recording(
    paths: list[Path],
    *,
    market: Market | None = None,
    tick: str | None = None,
    lot: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Take a recording through ingest, books and labels in a scratch home of its own and write its first page.

    ``market``: told from the content where it can be. The user's lake is not touched; the scratch home stays, so that
    other commands can look into it with ``--home``. Returns ``page_facts`` with ``page`` and ``home``.
    Raises ``BadInputError`` as ``ingest`` does, and when the content does not tell the market.
    """
    # a page from the lake needs none of the kernels that these bring
    from lob_pipeline.stages.build_books import build_books
    from lob_pipeline.stages.build_labels import build_labels
    from lob_pipeline.stages.guess_market import market_of, recorded_files
    from lob_pipeline.stages.ingest import ingest

    note, tell = progress or (lambda _share, _text: None), say or (lambda _line: None)
    files = recorded_files(paths, market)
    chosen, guessed = market_of(files, market)
    if guessed:
        tell(guessed)
    home = Home(Path(tempfile.mkdtemp(prefix="lob-try-")))
    note(0.05, "reading")
    report = ingest(home, chosen, files, tick=tick, lot=lot, keep=False).to_json()
    days = sorted({p["date"] for p in report["partitions"] if p["table"] == "l2_events" and not p["refused"]})
    refused = [f"{p['table']} of {p['date']} was refused: {p['reason']}" for p in report["partitions"] if p["refused"]]
    for i, day in enumerate(days):
        note(0.3 + 0.5 * i / len(days), f"books and simulated orders of {day}")
        if not build_books(home, chosen, day).refused:
            build_labels(home, chosen, day)
    note(0.85, "the page")
    page = build_page(home, chosen, None, None, None)
    page.notes.extend(refused)
    path = out or home.reports / f"first-page_{chosen}.html"
    write_page(page, path)
    note(1.0, "done")
    return {**page_facts(page), "page": str(path), "home": str(home.root)}


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

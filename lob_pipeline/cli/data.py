"""Commands that put data into the lake or judge what is there: ingest, books, features, labels, verify, parity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lob_pipeline.cli.output import (
    ClockOption,
    DateArgument,
    HomeOption,
    JsonOption,
    MarketArgument,
    emit,
    note,
    open_home,
    progress,
)

if TYPE_CHECKING:
    from lob_pipeline.core.instrument import Market
    from lob_pipeline.lake.home import Home
    from lob_pipeline.stages.result import StageResult


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("ingest")(ingest)
    for table, doc in STAGE_COMMANDS.items():
        app.command(table)(_stage_command(table, doc))
    app.command("verify")(verify)
    app.command("parity")(parity)


def ingest(
    market: MarketArgument,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="recorded files of this market, in stream order")
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="let other bytes take the place of a standing partition")
    ] = False,
    tick: Annotated[str | None, typer.Option(help="price step, for example 0.1")] = None,
    lot: Annotated[str | None, typer.Option(help="size step, for example 0.001")] = None,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="keep the sources under HOME/raw")] = True,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Recorded files become l2_events, trades and quotes.

    Example: lob ingest binance-usdm.BTCUSDT btcusdt_20230404.gz btcusdt_20230405.gz
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.ingest import ingest as run

    with progress("ingest") as update:
        report = run(
            open_home(home),
            parse_market(market),
            paths,
            replace=replace,
            tick=tick,
            lot=lot,
            keep=keep,
            progress=update,
        )
    emit(report.to_json(), as_json, _ingest_lines)
    return 3 if any(p["refused"] for p in report.to_json()["partitions"]) else 0


def _ingest_lines(report: dict[str, Any]) -> Iterator[str]:
    if not report["partitions"]:
        yield "nothing to do: these bytes are already in the lake"
    for part in report["partitions"]:
        fate = part["reason"] or "published"
        yield f"{part['table']:10} {part['market']} {part['date']}  {part['rows']:>12,} rows  {fate}"
    for name, count in {**report["skipped_lines"], **report["decoder_facts"]}.items():
        yield f"  {name:36} {count:>12,}"


def _each_day(
    market: str, date: str, home: Home, build: Callable[..., StageResult], table: str, clock: str | None
) -> list[StageResult]:
    from lob_pipeline.core.clock import parse_clock
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_dates
    from lob_pipeline.stages.days import days_with_events

    parsed = parse_market(market)
    if clock:
        parse_clock(clock)
    results = []
    for day in days_with_events(home, parsed, parse_dates(date)):
        results.append(build(home, parsed, day, clock))
        note(f"{table} {market} {day}: {results[-1].reason or 'published'}")
    return results


def _report(results: list[StageResult], as_json: bool) -> int:
    emit({"partitions": [r.to_json() for r in results]}, as_json, _partition_lines)
    return 3 if any(r.refused for r in results) else 0


def _partition_lines(report: dict[str, Any]) -> Iterator[str]:
    for part in report["partitions"]:
        yield f"{part['table']} {part['market']} {part['date']} {part['clock']}  {part['rows']:,} rows"
        for outcome in part["outcomes"]:
            judged = f"{outcome['rows_judged']:,} of {outcome['rows_examined']:,} rows judged"
            yield f"  {outcome['status']:10} {outcome['name']:28} {judged}  {outcome['message']}"


def _stage_command(table: str, doc: str) -> Callable[..., int]:
    """Return the command that builds one derived table: ``stages.build_<table>`` for each day."""

    def command(
        market: MarketArgument,
        date: DateArgument,
        clock: ClockOption = None,
        home: HomeOption = None,
        as_json: JsonOption = False,
    ) -> int:
        build = getattr(import_module(f"lob_pipeline.stages.build_{table}"), f"build_{table}")
        chosen = _after_profile(build) if table == "features" else build
        return _report(_each_day(market, date, open_home(home), chosen, table, clock), as_json)

    command.__doc__ = doc
    return command


def _after_profile(build: Callable[..., StageResult]) -> Callable[..., StageResult]:
    from lob_pipeline.stages.build_profile import ensure_profile

    def both(home: Home, market: Market, day: str, clock: str | None) -> StageResult:
        ensure_profile(home, market, day, clock)
        return build(home, market, day, clock)

    return both


STAGE_COMMANDS = {
    "books": "Events become certified book rows.\n\nExample: lob books binance-usdm.BTCUSDT 2023-04-04..2023-04-05",
    "profile": "What the 28 days before a day tell its features: usual spread and activity, the fitted micro-price.\n\n"
    "Example: lob profile sim.BTCUSDT 2026-01-08",
    "features": "Book rows and trades become features; the day's profile first where it is stale.\n\n"
    "Example: lob features binance-spot.NEXOUSDT 2024-07-24 --clock t1s",
    "labels": "Books, events and trades become the outcomes of simulated maker orders.\n\n"
    "Example: lob labels binance-spot.NEXOUSDT 2024-07-23..2024-07-24",
}


def verify(
    market: MarketArgument,
    date: DateArgument,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """The book certificate of a day; exit 3 when it does not hold.

    Example: lob verify binance-usdm.BTCUSDT 2023-04-05 --json
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_dates
    from lob_pipeline.stages.verify import verify as run

    place, parsed = open_home(home), parse_market(market)
    certificates = [run(place, parsed, day, clock) for day in parse_dates(date)]
    _emit_days(certificates, as_json, _certificate_lines)
    return 0 if all(c["holds"] for c in certificates) else 3


_FIRST = (
    *("market", "date", "holds", "messages", "level_rows", "snapshots", "rows", "warm_rows", "coverage", "gaps"),
    *("invalid_ns", "invalid_spans", "resets", "crossed", "locked", "late_messages", "trade_id_gaps", "truncated_rows"),
    *("unbridged_snapshots", "trade_touch_match", "closing_snapshot_match", "boundary_match", "top_of_book_match"),
    "depth_agreement",
)


def _certificate_lines(certificate: dict[str, Any]) -> Iterator[str]:
    for key in (*(k for k in _FIRST if k in certificate), *(k for k in certificate if k not in (*_FIRST, "checks"))):
        value = certificate[key]
        if key in ("gaps", "invalid_spans") and len(value) > 5:
            yield f"{key:24} {len(value)}, the first {value[0]}"
        elif isinstance(value, dict):
            yield f"{key:24} {', '.join(f'{name} {_short(v)}' for name, v in value.items())}"
        else:
            yield f"{key:24} {'not comparable' if value is None else value}"
    if "checks" in certificate:
        yield from _check_lines(certificate["checks"])


def _short(value: Any) -> str:
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _check_lines(checks: list[dict[str, Any]]) -> Iterator[str]:
    passed = sum(check["status"] == "passed" for check in checks)
    yield f"{'checks':24} {passed} of {len(checks)} passed"
    for check in checks:
        if check["status"] != "passed":
            words = check["status"].replace("_", " ") if check["severity"] == "gate" else "warns"
            yield f"  {check['name']:22} {words}: {check['message']}"


def parity(
    market: MarketArgument,
    date: DateArgument,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Batch, live engine and stop/resume, compared bit for bit; exit 3 on the first difference.

    Example: lob parity binance-usdm.BTCUSDT 2023-04-05
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_dates
    from lob_pipeline.stages.parity import parity as run

    place, parsed = open_home(home), parse_market(market)
    _emit_days([run(place, parsed, day, clock) for day in parse_dates(date)], as_json, None)
    return 0


def _emit_days(
    days: list[dict[str, Any]], as_json: bool, lines: Callable[[dict[str, Any]], Iterator[str]] | None
) -> None:
    """Print one day as its object, a range as one object that holds the days."""
    if as_json and len(days) > 1:
        emit({"days": days}, as_json)
        return
    for day in days:
        emit(day, as_json, lines)

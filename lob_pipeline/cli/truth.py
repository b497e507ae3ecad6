"""``lob truth``: what became of orders whose place in the queue is known: real ones, or probes in simulated markets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lob_pipeline.cli.output import (
    ClockOption,
    DateArgument,
    HomeOption,
    JsonOption,
    MarketArgument,
    emit,
    open_home,
    progress,
)


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("truth")(truth)


def truth(
    market: MarketArgument,
    date: DateArgument,
    out: Annotated[Path | None, typer.Option("--out", help="LOBSTER: where the table goes (Parquet)")] = None,
    probes: Annotated[
        Path | None,
        typer.Option("--probes", help="simulated: score the day's labels in the lake against this probe truth"),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=0, help="simulated: score the queue models on that many markets made in memory")
    ] = 0,
    seed: Annotated[int, typer.Option(help="with --seeds: the first of them")] = 1,
    minutes: Annotated[int, typer.Option(min=5, max=1440, help="with --seeds: minutes of market")] = 30,
    instants: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="with --seeds: random instants a market; LOBSTER: score the models at so many, in the real queue",
            show_default="1000 with --seeds",
        ),
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="with --seeds: btcusdt-2023 (fitted) or by-hand")] = (
        "btcusdt-2023"
    ),
    beside: Annotated[
        tuple[str, str] | None,
        typer.Option("--beside", metavar="MARKET DATES", help="with --seeds: the bracket of a recording's labels too"),
    ] = None,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """The true fate of orders: of every real one of a LOBSTER day; or the queue models' score where it is known.

    Example: lob truth lobster.GOOG 2012-06-21; lob truth sim.BTCUSDT 2026-01-05 --seeds 20
    """
    from lob_pipeline.core.errors import BadInputError
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_date, parse_dates

    named, day = parse_market(market), parse_date(date).isoformat()
    if named.venue == "lobster" and instants is not None and out is None and probes is None and not seeds:
        from lob_pipeline.stages.probes import score_lines
        from lob_pipeline.stages.recorded_probes import score_recording

        emit(score_recording(open_home(home), named, day, instants, seed), as_json, score_lines)
        return 0
    if probes is None and not seeds:
        from lob_pipeline.stages.order_truth import write_truth

        emit(write_truth(open_home(home), named, day, out), as_json, _lines)
        return 0
    from lob_pipeline.sim.presets import configured
    from lob_pipeline.stages.probes import recorded_bracket, score_day, score_lines, score_markets

    if named.venue != "sim" or out is not None or (probes is not None and seeds):
        raise BadInputError(
            "a score is of a simulated market: either --probes FILE (the lake's labels of the day) or --seeds N "
            "(markets made in memory), without --out"
        )
    if probes is not None:
        emit(score_day(open_home(home), named, day, probes, clock), as_json, score_lines)
        return 0
    config = configured(preset, seed=seed, days=1, minutes=minutes, first_day=day, market=market)
    with progress("truth") as update:
        report = score_markets(config, seeds, instants or 1000, update)
    if beside is not None:
        recording = recorded_bracket(open_home(home), parse_market(beside[0]), parse_dates(beside[1]), clock)
        report["recordings"] = [recording]
    emit(report, as_json, score_lines)
    return 0


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['market']} {report['date']}: {report['rows']:,} orders -> {report['path']}"
    for placed, counts in report["orders"].items():
        yield f"  {placed:8} " + "  ".join(f"{name} {count:,}" for name, count in counts.items())

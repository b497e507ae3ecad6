"""``lob truth``: what became of the real orders of a recording that names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lob_pipeline.cli.output import DateArgument, HomeOption, JsonOption, MarketArgument, emit, open_home


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("truth")(truth)


def truth(
    market: MarketArgument,
    date: DateArgument,
    out: Annotated[Path | None, typer.Option("--out", help="where the table goes (Parquet)")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """The fate of every real order of a LOBSTER day: queue ahead, executed lots, delays; a table and its counts.

    Example: lob truth lobster.GOOG 2012-06-21
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_date
    from lob_pipeline.stages.order_truth import write_truth

    day = parse_date(date).isoformat()
    emit(write_truth(open_home(home), parse_market(market), day, out), as_json, _lines)
    return 0


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['market']} {report['date']}: {report['rows']:,} orders -> {report['path']}"
    for placed, counts in report["orders"].items():
        yield f"  {placed:8} " + "  ".join(f"{name} {count:,}" for name, count in counts.items())

"""``lob markets``: what is known of the markets, and its refresh from the venues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from lob_pipeline.cli.output import HomeOption, JsonOption, emit, note, open_home

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    group = typer.Typer(help="Ticks, lots, contracts and fees of the markets.", no_args_is_help=True)
    group.command("refresh")(refresh)
    app.add_typer(group, name="markets")


def refresh(
    venue: Annotated[list[str] | None, typer.Option("--venue", help="one venue (again for more); default: all")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Fetch ticks, lots, contracts and base fees through ccxt into HOME/markets.toml; prints what is new.

    What you write above its marker line stays and wins. Example: lob markets refresh --venue bybit-linear
    """
    import datetime as dt

    from lob_pipeline.stages.refresh_markets import SOURCES, refresh_markets

    place = open_home(home)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    report = refresh_markets(place, venue or list(SOURCES), today=today)
    emit(report.to_json(), as_json, _lines)
    note(f"wrote {report.path}")
    return 0


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['markets']:,} markets, {len(report['added']):,} new, {len(report['changed']):,} changed"
    for name, changes in report["changed"].items():
        yield f"  {name}: " + ", ".join(f"{key} {before} -> {now}" for key, (before, now) in changes.items())
    for title in ("added", "gone"):
        names = report[title]
        if names:
            more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            yield f"  {title}: " + ", ".join(names[:_SHOWN]) + more
    for name, why in list(report["skipped"].items())[:_SHOWN]:
        yield f"  left out {name}: {why}"

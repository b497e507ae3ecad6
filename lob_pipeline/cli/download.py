"""``lob download``: days of a venue's public archive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lob_pipeline.cli.output import HomeOption, JsonOption, MarketArgument, emit, note, open_home, progress

if TYPE_CHECKING:
    from lob_pipeline.capture.download import DownloadReport
    from lob_pipeline.core.instrument import Market
    from lob_pipeline.lake.home import Home


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("download")(download)


def download(
    market: MarketArgument,
    date: Annotated[str, typer.Argument(metavar="FROM..TO", help="YYYY-MM-DD or FROM..TO, both included")],
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="a mirror: the archive's tree, or its files in one folder")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", help="connections at a time, 1 to 8")] = 2,
    then_ingest: Annotated[bool, typer.Option("--ingest", help="ingest each day that is complete")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Books and trades of Bybit's public archive into HOME/downloads/MARKET, resumed and verified.

    Exit 0: everything the archive has is here, days it lacks are listed; 1: a file failed after retries; 2: the
    archive has nothing of the range; 3: --ingest, and a gate refused a day.

    Example: lob download bybit-linear.BTCUSDT 2025-08-19..2025-08-22 --ingest
    """
    from lob_pipeline.capture.download import DownloadConfig
    from lob_pipeline.capture.download import download as run
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_dates

    place, parsed = open_home(home), parse_market(market)
    with progress("download") as update:
        report = run(
            place, parsed, parse_dates(date), DownloadConfig(base_url, jobs), progress=update, say=note
        )
    result = report.to_json()
    refused = _ingest(place, parsed, report, result) if then_ingest else False
    emit(result, as_json, _lines)
    return report.exit_code or (3 if refused else 0)


def _ingest(home: Home, market: Market, report: DownloadReport, result: dict[str, Any]) -> bool:
    """Ingest day by day, adding what became of it to ``result``. Return whether a gate refused one."""
    from lob_pipeline.stages.ingest import ingest

    result["partitions"] = []
    for date, paths in report.days():
        with progress(f"ingest {date}") as update:
            done = ingest(home, market, paths, progress=update).to_json()
        result["partitions"] += done["partitions"]
        note(f"{date}: {len(done['partitions'])} partitions written")
    return any(part["refused"] for part in result["partitions"])


def _lines(result: dict[str, Any]) -> Iterator[str]:
    for file in result["files"]:
        size = f"{file['bytes']:>14,} bytes" if "bytes" in file else ""
        yield f"{file['date']} {file['kind']:7} {file['status']:8}{size}  {file.get('why') or file.get('path', '')}"
    yield (
        f"{result['fetched']} fetched ({result['bytes']:,} bytes), {result['present']} were here, "
        f"{len(result['missing'])} not in the archive, {len(result['failed'])} failed: {result['folder']}"
    )
    for part in result.get("partitions", []):
        yield f"{part['table']:10} {part['date']}  {part['rows']:>12,} rows  {part['reason'] or 'published'}"

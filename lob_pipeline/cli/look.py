"""Commands that only look: schemas, registries, status, one instant explained, markets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from lob_pipeline.cli.output import ClockOption, DateArgument, HomeOption, JsonOption, MarketArgument, emit, open_home


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("schema")(schema)
    app.command("features-list")(features_list)
    app.command("labels-list")(labels_list)
    app.command("status")(status)
    app.command("explain")(explain)
    app.command("why")(why)


def schema(table: Annotated[str, typer.Argument(help="a table of the lake")], as_json: JsonOption = False) -> int:
    """The declared columns of a table.

    Example: lob schema book_snapshots
    """
    from lob_pipeline.core.errors import BadInputError
    from lob_pipeline.core.tables import FIXED_TABLES, PREDICTIONS
    from lob_pipeline.features.registry import FEATURES_TABLE
    from lob_pipeline.labels.spec import LABELS_TABLE

    tables = {**FIXED_TABLES, "features": FEATURES_TABLE, "labels": LABELS_TABLE, "predictions": PREDICTIONS}
    if table not in tables:
        raise BadInputError(f"table {table!r} is unknown: expected one of {', '.join(tables)}")
    declared = tables[table]
    result = {
        "table": declared.name,
        "version": declared.version,
        "key": declared.key,
        "clocked": declared.clocked,
        "columns": [asdict(column) for column in declared.columns],
    }
    emit(result, as_json, _schema_lines)
    return 0


def _schema_lines(result: dict[str, Any]) -> Iterator[str]:
    yield f"{result['table']} (version {result['version']}, key {', '.join(result['key']) or 'stream order'})"
    for column in result["columns"]:
        null = " or null" if column["nullable"] else ""
        yield f"  {column['name']:40} {column['dtype']}{null:8}  {column['doc']}"


def features_list(as_json: JsonOption = False) -> int:
    """Every feature: name, group, unit, formula, source, window, range, mirror, sets.

    Example: lob features-list --json
    """
    from lob_pipeline.features.registry import features_json

    emit({"features": features_json()}, as_json, _feature_lines)
    return 0


def _feature_lines(result: dict[str, Any]) -> Iterator[str]:
    for feature in result["features"]:
        built = "" if feature["built"] else "  (planned)"
        yield f"{feature['group']:12} {feature['name']:38} {feature['unit']:24} {feature['formula']}{built}"


def labels_list(as_json: JsonOption = False) -> int:
    """Every label column: name, unit, formula, the head that learns it.

    Example: lob labels-list --json
    """
    from lob_pipeline.labels.spec import labels_json

    emit({"labels": labels_json()}, as_json, _label_lines)
    return 0


def _label_lines(result: dict[str, Any]) -> Iterator[str]:
    for label in result["labels"]:
        yield f"{label['name']:28} {label['unit']:10} {label['formula']}"


def status(home: HomeOption = None, as_json: JsonOption = False) -> int:
    """What is in the lake, fresh, stale, refused; the newest verdicts; champion and challenger; the recorder.

    Example: lob status
    """
    from lob_pipeline.capture.heartbeat import read_heartbeat
    from lob_pipeline.stages.learned import learned
    from lob_pipeline.stages.plan import status as run

    where = open_home(home)
    emit({**run(where), "learned": learned(where), "recorder": read_heartbeat(where)}, as_json, _status_lines)
    return 0


def _status_lines(result: dict[str, Any]) -> Iterator[str]:
    yield f"home {result['home']}"
    if not result["partitions"]:
        yield "the lake is empty: start with `lob ingest` or `make demo`"
    for part in result["partitions"]:
        yield (
            f"{part['table']:14} {part['market']:24} {part['date']} {part['clock'] or '':7} "
            f"{part['state']:8} {part['rows']:>12,} rows  {part['why']}"
        )
    from lob_pipeline.stages.learned import learned_lines

    yield from learned_lines(result["learned"])
    beat = result["recorder"]
    if beat:
        state = beat["state"] if beat["alive"] or beat["state"] != "recording" else "gone without a word"
        yield (
            f"recorder {state}, last heard of {beat['age_s']:,.0f} s ago: {', '.join(beat['markets'])}; "
            f"{beat['frames_per_s']:,.0f} frames/s, lag {beat['lag_ms']:,.0f} ms, {beat['gaps']} gaps, "
            f"{beat['reconnects']} reconnects, {beat['disk_free_mib']:,} MiB free"
        )


def explain(
    market: MarketArgument,
    ts: Annotated[str, typer.Argument(metavar="TS", help="nanoseconds, or 2024-08-08T23:56:00.1Z")],
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """One instant, from raw bytes through book and features to both simulated orders, event by event.

    Example: lob explain binance-usdm.BTCUSDT 2023-04-05T00:03:00Z
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_instant
    from lob_pipeline.stages.explain import explain as run
    from lob_pipeline.stages.explain import explain_lines

    emit(run(open_home(home), parse_market(market), parse_instant(ts), clock), as_json, explain_lines)
    return 0


def why(
    market: MarketArgument,
    date: DateArgument,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Why a day is (not) there: table by table, with its gates, certificate, history, and what to do. Writes a page.

    Exit 0 whatever the answer is. Example: lob why bybit-linear.BTCUSDT 2025-01-03
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.dossier import dossier, write_day_page

    where = open_home(home)
    found = dossier(where, parse_market(market), date, clock)
    emit({**found.to_json(), "page": str(write_day_page(where, found))}, as_json, _why_lines)
    return 0


def _why_lines(result: dict[str, Any]) -> Iterator[str]:
    yield f"{result['market']} {result['date']} ({result['clock']}): {result['headline']}"
    for part in result["tables"]:
        yield f"  {part['table']:18} {part['state']:8} {part['rows']:>12,} rows  {part['why']}"
        for gate in part["gates"]:
            if gate["status"] != "passed":
                yield f"    {gate['name']:24} {gate['status'].replace('_', ' ')}  {gate['message']}"
    for sentence in result["advice"]:
        yield f"  -> {sentence}"
    yield f"page {result['page']}"

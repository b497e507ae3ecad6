"""Commands around a bundle: forecast live or a stored day, reproduce one forecast."""

from __future__ import annotations

from collections.abc import Iterator
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

BundleOption = Annotated[Path | None, typer.Option("--bundle", help="the folder of a bundle")]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME@ALIAS", help="a registered model, for example lob-moe@champion")
]


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("live")(live)
    app.command("predict")(predict)
    app.command("replay-prediction")(replay_prediction)


def live(
    market: MarketArgument,
    bundle: BundleOption = None,
    model: ModelOption = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="WS", help="websocket to listen to", show_default="the venue's own")
    ] = None,
    path: Annotated[
        list[Path] | None, typer.Option("--path", help="recorded files of one stream instead of a websocket")
    ] = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="stop when the server closes in good order instead of connecting again")
    ] = False,
    max_retries: Annotated[int, typer.Option(min=0, help="connections in a row that may fail")] = 10,
    status_s: Annotated[float, typer.Option(min=0.1, help="seconds between two lines of status")] = 5.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Predict a market as its messages arrive, beside whatever trades: the shadow engine never sends an order.

    Example: lob live bybit-linear.BTCUSDT --bundle data/bundles/0123456789ab
    """
    from lob_pipeline.core.errors import BadInputError
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.live.run import LiveOptions, run_live
    from lob_pipeline.stages.live_feed import LiveFeed
    from lob_pipeline.stages.predict import profile_source

    if url and path:
        raise BadInputError("give either --url or --path, not both")
    parsed = parse_market(market)
    where = open_home(home)
    opened = _opened(where, parsed, bundle, model)
    options = LiveOptions(url, tuple(path or ()), until_end, max_retries, status_s)
    report = run_live(where, opened, options, LiveFeed, note, profile_source(where, opened))
    emit(report, as_json, _live_lines)
    return 3 if any(p["refused"] for p in report["partitions"]) else 0


def _opened(home: Home, market: Market, bundle: Path | None, model: str | None) -> Any:
    """Return the bundle that the options name. Raises ``BadInputError`` unless exactly one does."""
    from lob_pipeline.core.errors import BadInputError
    from lob_pipeline.live.opened import open_bundle, open_released

    if (bundle is None) == (model is None):
        raise BadInputError("give either --bundle DIR or --model NAME@ALIAS")
    return open_bundle(bundle, market) if bundle else open_released(home, market, str(model))


def _live_lines(report: dict[str, Any]) -> Iterator[str]:
    for key in ("market", "clock", "bundle", "messages", "rows", "valid_predictions", "times_track_was_lost"):
        yield f"{key:24} {report[key]}"
    for partition in report["partitions"]:
        state = f"refused: {partition['reason']}" if partition["refused"] else "published"
        if partition["not_judged"]:
            state += f", not judged: {', '.join(partition['not_judged'])}"
        yield f"{partition['partition']}: {partition['rows']:,} rows {state}"
    if "warning" in report:
        yield report["warning"]


def predict(
    market: MarketArgument,
    date: DateArgument,
    bundle: BundleOption = None,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Predict stored days: with a bundle, else with the registered champion and challenger.

    Example: lob predict sim.BTCUSDT 2026-01-05 --bundle data/bundles/0123456789ab
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_dates
    from lob_pipeline.stages.predict import build_predictions, predictions_of_day

    parsed, where = parse_market(market), open_home(home)
    days = parse_dates(date)
    results = []
    with progress("predictions") as update:
        for i, day in enumerate(days):
            update(i / len(days), day)
            if bundle is not None:
                results.append(build_predictions(where, parsed, day, bundle, clock))
            else:
                results += predictions_of_day(where, parsed, day, clock).results.values()
    emit({"partitions": [r.to_json() for r in results]}, as_json, _predict_lines)
    return 3 if any(r.refused for r in results) else 0


def _predict_lines(report: dict[str, Any]) -> Iterator[str]:
    for result in report["partitions"]:
        valid = next(o["rows_judged"] for o in result["outcomes"] if o["name"] == "valid_predictions")
        state = f"refused: {result['reason']}" if result["refused"] else f"{valid:,} valid instants"
        yield f"{result['date']} {result['rows']:,} rows, {state}"


def replay_prediction(
    prediction: Annotated[str | None, typer.Argument(metavar="[ID]", help="a prediction_id")] = None,
    bundle: BundleOption = None,
    random: Annotated[int | None, typer.Option("--random", min=1, help="so many of a day's valid predictions")] = None,
    market: Annotated[str | None, typer.Option("--market", help="venue.SYMBOL, with --random")] = None,
    date: Annotated[str | None, typer.Option("--date", help="YYYY-MM-DD, with --random")] = None,
    seed: Annotated[int, typer.Option(help="which ones --random takes")] = 1,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute one past prediction again, from its bundle and the stored features, and compare it byte for byte.

    Example: lob replay-prediction 0123456789ab-sim.BTCUSDT-t100ms-1767628800000000000-b
    """
    from lob_pipeline.core.errors import BadInputError
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.replay_prediction import replay, replay_random

    where = open_home(home)
    if random is None:
        if prediction is None:
            raise BadInputError("give a prediction_id, or --random N --market M --date D")
        report = replay(where, prediction, bundle)
    else:
        if prediction is not None or market is None or date is None:
            raise BadInputError("--random takes --market and --date, and no prediction_id")
        report = replay_random(where, parse_market(market), date, random, bundle, seed)
    emit(report, as_json)
    return 0

"""Commands from labels to the verdict: train, walk-forward, verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lob_pipeline.cli.output import ClockOption, HomeOption, JsonOption, emit, note, open_home

if TYPE_CHECKING:
    from lob_pipeline.core.instrument import Market
    from lob_pipeline.lake.home import Home
    from lob_pipeline.stages.recipe import Recipe

MarketOption = Annotated[str, typer.Option("--market", help="venue.SYMBOL, for example sim.BTCUSDT")]
FromOption = Annotated[str | None, typer.Option("--from", help="first day", show_default="28 days before the last")]
ToOption = Annotated[str | None, typer.Option("--to", help="last day (as of)", show_default="the last with labels")]
PresetOption = Annotated[
    str | None, typer.Option("--preset", help="demo (small) or full", show_default="full; demo on simulated markets")
]
FeatureOption = Annotated[
    str, typer.Option("--features", help="full89, orderflow15, static73 or full89+tape: the network's inputs")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="same seed, same model")]


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("walk-forward")(walk_forward)
    app.command("verdict")(verdict)
    app.command("train")(train)


def _window(home: Home, market: Market, clock: str | None, first: str | None, last: str | None) -> tuple[str, int]:
    """Return the as-of day and the length of the window in days that the options name."""
    from lob_pipeline.core.errors import BadInputError, RefusedError
    from lob_pipeline.core.units import parse_date
    from lob_pipeline.stages.survey import clock_of, days_in_lake
    from lob_pipeline.stages.training_set import WINDOW_DAYS

    if last is None:
        labelled = days_in_lake(home, "labels", market, clock_of(home, market, clock), first, None)
        if not labelled:
            raise RefusedError(
                f"{home.root} has no labels of {market}: run `lob run --market {market}` (after `lob ingest`) first"
            )
        last = labelled[-1]
    if first is None:
        return last, WINDOW_DAYS
    days = (parse_date(last) - parse_date(first)).days + 1
    if days < 1:
        raise BadInputError(f"--from {first} lies after --to {last}: give the earlier day first")
    return last, days


def _recipe(market: Market, preset: str | None, **given: Any) -> Recipe:
    from dataclasses import replace

    from lob_pipeline.stages.recipe import default_recipe

    recipe = default_recipe(market)
    return replace(recipe, preset=preset or recipe.preset, **given)


def walk_forward(
    market: MarketOption,
    first: FromOption = None,
    last: ToOption = None,
    preset: PresetOption = None,
    features: FeatureOption = "full89",
    contenders: Annotated[
        str | None, typer.Option(help="models of the table, by comma", show_default="baselines and three networks")
    ] = None,
    rolling: Annotated[int, typer.Option(min=0, help="train on the last N blocks only (0: on all before)")] = 0,
    placebo: Annotated[
        int | None, typer.Option(min=0, help="permute the outcomes in blocks by this seed: the run must refuse")
    ] = None,
    seed: SeedOption = 1,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Fit every model in every fold, judge it on the next block, and write report and verdict.

    Folds that an interrupted run finished are kept. Example: lob walk-forward --market sim.BTCUSDT
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.walk_forward import walk_forward as run
    from lob_pipeline.stages.walk_lines import walk_lines

    where, name = open_home(home), parse_market(market)
    given: dict[str, Any] = {"feature_set": features, "rolling_blocks": rolling, "seed": seed}
    if contenders:
        given["contenders"] = tuple(part.strip() for part in contenders.split(",") if part.strip())
    if placebo is not None:
        given["placebo_seed"] = placebo
    as_of, days = _window(where, name, clock, first, last)
    result = run(where, name, as_of, clock, recipe=_recipe(name, preset, **given), window_days=days, say=note)
    emit(result.to_json(), as_json, walk_lines)
    return 0


def verdict(
    market: MarketOption,
    first: FromOption = None,
    last: ToOption = None,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Does the model deserve capital? TRADE, DO_NOT_TRADE or NOT_ENOUGH_DATA, with the reasons and the gates.

    Runs the walk-forward where it has not been run on these days. Example: lob verdict --market sim.BTCUSDT --json
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.verdict import verdict as run
    from lob_pipeline.stages.walk_lines import verdict_lines

    where, name = open_home(home), parse_market(market)
    as_of, days = _window(where, name, clock, first, last)
    emit(run(where, name, as_of, clock, window_days=days, say=note).to_json(), as_json, verdict_lines)
    return 0


def train(
    market: MarketOption,
    first: FromOption = None,
    last: ToOption = None,
    preset: PresetOption = None,
    features: FeatureOption = "full89",
    seed: SeedOption = 1,
    register: Annotated[bool, typer.Option("--register", help="then register it as challenger")] = False,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Train the network on every usable day of the window (the last 20 % held out): what is registered.

    An interrupted training goes on from its last epoch. The verdict that stands on the same days and recipe goes into
    the bundle. Example: lob train --market sim.BTCUSDT --register
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.train import train as run

    where, name = open_home(home), parse_market(market)
    as_of, days = _window(where, name, clock, first, last)
    recipe = _recipe(name, preset, feature_set=features, seed=seed)
    result = run(where, name, as_of, clock, recipe=recipe, window_days=days, say=note).to_json()
    if register:
        from lob_pipeline.stages.register import register_model

        result["registered"] = register_model(where, name, as_of, clock, say=note).to_json()
    emit(result, as_json, _train_lines)
    return 0


def _train_lines(result: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{result['state']}  {result['parameters']:,} parameters, {result['features']} features, "
        f"{result['rows']:,} training rows, {result['epochs']} epochs (best: {result['best_epoch']})"
    )
    for name, twin in result["left_out"]:
        yield f"left out {name}: at {result['clock']} its window is that of {twin}"
    if result["masked_heads"]:
        yield f"masked (fewer than 50 positives): {', '.join(result['masked_heads'])}"
    yield f"model   {result['folder']}"
    release = result.get("registered")
    if release:
        yield f"release {release['name']} {release['semver']} ({release['state']}), bundle {release['bundle']}"
    else:
        yield f"next    lob verdict --market {result['market']} judges the recipe; --register makes a challenger of it"



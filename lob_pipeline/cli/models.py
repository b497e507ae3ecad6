"""Commands of the registry: what is registered, who is champion, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from lob_pipeline.cli.output import HomeOption, JsonOption, emit, note, open_home

WhyOption = Annotated[str, typer.Option("--why", help="the reason, written into the ledger")]
OfMarketOption = Annotated[
    str | None, typer.Option("--market", help="venue.SYMBOL", show_default="the only one there is")
]


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("models")(models)
    app.command("promote")(promote)
    app.command("rollback")(rollback)


def models(
    repair: Annotated[bool, typer.Option("--repair", help="make MLflow's store what the release ledger says")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Every registered model: version, aliases, market, verdict, bundle; from the release ledger alone.

    Example: lob models --json
    """
    from lob_pipeline.stages.promote import models as listing
    from lob_pipeline.stages.promote import repair as run

    place = open_home(home)
    result = {**(run(place, say=note) if repair else {}), **listing(place)}
    emit(result, as_json, _model_lines)
    return 0


def _model_lines(result: dict[str, Any]) -> Iterator[str]:
    yield from (f"repaired: {sentence}" for sentence in result.get("repaired", ()))
    if not result["models"]:
        yield f"nothing is registered ({result['ledger']}): `lob train`, then `lob run`, register a challenger"
        return
    yield f"{'model':12} {'version':16} {'aliases':11} {'market':24} {'clock':7} as of       {'verdict':16} bundle"
    for one in result["models"]:
        version = f"{one['version']} ({one['semver']})"
        yield (
            f"{one['name']:12} {version:16} {', '.join(one['aliases']) or '-':11} {one['market']:24} "
            f"{one['clock']:7} {one['as_of']}  {one['verdict']:16} {one['bundle_sha12']}  registered {one['at']}"
        )


def promote(
    model: Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="for example lob-moe@challenger or lob-moe@1.2.0")],
    why: WhyOption,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="same recipe on newer data: judge it against the champion")
    ] = False,
    market: OfMarketOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a registered model champion if every gate passes; exit 3 with the reason when one does not.

    Example: lob promote lob-moe@challenger --why "five folds positive, a week in shadow"
    """
    from lob_pipeline.stages.promote import promote as run

    emit(run(open_home(home), model, why, market=market, refresh=refresh, say=note), as_json, _swap_lines)
    return 0


def rollback(
    why: WhyOption,
    market: OfMarketOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make the champion before the present one champion again.

    Example: lob rollback --why "fills are slower than predicted"
    """
    from lob_pipeline.stages.promote import rollback as run

    emit(run(open_home(home), why, market=market, say=note), as_json, _swap_lines)
    return 0


def _swap_lines(result: dict[str, Any]) -> Iterator[str]:
    old, new = result["from"], result["to"]
    before = f"{old['semver']} ({old['bundle_sha12']})" if old else "nobody"
    after = f"{new['name']} {new['semver']} ({new['bundle_sha12']}) of {new['market']}"
    yield f"{result['state']}: {after}; before: {before}"
    for outcome in result["outcomes"]:
        judged = f"{outcome['rows_judged']:,} of {outcome['rows_examined']:,} judged"
        yield f"  {outcome['status']:10} {outcome['name']:14} {judged}  {outcome['message']}"
    yield from result["said"]

"""Commands that do larger work: run what is stale, try one's own recording, simulate a market."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from lob_pipeline.cli.output import ClockOption, HomeOption, JsonOption, emit, note, open_home, progress

MarketOption = Annotated[str | None, typer.Option("--market", help="one market only", show_default="all in the lake")]
FromOption = Annotated[str | None, typer.Option("--from", help="first day", show_default="the first in the lake")]
ToOption = Annotated[str | None, typer.Option("--to", help="last day", show_default="the last in the lake")]


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("run")(run)
    app.command("try")(try_recording)
    app.command("simulate")(simulate)
    for topic, doc in REPORT_COMMANDS.items():
        app.command(topic)(_report_command(topic, doc))
    app.command("page")(page)


def run(
    market: MarketOption = None,
    first: FromOption = None,
    last: ToOption = None,
    plan: Annotated[bool, typer.Option("--plan", help="print the plan and stop")] = False,
    only_stale: Annotated[
        bool, typer.Option("--only-stale", help="redo stale partitions, build no absent one")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Plan from the manifests what is absent or stale, and do it, layer by layer.

    Example: lob run --market binance-usdm.BTCUSDT --from 2023-04-04 --to 2023-04-05
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.runner import run_stale

    report = run_stale(
        open_home(home),
        market=parse_market(market) if market else None,
        first=first,
        last=last,
        plan_only=plan,
        only_stale=only_stale,
        say=note,
    )
    emit(report.to_json(), as_json, _run_lines)
    return report.exit_code


def _run_lines(report: dict[str, Any]) -> Iterator[str]:
    for stage, counts in report["stages"].items():
        yield f"{stage:16} " + ", ".join(f"{n} {what}" for what, n in counts.items() if n)


def try_recording(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="a recording of one market")],
    market: Annotated[
        str | None, typer.Option("--market", help="venue.SYMBOL", show_default="from the content")
    ] = None,
    tick: Annotated[str | None, typer.Option(help="price step, for example 0.1")] = None,
    lot: Annotated[str | None, typer.Option(help="size step, for example 0.001")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="the HTML page to write", show_default="in a scratch home")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """First page on one's own recording: certificate, spread, depth, cost, feasibility. Your lake is not touched.

    Example: lob try ../shared/data/binance_usdm/btcusdt_20240808.gz
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.first_page import try_recording as start

    with progress("try") as update:
        result = start(
            paths,
            market=parse_market(market) if market else None,
            tick=tick,
            lot=lot,
            out=out,
            progress=update,
            say=note,
        )
    emit(result, as_json)
    return 0 if result["holds"] else 3


def simulate(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="folder for the archive files; with --compare the HTML page", show_default="none"),
    ] = None,
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 1,
    days: Annotated[int, typer.Option(min=1, help="UTC days")] = 3,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="minutes of market a day, ending at 24:00")] = 480,
    first_day: Annotated[str, typer.Option("--first-day", help="YYYY-MM-DD")] = "2026-01-05",
    edge_bps: Annotated[
        float, typer.Option("--edge-bps", help="planted edge: what a taker who knows it earns a trade, net of spread")
    ] = 0.0,
    horizon_s: Annotated[float, typer.Option("--horizon-s", help="seconds over which a signal's drift unfolds")] = 20.0,
    probes: Annotated[
        int, typer.Option(min=0, help="random instants a day whose orders' true fates are written beside the truth")
    ] = 0,
    symbols: Annotated[
        str | None, typer.Option("--symbols", help="several symbols, for example BTCUSDT,ETHUSDT: a folder each")
    ] = None,
    common_share: Annotated[
        float | None,
        typer.Option("--common-share", help="with --symbols: part of the value's jumps they share", show_default="0.7"),
    ] = None,
    own_every_s: Annotated[
        float, typer.Option("--own-every-s", help="real orders of your own, about so many seconds apart; 0: none")
    ] = 0.0,
    own_lots: Annotated[
        float | None, typer.Option("--own-lots", help="lots of each of them", show_default="1000")
    ] = None,
    faults: Annotated[
        str, typer.Option("--faults", help="faults to put into the files, at places the truth tells: kinds, or all")
    ] = "",
    preset: Annotated[str, typer.Option("--preset", help="btcusdt-2023 (fitted) or by-hand")] = "btcusdt-2023",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="MARKET DATES",
            help="write no market: hold it against a recording of the lake, twelve statistics",
            show_default="no",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="with --compare: simulated stretches, seed and the next ones")] = 30,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """A market with known truth, written in the exchange's archive format; or its realism beside a recording.

    Example: lob simulate --seed 7 --days 1 --minutes 30 --out /tmp/market
    """
    from lob_pipeline.core.errors import BadInputError
    from lob_pipeline.sim.config import OwnParams
    from lob_pipeline.sim.injected import parse_faults
    from lob_pipeline.sim.presets import configured

    if common_share is not None and symbols is None:
        raise BadInputError("--common-share is what several symbols share: name them with --symbols")
    if own_lots is not None and own_every_s == 0:
        raise BadInputError("--own-lots is the size of own orders: say how often they come with --own-every-s")
    own = OwnParams(every_s=own_every_s, lots=1000.0 if own_lots is None else own_lots)
    config = configured(
        preset,
        seed=seed,
        days=days,
        minutes=minutes,
        first_day=first_day,
        edge_bps=edge_bps,
        horizon_s=horizon_s,
        common_share=0.0 if symbols is None else 0.7 if common_share is None else common_share,
        own=own,
    )
    if compare is not None:
        if probes or symbols is not None or faults:
            raise BadInputError("--compare writes no market: leave out --probes, --symbols and --faults")
        return _compare(compare, config, seeds, out, home, as_json)
    if out is None:
        raise BadInputError("nothing to do: name a folder with --out, or a recording with --compare MARKET DATES")
    from lob_pipeline.stages.simulate import simulate as start
    from lob_pipeline.stages.simulate_symbols import parse_symbols, simulate_symbols

    kinds = parse_faults(faults)
    with progress("simulate") as update:
        if symbols is not None:
            several = simulate_symbols(out, config, parse_symbols(symbols), update, probes, kinds)
            emit(several.to_json(), as_json)
            return 0
        report = start(out, config, progress=update, probes=probes, faults=kinds)
    emit(report.to_json(), as_json)
    return 0


def _compare(
    recording: tuple[str, str], config: Any, seeds: int, out: Path | None, home: Path | None, as_json: bool
) -> int:
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.core.units import parse_dates
    from lob_pipeline.stages.compare import compare, compare_lines

    market, dates = parse_market(recording[0]), parse_dates(recording[1])
    with progress("compare") as update:
        report = compare(open_home(home), market, dates, config, seeds, out=out, progress=update)
    emit(report, as_json, compare_lines)
    return 0


def _report_command(topic: str, doc: str) -> Callable[..., int]:
    """Return the command that prints one report of the lake: ``stages.<topic>``."""

    def command(
        market: Annotated[str, typer.Option("--market", help="venue.SYMBOL")],
        first: FromOption = None,
        last: ToOption = None,
        clock: ClockOption = None,
        home: HomeOption = None,
        as_json: JsonOption = False,
    ) -> int:
        from lob_pipeline.core.instrument import parse_market

        room = import_module(f"lob_pipeline.stages.{topic}")
        report = getattr(room, topic)(open_home(home), parse_market(market), first, last, clock)
        emit(report, as_json, getattr(room, f"{topic}_lines"))
        return 0

    command.__doc__ = doc
    return command


REPORT_COMMANDS = {
    "costs": "What a round trip costs by size and hour.\n\n"
    "Example: lob costs --market binance-usdm.BTCUSDT --from 2023-04-04 --to 2023-04-05",
    "feasibility": "Before any model: what the best case could earn at each horizon, against what trading costs.\n\n"
    "Example: lob feasibility --market binance-spot.NEXOUSDT",
}


def page(
    market: Annotated[str, typer.Option("--market", help="venue.SYMBOL")],
    first: FromOption = None,
    last: ToOption = None,
    clock: ClockOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """The first page (HTML) of what is in the lake.

    Example: lob page --market binance-usdm.BTCUSDT
    """
    from lob_pipeline.core.instrument import parse_market
    from lob_pipeline.stages.first_page import first_page

    path = first_page(open_home(home), parse_market(market), first, last, clock)
    emit({"page": str(path)}, as_json)
    return 0

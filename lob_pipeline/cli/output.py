"""How commands speak: one JSON object on stdout with ``--json``, else plain lines; progress and logs go to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lob_pipeline.lake.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", envvar="LOB_HOME", help="where the lake, ledgers, raw sources and reports live", show_default="data/"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]
ClockOption = Annotated[
    str | None, typer.Option("--clock", help="time grid such as t100ms or t1s", show_default="the market's own")
]
MarketArgument = Annotated[str, typer.Argument(metavar="MARKET", help="venue.SYMBOL, for example bybit-linear.BTCUSDT")]
DateArgument = Annotated[str, typer.Argument(metavar="DATE", help="YYYY-MM-DD or FROM..TO")]


def wants_json(words: list[str]) -> bool:
    """Return whether ``--json`` is among the words of the command line."""
    return "--json" in words


def open_home(option: Path | None) -> Home:
    """Return the home that the option, ``LOB_HOME`` or the default names."""
    from lob_pipeline.lake.home import find_home

    return find_home(str(option) if option else None)


def emit(result: dict[str, Any], as_json: bool, lines: Callable[[dict[str, Any]], Iterator[str]] | None = None) -> None:
    """Print ``result``: as one JSON object, or as the lines that ``lines`` makes of it (``key  value`` by default)."""
    if as_json:
        json.dump(result, sys.stdout, default=str)
        print()
        return
    for line in lines(result) if lines else (f"{key:24} {value}" for key, value in result.items()):
        print(line)


def note(message: str) -> None:
    """Print one line of progress or advice on stderr."""
    print(message, file=sys.stderr, flush=True)


def _quiet(fraction: float, text: str = "") -> None:
    """Show nothing: stderr is no terminal."""


@contextmanager
def progress(label: str) -> Iterator[Callable[[float, str], None]]:
    """Yield ``update(fraction 0..1, text)``: a bar on a terminal, nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield _quiet
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=1.0, text="")

        def update(fraction: float, text: str = "") -> None:
            bar.update(task, completed=fraction, text=text)

        yield update

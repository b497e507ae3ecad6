"""The typer application and its exit codes: 0 done, 1 failure, 2 bad usage or input, 3 a gate says no."""

from __future__ import annotations

import json
import sys

import click
import typer

from lob_pipeline.cli import capture, data, download, learn, live, look, markets, models, mutation, truth, work
from lob_pipeline.cli.output import wants_json
from lob_pipeline.core.errors import LobError

app = typer.Typer(
    name="lob",
    help="From raw order-book deltas to books, features and labels that can be trusted.\n\n"
    "Example: lob try ../shared/data/binance_usdm/btcusdt_20240808.gz",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for room in (data, truth, markets, capture, download, work, learn, models, live, look, mutation):
    room.register(app)


_TYPERS_INTERRUPT = 130
"""What typer makes of Ctrl-C instead of letting it through."""


def main(arguments: list[str] | None = None) -> None:
    """Run ``lob``: one clear sentence and an exit code for what a user can cause, a traceback only for a defect."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(words, standalone_mode=False)
        if code == _TYPERS_INTERRUPT:
            raise KeyboardInterrupt
    except LobError as error:
        sys.exit(_fail(str(error), error.exit_code, words))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        if not wants_json(words):
            error.show()
            sys.exit(error.exit_code)
        sys.exit(_fail(error.format_message(), error.exit_code, words))
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.exit(_fail("interrupted: nothing unfinished was published; run the same command again to go on", 1, words))
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away (`| head`): nothing is left to say, and nobody to say it to
        sys.exit(1)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(_fail(f"{error.strerror or error}{where}: make room or give access, then run it again", 1, words))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int, words: list[str]) -> int:
    print(f"lob: {message}", file=sys.stderr)
    if wants_json(words):
        print(json.dumps({"error": message, "exit": code}))
    return code

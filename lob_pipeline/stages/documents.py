"""Where training and evaluation keep their documents, and how one is written: whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import parse_date
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import fsync_directory, storing


def training_folder(home: Home, market: Market, clock: str, as_of: str) -> Path:
    """Return the folder of the model trained on data up to and including ``as_of``."""
    return _folder(home, "training", market, clock, as_of)


def evaluation_folder(home: Home, market: Market, clock: str, as_of: str) -> Path:
    """Return the folder of the reports on data up to and including ``as_of``."""
    return _folder(home, "evaluation", market, clock, as_of)


def _folder(home: Home, room: str, market: Market, clock: str, as_of: str) -> Path:
    parse_date(as_of)
    return home.root / room / str(market) / parse_clock(clock).id / as_of


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``, durable before it is seen."""
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        with staged.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        staged.replace(path)
        fsync_directory(path.parent)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Replace ``path`` by a JSON document. Raises ``ValueError`` for NaN: a document says null."""
    write_bytes(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the document, None where there is none. Raises ``RefusedError`` for a damaged one."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RefusedError(f"{path} is damaged ({error}): remove it, the stage that wrote it makes it again") from error
    if not isinstance(document, dict):
        raise RefusedError(f"{path} is no JSON object: remove it, the stage that wrote it makes it again")
    return document

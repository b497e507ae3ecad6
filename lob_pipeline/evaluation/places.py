"""Where the results of a market's evaluation lie, and how they are written: whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import parse_date
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import replace_into, storing


def evaluation_folder(home: Home, market: Market, clock_id: str, as_of: str) -> Path:
    """Return ``HOME/evaluation/<market>/<clock>/<as_of>``. Raises ``BadInputError`` when ``as_of`` is no day."""
    parse_date(as_of)
    return home.root / "evaluation" / str(market) / clock_id / as_of


def write_text(path: Path, text: str) -> Path:
    """Write a file atomically and durably, making its folders, and return its path."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with staged.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            replace_into(staged, path)
        finally:
            staged.unlink(missing_ok=True)
    return path


def write_json(path: Path, data: Any) -> Path:
    """Write plain JSON types atomically and return the path. Raises ``ValueError`` for NaN and infinities."""
    return write_text(path, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")

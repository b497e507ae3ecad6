"""The code fingerprint of a stage: equal while nothing that its output depends on has changed, comments aside.

One place says what each stage depends on: its modules (globs in the package), the tables it reads and writes, and the
settings of the instrument that enter its numbers. What comes from the stage before it is not listed: that is an input,
compared by content hash, so a change of a feature's formula makes features stale and books not.
"""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numba
import numpy as np

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import FIXED_TABLES

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class StageCode:
    """What a stage's output depends on: module globs, declared tables (``core.tables``), ``Instrument`` fields."""

    modules: tuple[str, ...]
    tables: tuple[str, ...]
    settings: tuple[str, ...]


_CORE = ("core/units.py", "core/columns.py")
# The book that a day of events opens with is carried by these.
_BOOK_KERNEL = ("book/bits.py", "book/kernel*.py", "book/ladder.py", "book/sequence.py", "book/state.py")

STAGES: dict[str, StageCode] = {
    "events": StageCode(
        (*_CORE, "venues/**/*.py", *_BOOK_KERNEL, "stages/ingest*.py"),
        ("l2_events", "trades", "quotes"),
        ("tick", "lot", "sequence", "round_off_grid_lots"),
    ),
    "books": StageCode(
        (*_CORE, "core/clock.py", "book/**/*.py", "stages/build_books*.py"),
        ("l2_events", "trades", "quotes", "book_snapshots"),
        ("sequence", "depth_limit"),
    ),
    "profile": StageCode(
        (*_CORE, "core/clock.py", "features/profile*.py", "stages/build_profile*.py"),
        ("book_snapshots", "seasonal_profile"),
        (),
    ),
    "features": StageCode(
        (*_CORE, "core/clock.py", "core/instrument.py", "features/**/*.py", "stages/build_features*.py"),
        ("l2_events", "trades", "book_snapshots", "seasonal_profile"),
        (
            "tick",
            "lot",
            "contract",
            "contract_value",
            "sequence",
            "depth_limit",
            "funding_interval_hours",
            "small_order_quote",
            "large_order_quote",
        ),
    ),
    "labels": StageCode(
        (
            *_CORE,
            "core/clock.py",
            "core/instrument.py",
            *_BOOK_KERNEL,
            "labels/**/*.py",
            "stages/build_labels*.py",
        ),
        ("l2_events", "trades", "book_snapshots"),
        ("tick", "lot", "contract", "contract_value", "sequence", "maker_fee_bps", "taker_fee_bps"),
    ),
}


def code_fingerprint(stage: str, instrument: Instrument) -> str:
    """Return the SHA-256 of everything but the inputs that decides what ``stage`` writes for ``instrument``.

    ``stage`` is ``events``, ``books``, ``profile``, ``features`` or ``labels``. Use ``partition_instrument`` for the
    instrument, so that writer and planner ask with the same tick and lot.
    """
    code = STAGES[stage]
    parts = {
        "source": _cached_source(stage),
        "tables": {name: _declaration(name) for name in code.tables},
        "settings": {name: str(getattr(instrument, name)) for name in code.settings},
        "numba": numba.__version__,
        "numpy": np.__version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _cached_source(stage: str) -> str:
    return source_digest(stage, PACKAGE)


def source_digest(stage: str, package: Path) -> str:
    """Return the SHA-256 of the normalised sources of a stage's modules under ``package``."""
    files = sorted({p for glob in STAGES[stage].modules for p in package.glob(glob)})
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(package).as_posix()}\n{normalised(path.read_text('utf-8'))}\n".encode())
    return total.hexdigest()


def normalised(source: str) -> str:
    """Return the source's syntax tree as text: without comments, layout and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                if isinstance(body[0].value.value, str):
                    node.body = body[1:]
    return ast.dump(tree)


def _declaration(name: str) -> list[object]:
    table = FIXED_TABLES[name]
    return [table.version, list(table.key), [[c.name, c.dtype, c.nullable] for c in table.columns]]

"""A home's own markets.toml: what its owner wrote, above a line; what ``lob markets refresh`` fetched, below it."""

from __future__ import annotations

import tomllib
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import BadInputError

SECTIONS = ("venue", "pattern", "market", "refreshed")
MARKER = "# ---- written by `lob markets refresh`; edit above this line, entries there win over those below ----"

_DECIMALS = ("tick", "lot", "contract_value")
_FEES = ("maker_fee_bps", "taker_fee_bps")
_CHOICES = {"contract": ("linear", "inverse", "spot"), "sequence": ("plus_one", "bridge", "none")}
_WHOLE = ("funding_interval_hours", "depth_limit", "coarse_lots")
_TEXTS = ("fees_as_of", "clock", "block")
_FLAGS = ("enabled", "round_off_grid_lots")


def read_market_file(path: Path) -> dict[str, Any]:
    """Return the sections of a markets.toml, nothing where the file is absent. Read once for each state of it.

    Raises ``BadInputError`` for a file that is no TOML, or names a section, key or value that is none.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        return {}
    return _read(path, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=8)
def _read(path: Path, *_state: int) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} is no TOML ({error}): repair or remove it") from error
    for section, entries in document.items():
        if section not in SECTIONS or not isinstance(entries, dict):
            raise BadInputError(f"{path}: section {section!r} is unknown: expected {', '.join(SECTIONS)}")
        for name, entry in entries.items():
            where = f'{path}, [{section}] "{name}"'
            if not isinstance(entry, dict):
                raise BadInputError(f"{where}: expected a table of settings, found {entry!r}")
            for key, value in entry.items():
                _check(where, key, value)
    return document


def _check(where: str, key: str, value: object) -> None:
    expected = None
    if key in _DECIMALS:
        expected = None if _positive(value) else 'a positive decimal as text, such as "0.1"'
    elif key in _FEES:
        ok = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1000
        expected = None if ok else "a fee in bps"
    elif key in _CHOICES:
        expected = None if value in _CHOICES[key] else "one of " + ", ".join(_CHOICES[key])
    elif key in _WHOLE:
        expected = None if type(value) is int and value >= 0 else "a whole number"
    elif key in _FLAGS:
        expected = None if isinstance(value, bool) else "true or false"
    elif key in _TEXTS:
        expected = None if isinstance(value, str) and value else "a text"
    else:
        known = (*_DECIMALS, *_FEES, *_CHOICES, *_WHOLE, *_FLAGS, *_TEXTS)
        raise BadInputError(f"{where}: {key!r} is unknown: expected {', '.join(known)}")
    if expected:
        raise BadInputError(f"{where}: {key} = {value!r}: expected {expected}")


def _positive(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        number = Decimal(value)
    except InvalidOperation:
        return False
    return number.is_finite() and number > 0


def file_text(own: str, refreshed: dict[str, dict[str, Any]]) -> str:
    """Return the text of a file: what its owner wrote, as it is, and the entries that were fetched."""
    lines = [own.rstrip("\n")] if own.strip() else []
    lines += [MARKER, "[refreshed]"]
    for name in sorted(refreshed):
        cells = ", ".join(f"{key} = {_value(value)}" for key, value in refreshed[name].items())
        lines.append(f'"{name}" = {{ {cells} }}')
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def owners_part(path: Path) -> str:
    """Return what stands above the marker: the owner's own text, "" where there is no file."""
    if not path.exists():
        return ""
    return path.read_text("utf-8").partition(MARKER)[0]

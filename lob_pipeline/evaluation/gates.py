"""The gates of the verdict, read from ``gates.toml``: written before the answer is known, evaluated by code."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import BadInputError


@dataclass(frozen=True)
class Gates:
    """The gates and the SHA-256 of the bytes they were read from. Edges in bps, counts in filled trades."""

    sha256: str
    minimum_folds: int
    negative_folds_per_five: int
    median_fold_above_bps: float
    minimum_trades_total: int
    minimum_trades_per_fold: int
    lower_bound_above_bps: float
    resolve_bps: float
    threshold_trades_per_block: int
    threshold_minimum_trades: int
    threshold_quantiles: int
    threshold_highest_quantile: float
    unknown_edge_bps: float

    def negative_folds_allowed(self, folds: int) -> int:
        """Return how many of ``folds`` may lose: at most ``negative_folds_per_five`` in five."""
        return self.negative_folds_per_five * folds // 5

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, the SHA-256 among them."""
        return dict(vars(self))


_PLACES: dict[str, tuple[str, str]] = {
    "minimum_folds": ("folds", "minimum"),
    "negative_folds_per_five": ("folds", "negative_per_five"),
    "median_fold_above_bps": ("folds", "median_above_bps"),
    "minimum_trades_total": ("trades", "minimum_total"),
    "minimum_trades_per_fold": ("trades", "minimum_per_fold"),
    "lower_bound_above_bps": ("edge", "lower_bound_above_bps"),
    "resolve_bps": ("edge", "resolve_bps"),
    "threshold_trades_per_block": ("threshold", "trades_per_block"),
    "threshold_minimum_trades": ("threshold", "minimum_trades"),
    "threshold_quantiles": ("threshold", "quantiles"),
    "threshold_highest_quantile": ("threshold", "highest_quantile"),
    "unknown_edge_bps": ("policy", "unknown_edge_bps"),
}


def load_gates(path: Path | None = None) -> Gates:
    """Return the package's gates, or those of ``path``.

    Raises ``BadInputError`` when the file is no TOML, lacks a gate or holds one that is not known: a gate that is
    misspelt would be a gate that never closes.
    """
    name = "gates.toml" if path is None else str(path)
    if path is None:
        data = resources.files("lob_pipeline.evaluation").joinpath("gates.toml").read_bytes()
    else:
        data = path.read_bytes()
    try:
        tables = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"gates file {name} is not TOML: {error}") from None
    found = {(table, key): value for table, entries in tables.items() for key, value in dict(entries).items()}
    wrong = sorted(f"[{table}] {key}" for table, key in set(found) ^ set(_PLACES.values()))
    if wrong:
        raise BadInputError(f"gates file {name}: {', '.join(wrong)} missing or unknown; expected the known gates only")
    values: dict[str, Any] = {}
    for gate, place in _PLACES.items():
        value = found[place]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInputError(f"gates file {name}: [{place[0]}] {place[1]} = {value!r} is not a number")
        values[gate] = value
    if values["resolve_bps"] <= 0 or values["minimum_folds"] < 1 or values["threshold_quantiles"] < 1:
        raise BadInputError(f"gates file {name}: resolve_bps, folds.minimum and quantiles must be above 0")
    return Gates(sha256=hashlib.sha256(data).hexdigest(), **values)

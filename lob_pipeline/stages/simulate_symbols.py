"""Simulate several symbols of one market: a folder each, with the bytes it has alone, and how they move together."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.archive import write_whole
from lob_pipeline.sim.common import minute_correlation
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.stages.simulate import TRUTH_FILE, Progress, SimReport, simulate


@dataclass(frozen=True)
class SymbolsReport:
    """What a run of several symbols wrote, by symbol, and the correlation of their 1-minute returns by pair."""

    folder: Path
    symbols: dict[str, SimReport]
    correlation: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "truth_path": str(self.folder / TRUTH_FILE),
            "minute_return_correlation": self.correlation,
            "symbols": {symbol: report.to_json() for symbol, report in self.symbols.items()},
        }


def parse_symbols(text: str) -> tuple[str, ...]:
    """Return the symbols of a comma list. Raises ``BadInputError`` for an empty list or a symbol named twice."""
    symbols = tuple(name.strip() for name in text.split(",") if name.strip())
    if not symbols or len(set(symbols)) != len(symbols):
        raise BadInputError(f"--symbols {text!r}: expected symbols, each once, for example BTCUSDT,ETHUSDT")
    return symbols


def simulate_symbols(
    out_dir: Path,
    config: SimConfig,
    symbols: tuple[str, ...],
    progress: Progress | None = None,
    probes: int = 0,
    faults: tuple[str, ...] = (),
) -> SymbolsReport:
    """Write ``config`` for each symbol into ``out_dir/SYMBOL`` and ``truth.json`` beside them: share, correlation.

    A symbol's bytes do not depend on which others are named. Arguments and errors as ``simulate``.
    """
    each = {symbol: replace(config, market=f"sim.{symbol}") for symbol in symbols}  # unknown ones are refused here
    reports: dict[str, SimReport] = {}
    for i, (symbol, one) in enumerate(each.items()):

        def update(share: float, text: str, done: int = i, symbol: str = symbol) -> None:
            if progress is not None:
                progress((done + share) / len(each), f"{symbol} {text}")

        reports[symbol] = simulate(Path(out_dir) / symbol, one, update, probes, faults)
    apart = np.array([np.nan])
    mids = {s: np.concatenate([np.append(day.minute_mid, apart) for day in r.days]) for s, r in reports.items()}
    found = SymbolsReport(Path(out_dir), reports, minute_correlation(mids))
    told = {
        "seed": config.seed,
        "common_share": config.common_share,
        "minute_return_correlation": found.correlation,
        "symbols": {symbol: f"{symbol}/{TRUTH_FILE}" for symbol in symbols},
    }
    write_whole(Path(out_dir) / TRUTH_FILE, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())
    return found

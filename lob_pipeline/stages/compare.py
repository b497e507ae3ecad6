"""Realism: simulated markets beside a recording, twelve statistics in units of the distance of its own halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.evaluation.realism_page import render
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.archive import write_whole
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.realism import STATISTICS
from lob_pipeline.sim.realism_source import recorded_view, simulated_view
from lob_pipeline.sim.realism_table import ENOUGH, LARGEST_RATIO, Measured, Row, measure, table

Progress = Callable[[float, str], None]
SEEDS = 10


def compare(
    home: Home,
    market: Market,
    dates: list[str],
    config: SimConfig,
    seeds: int = SEEDS,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the realism table of ``config`` against an ingested market as plain JSON types; write its page.

    ``out``: where the page goes; None: ``reports/`` of the home.

    ``seeds`` stretches of the recording's length are simulated, with the seeds ``config.seed`` and the ones after it.
    Raises ``RefusedError`` where a day is not usable or too little of it unbroken.
    """
    real = recorded_view(home, market, dates)
    found = measure(real)
    simulated: list[Measured] = []
    for k in range(seeds):
        simulated.append(measure(simulated_view(replace(config, seed=config.seed + k), len(real.time_ms))))
        if progress is not None:
            progress((k + 1) / seeds, f"seed {config.seed + k}")
    report = told(market, dates, real.seconds, config, seeds, table(found, simulated))
    path = out or default_page(home, market, dates)
    seeding = f"--seed {config.seed} --seeds {seeds} --preset {config.preset}"
    command = f"lob simulate --compare {market} {_span(dates)} {seeding}"
    _write(path, render(report, curves(found, simulated), command))
    return {**report, "page": str(path)}


def curves(real: Measured, simulated: list[Measured]) -> list[dict[str, Any]]:
    """Return what the page draws of each statistic: the recording with its halves' range, the seeds with theirs.

    Bands are the 2.5 and 97.5 % quantiles, over the recording's halves and over the halves of all seeds.
    """
    found = []
    for k, statistic in enumerate(STATISTICS):
        halves = np.concatenate([other.halves[k] for other in simulated])
        back = np.exp if statistic.logged else np.asarray
        with np.errstate(invalid="ignore"):
            lines = {
                "real": real.whole[k],
                "real_low": np.percentile(real.halves[k], 2.5, axis=0),
                "real_high": np.percentile(real.halves[k], 97.5, axis=0),
                "simulated": np.mean([other.whole[k] for other in simulated], axis=0),
                "simulated_low": np.percentile(halves, 2.5, axis=0),
                "simulated_high": np.percentile(halves, 97.5, axis=0),
            }
        found.append(
            {
                "statistic": statistic.name,
                "unit": statistic.unit,
                "x": statistic.x.tolist(),
                "x_unit": statistic.x_unit,
                "logged": statistic.logged,
                "about": (statistic.measure.__doc__ or "").strip().splitlines()[0],
                **{name: [float(v) if np.isfinite(v) else None for v in back(line)] for name, line in lines.items()},
            }
        )
    return found


def _write(path: Path, page: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page.encode())
    except OSError as error:
        raise BadInputError(f"{path} cannot be written ({error.strerror}): name another place for the page") from error


def _span(dates: list[str]) -> str:
    return dates[0] if len(dates) == 1 else f"{dates[0]}..{dates[-1]}"


def told(
    market: Market, dates: list[str], seconds: float, config: SimConfig, seeds: int, rows: list[Row]
) -> dict[str, Any]:
    """Return the report of a finished table."""
    held = sum(row.holds for row in rows)
    return {
        "market": str(market),
        "dates": dates,
        "seconds": seconds,
        "preset": config.preset,
        "seeds": [config.seed, config.seed + seeds - 1],
        "statistics": [row.to_json() for row in rows],
        "held": held,
        "of": len(rows),
        "largest_ratio": LARGEST_RATIO,
        "enough": held >= ENOUGH,
    }


def compare_lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield the table as text."""
    first, last = report["seeds"]
    about = f"{report['market']} {_span(report['dates'])}, {report['seconds']:.0f} s"
    yield f"{about}, beside preset {report['preset']}, seeds {first} to {last}"
    yield f"{'statistic':24} {'real to real':>24}   {'simulated to real':>24}   {'ratio':>5}  at the interval's ends"
    for row in report["statistics"]:
        yield f"{row['statistic']:24} {_distance(row['real_to_real'])}   {_distance(row['simulated_to_real'])}   " + (
            "  not told"
            if row["ratio"] is None
            else f"{row['ratio']:5.2f}  {row['ratio_interval'][0]:.2f} to {row['ratio_interval'][1]:.2f}"
            + ("" if row["holds"] else "  beyond")
            + ("  (scale: resolution)" if row["at_resolution"] else "")
        )
    yield f"{report['held']} of {report['of']} within {report['largest_ratio']:g} times the recording's own distance"
    if "page" in report:
        yield f"page  {report['page']}"


def _distance(found: dict[str, Any] | None) -> str:
    if found is None:
        return f"{'–':>24}"
    low, high = found["interval"]
    return f"{found['mean']:8.4f} ({low:.4f}, {high:.4f})".rjust(24)


def default_page(home: Home, market: Market, dates: list[str]) -> Path:
    """Return where the page goes when nobody names a place."""
    return home.reports / f"realism_{market}_{_span(dates).replace('..', '_')}.html"

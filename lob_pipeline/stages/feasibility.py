"""``lob feasibility``: before any model, what the best case could earn at each horizon against what trading costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import shift_date
from lob_pipeline.evaluation.costs import STYLES
from lob_pipeline.evaluation.feasibility import feasibility as calculate
from lob_pipeline.evaluation.feasibility import spaced
from lob_pipeline.labels.spec import fees_of
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.documents import evaluation_folder, write_json
from lob_pipeline.stages.survey import crossing_of, survey


def feasibility(
    home: Home, market: Market, first: str | None = None, last: str | None = None, clock: str | None = None
) -> dict[str, Any]:
    """Return the feasibility of any model on the usable days between ``first`` and ``last``.

    Labels are used where they are in the lake. Raises ``RefusedError`` when there is no usable book.
    """
    found = survey(home, market, first, last, clock)
    crossing = crossing_of(found.costs.summary())
    result = calculate(found.overview.series(), fees_of(found.instrument), crossing, found.labels)
    return {"market": str(market), "days": found.days, "clock": found.clock, **result, "notes": found.notes}


@dataclass(frozen=True)
class FeasibilityReport:
    """A feasibility calculation that was written: ``path`` of the JSON, ``report`` its content."""

    path: Path
    report: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"path": str(self.path), **self.report}


def feasibility_report(
    home: Home, market: Market, as_of: str, clock: str | None = None, *, window_days: int = 28
) -> FeasibilityReport:
    """Write ``feasibility.json`` of the ``window_days`` days up to ``as_of`` (included) and return it.

    It lies in ``HOME/evaluation/<market>/<clock>/<as_of>/``. Raises ``RefusedError`` when there is no usable book.
    """
    report = feasibility(home, market, shift_date(as_of, 1 - window_days), as_of, clock)
    path = evaluation_folder(home, market, report["clock"], as_of) / "feasibility.json"
    write_json(path, report)
    return FeasibilityReport(path, report)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def feasibility_lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield the report as lines for a terminal."""
    days = report["days"]
    yield f"{report['market']}  {days[0]}..{days[-1]}  {report['clock']}  {report['valid_rows']:,} valid rows"
    yield report["sentence"]
    yield ""
    head = "".join(f"{s.replace('_', '–'):>14}" for s in STYLES)
    yield f"{'horizon':>8} {'move, bps':>10} {'[95 % interval]':>18} {'effective n':>12} {'adverse':>9}  net bps:{head}"
    for e in report["horizons"]:
        move = e["mean_abs_move_bps"]
        mean = "–" if move["mean"] is None else f"{move['mean']:.3f}"
        bounds = "" if move["low"] is None else f"[{move['low']:.3f}, {move['high']:.3f}]"
        nets = "".join(f"{_cell(e['net_bps'][s]['mean']):>14}" for s in STYLES)
        yield (
            f"{spaced(e['horizon']):>8} {mean:>10} {bounds:>18} {e['effective_n']:>12,} "
            f"{_cell(e['adverse_selection_bps']):>9}          {nets}"
        )
    labels = report["labels"]
    if labels:
        yield ""
        yield labels["bracket"]["sentence"]
        for name, model in labels["models"].items():
            rate, markout = model["fill_rate"]["mean"], model["markouts_bps"]["5s"]["mean"]
            yield (
                f"{name:>14}: {0 if rate is None else rate:.1%} of {labels['valid_orders']:,} orders filled, "
                f"{model['effective_n']:,} distinct fills, 5 s markout {_cell(markout)} bps, "
                f"edge after fees {_cell(model['edge_bps']['mean'])} bps"
            )
    yield ""
    for line in (*report["notes"], *report["caveats"]):
        yield f"- {line}"

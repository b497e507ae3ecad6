"""``lob costs``: what a round trip costs by size, side and hour, from the market's days in the lake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lob_pipeline.core.instrument import Market
from lob_pipeline.evaluation.costs import STYLES
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.survey import survey


def costs(
    home: Home, market: Market, first: str | None = None, last: str | None = None, clock: str | None = None
) -> dict[str, Any]:
    """Return the cost surface of the usable days between ``first`` and ``last`` (see ``evaluation.costs``).

    Raises ``RefusedError`` when there is none.
    """
    found = survey(home, market, first, last, clock, with_labels=False)
    return {"days": found.days, "clock": found.clock, **found.costs.summary()}


def _cell(value: float | None, digits: int = 3) -> str:
    return "beyond" if value is None else f"{value:,.{digits}f}"


def costs_lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield the surface as lines for a terminal: slippage and round trips by size, then the spread by hour."""
    days = report["days"]
    yield f"{report['market']}  {days[0]}..{days[-1]}  {report['clock']}  {report['valid_rows']:,} valid rows"
    if report["every_kth_row"] > 1:
        yield f"every {report['every_kth_row']}th row is used"
    spread = report["spread"]["quantiles_bps"]
    yield f"spread, bps: median {_cell(spread['p50'])}, 95th percentile {_cell(spread['p95'])}"
    yield ""
    yield "one-way slippage beyond the touch, bps (`beyond`: more than the 20 stored levels hold)"
    yield f"{'size, quote':>12} {'side':>5} {'mean':>9} {'p50':>9} {'p95':>9} {'p99':>9} {'truncated':>10}"
    for entry in report["slippage"]:
        q = entry["quantiles_bps"]
        yield (
            f"{entry['size_quote']:>12,} {entry['side']:>5} {_cell(entry['mean_bps']):>9} {_cell(q['p50']):>9} "
            f"{_cell(q['p95']):>9} {_cell(q['p99']):>9} {entry['truncated_share'] or 0:>10.2%}"
        )
    yield ""
    yield "round trip, median bps (long / short), fees included"
    head = "".join(f"{s.replace('_', '–'):>22}" for s in STYLES)
    yield f"{'size, quote':>12}{head}"
    for size in sorted({e["size_quote"] for e in report["surface"]}):
        cells = []
        for style in STYLES:
            pair = [e for e in report["surface"] if e["style"] == style and e["size_quote"] == size]
            cells.append(" / ".join(_cell(e["quantiles_bps"]["p50"], 2) for e in pair))
        yield f"{size:>12,}" + "".join(f"{c:>22}" for c in cells)
    yield ""
    yield "spread by hour (UTC), median bps: " + ", ".join(
        f"{h['hour']:02d} {_cell(h['quantiles_bps']['p50'])}" for h in report["spread"]["hours"]
    )

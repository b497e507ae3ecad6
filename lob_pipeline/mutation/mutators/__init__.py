"""The catalogue of defects as mutators, by number."""

from __future__ import annotations

from lob_pipeline.mutation.mutant import Defect
from lob_pipeline.mutation.mutators import chain, clocks, levels, mixing, process, sides, snapshots, trades

CATALOGUE: dict[int, Defect] = {
    defect.number: defect
    for defect in sorted(
        (d for room in (sides, snapshots, chain, levels, mixing, trades, clocks, process) for d in room.DEFECTS),
        key=lambda d: d.number,
    )
}
"""Number -> defect; the 22 of the catalogue."""

"""What every stage returns for one partition: where it is, what it says of itself, and whether it was refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.manifest import Manifest
from lob_pipeline.lake.paths import PartitionKey


@dataclass(frozen=True)
class StageResult:
    """One partition that a stage built. ``path`` lies in the lake, or in quarantine when ``refused``."""

    table: str
    market: Market
    date: str
    clock: str | None
    manifest: Manifest
    refused: bool
    reason: str
    path: Path

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of one partition."""
        return {
            "table": self.table,
            "market": str(self.market),
            "date": self.date,
            "clock": self.clock,
            "rows": self.manifest.rows,
            "refused": self.refused,
            "reason": self.reason,
            "outcomes": [o.to_json() for o in self.manifest.outcomes],
        }


def stage_result(key: PartitionKey, manifest: Manifest, path: Path) -> StageResult:
    """Return the result of a partition just committed: ``PartitionWriter.commit``'s manifest, the writer's path."""
    return StageResult(
        key.table, key.market, key.date, key.clock, manifest, not manifest.usable, manifest.refusal, path
    )

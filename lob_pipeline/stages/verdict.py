"""Stage ``verdict``: the walk-forward's answer as CONTRACT's JSON, run where it has not been run on these days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.documents import write_json
from lob_pipeline.stages.recipe import Recipe
from lob_pipeline.stages.training_set import WINDOW_DAYS
from lob_pipeline.stages.walk_forward import walk_forward


@dataclass(frozen=True)
class Verdict:
    """The verdict's document, where it lies, and the report that shows why."""

    document: dict[str, Any]
    path: Path
    report: Path

    def to_json(self) -> dict[str, Any]:
        """Return CONTRACT's verdict with the places of verdict and report."""
        return {**self.document, "path": str(self.path), "report": str(self.report)}


def verdict(
    home: Home,
    market: Market,
    as_of: str,
    clock: str | None = None,
    *,
    recipe: Recipe | None = None,
    window_days: int = WINDOW_DAYS,
    say: Callable[[str], None] | None = None,
) -> Verdict:
    """Write and return the verdict on data up to ``as_of``: ``HOME/evaluation/<market>/<clock>/<as_of>/verdict.json``.

    All three verdicts are results; only what keeps a walk-forward from running raises (see ``walk_forward``).
    """
    walk = walk_forward(home, market, as_of, clock, recipe=recipe, window_days=window_days, say=say)
    document = {
        "market": walk.document["market"],
        "clock": walk.document["clock"],
        "as_of": as_of,
        **walk.document["verdict"],
        "data_sha256": walk.document["data"]["data_sha256"],
        "run_sha256": walk.document["run_sha256"],
        "trials_ledger": walk.document["trials"],
    }
    path = walk.path.with_name("verdict.json")
    write_json(path, document)
    return Verdict(document, path, walk.report)

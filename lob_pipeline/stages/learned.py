"""What has been learned in a home: the newest verdict of each market and clock, and who is champion and challenger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lob_pipeline.lake.home import Home
from lob_pipeline.registry.releases import read_releases
from lob_pipeline.stages.documents import read_json

_SAID = ("market", "clock", "as_of", "verdict", "reasons", "break_even_maker_fee_bps", "days_needed")


def learned(home: Home) -> dict[str, Any]:
    """Return ``{"verdicts": [newest of each market and clock], "models": [releases with an alias]}``.

    Reads documents and the release ledger only. Raises ``LobError`` for a broken ledger, ``RefusedError`` for a damaged
    verdict.
    """
    verdicts = []
    for folder in sorted((home.root / "evaluation").glob("*/*")):
        days = sorted((path.parent for path in folder.glob("*/verdict.json")), reverse=True)
        document = read_json(days[0] / "verdict.json") if days else None
        if document is not None:
            verdicts.append({key: document.get(key) for key in _SAID})
    releases = [r for r in read_releases(home).releases if r.aliases]
    models = [
        {"name": r.name, "market": r.market, "semver": r.semver, "aliases": list(r.aliases), "verdict": r.verdict}
        for r in releases
    ]
    return {"verdicts": verdicts, "models": models}


def learned_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield one line a verdict and one a model that has an alias."""
    for verdict in found["verdicts"]:
        reason = verdict["reasons"][0] if verdict["reasons"] else ""
        place = f"{verdict['market']:24} {verdict['as_of']} {verdict['clock']:7}"
        yield f"{'verdict':14} {place} {verdict['verdict']}: {reason}"
    for model in found["models"]:
        roles = ", ".join(model["aliases"])
        yield f"{model['name']:14} {model['market']:24} {model['semver']:10} {roles} (evaluated {model['verdict']})"



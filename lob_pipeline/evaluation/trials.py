"""The trial ledger: how often the question was asked. Written by the pipeline at every scoring, never typed.

One line for each distinct (recipe, data, scoring code): scoring the same thing again is the same trial, anything else
is another look at the market, and the deflated Sharpe ratio pays for it.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.evaluation.gates import load_gates
from lob_pipeline.evaluation.verdict import Trials
from lob_pipeline.lake import chain
from lob_pipeline.lake.fingerprint import normalised
from lob_pipeline.lake.home import Home

_IDENTITY = ("recipe_sha256", "data_sha256", "scoring_sha256")
_SCORING = ("gates", "heads", "policy", "series", "sharpe", "significance", "verdict", "walk")


def trials_path(home: Home) -> Path:
    """Return the place of the ledger."""
    return home.ledgers / "trials.jsonl"


@cache
def scoring_sha256() -> str:
    """Return the SHA-256 of what turns forecasts into a verdict: the scoring modules (comments aside) and the gates."""
    total = hashlib.sha256(load_gates().sha256.encode())
    for name in _SCORING:
        total.update(normalised(Path(__file__).with_name(f"{name}.py").read_text("utf-8")).encode())
    return total.hexdigest()


def record_trial(
    home: Home, recipe_sha256: str, data_sha256: str, scoring_sha256: str, summary: dict[str, Any]
) -> dict[str, Any]:
    """Write one trial unless its triple is known, and return ``{"count", "head", "path", "new"}``.

    ``summary``: what a reader wants to know of it: at least ``market``, ``clock``, ``model``, and ``sharpe`` (mean /
    standard deviation per trade, or None), which ``count_trials`` uses. Raises ``LobError`` when the ledger is broken.
    """
    identity = dict(zip(_IDENTITY, (recipe_sha256, data_sha256, scoring_sha256), strict=True))
    known: list[bool] = []

    def seen(records: tuple[dict[str, Any], ...]) -> bool:
        known.append(any(all(r.get(k) == v for k, v in identity.items()) for r in records))
        return known[-1]

    found = chain.append(trials_path(home), {**identity, "summary": summary}, unless=seen)
    return {
        "count": len(found.records),
        "head": found.head,
        "path": str(trials_path(home)),
        "new": not known[-1],
    }


def count_trials(home: Home, market: str | None = None) -> Trials:
    """Return how many trials were made (of ``market`` where given) and the variance of their Sharpe ratios.

    A ratio below 0 counts as 0 there: nobody would trade that recipe, and what fees take from the worthless ones says
    nothing of how far luck can carry one of them. Without that, one heavy loser among the trials would set a bar that
    no skill reaches.

    At least 1: a verdict is a trial. Placebos (``summary.placebo_seed`` of 0 or more) stand in the ledger and are not
    counted: permuted outcomes are no look at the market. Raises ``LobError`` when the chain is broken: a count from it
    would be a claim.
    """
    records = verify(home).records
    summaries = [r["summary"] for r in records if market is None or r["summary"].get("market") == market]
    summaries = [s for s in summaries if s.get("placebo_seed", -1) < 0]
    known = [s["sharpe"] for s in summaries if s.get("sharpe") is not None and math.isfinite(s["sharpe"])]
    ratios = [max(0.0, float(ratio)) for ratio in known]
    return Trials(max(1, len(summaries)), float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0)


def verify(home: Home) -> chain.Chain:
    """Return the verified ledger. Raises ``LobError`` naming the first broken line."""
    return chain.verify(trials_path(home))

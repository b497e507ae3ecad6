"""May a challenger become champion? Judged from what its bundle says, from its incumbent, and from nothing else.

Two questions, two gates (METHODS.md, Release and live). A first model or a recipe change needs a verdict of TRADE. A
refresh (same recipe, newer data) needs the calibration in bounds and to be no worse than the incumbent on days after
both training ends. Both need parity. Pure: nothing is read or written here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.models.outputs import COLUMN, TEMPERATURE_HEADS, masked_columns
from lob_pipeline.registry.semver import recipe_differences

Info = Mapping[str, Any]


@dataclass(frozen=True)
class ReleaseBounds:
    """What a release must keep to (docs/adr/0093). Errors are in probability, rows are held-out rows."""

    temperature_least: float = 0.05
    temperature_most: float = 20.0
    calibration_error_most: float = 0.10
    calibration_rows: int = 500
    brier_worse_most: float = 0.01
    fresh_rows: int = 1000


BOUNDS = ReleaseBounds()
_HEAD_COLUMN = {"entry": "entry_buy", "direction": "flat", "adverse": "adverse_buy", "fill": "fill_buy"}


def judge_calibration(info: Info, bounds: ReleaseBounds = BOUNDS) -> CheckOutcome:
    """Return whether temperatures and held-out calibration errors lie within bounds; masked heads are left out.

    ``info["calibration"]``: by head, ``{"rows", "expected_calibration_error"}``.
    """
    masked = masked_columns(info["masked_heads"])
    heads = [head for head in TEMPERATURE_HEADS if not masked[COLUMN[_HEAD_COLUMN[head]]]]
    wrong = [problem for head in heads if (problem := _head_problem(info, head, bounds))]
    rows = [int(info["calibration"].get(head, {}).get("rows", 0)) for head in heads]
    return judge(
        "calibration",
        not wrong,
        examined=max(rows, default=0),
        judged=min(rows, default=0),
        minimum=bounds.calibration_rows,
        message="; ".join(wrong),
        facts={"temperatures": dict(info["temperatures"]), "calibration": dict(info["calibration"])},
    )


def _head_problem(info: Info, head: str, bounds: ReleaseBounds) -> str:
    temperature = info["temperatures"].get(head)
    if temperature is None or not bounds.temperature_least <= temperature <= bounds.temperature_most:
        return (
            f"temperature of {head} is {temperature}, expected {bounds.temperature_least} to {bounds.temperature_most}"
        )
    error = info["calibration"].get(head, {}).get("expected_calibration_error")
    if error is None or not math.isfinite(error):
        return f"calibration of {head} was not measured on held-out rows"
    if error > bounds.calibration_error_most:
        return f"calibration error of {head} is {error:.3f}, at most {bounds.calibration_error_most}"
    return ""


def judge_verdict_gate(info: Info) -> CheckOutcome:
    """Return whether the evaluation of this recipe ended in TRADE."""
    evaluation = info["evaluation"]
    verdict = evaluation["verdict"]
    reason = "; ".join(str(r) for r in evaluation.get("reasons", ())[:2])
    return judge(
        "verdict",
        verdict == "TRADE",
        examined=1,
        judged=1,
        message="" if verdict == "TRADE" else f"the verdict is {verdict}{f' ({reason})' if reason else ''}, not TRADE",
        facts={"verdict": verdict},
    )


def judge_same_recipe(incumbent: Info, challenger: Info) -> CheckOutcome:
    """Return whether the challenger is a refresh of the incumbent: same recipe, data not older."""
    changed = recipe_differences(incumbent, challenger)
    older = challenger["data"]["as_of"] < incumbent["data"]["as_of"]
    message = f"{', '.join(changed)} changed: a recipe change needs its own verdict, promote it without --refresh"
    if not changed:
        message = f"its data ends on {challenger['data']['as_of']}, before the champion's" if older else ""
    return judge("same_recipe", not changed and not older, examined=1, judged=1, message=message)


@dataclass(frozen=True)
class FreshComparison:
    """Both models on the same rows of days after both training ends: mean Brier score of the fill head, and rows."""

    days: tuple[str, ...]
    rows: int
    challenger_brier: float
    incumbent_brier: float


def judge_incumbent(found: FreshComparison, bounds: ReleaseBounds = BOUNDS) -> CheckOutcome:
    """Return whether the challenger is no worse than the incumbent on data that neither was trained on.

    With fewer rows than the minimum it is not judged, and a promotion needs it judged.
    """
    enough = found.rows >= bounds.fresh_rows
    worse = found.challenger_brier - found.incumbent_brier if enough else 0.0
    ok = math.isfinite(worse) and worse <= bounds.brier_worse_most
    message = ""
    if not ok:
        message = (
            f"its fill probabilities are worse than the champion's by {worse:.4f} (Brier score, at most "
            f"{bounds.brier_worse_most}) on {', '.join(found.days)}"
        )
    elif not enough:
        message = (
            f"only {found.rows:,} rows lie after both training ends (at least {bounds.fresh_rows:,}): "
            "wait for another day of features and labels"
        )
    return judge(
        "incumbent",
        ok,
        examined=found.rows,
        judged=found.rows,
        minimum=bounds.fresh_rows,
        message=message,
        facts=dict(found.__dict__, days=list(found.days)),
    )


def refusal(outcomes: Iterable[CheckOutcome]) -> str:
    """Return why these outcomes forbid a promotion, in one sentence; empty when every gate passed.

    A gate that was not judged is no gate passed: capital does not follow what nobody looked at.
    """
    gates = [outcome for outcome in outcomes if outcome.severity == "gate"]
    if not gates:
        return "no gate ran (an absent gate is a refused gate)"
    return "; ".join(f"{o.name}: {o.message or o.status}" for o in gates if o.status != "passed")

"""May a challenger become champion? Judged from what its bundle says, from its incumbent, and from nothing else.

Two questions, two gates (METHODS.md, Release and live). A first model or a recipe change needs a verdict of TRADE. A
refresh (same recipe, newer data) needs the calibration in bounds and to be no worse than the incumbent on days after
both training ends. Both need parity. Pure: nothing is read or written here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.models.outputs import HEADS, TEMPERATURE_HEADS, masked_columns
from lob_pipeline.registry.releases import Release
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
_DECIDING = ("fill", "entry")
"""The heads that a trade hangs on: their calibration is bounded, every head's temperature is."""


def expected_calibration_error(bins: Sequence[Mapping[str, Any]]) -> tuple[float, int]:
    """Return (mean over rows of |forecast − observed|, rows) of bins as ``evaluation.heads.calibration`` gives them."""
    rows = sum(int(one["rows"]) for one in bins)
    if rows == 0:
        return math.nan, 0
    return sum(abs(one["forecast"] - one["observed"]) * one["rows"] for one in bins) / rows, rows


def judge_calibration(info: Info, bounds: ReleaseBounds = BOUNDS) -> CheckOutcome:
    """Return whether temperatures and held-out calibration errors lie within bounds; masked heads are left out.

    ``info["calibration"]``: bins by head (``forecast``, ``observed``, ``rows``), both sides pooled.
    """
    masked = masked_columns(info["masked_heads"])
    used = [head for head in TEMPERATURE_HEADS if not all(masked[column] for column in HEADS[head])]
    wrong = [problem for head in used if (problem := _temperature_problem(info, head, bounds))]
    errors = {h: expected_calibration_error(info["calibration"].get(h, ())) for h in _DECIDING if h in used}
    for head, (error, n) in errors.items():
        if n >= bounds.calibration_rows and not error <= bounds.calibration_error_most:
            wrong.append(f"calibration error of {head} is {error:.3f}, at most {bounds.calibration_error_most}")
    rows = [n for _, n in errors.values()]
    return judge(
        "calibration",
        not wrong,
        examined=max(rows, default=0),
        judged=min(rows, default=0),
        minimum=bounds.calibration_rows,
        message="; ".join(wrong) or _few(rows, bounds),
        facts={
            "temperatures": dict(info["temperatures"]),
            "expected_calibration_error": {h: None if math.isnan(e) else e for h, (e, _) in errors.items()},
        },
    )


def _few(rows: Sequence[int], bounds: ReleaseBounds) -> str:
    least = min(rows, default=0)
    return "" if least >= bounds.calibration_rows else f"{least} held-out rows, {bounds.calibration_rows} needed"


def _temperature_problem(info: Info, head: str, bounds: ReleaseBounds) -> str:
    temperature = info["temperatures"].get(head)
    if temperature is not None and bounds.temperature_least <= temperature <= bounds.temperature_most:
        return ""
    return f"temperature of {head} is {temperature}, expected {bounds.temperature_least} to {bounds.temperature_most}"


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


def judge_paired(incumbent: Info | None, challenger: Info) -> CheckOutcome | None:
    """Return whether a recipe change is better than the champion's recipe, fold by fold; None where nothing changed.

    ``evaluation["paired_champion"]``: ``paired_difference`` of both recipes refitted on identical data. Where it was
    not run this is a warning that says so: the verdict alone then carries the promotion.
    """
    if incumbent is None or not recipe_differences(incumbent, challenger):
        return None
    found = challenger["evaluation"].get("paired_champion")
    if not found:
        changed = ", ".join(recipe_differences(incumbent, challenger))
        message = f"{changed} changed, and no walk-forward compared both recipes fold by fold"
        return CheckOutcome("paired", "not_judged", 0, 0, severity="warning", message=message)
    low, rows = found["low_bps_a_day"], int(found["rows"])
    ok = low is not None and low > 0
    message = "" if ok else f"against the champion's recipe its interval begins at {low} bps a day, not above 0"
    return judge("paired", ok, examined=rows, judged=rows, message=message, facts=dict(found))


def readiness(challenger: Release, champion: Release | None) -> list[CheckOutcome]:
    """Return what the ledger alone says of promoting a challenger: its gates at registration, and its verdict.

    For a look (a sensor); a promotion judges anew, from the bundle itself.
    """
    evaluation = {"evaluation": {"verdict": challenger.verdict}}
    found = [*challenger.outcomes, judge_verdict_gate(evaluation)]
    if champion is not None:
        newer = challenger.as_of >= champion.as_of
        message = "" if newer else f"its data ends on {challenger.as_of}, before the champion's {champion.as_of}"
        found.append(judge("newer_data", newer, examined=1, judged=1, message=message))
    return found


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

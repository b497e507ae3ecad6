"""``lob run``: plan from the manifests, then execute what is absent or stale, layer by layer, in the Dagster instance.

Nothing stale means no run, and Dagster is imported only where partitions have to be reported to it. After
each layer the plan is made again: a layer that came out with the same content redoes nothing after it.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.session import Pair, Say, Session
from lob_pipeline.stages.layers import LAYERS, Layer
from lob_pipeline.stages.marts import Marts
from lob_pipeline.stages.plan import PlanStep, choose_days, plan

if TYPE_CHECKING:
    from lob_pipeline.resources import Stages

_DAY = re.compile(r" of \d{4}-\d{2}-\d{2}")


@dataclass
class RunReport:
    """What a run found and did. ``stages``: layer -> state -> number of partitions (days, for raw of three tables)."""

    planned: list[PlanStep] = field(default_factory=list)
    stages: dict[str, Counter[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """3 when a partition was refused or is blocked by one, 1 when a run failed otherwise, else 0."""
        total = sum(self.stages.values(), Counter())
        return 3 if total["refused"] or total["blocked"] else (1 if total["failed"] else 0)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "stages": {name: dict(counts) for name, counts in self.stages.items()},
            "refusals": self.refusals,
            "plan": [step.to_json() for step in self.planned if step.state != "fresh"],
        }


def run_stale(
    home: Home,
    *,
    market: Market | None = None,
    first: str | None = None,
    last: str | None = None,
    plan_only: bool = False,
    only_stale: bool = False,
    say: Say = print,
    overrides: Stages | None = None,
) -> RunReport:
    """Build what is absent or stale and return what was done.

    ``plan_only`` builds nothing, ``only_stale`` nothing that is absent. ``say`` gets one line a stage and one a
    finished partition. Raises ``BadInputError`` when no day is known.
    """
    days = choose_days(home, market, first, last)
    steps = plan(home, days)
    report = RunReport(planned=steps)
    for line in plan_lines(steps, days):
        say(line)
    if plan_only:
        report.stages = {layer.name: _count(steps, layer) for layer in LAYERS}
        report.stages["marts"] = Counter({Marts(home).state()[0]: 1})
        return report
    session = Session(home, say, overrides)
    for layer in LAYERS:
        report.stages[layer.name] = _run_layer(session, layer, days, only_stale, report.refusals)
    session.report_known(plan(home, days))
    report.stages["marts"] = _run_marts(session, only_stale)
    return report


def plan_lines(steps: list[PlanStep], days: list[Pair]) -> Iterator[str]:
    """Yield the plan: one line a layer, and one a range of partitions that are not fresh."""
    markets = sorted({str(m) for m, _ in days})
    yield f"plan             {len(days)} days of {', '.join(markets) or 'no market'}"
    for layer in LAYERS:
        counts = _count(steps, layer)
        yield f"  {layer.name:14} " + (", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "nothing")
        reasons: dict[tuple[str, str, str], list[str]] = {}
        for step in _of(steps, layer):
            if step.state != "fresh":
                why = _DAY.sub("", step.why) if step.why.startswith("follows") else step.why
                reasons.setdefault((str(step.market), step.state, why), []).append(step.date)
        for (market, state, why), dates in reasons.items():
            span = dates[0] if len(set(dates)) == 1 else f"{min(dates)}..{max(dates)}"
            yield f"    {market} {span}  {state}" + (f": {why}" if why else "")


def _of(steps: list[PlanStep], layer: Layer) -> list[PlanStep]:
    """Return a layer's steps of its first table that is not fresh a day: the tables of a stage are built together."""
    chosen: dict[Pair, PlanStep] = {}
    for step in steps:
        if step.table in layer.tables:
            standing = chosen.get((step.market, step.date))
            if standing is None or standing.state == "fresh":
                chosen[step.market, step.date] = step
    return list(chosen.values())


def _count(steps: list[PlanStep], layer: Layer) -> Counter[str]:
    return Counter(step.state for step in _of(steps, layer))


def _run_layer(session: Session, layer: Layer, days: list[Pair], only_stale: bool, refusals: list[str]) -> Counter[str]:
    """Build a layer until its plan holds nothing to do. Return how its days ended."""
    started = time.monotonic()
    tried: Counter[Pair] = Counter()
    skipped: set[Pair] = set()
    failed: set[Pair] = set()
    for _ in range(2 * len(days) + 2):  # a change that travels from day to day needs a round a day
        everything = [s for s in plan(session.home, days, session.given_up) if s.table in layer.tables]
        steps = _of(everything, layer)
        todo = {(s.market, s.date): s for s in steps if s.todo and s.certain}
        if only_stale:
            skipped |= {pair for pair, s in todo.items() if s.state == "absent"}
        pairs = [pair for pair in todo if pair not in skipped | failed and tried[pair] < 2]
        if pairs:
            failed |= set(pairs) - session.build(layer, pairs)
            tried.update(pairs)
            continue
        stuck = {(s.table, s.market, s.date) for s in everything if s.todo} - session.given_up
        if not stuck:
            break
        session.given_up |= stuck  # what optionally reads them is done without them
    counts: Counter[str] = Counter()
    for step in steps:
        pair = (step.market, step.date)
        if step.state == "fresh":
            counts["built" if tried[pair] else "fresh"] += 1
        elif pair in skipped:
            counts["absent"] += 1
        elif step.todo:
            counts["failed" if tried[pair] else "blocked"] += 1
        else:
            counts[step.state] += 1
        if step.state in ("refused", "blocked"):
            refusals.append(f"{step.table} of {step.market} {step.date} is {step.state}: {step.why}")
            session.say(f"  {layer.name:14} {step.market} {step.date}  {step.state}: {step.why}")
    text = ", ".join(f"{n} {what}" for what, n in sorted(counts.items())) or "nothing"
    session.say(f"{layer.name:16} {text}" + (f"  ({time.monotonic() - started:.1f} s)" if tried else ""))
    return counts


def _run_marts(session: Session, only_stale: bool) -> Counter[str]:
    started = time.monotonic()
    state, _ = Marts(session.home).state()
    if state == "blocked" or (only_stale and state == "absent"):
        session.say(
            "marts            nothing to do: no usable books" if state == "blocked" else "marts            absent"
        )
        return Counter()
    if state == "fresh":
        session.say("marts            1 fresh")
        return Counter(fresh=1)
    session.say("marts            dbt builds the daily market quality")
    outcome = "built" if session.build_marts() else "failed"
    session.say(f"marts            1 {outcome}  ({time.monotonic() - started:.1f} s)")
    return Counter({outcome: 1})

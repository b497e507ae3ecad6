"""Which markets can be retrained as of a day, and which day a model has not been shown: what schedules and sensors ask.

Answers come from the ledgers and the manifests alone; nothing here imports dagster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import parse_date, shift_date
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.stages.plan import Planner, default_clock, known_days

LEARNED_FROM = ("features", "labels")
SILENT_DAYS = 2  # so many days without data in a row are a failure, not a delay
RETIRED_DAYS = 28  # a market whose newest day is older than a training window is not followed any more

State = Literal["ready", "refused", "waiting", "silent", "retired"]


@dataclass(frozen=True)
class Readiness:
    """Whether a market can be retrained as of ``date``, and why not."""

    market: Market
    date: str
    state: State
    why: str = ""

    def __str__(self) -> str:
        return f"{self.market}: {self.why}"


def readiness(home: Home, date: str) -> list[Readiness]:
    """Return the state of every market that the home knows, as of a UTC day (the newest that is over).

    ``ready``: features and labels of the day are usable and current. ``refused``: a check said no, named in ``why``.
    ``waiting``: not there yet. ``silent``: nothing of the day nor of the one before it. ``retired``: nothing for four
    weeks. A market without any day up to ``date`` is left out.
    """
    days: dict[Market, list[str]] = {}
    for market, day in known_days(home):
        if day <= date:
            days.setdefault(market, []).append(day)
    planner = Planner(home)
    return [_judge(planner, market, date, known) for market, known in sorted(days.items(), key=lambda i: str(i[0]))]


def followed_by_nobody(found: list[Readiness]) -> list[Readiness]:
    """Return the retired markets when there is no other: a home that nothing reaches any more is silent too."""
    return found if all(r.state == "retired" for r in found) else []


def _judge(planner: Planner, market: Market, date: str, known: list[str]) -> Readiness:
    gone = (parse_date(date) - parse_date(known[-1])).days
    if gone >= RETIRED_DAYS:
        return Readiness(market, date, "retired", f"its newest day is {known[-1]}, {gone} days before {date}")
    state, why = _day(planner, market, date, known)
    before = shift_date(date, -1)
    if state == "waiting" and known[0] <= before and _without_data(planner, market, before, known):
        if _without_data(planner, market, date, known):
            return Readiness(market, date, "silent", f"{SILENT_DAYS} days without data, {before} and {date}: {why}")
    return Readiness(market, date, state, why)


def _day(planner: Planner, market: Market, date: str, known: list[str]) -> tuple[State, str]:
    if date not in known:
        return "waiting", f"no source of {date} is registered (newest {known[-1]})"
    for table in LEARNED_FROM:
        step = planner.judge(PartitionKey(table, market, date, default_clock(market)))
        if step.state in ("refused", "blocked"):
            return "refused", f"{table} of {date} is {step.state}: {step.why}"
        if step.state != "fresh":
            return "waiting", f"{table} of {date} is {step.state}" + (f" ({step.why})" if step.why else "")
    return "ready", ""


def _without_data(planner: Planner, market: Market, date: str, known: list[str]) -> bool:
    """Whether nothing that can be learned from was made of a day, and no check is the reason."""
    if date not in known:
        return True
    steps = [planner.judge(PartitionKey(table, market, date, default_clock(market))) for table in LEARNED_FROM]
    return all(step.state == "absent" for step in steps)

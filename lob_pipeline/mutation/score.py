"""The mutation score: mutants of every defect on every venue, and clean cuts, put through the pipeline and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.mutation.alarm import alarm_of
from lob_pipeline.mutation.bases import BASES, Base, Venue
from lob_pipeline.mutation.clean import FalseAlarm, clean_alarms
from lob_pipeline.mutation.frames import Recording
from lob_pipeline.mutation.judge import KILLED, Judgement, false_alarm, judge
from lob_pipeline.mutation.mutant import Defect, Dose, Mutant
from lob_pipeline.mutation.mutators import CATALOGUE
from lob_pipeline.mutation.recordings import recordings_root
from lob_pipeline.mutation.rows import Row, Trial, entry, not_applicable, smallest_dose
from lob_pipeline.mutation.trial import Outcome, run_trial
from lob_pipeline.mutation.wire import wire_of

PLACEMENTS = 3
CUTS = 20
Progress = Callable[[float, str], None]


class Runner:
    """Runs trials; the clean recordings are run once each."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._clean: dict[int, tuple[Recording, Outcome]] = {}
        self._variants: set[int] = set()

    def clean(self, recording: Recording) -> Outcome:
        """Return the outcome of a clean recording."""
        held = self._clean.get(id(recording))
        if held is None:
            held = self._clean[id(recording)] = (recording, run_trial(recording))
        return held[1]

    def alarmed(self, venue: str) -> list[FalseAlarm]:
        """Return what refused clean variants (flagged prints injected); the bases themselves are judged elsewhere."""
        found = [(r, false_alarm(o)) for r, o in self._clean.values() if id(r) in self._variants]
        return [FalseAlarm(venue, f"{r.name}, a clean variant", j.check, j.words) for r, j in found if j is not None]

    def mutants(self, row: Row, dose: Dose, bases: list[Base], placements: int) -> Iterable[tuple[int, Base, Mutant]]:
        """Yield the mutants of a dose, one a placement; the placements take turns among the bases."""
        if dose.needs:
            bases = [b for b in bases if dose.needs in b.has]
        if dose.trades:
            bases = [b for b in bases if b.many_trades] or bases
        for p in range(placements):
            for turn in range(len(bases)):
                base = bases[(p + turn) % len(bases)]
                number = row.defect.doses.index(dose)
                rng = np.random.default_rng([self.seed, row.defect.number, number, p, turn, *row.venue.encode()])
                mutant = dose.make(base.recording, wire_of(base.recording.venue), rng)
                if mutant is not None:
                    yield p, base, mutant
                    break

    def judged(self, base: Base, mutant: Mutant) -> Judgement:
        """Run a mutant and judge it."""
        if mutant.clean is not None:
            self._variants.add(id(mutant.clean))
        return judge(run_trial(mutant.recording), self.clean(mutant.clean or base.recording))


def mutation_score(
    recordings: Path | None = None,
    *,
    venue: str | None = None,
    defect: int | None = None,
    seed: int = 1,
    placements: int = PLACEMENTS,
    cuts: int = CUTS,
    alarms: bool = True,
    jobs: int = 1,
    venues: dict[str, Venue] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the score: ``mutants``, ``killed``, ``false_alarms`` and the table (CONTRACT.md, ``lob mutation-score``).

    A mutant is a defect on a venue where it can occur, tried at ``placements`` random places in each of its doses
    (more where more recordings are there: each takes its turn).
    It counts as killed when each trial of its full doses that changes anything is killed; what survives of the small
    and the disguised doses is in the table. ``cuts``: random cuts of each clean
    recording that must pass. ``alarms``: also measure the rows from defect to alarm. Raises ``BadInputError`` when the
    recordings are absent or a venue or defect is unknown.
    """
    root, known = recordings_root(recordings), venues or BASES
    chosen = _chosen(known, venue, defect)
    names = [name for name in known if venue in (None, name)]
    plan = Plan(root, chosen, seed, placements, cuts, alarms)
    parts: list[tuple[list[dict[str, Any]], list[FalseAlarm]]] = []
    if jobs > 1 and len(names) > 1 and venues is None:
        with ProcessPoolExecutor(min(jobs, len(names)), get_context("spawn")) as pool:
            waiting = [pool.submit(score_venue, name, plan) for name in names]
            for done, future in enumerate(waiting):
                parts.append(future.result())
                _tell(progress, (done + 1) / len(names), names[done])
    else:
        for done, name in enumerate(names):
            share = _part_of(progress, done, len(names))
            parts.append(score_venue(name, plan, known[name], share))
    rows = sorted((entry for table, _ in parts for entry in table), key=lambda entry: entry["mutant"])
    alarmed = [alarm for _, found in parts for alarm in found]
    applies = [entry for entry in rows if entry["applies"]]
    return {
        "mutants": len(applies),
        "killed": sum(1 for entry in applies if entry["killed_by"] is not None),
        "false_alarms": len(alarmed),
        "table": [*rows, *(alarm.to_json() for alarm in alarmed)],
    }


@dataclass(frozen=True)
class Plan:
    """What to run on each venue."""

    root: Path
    defects: list[int]
    seed: int
    placements: int
    cuts: int
    alarms: bool


def score_venue(
    name: str, plan: Plan, venue: Venue | None = None, progress: Progress | None = None
) -> tuple[list[dict[str, Any]], list[FalseAlarm]]:
    """Return one venue's rows of the table, and what refused its clean recordings."""
    runner = Runner(plan.seed)
    bases = (venue or BASES[name]).bases(plan.root, np.random.default_rng([plan.seed, *name.encode()]))
    table = []
    for done, number in enumerate(plan.defects):
        _tell(progress, done / (len(plan.defects) + 1), f"{name} {number} {CATALOGUE[number].title}")
        table.append(_row(runner, CATALOGUE[number], name, bases, plan.placements, plan.alarms))
    _tell(progress, len(plan.defects) / (len(plan.defects) + 1), f"{name}: clean, and {plan.cuts} cuts of each")
    rng = np.random.default_rng([plan.seed, 0, *name.encode()])
    return table, [*runner.alarmed(name), *clean_alarms(bases, plan.cuts, rng)]


def _part_of(progress: Progress | None, done: int, of: int) -> Progress | None:
    return None if progress is None else lambda share, text: progress((done + share) / of, text)


def _tell(progress: Progress | None, share: float, text: str) -> None:
    if progress is not None:
        progress(share, text)


def _chosen(known: dict[str, Venue], venue: str | None, defect: int | None) -> list[int]:
    if venue is not None and venue not in known:
        raise BadInputError(f"--venue {venue}: expected one of {', '.join(known)}")
    if defect is not None and defect not in CATALOGUE:
        raise BadInputError(f"--defect {defect}: expected 1 to {max(CATALOGUE)}")
    return [defect] if defect is not None else list(CATALOGUE)


def _row(
    runner: Runner, defect: Defect, venue: str, bases: list[Base], placements: int, alarms: bool
) -> dict[str, Any]:
    if venue in defect.not_on:
        return not_applicable(defect, venue, defect.not_on[venue])
    fit = [b for b in bases if b.fits(defect.needs)]
    row = Row(defect, venue)
    held: dict[str, tuple[Base, Mutant, Judgement]] = {}
    for dose in defect.doses:
        for p, base, mutant in runner.mutants(row, dose, fit, max(placements, len(fit))) if fit else ():
            judgement = runner.judged(base, mutant)
            row.trials.append(Trial(defect.number, venue, dose.name, p, base.recording.name, judgement))
            if judgement.fate == KILLED:
                held.setdefault(dose.name, (base, mutant, judgement))
    if not row.trials:
        return not_applicable(defect, venue, "no recording of this venue has a place for it")
    smallest = smallest_dose(row, "full", "small")
    if alarms and smallest in held:
        base, mutant, judgement = held[smallest]
        good = runner.clean(mutant.clean or base.recording)
        row.alarm = alarm_of(base.recording, mutant, good, judgement)
    return entry(row, smallest)



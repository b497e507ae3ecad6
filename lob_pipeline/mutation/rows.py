"""What became of a defect on a venue: its trials by dose, and the row of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lob_pipeline.mutation.alarm import Alarm
from lob_pipeline.mutation.judge import EQUIVALENT, KILLED, SURVIVED, Judgement
from lob_pipeline.mutation.mutant import Defect


@dataclass(frozen=True)
class Trial:
    """One mutant and its fate."""

    defect: int
    venue: str
    dose: str
    placement: int
    base: str
    judgement: Judgement


@dataclass
class Row:
    """All trials of a defect on a venue."""

    defect: Defect
    venue: str
    trials: list[Trial] = field(default_factory=list)
    alarm: Alarm | None = None

    def of_dose(self, dose: str) -> list[Trial]:
        """Return the trials of a dose."""
        return [t for t in self.trials if t.dose == dose]


def not_applicable(defect: Defect, venue: str, reason: str) -> dict[str, Any]:
    """Return the table's row of a defect that cannot occur on a venue."""
    return {
        "mutant": defect.number,
        "venue": venue,
        "applies": False,
        "killed_by": None,
        "title": defect.title,
        "reason": reason,
    }


def fates(trials: list[Trial]) -> dict[str, int]:
    """Return how many trials met which fate."""
    return {fate: sum(t.judgement.fate == fate for t in trials) for fate in (KILLED, EQUIVALENT, SURVIVED)}


def smallest_dose(row: Row, *strengths: str) -> str | None:
    """Return the weakest dose of these strengths at which, as at all stronger ones, nothing survived; None without."""
    found = None
    for dose in row.defect.doses:
        count = fates(row.of_dose(dose.name))
        if dose.strength not in strengths or not any(count.values()):
            continue
        if count[SURVIVED]:
            break
        found = dose.name if count[KILLED] else found
    return found


def is_killed(row: Row) -> bool:
    """Return whether the defect as it happens was caught wherever it was put: no full dose survived, one was killed."""
    full = [t for dose in row.defect.doses if dose.strength == "full" for t in row.of_dose(dose.name)]
    count = fates(full)
    return count[KILLED] > 0 and count[SURVIVED] == 0


def entry(row: Row, smallest: str | None) -> dict[str, Any]:
    """Return the table's row of a defect on a venue; ``smallest``: the smallest dose that is caught."""
    survivors = [t for t in row.trials if t.judgement.fate == SURVIVED]
    killers = [t.judgement for t in row.trials if t.judgement.fate == KILLED]
    first = row.alarm.check if row.alarm else (killers[0].check if killers else None)
    return {
        "mutant": row.defect.number,
        "venue": row.venue,
        "applies": True,
        "killed_by": first if is_killed(row) else None,
        "title": row.defect.title,
        "reason": row.defect.how,
        "doses": {
            dose.name: {
                "strength": dose.strength,
                **fates(row.of_dose(dose.name)),
                "checks": sorted({t.judgement.check for t in row.of_dose(dose.name) if t.judgement.check}),
                "how": sorted({t.judgement.how for t in row.of_dose(dose.name) if t.judgement.fate == KILLED}),
            }
            for dose in row.defect.doses
            if row.of_dose(dose.name)
        },
        "smallest_dose": smallest,
        "smallest_disguised": smallest_dose(row, "disguised"),
        "rows_to_alarm": row.alarm.rows if row.alarm else None,
        "messages_to_alarm": row.alarm.messages if row.alarm else None,
        "placements": len({t.placement for t in row.trials}),
        "trials": len(row.trials),
        "trials_killed": len(killers),
        "equivalent": sum(t.judgement.fate == EQUIVALENT for t in row.trials),
        "recordings": sorted({t.base for t in row.trials}),
        "survivors": [
            {"dose": t.dose, "placement": t.placement, "recording": t.base, "why": t.judgement.how}
            for t in survivors
        ],
    }

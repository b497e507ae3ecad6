"""Clean recordings and random cuts of them: every check must pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lob_pipeline.mutation.bases import Base
from lob_pipeline.mutation.cuts import cut, random_spans
from lob_pipeline.mutation.frames import DELTA, Recording
from lob_pipeline.mutation.judge import false_alarm
from lob_pipeline.mutation.trial import run_trial


@dataclass(frozen=True)
class FalseAlarm:
    """A clean recording or cut that something refused."""

    venue: str
    recording: str
    check: str
    words: str

    def to_json(self) -> dict[str, Any]:
        """Return a row of the table: no mutant, but what a check said of a clean recording."""
        row = {"mutant": None, "venue": self.venue, "applies": False, "killed_by": None}
        return {**row, "false_alarm": self.check, "recording": self.recording, "words": self.words}


def clean_alarms(bases: list[Base], cuts: int, rng: np.random.Generator) -> list[FalseAlarm]:
    """Return what refused the clean recordings or any of ``cuts`` random cuts of each."""
    found = []
    for base in bases:
        whole = base.recording
        messages = max(20, len(whole.where(DELTA)) // 3)
        for recording in [whole, *cut(whole, random_spans(whole, rng, cuts, messages))]:
            alarm = _alarm(recording)
            if alarm is not None:
                found.append(alarm)
    return found


def _alarm(recording: Recording) -> FalseAlarm | None:
    judgement = false_alarm(run_trial(recording))
    if judgement is None:
        return None
    return FalseAlarm(recording.venue, recording.name, judgement.check, judgement.words)

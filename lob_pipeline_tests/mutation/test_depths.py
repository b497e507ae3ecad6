"""Two depths of one book side by side: what breaks no law of a book is told by the other depth, and by it alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.mutation.alarm import upto
from lob_pipeline.mutation.bases import Base, usdm_2023, usdm_midnight
from lob_pipeline.mutation.cuts import cut, random_spans
from lob_pipeline.mutation.derived import derived
from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, TRADE, WITNESS
from lob_pipeline.mutation.judge import KILLED, SURVIVED, false_alarm
from lob_pipeline.mutation.mutant import DEPTHS
from lob_pipeline.mutation.mutators import CATALOGUE
from lob_pipeline.mutation.mutators.common import untraded
from lob_pipeline.mutation.rows import Row
from lob_pipeline.mutation.score import Runner
from lob_pipeline.mutation.trial import run_trial
from lob_pipeline.mutation.wire import wire_of

pytestmark = pytest.mark.real
WIRE = wire_of("bybit-linear")


@pytest.fixture(scope="module")
def pair(root: Path) -> Base:
    source = usdm_midnight(usdm_2023(root), before_s=8, after_s=12)
    return Base(derived(source, "websocket", 500, witness=200), ("midnight", DEPTHS))


def test_the_pair_holds_both_depths_and_passes_every_check(pair: Base) -> None:
    recording = pair.recording
    assert len(recording.where(WITNESS)) > 300
    topics = {str(recording.frames[i].body["topic"]) for i in recording.where(*BOOK_KINDS)}
    assert topics == {"orderbook.500.BTCUSDT"}
    outcome = run_trial(recording)
    assert false_alarm(outcome) is None
    judged = [s for s in outcome.said if s.name == "depth_agreement"]
    assert len(judged) == 2
    assert all(s.status == "passed" and s.judged > 100 and s.facts["equal"] == s.judged for s in judged)


def test_cuts_cut_both_depths(pair: Base, rng: np.random.Generator) -> None:
    for some in cut(pair.recording, random_spans(pair.recording, rng, 3, 200)):
        times = [[WIRE.engine_ms(some.frames[i]) for i in some.where(*kinds)] for kinds in (BOOK_KINDS, (WITNESS,))]
        assert min(times[0]) <= min(times[1]) <= max(times[1]) <= max(times[0])
        assert some.frames[some.where(WITNESS)[0]].body["type"] == "snapshot"
        outcome = run_trial(some)
        assert false_alarm(outcome) is None
        assert next(s.status for s in outcome.said if s.name == "depth_agreement") == "passed"


def test_a_shorter_recording_ends_with_both(pair: Base) -> None:
    short = upto(pair.recording, 200)
    last = max(WIRE.engine_ms(short.frames[i]) for i in short.where(DELTA))
    ends = [WIRE.engine_ms(short.frames[i]) for kind in (WITNESS, TRADE) for i in short.where(kind)]
    assert len(short.where(*BOOK_KINDS)) == 200
    assert max(ends) <= last
    assert len(short.where(WITNESS)) > 100


@pytest.mark.parametrize("number", [1, 15])
def test_what_only_another_depth_can_tell_is_told(pair: Base, number: int) -> None:
    """Without trades; the mirrored one is refused by nothing else."""
    runner, defect = Runner(seed=11), CATALOGUE[number]
    doses = [d for d in defect.doses if d.needs == DEPTHS]
    assert doses
    for dose in doses:
        for _, base, mutant in runner.mutants(Row(defect, "bybit"), dose, [pair], 2):
            assert mutant.clean is not None
            assert not mutant.recording.where(TRADE)
            assert false_alarm(runner.clean(mutant.clean)) is None
            assert runner.judged(base, mutant).fate == KILLED
            refused = {s.name for s in run_trial(mutant.recording).refusals} - {"certificate"}
            assert "depth_agreement" in refused
            assert number != 1 or refused == {"depth_agreement"}


def test_without_the_other_depth_the_same_survives(root: Path, rng: np.random.Generator) -> None:
    """So the dose shows what it says: nothing but the second depth knows."""
    alone = derived(usdm_midnight(usdm_2023(root), before_s=8, after_s=12), "websocket", 500)
    dose = next(d for d in CATALOGUE[1].doses if d.name == "every message, prices mirrored")
    mutant = untraded(dose.make)(alone, WIRE, rng)
    assert mutant is not None
    assert Runner(seed=1).judged(Base(alone), mutant).fate == SURVIVED


def test_doses_that_need_two_depths_are_put_on_no_other_recording(pair: Base) -> None:
    dose = next(d for d in CATALOGUE[1].doses if d.needs)
    single = Base(pair.recording, ("midnight",))
    assert list(Runner(seed=1).mutants(Row(CATALOGUE[1], "bybit"), dose, [single], 3)) == []

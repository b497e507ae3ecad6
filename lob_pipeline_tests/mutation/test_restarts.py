"""Fresh snapshots in mid-stream are no defect: nothing may cry wolf, wherever they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from lob_pipeline.mutation.bases import MIDNIGHT_2023_MS, usdm_2023, usdm_midnight
from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, Recording
from lob_pipeline.mutation.judge import false_alarm
from lob_pipeline.mutation.mutators.common import applied_deltas, put_snapshot, snapshot_at
from lob_pipeline.mutation.naive_book import NaiveBook, book_after
from lob_pipeline.mutation.recordings import bybit_ws
from lob_pipeline.mutation.trial import run_trial
from lob_pipeline.mutation.wire import wire_of

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def midnight(root: Path) -> Recording:
    return usdm_midnight(usdm_2023(root), before_s=8, after_s=12)


def test_the_book_at_a_place_is_that_of_the_frames_up_to_it(root: Path) -> None:
    recording = bybit_ws(root, "SOLUSDT")
    wire = wire_of(recording.venue)
    at = applied_deltas(recording, wire)[40]
    book = NaiveBook()
    for i in recording.where(*BOOK_KINDS):
        if i <= at:
            book.apply(*wire.levels(recording.frames[i]))
    assert book_after(recording, wire, at).levels() == book.levels()
    later = applied_deltas(recording, wire)[41]
    assert book_after(recording, wire, later).levels() != book.levels()


@pytest.mark.parametrize("before", [1, 2, 40])
def test_a_fresh_snapshot_before_midnight_is_no_other_closing_book(midnight: Recording, before: int) -> None:
    """The book that goes over midnight holds levels that a snapshot of limited depth does not show."""
    wire = wire_of(midnight.venue)
    day_one = [i for i in midnight.where(DELTA) if wire.engine_ms(midnight.frames[i]) <= MIDNIGHT_2023_MS]
    at = day_one[-before]
    assert len(book_after(midnight, wire, at).levels()[0]) > 1000
    outcome = run_trial(put_snapshot(midnight, at, snapshot_at(midnight, wire, at)))
    assert false_alarm(outcome) is None
    assert len(outcome.books) == 2

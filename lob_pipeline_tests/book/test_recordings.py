"""Every real recording: all columns of all rows equal the naive emitter's, and the certificates hold."""

from __future__ import annotations

import numpy as np
import pytest

from lob_pipeline.book.replay import BookEngine, replay
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.tables import ROW, ROW_WIDTH
from lob_pipeline_tests.book.streams import in_chunks, to_columns
from lob_pipeline_tests.book.test_rows import assert_same_rows
from lob_pipeline_tests.book.watch import refused, watched
from lob_pipeline_tests.naive.book import naive_rows
from lob_pipeline_tests.naive.recordings import Recording

NAMES = ("usdm-2023", "usdm-2024", "spot-btc", "spot-nexo", "bybit-btc", "bybit-sol", "bybit-xrp")
RESYNC = ("resync-btc", "resync-eth")
ROWS = {
    "usdm-2023": [995, 4146],
    "usdm-2024": [3435, 10],
    "spot-btc": [3446, 3058],
    "spot-nexo": [30017, 57599],
    "bybit-btc": [436],
    "bybit-sol": [426],
    "bybit-xrp": [49],
    "resync-btc": [182],
    "resync-eth": [183],
}

pytestmark = pytest.mark.real


def _rows(rec: Recording, messages: list, day: str, chunk: int) -> np.ndarray:
    clock = parse_clock(rec.instrument.clock)
    parts = list(replay(in_chunks(to_columns(messages), [chunk]), rec.instrument, clock, day, batch_rows=1000))
    return np.concatenate(parts) if parts else np.empty((0, ROW_WIDTH), np.int64)


@pytest.mark.parametrize("name", [*NAMES, *RESYNC])
def test_rows_equal_naive_rows(recorded: dict[str, Recording], name: str) -> None:
    rec = recorded[name]
    clock = parse_clock(rec.instrument.clock)
    counts = []
    for day, messages in rec.days().items():
        expected = naive_rows(messages, rec.instrument.sequence, clock.step_ns, rec.instrument.depth_limit, day)
        assert_same_rows(_rows(rec, messages, day, 9973), expected)
        counts.append(len(expected))
    assert counts == ROWS[name]


@pytest.mark.parametrize("name", ["usdm-2023", "bybit-sol", "resync-btc"])
def test_live_rows_equal_batch_rows(recorded: dict[str, Recording], name: str) -> None:
    rec = recorded[name]
    day, messages = list(rec.days().items())[-1]
    engine = BookEngine(rec.instrument, parse_clock(rec.instrument.clock), day)
    parts = []
    for i, m in enumerate(messages):
        parts.append(engine.push(to_columns([m])).copy())
        if i % 997 == 500:
            saved = engine.to_bytes()
            engine = BookEngine.from_bytes(saved, rec.instrument, engine.clock, day)
            assert engine.to_bytes() == saved
    assert_same_rows(np.concatenate(parts), _rows(rec, messages, day, 50_000))


def test_midnight_is_crossed_without_a_seam(recorded: dict[str, Recording]) -> None:
    rec = recorded["usdm-2023"]
    whole = _rows(rec, rec.messages, "2023-04-04", 50_000)  # without a mark the crossing message itself closes the day
    halves = [_rows(rec, messages, day, 50_000) for day, messages in rec.days().items()]
    assert_same_rows(halves[0], whole)
    assert halves[1][0, ROW["ts_ns"]] - halves[0][-1, ROW["ts_ns"]] == 100_000_000
    assert not halves[1][0, ROW["run_start"]]


@pytest.mark.parametrize("name", [*NAMES, *RESYNC])
def test_certificates_hold(recorded: dict[str, Recording], name: str) -> None:
    rec, before, compared = recorded[name], None, []
    for day, messages in rec.days().items():
        certificate, outcomes = watched(
            messages,
            rec.instrument,
            parse_clock(rec.instrument.clock),
            day,
            trades=rec.day_trades(day),
            quotes=rec.quotes,
            closing_before=before,
        )
        facts = certificate.to_json()
        assert refused(outcomes) == set()
        assert facts["holds"]
        assert (facts["gaps"], facts["crossed"], facts["invalid_ns"], facts["coverage"]) == ([], 0, 0, 1.0)
        assert facts["unbridged_snapshots"] == (1 if name in RESYNC else 0)
        assert facts["boundary_match"] == (None if before is None else True)
        quote = facts["top_of_book_match"]
        compared.append(quote["compared"] if quote else 0)
        assert outcomes["warm_rows"].status == ("passed" if facts["warm_rows"] else "not_judged")
        before = certificate.closing
    expected = {"usdm-2023": [310, 1255], "usdm-2024": [628, 1], "spot-btc": [562, 510], "spot-nexo": [4095, 8103]}
    assert compared == expected.get(name, [0] * len(compared))

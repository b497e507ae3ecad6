"""A recorded day whose first segments were lost, replaced or shortened is refused by the recorder's own ledger."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lob_pipeline.capture.ledger import SegmentLedger, segment_ledger
from lob_pipeline.checks import CHECKS
from lob_pipeline.cli import main
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.mutation.frames import SNAPSHOT
from lob_pipeline.mutation.mutators.recorder import with_restarts
from lob_pipeline.mutation.recordings import bybit_ws
from lob_pipeline.mutation.segments import Heard, segments_of, stretches
from lob_pipeline.mutation.wire import wire_of
from lob_pipeline.stages.ingest import IngestReport, ingest
from lob_pipeline.stages.segment_ledger import NAME, segment_ledger_match
from lob_pipeline.stages.segments import register_closed
from lob_pipeline.stages.verify import verify

pytestmark = pytest.mark.real
MARKET = "bybit-linear.SOLUSDT"
DATE = "2026-08-09"


@pytest.fixture(scope="module")
def parts(root: Path) -> list[list[Heard]]:
    """A recording in three stretches, each from a fresh snapshot on: what is left keeps every law of a book."""
    recording = bybit_ws(root, "SOLUSDT")
    restarted = with_restarts(recording, wire_of("bybit-linear"), np.random.default_rng(4), 2)
    assert restarted is not None
    assert len(restarted.where(SNAPSHOT)) == 3
    return stretches(restarted, 3)


@dataclass
class Recorded:
    """A home with closed segments and, where wanted, the ledger that lists them."""

    home: Home
    paths: list[Path]

    def ingest(self, *paths: Path, replace: bool = False) -> IngestReport:
        return ingest(self.home, parse_market(MARKET), list(paths or self.paths), replace=replace)

    def note(self, kind: str, **facts: Any) -> None:
        ledger = SegmentLedger(self.home)
        ledger.note(kind, **facts)
        ledger.close()


def record(root: Path, recording_parts: list[list[Heard]], *, listed: bool = True) -> Recorded:
    from lob_pipeline.capture.segments import SegmentWriter, segments_root

    home = Home(root)
    found = Recorded(home, [])
    for part in recording_parts:
        writer = SegmentWriter(segments_root(home), parse_market(MARKET), "main", 1, "test")
        for wall_ns, payload in part:
            writer.add(wall_ns, wall_ns, payload)
            writer.saw("any", 0, 0, wall_ns)
        facts = writer.close()
        found.paths.append(writer.path)
        if listed:
            found.note("closed", reason="stop", **facts)
    return found


def gate(report: IngestReport) -> CheckOutcome | None:
    (events,) = [r for r in report.partitions if r.table == "l2_events"]
    return next((o for o in events.manifest.outcomes if o.name == NAME), None)


def other_bytes(parts: list[list[Heard]], tmp_path: Path, *which: int) -> bytes:
    """Return a whole segment with these stretches: what a recorder that opens its file anew would leave."""
    (path,) = record(tmp_path / "again", [[heard for k in which for heard in parts[k]]], listed=False).paths
    return path.read_bytes()


def test_what_was_recorded_passes_and_verifies(parts: list[list[Heard]], tmp_path: Path) -> None:
    one = record(tmp_path, parts)
    found = gate(one.ingest())
    assert found is not None
    assert (found.status, found.rows_judged, found.facts["listed"]) == ("passed", 3, 3)
    assert verify(one.home, parse_market(MARKET), DATE)["holds"]
    assert NAME in CHECKS["l2_events"]


def test_without_a_ledger_there_is_nothing_to_hold_against(parts: list[list[Heard]], tmp_path: Path) -> None:
    assert gate(record(tmp_path, parts, listed=False).ingest()) is None


@pytest.mark.parametrize("how", ["gone", "two gone", "replaced", "shortened", "one frame less"])
def test_a_damaged_start_is_refused_by_name(parts: list[list[Heard]], tmp_path: Path, how: str) -> None:
    one = record(tmp_path / "home", parts)
    first = one.paths[0]
    if how in ("gone", "two gone"):
        gone = one.paths[: 2 if how == "two gone" else 1]
        for path in gone:
            path.unlink()
        one.paths = one.paths[len(gone) :]
    elif how == "replaced":
        first.write_bytes(other_bytes(parts, tmp_path, 2))
    elif how == "shortened":
        first.write_bytes(other_bytes([parts[0][len(parts[0]) // 2 :]], tmp_path, 0))
    else:
        first.write_bytes(other_bytes([parts[0][:-1]], tmp_path, 0))
    found = gate(one.ingest())
    assert found is not None
    assert found.refuses
    assert first.name in found.message
    assert found.facts["not_as_listed"] == (2 if how == "two gone" else 1)
    assert not PartitionKey("l2_events", parse_market(MARKET), DATE).path(one.home).exists()


def test_the_same_size_does_not_hide_other_bytes(parts: list[list[Heard]], tmp_path: Path) -> None:
    one = record(tmp_path / "home", parts)
    data = bytearray(one.paths[0].read_bytes())
    later = other_bytes(parts, tmp_path, 1)
    one.note("closed", reason="stop", **_facts_of(one, 0, bytes=len(later), content_sha256="0" * 64))
    one.paths[0].write_bytes(later)
    found = gate(one.ingest())
    assert found is not None
    assert found.refuses
    assert len(data) != len(later)
    assert found.facts["not_as_listed"] == 2, "both lines tell of bytes that are not there"


def _facts_of(one: Recorded, k: int, **changes: Any) -> dict[str, Any]:
    lines = [json.loads(line) for line in segment_ledger(one.home).read_text().splitlines()]
    keep = ("kind", "at_ns", "reason", "previous", "sha256")
    return {n: v for n, v in lines[k].items() if n not in keep} | changes


def test_a_path_written_twice_is_a_loss_also_where_another_day_was_lost(
    parts: list[list[Heard]], tmp_path: Path
) -> None:
    """The first bytes held the day before alone: no file of it is left, and this day stands on the later bytes."""
    one = record(tmp_path, parts)
    day_ns = 86_400 * 10**9
    before = _facts_of(one, 0)
    one.note(
        "closed",
        reason="stop",
        **before | {"content_sha256": "1" * 64} | {n: before[n] - day_ns for n in ("first_wall_ns", "last_wall_ns")},
    )
    found = gate(one.ingest())
    assert found is not None
    assert found.refuses
    assert (found.facts["listed"], found.facts["not_as_listed"]) == (4, 1)


def test_segments_that_wait_keep_the_day_unjudged_until_they_come(parts: list[list[Heard]], tmp_path: Path) -> None:
    one = record(tmp_path, parts)
    early = gate(one.ingest(one.paths[2]))
    assert early is not None
    assert (early.status, early.facts["waiting"]) == ("not_judged", 2)
    whole = gate(one.ingest(*one.paths[:2]))
    assert whole is not None
    assert whole.status == "passed"


def test_a_connection_that_brought_nothing_is_not_waited_for(parts: list[list[Heard]], tmp_path: Path) -> None:
    from lob_pipeline.capture.segments import SegmentWriter, segments_root

    one = record(tmp_path, parts)
    writer = SegmentWriter(segments_root(one.home), parse_market(MARKET), "main", 2, "test")
    writer.add(parts[1][0][0], 0, b'{"success":true,"ret_msg":"","conn_id":"x","op":"subscribe"}')
    facts = writer.close()
    assert facts["topics"] == {}
    one.note("closed", reason="reconnect", **facts)
    for path in one.paths[:2]:
        early = gate(one.ingest(path))
        assert early is not None
        assert early.status == "not_judged"
    found = gate(one.ingest(one.paths[2]))
    assert found is not None
    assert (found.status, found.facts["listed"]) == ("passed", 4)


def test_put_back_and_replaced_the_day_stands(parts: list[list[Heard]], tmp_path: Path) -> None:
    one = record(tmp_path / "home", parts)
    recorded = one.paths[0].read_bytes()
    one.paths[0].write_bytes(other_bytes(parts, tmp_path, 2))
    refused = gate(one.ingest())
    assert refused is not None
    assert refused.refuses
    one.paths[0].unlink()  # the store keeps the bytes that were given: a hard link would be written through
    one.paths[0].write_bytes(recorded)
    whole = gate(one.ingest(replace=True))
    assert whole is not None
    assert whole.status == "passed"


def test_removed_after_its_ingest_is_no_loss(parts: list[list[Heard]], tmp_path: Path) -> None:
    one = record(tmp_path, parts)
    facts = _facts_of(one, 0)
    one.paths[0].unlink()
    one.note("removed", path=facts["path"], content_sha256=facts["content_sha256"], bytes=facts["bytes"], dates=[DATE])
    found = gate(one.ingest(*one.paths[1:]))
    assert found is not None
    assert (found.status, found.facts["listed"]) == ("passed", 2)


def test_a_ledger_that_was_changed_vouches_for_nothing(parts: list[list[Heard]], tmp_path: Path) -> None:
    one = record(tmp_path, parts)
    path = segment_ledger(one.home)
    path.write_bytes(path.read_bytes().replace(b'"frames":', b'"frames":1', 1))
    found = gate(one.ingest())
    assert found is not None
    assert found.refuses
    assert "line 1" in found.message


def test_the_sensors_way_in_is_judged_too(parts: list[list[Heard]], tmp_path: Path) -> None:
    from lob_pipeline.stages.ingest import build_events

    one = record(tmp_path / "home", parts)
    one.paths[0].write_bytes(other_bytes(parts, tmp_path, 2))
    assert register_closed(one.home, parse_market(MARKET), DATE)
    results = build_events(one.home, parse_market(MARKET), DATE)
    assert next(r for r in results if r.table == "l2_events").refused


def test_only_exit_codes_are_needed_to_see_it(
    parts: list[list[Heard]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = record(tmp_path / "data", parts)
    one.paths[0].write_bytes(other_bytes(parts, tmp_path, 2))
    monkeypatch.setenv("LOB_HOME", str(one.home.root))

    def code(*words: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        return int(stop.value.code or 0)

    assert code("ingest", MARKET, *(str(p) for p in one.paths), "--json") == 3
    assert code("verify", MARKET, DATE, "--json") == 3
    assert NAME in capsys.readouterr().out


def test_another_markets_lines_are_no_business_of_this_one(parts: list[list[Heard]], tmp_path: Path) -> None:
    from lob_pipeline.stages.ingest_sources import registered

    one = record(tmp_path, parts)
    one.ingest()
    assert segment_ledger_match(one.home, parse_market("bybit-linear.BTCUSDT"), DATE, registered(one.home)) == []


def test_the_mutants_segments_are_what_capture_writes(root: Path, parts: list[list[Heard]]) -> None:
    recording = bybit_ws(root, "SOLUSDT")
    segments = segments_of(recording, parts)
    for segment, part in zip(segments, parts, strict=True):
        assert hashlib.sha256(segment.data).hexdigest() == segment.facts["content_sha256"]
        assert segment.facts["frames"] == len(part)

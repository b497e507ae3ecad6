"""A short soak with every bar, and proof that its comparison sees what it should see."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lob_pipeline.sim.faults import KINDS
from lob_pipeline.sim.sender_log import SENT, Sent, read_sender_log
from lob_pipeline_tests.soak.compare import Verdict
from lob_pipeline_tests.soak.judge import MOST_LOST_S, compare_all, judge, table
from lob_pipeline_tests.soak.kills import Recorded, kill_losses
from lob_pipeline_tests.soak.lake_side import ledger_lines, partition_files
from lob_pipeline_tests.soak.run import MARKETS, SoakConfig, SoakRun, soak

pytestmark = [pytest.mark.slow, pytest.mark.real]

CONFIG = SoakConfig(seconds=30.0, rate=5_000.0, kills=3, seed=20_261_120, fault_every_s=1.6, calm_share=0.6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> SoakRun:
    return soak(CONFIG, tmp_path_factory.mktemp("soak"), real_data)


def test_the_partition_is_the_log_minus_what_the_ledger_lists(run: SoakRun) -> None:
    report = judge(CONFIG, run)
    bars = {bar["name"]: bar["ok"] for bar in report["bars"]}
    del bars["worst loss by a kill (s)"]  # judged below: while the machine stands still nobody writes
    assert all(bars.values()), table(report)
    assert len(bars) == 6
    assert all(loss["lost_s"] <= MOST_LOST_S + loss["stall_s"] for loss in report["kill_losses"]), table(report)
    assert set(report["faults"]) == set(KINDS)
    assert all(topic["recorded"] > 1_000 for topic in report["topics"])
    assert sum(topic["levels"] for topic in report["topics"]) > 100_000
    assert report["ledger"]["unknown"] >= len(MARKETS) * CONFIG.kills
    assert "nothing" in table(report)


def wrong(run: SoakRun, sent: Sent, lines: list[dict[str, Any]]) -> set[str]:
    """Return what is wrong, over all topics."""
    verdicts, _ = compare_all(run, sent, lines)
    return {what for verdict in verdicts for what in verdict.wrong}


def without_a_gap(lines: list[dict[str, Any]]) -> None:
    late = {(line["topic"], line["id"]) for line in lines if line["kind"] == "late"}
    for i, line in enumerate(lines):
        if line["kind"] == "gap" and not any(
            (line["topic"], missing) in late for missing in range(line["expected"] + 1, line["got"] + 1)
        ):
            del lines[i]
            return
    raise AssertionError("the run had no gap for good")


def without_a_break(lines: list[dict[str, Any]]) -> None:
    breaks = (i for i, line in enumerate(lines) if line["kind"] == "unknown" and "orderbook" in line["topic"])
    del lines[next(breaks)]


def one_more_id(lines: list[dict[str, Any]]) -> None:
    line = next(line for line in lines if line["kind"] == "gap" and not line["snapshot"])
    line["expected"] -= 1


def without_a_break_of_trades(lines: list[dict[str, Any]]) -> None:
    breaks = [i for i, line in enumerate(lines) if line["kind"] == "unknown" and "Trade" in line["topic"]]
    del lines[breaks[0]]


LEDGER = {
    "a gap is not told": (without_a_gap, "neither recorded nor listed as lost"),
    "a break is not told": (without_a_break, "neither recorded nor listed as lost"),
    "a break of trades is not told": (without_a_break_of_trades, "neither recorded nor listed as lost"),
    "too much is told": (one_more_id, "recorded, yet listed as lost"),
}


@pytest.mark.parametrize("what", sorted(LEDGER))
def test_a_ledger_that_is_not_exact_is_seen(run: SoakRun, what: str) -> None:
    change, seen = LEDGER[what]
    lines = copy.deepcopy(ledger_lines(run.home))
    change(lines)
    assert wrong(run, read_sender_log(run.log), lines) == {seen}


def another_size(rows: pa.Table, at: int) -> pa.Table:
    sizes = rows["size_lots"].to_numpy().copy()
    sizes[at] += 1
    return rows.set_column(rows.schema.get_field_index("size_lots"), "size_lots", pa.array(sizes))


def without_a_message(rows: pa.Table, at: int) -> pa.Table:
    first = np.flatnonzero(rows["first_in_message"].to_numpy())
    start = int(first[np.searchsorted(first, at)])
    end = int(first[np.searchsorted(first, at) + 1])
    return pa.concat_tables([rows.slice(0, start), rows.slice(end)])


def a_message_of_its_own(rows: pa.Table, at: int) -> pa.Table:
    seqs = rows["seq"].to_numpy().copy()
    seqs[seqs == seqs[at]] = 1 << 60
    return rows.set_column(rows.schema.get_field_index("seq"), "seq", pa.array(seqs))


PARTITION = {
    "another size": (another_size, "levels differ"),
    "a message is missing": (without_a_message, "neither recorded nor listed as lost"),
    "a message was never sent": (a_message_of_its_own, "never sent, yet recorded"),
}


@pytest.mark.parametrize("what", sorted(PARTITION))
def test_a_partition_that_is_not_exact_is_seen(run: SoakRun, tmp_path: Path, what: str) -> None:
    change, seen = PARTITION[what]
    shutil.copytree(run.home, tmp_path / "home")
    path = partition_files(tmp_path / "home", "l2_events", MARKETS[0])[0]
    rows = pq.read_table(path, partitioning=None)
    deltas = np.flatnonzero(rows["kind"].to_numpy() == 2)
    pq.write_table(change(rows, int(deltas[len(deltas) // 3])), path)
    other = copy.copy(run)
    other.home = tmp_path / "home"
    assert seen in wrong(other, read_sender_log(run.log), ledger_lines(run.home))


def test_a_loss_of_more_than_a_second_is_measured(run: SoakRun) -> None:
    """The seconds before a moment are taken out of what was recorded: the loss is as long as they are."""
    sent = read_sender_log(run.log)
    _, recorded = compare_all(run, sent, ledger_lines(run.home))
    calm = next(e["wall_ns"] for e in sent.events if e["event"] == "subscribed") + 2_500_000_000
    rows = sent.frames
    wall = rows["wall_ns"].astype(np.int64)
    before = (wall > calm - 1_500_000_000) & (wall <= calm) & (rows["fate"] == SENT)
    cut = {}
    for topic, found in recorded.items():
        kept = ~np.isin(found.seq, rows["seq"][before])
        cut[topic] = Recorded(found.seq[kept], found.recv_ns[kept])
    (none,), (loss,) = kill_losses(sent, recorded, [calm]), kill_losses(sent, cut, [calm])
    assert none.lost_messages == 0
    assert loss.lost_messages == int(before.sum())
    assert 1.0 < loss.lost_s <= 1.5


def test_a_verdict_counts_and_shows_examples() -> None:
    verdict = Verdict("topic")
    verdict.find("nothing", [])
    verdict.find("something", list(range(9)))
    assert verdict.wrong == {"something": [9, 0, 1, 2, 3, 4]}

"""The benchmark's own arithmetic, and that peers race on the same numbers as we do."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import cast

import numpy as np

from lob_pipeline.venues.decode import decode_file
from lob_pipeline_tests.bench.environment import PEERS, REQUIREMENTS, Peers
from lob_pipeline_tests.bench.simulate_section import simulate
from lob_pipeline_tests.bench.timing import Figure, Rounds, interleave
from lob_pipeline_tests.bench.workload import simulated


def test_a_figure_knows_on_which_side_of_its_bar_it_lies() -> None:
    def clears(ratio: float, bar: float | None, at_most: bool) -> bool | None:
        return Figure("s", "n", ratio, bar, at_most, "", "").clears

    assert clears(4.0, 4.0, False) is True
    assert clears(3.9, 4.0, False) is False
    assert clears(1.2, 1.2, True) is True
    assert clears(1.3, 1.2, True) is False
    assert clears(1.0, None, False) is None


def test_ratios_are_taken_within_a_round() -> None:
    rounds = Rounds({"peer": [2.0, 20.0, 2.0], "ours": [1.0, 10.0, 1.0]})
    assert rounds.ratio("peer", "ours") == 2.0
    assert rounds.median("peer") == 2.0


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return 1.0

    interleave({"a": lambda: contender("a"), "b": lambda: contender("b")}, rounds=2)
    assert order == ["a", "b"] * 3, "one untimed turn first"


def test_the_peers_integers_are_those_of_the_decoder(tmp_path: Path) -> None:
    load = simulated(tmp_path, minutes=1)
    data = load.arrays()
    blocks = [block.book for block in decode_file(load.ndjson, load.instrument)]
    for name, column in (("price_ticks", "b_price"), ("size_lots", "b_size"), ("side", "b_side")):
        np.testing.assert_array_equal(np.concatenate([getattr(b, name) for b in blocks]), data[column])
    times = np.concatenate([np.repeat(b.ts_event_ns, np.diff(b.level_start)) for b in blocks])
    np.testing.assert_array_equal(times, data["b_ts"])
    trades = [block.trades for block in decode_file(load.trades, load.instrument)]
    np.testing.assert_array_equal(np.sort(np.concatenate([t.size_lots for t in trades])), np.sort(data["t_size"]))
    assert load.messages == sum(len(b) for b in blocks)


def test_nothing_of_ours_runs_in_the_peers_environment() -> None:
    for path in PEERS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("lob_pipeline") for name in names), path


def test_every_peer_is_pinned_and_no_index_is_named() -> None:
    lines = REQUIREMENTS.read_text("utf-8").split()
    assert lines
    assert all("==" in line and "/" not in line for line in lines)


def test_the_simulators_figures_are_of_whole_runs(tmp_path: Path) -> None:
    load = simulated(tmp_path, minutes=1)
    figures = list(simulate(load, cast(Peers, None)))
    assert {f.section for f in figures} == {"simulate"}
    assert all(f.ratio > 0 for f in figures)
    assert [f.clears is None for f in figures] == [False] * 4 + [True]

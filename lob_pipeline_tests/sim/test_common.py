"""Symbols of one seed share jumps of their value, in proportion to the share, and need each other for nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.common import draw_common, minute_correlation
from lob_pipeline.sim.config import FlowParams, SimConfig, day_start_us, session_start_us
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.quotes import QuoteTape
from lob_pipeline.stages.simulate import simulate
from lob_pipeline.stages.simulate_symbols import parse_symbols, simulate_symbols

FLOW = FlowParams()
HOUR_US = 3_600_000_000
CONFIG = SimConfig(seed=3, days=2, minutes=20, common_share=0.8)


def correlation(share: float, seed: int) -> tuple[float, int]:
    """Return the correlation of 1-minute returns of two symbols over two hours, and how many returns."""
    config = SimConfig(seed=seed, days=1, minutes=120, common_share=share)
    mids = {}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        one, tape = replace(config, market=f"sim.{symbol}"), QuoteTape()
        for chunk in run_day(one, one.first_day, new_session(one, one.first_day)):
            tape.add(chunk.messages)
        quotes = tape.done()
        start_ns = session_start_us(one, one.first_day) * 1000
        mids[symbol] = quotes.mid(start_ns + np.arange(1, 121) * 60 * 10**9)
    found = minute_correlation(mids)["BTCUSDT,ETHUSDT"]
    assert found is not None
    return found, len(mids["BTCUSDT"]) - 1


def test_returns_are_correlated_when_jumps_are_shared_and_not_when_none_are() -> None:
    shared, n = correlation(0.8, 7)
    alone, _ = correlation(0.0, 7)
    half = 2.58 / math.sqrt(n - 3)  # 99 % by Fisher's z
    assert abs(math.atanh(alone)) < half
    assert math.atanh(shared) - half > math.atanh(0.3)
    assert shared < 1.0


def test_each_symbol_alone_has_the_bytes_it_has_among_others(tmp_path: Path) -> None:
    both = simulate_symbols(tmp_path / "both", CONFIG, ("BTCUSDT", "ETHUSDT"))
    alone = simulate_symbols(tmp_path / "alone", CONFIG, ("ETHUSDT",))
    single = simulate(tmp_path / "single", replace(CONFIG, days=1, first_day=CONFIG.dates[1]))
    for one, other in zip(both.symbols["ETHUSDT"].days, alone.symbols["ETHUSDT"].days, strict=True):
        assert one.sha256 == other.sha256
    assert both.symbols["BTCUSDT"].days[1].sha256 == single.days[0].sha256
    told = json.loads((tmp_path / "both" / "truth.json").read_text())
    assert told["minute_return_correlation"] == both.correlation
    assert list(both.correlation) == ["BTCUSDT,ETHUSDT"]
    assert alone.correlation == {}
    prices = {symbol: report.days[0].minute_mid[5] for symbol, report in both.symbols.items()}
    assert 0.9 < prices["ETHUSDT"] * 0.01 * 16 / (prices["BTCUSDT"] * 0.1) < 1.1
    listed = json.loads((tmp_path / "both/ETHUSDT/instruments-info.json").read_text())["result"]["list"][0]
    assert (listed["symbol"], listed["priceFilter"]["tickSize"]) == ("ETHUSDT", "0.01")


def test_sharing_nothing_changes_no_byte_of_a_lone_symbol(tmp_path: Path) -> None:
    plain = SimConfig(seed=5, days=1, minutes=4)
    one, two = simulate(tmp_path / "one", plain), simulate(tmp_path / "two", replace(plain, common_share=0.0))
    shared = simulate(tmp_path / "three", replace(plain, common_share=0.9))
    assert one.days[0].sha256 == two.days[0].sha256 != shared.days[0].sha256


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(730_000, 740_000), st.floats(0.0, 1.0), st.integers(1, 6))
def test_shared_jumps_are_sorted_inside_their_session_and_within_their_sizes(
    seed: int, day: int, share: float, hours: int
) -> None:
    start = day_start_us("2026-01-05")
    drawn = draw_common(seed, day, start, start + hours * HOUR_US, share, FLOW)
    again = draw_common(seed, day, start, start + hours * HOUR_US, share, FLOW)
    np.testing.assert_array_equal(drawn.t_us, again.t_us)
    np.testing.assert_array_equal(drawn.ticks, again.ticks)
    assert np.all(np.diff(drawn.t_us) >= 0)
    assert np.all((drawn.t_us >= start) & (drawn.t_us < start + hours * HOUR_US))
    assert np.all((np.abs(drawn.ticks) >= 1.0) & (np.abs(drawn.ticks) <= FLOW.value_cap_ticks))
    assert share > 0.0 or len(drawn.t_us) == 0


def test_there_are_as_many_shared_jumps_as_a_hawkes_process_has() -> None:
    flow = FLOW._replace(burst_rate=0.0)
    start, share = day_start_us("2026-01-05"), 0.5
    counts = [len(draw_common(s, 739_000, start, start + 24 * HOUR_US, share, flow).t_us) for s in range(40)]
    first = share * flow.value_rate * 86_400
    expected = first / (1.0 - flow.value_excitation / flow.value_decay)
    assert np.mean(counts) == pytest.approx(expected, rel=0.04)
    ways = np.concatenate([draw_common(s, 739_000, start, start + HOUR_US, share, flow).ticks > 0 for s in range(40)])
    assert abs(ways.mean() - 0.5) < 2 / math.sqrt(len(ways))


def test_minute_correlation_is_pearsons_between_known_returns() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 60)) * 1e-3
    mids = {"B": 100 * np.exp(np.cumsum(x + y)), "A": 200 * np.exp(np.cumsum(x))}
    for mid in mids.values():
        mid[30] = np.nan
    kept = np.r_[1:30, 32:60]
    wanted = np.corrcoef(x[kept], (x + y)[kept])[0, 1]
    assert minute_correlation(mids)["A,B"] == pytest.approx(wanted, abs=1e-4)
    assert minute_correlation({"A": np.full(9, 5.0), "B": np.arange(1.0, 10.0)}) == {"A,B": None}
    with pytest.raises(ValueError, match="as many"):
        minute_correlation({"A": np.ones(3), "B": np.ones(4)})


@pytest.mark.parametrize("wrong", ["", ",", "BTCUSDT,BTCUSDT"])
def test_lists_that_name_no_symbols_are_refused(wrong: str) -> None:
    with pytest.raises(BadInputError, match="--symbols"):
        parse_symbols(wrong)
    assert parse_symbols("BTCUSDT, ETHUSDT") == ("BTCUSDT", "ETHUSDT")


def test_an_unknown_symbol_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="unknown"):
        simulate_symbols(tmp_path / "out", CONFIG, ("BTCUSDT", "NOSUCH"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInputError, match="--common-share"):
        SimConfig(common_share=1.5)

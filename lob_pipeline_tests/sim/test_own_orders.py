"""One's own orders: they are in the market, the market answers, delays and refusals come with the crowd."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.config import OwnParams, SimConfig, session_start_us
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.order_log import ADD, CANCEL, FILL
from lob_pipeline.sim.own_ledger import OwnLedger
from lob_pipeline.sim.own_script import JOINS, RESTS, TAKES, OwnOrders, draw_own_orders, scripted
from lob_pipeline.sim.plan import Plan, no_plan
from lob_pipeline.sim.quotes import QuoteTape
from lob_pipeline.sim.state import ASK_SIDE, BID_SIDE
from lob_pipeline.stages.simulate import simulate

CONFIG = SimConfig(seed=6, days=1, minutes=6)
CALM = OwnParams(spike_share=0.0, refusal_share=0.0, latency_log_sigma=0.0)
START_US = session_start_us(CONFIG, CONFIG.first_day)


def script(*orders: tuple[float, int, int, int], seed: int = 6) -> OwnOrders:
    """Return the orders given as (second of the session, kind, side, lots)."""
    when, kind, side, lots = (np.array(column) for column in zip(*orders, strict=True))
    return scripted(seed, 1, START_US + np.round(when * 1e6).astype(np.int64), kind, side, lots)


def run(own: OwnOrders | None, travel: OwnParams = CALM, config: SimConfig = CONFIG) -> dict[str, Any]:
    """Run the market with a script and return the fates, the quotes, the tape (t, side, price, lots) and the log."""
    plan = no_plan() if own is None else Plan(no_plan().common, own, travel)
    ledger, quotes, tape, log = OwnLedger(plan.own), QuoteTape(), [], []
    config = replace(config, order_log=True)
    for chunk in run_day(config, config.first_day, new_session(config, config.first_day), plan):
        ledger.add(chunk.trades)
        quotes.add(chunk.messages)
        n, m = int(chunk.trades.n[0]), int(chunk.orders.n[0])
        row = chunk.trades
        tape.append(np.stack([row.t_us[:n], row.side[:n], row.price[:n], row.lots[:n]]))
        change = chunk.orders
        log.append(np.stack([change.kind[:m], change.order_id[:m], change.price[:m], change.lots[:m], change.t_us[:m]]))
    return {
        "rows": ledger.rows(),
        "fills": ledger.fills(),
        "quotes": quotes.done(),
        "tape": np.concatenate(tape, axis=1),
        "log": np.concatenate(log, axis=1),
        "own": plan.own,
    }


@pytest.fixture(scope="module")
def without() -> dict[str, Any]:
    return run(None)


def test_a_large_order_moves_the_book_and_changes_others_trades(without: dict[str, Any]) -> None:
    made = run(script((120.0, TAKES, BID_SIDE, 60_000)))
    (row,) = made["rows"]
    at = row["arrive_ns"]
    before, after = without["quotes"], made["quotes"]
    # until it arrives the two markets are one; then every lot it took is on the tape, and the ask is higher
    np.testing.assert_array_equal(
        *(run["tape"][:, run["tape"][0] * 1000 < at] for run in (without, made)), strict=True
    )
    assert row["taken_lots"] == row["lots"] == made["fills"][:, 4].sum()
    assert row["mean_ticks"] > row["price_ticks"]
    soon = np.array([at + 200 * 10**6])
    assert after.ask[after.at(soon)][0] > before.ask[before.at(soon)][0]
    # others trade otherwise from then on: their trades are not those of the market without it
    own_rows = np.isin(made["tape"][0], made["fills"][:, 2])
    theirs = made["tape"][:, ~own_rows & (made["tape"][0] * 1000 > at)]
    then = without["tape"][:, without["tape"][0] * 1000 > at]
    assert theirs.shape[1] > 50
    assert theirs.shape != then.shape or not np.array_equal(theirs, then)


def test_impact_grows_with_size_and_points_with_the_order() -> None:
    config = replace(CONFIG, minutes=3)
    at_ns = session_start_us(config, config.first_day) * 1000 + 120 * 10**9

    def moved(side: int, lots: int, seed: int) -> float:
        """Return how much higher the mid stands within half a second than without the order, in ticks."""
        shift = session_start_us(config, config.first_day) - START_US
        own = script((120.0, TAKES, side, lots), seed=seed)
        made = run(own._replace(decide_us=own.decide_us + shift, at=own.at + np.array([shift, 0, 0])), config=config)
        before, after = made["quotes"].mid(np.array([at_ns, at_ns + 500 * 10**6]))
        return float(after - before)

    by_lots = [np.mean([moved(BID_SIDE, q, s) - moved(ASK_SIDE, q, s) for s in range(4)]) / 2 for q in (1, 200_000)]
    assert by_lots[1] > 10.0 * abs(by_lots[0])
    assert by_lots[1] > 0.0


def test_no_own_orders_same_bytes(tmp_path: Path) -> None:
    plain = SimConfig(seed=5, days=1, minutes=4)
    one = simulate(tmp_path / "one", plain)
    two = simulate(tmp_path / "two", replace(plain, own=OwnParams(every_s=0.0, lots=7.0, latency_ms=300.0)))
    traded = simulate(tmp_path / "three", replace(plain, own=OwnParams(every_s=5.0)))
    assert one.days[0].sha256 == two.days[0].sha256 != traded.days[0].sha256
    assert one.days[0].own_orders == []
    assert traded.truth["days"][plain.first_day]["own_orders"] == traded.days[0].own_orders != []


def test_an_order_rests_behind_what_it_found_and_is_called_back_with_a_delay() -> None:
    made = run(script((90.0, JOINS, BID_SIDE, 300), (100.0, RESTS, ASK_SIDE, 300)), CALM._replace(life_s=0.5))
    own, log = made["own"], made["log"]
    for i, row in enumerate(made["rows"]):
        mine = log[:, log[1] == own.order_id[i]]
        assert mine[0, 0] == ADD
        assert (mine[2] == row["price_ticks"]).all()
        assert mine[4, 0] * 1000 == row["arrive_ns"] == row["decide_ns"] + row["latency_us"] * 1000
        assert row["latency_us"] == 20_001
        earlier = log[:, : np.flatnonzero(log[1] == own.order_id[i])[0]]
        there = earlier[:, earlier[2] == row["price_ticks"]]
        assert row["ahead_lots"] == there[3, there[0] == ADD].sum() - there[3, there[0] != ADD].sum()
        filled = mine[3, mine[0] == FILL].sum()
        assert filled == row["rested_lots"]
        if row["end"] == "cancelled":
            assert mine[0, -1] == CANCEL
            assert row["end_ns"] - row["arrive_ns"] == 500_000_000 + row["cancel_latency_us"] * 1000
        else:
            assert row["end"] == "filled"
            assert filled == row["lots"]
    assert len(made["rows"]) == 2


def test_the_ledger_is_the_order_logs_account_of_every_order() -> None:
    travel = OwnParams(every_s=2.0, lots=400.0, life_s=3.0, spike_share=0.1, refusal_share=0.1)
    drawn = draw_own_orders(6, 1, START_US, START_US + 6 * 60 * 10**6, travel)
    made = run(drawn, travel)
    log, ends = made["log"], []
    for i, row in enumerate(made["rows"]):
        ends.append(row["end"])
        entered = log[:, log[1] == drawn.order_id[i]] if drawn.order_id[i] >= 0 else np.zeros((5, 0), np.int64)
        rested = entered[3, entered[0] == FILL].sum()
        assert row["rested_lots"] == rested
        assert row["taken_lots"] + row["rested_lots"] <= row["lots"]
        assert (row["end"] == "filled") == (row["taken_lots"] + row["rested_lots"] == row["lots"])
        if row["end"].startswith("refused"):
            assert drawn.order_id[i] == -1
            assert row["mean_ticks"] is None
        if row["ahead_lots"] is not None:
            added = entered[3, entered[0] == ADD].sum()
            withdrawn = entered[3, entered[0] == CANCEL].sum()
            assert added == rested + withdrawn == row["lots"] - row["taken_lots"]
    assert {"filled", "cancelled", "refused_overloaded"} <= set(ends)
    assert len(made["rows"]) == len(drawn.decide_us) > 50


def test_spikes_and_refusals_come_when_everybody_trades() -> None:
    travel = OwnParams(every_s=1.0, lots=5.0, life_s=1.0, spike_share=0.05, refusal_share=0.05)
    config = replace(CONFIG, minutes=120, seed=8)
    start = session_start_us(config, config.first_day)
    own = draw_own_orders(8, 1, start, start + 120 * 60 * 10**6, travel)
    plan = Plan(no_plan().common, own, travel)
    ledger = OwnLedger(own)
    for chunk in run_day(config, config.first_day, new_session(config, config.first_day), plan):
        ledger.add(chunk.trades)
    rows = ledger.rows()
    busy = np.array([row["busy"] for row in rows])
    crowded = busy > np.quantile(busy, 0.8)
    for hit in ([row["spike"] for row in rows], [row["end"] == "refused_overloaded" for row in rows]):
        many, few = np.array(hit)[crowded], np.array(hit)[~crowded]
        error = np.sqrt(many.var() / len(many) + few.var() / len(few))
        assert many.mean() - few.mean() > 3 * error
    slow = np.array([row["latency_us"] for row in rows if row["spike"]])
    ordinary = np.array([row["latency_us"] for row in rows if not row["spike"]])
    assert np.median(slow) > 3 * np.median(ordinary)
    assert np.median(ordinary) == pytest.approx(20_000, rel=0.05)


def test_scripts_that_are_none_are_refused() -> None:
    for wrong in (
        [(2.0, TAKES, BID_SIDE, 5), (1.0, TAKES, BID_SIDE, 5)],
        [(1.0, 3, BID_SIDE, 5)],
        [(1.0, TAKES, 2, 5)],
        [(1.0, TAKES, BID_SIDE, 0)],
    ):
        with pytest.raises(ValueError, match="script"):
            script(*wrong)
    with pytest.raises(BadInputError, match="at least 0"):
        SimConfig(own=OwnParams(spike_share=-0.1))

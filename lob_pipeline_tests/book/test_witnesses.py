"""Trades and quotes as witnesses of each message; and what every check says of a partition that shows nothing."""

from __future__ import annotations

import numpy as np
import pytest

from lob_pipeline.book.quote_match import InForce
from lob_pipeline.book.trade_ids import TradeIds
from lob_pipeline.book.trade_quotes import TradeQuotes
from lob_pipeline.book.trade_sides import lone_prints
from lob_pipeline.checks import CHECKS, PUBLISHED
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.tables import FIXED_TABLES
from lob_pipeline.quality.drift_suites import BOOKS
from lob_pipeline.quality.schemas import SchemaGate
from lob_pipeline.stages.ingest_gates import EventGates, TradeGates
from lob_pipeline_tests.book.streams import DATE, START, STEP, make_instrument
from lob_pipeline_tests.book.test_laws import BYBIT, DEPTH, refusing, window
from lob_pipeline_tests.book.watch import watched
from lob_pipeline_tests.naive.book import Book, Message

CLOCK = parse_clock("t1s")
MESSAGES = window(160)


def tops(messages: list[Message]) -> list[tuple[int, int, int, int, int]]:
    """Return (id, best bid, its lots, best ask, its lots) after each message."""
    book, out = Book(), []
    for m in messages:
        (book.replace if m.kind == 1 else book.apply)(m.levels)
        out.append((m.update_id, *book.best(1, 1)[0], *book.best(-1, 1)[0]))
    return out


TOPS = tops(MESSAGES)


def trades(flip: int = -1, off: tuple[int, int] = (-1, 0)) -> list[tuple[int, int, int, int]]:
    """Return a trade at the touch after each message: number ``flip`` on the other side, ``off[0]`` moved by off[1]."""
    out = []
    for k, (_, bid, _, ask, _) in enumerate(TOPS):
        side = 1 if k % 2 else -1
        price = (ask if side > 0 else bid) + (off[1] if k == off[0] else 0)
        out.append((MESSAGES[k].ts + 5, -side if k == flip else side, price, k))
    return out


def test_trades_at_the_touch_agree_and_each_is_compared_once() -> None:
    certificate, outcomes = watched(MESSAGES, BYBIT, CLOCK, DATE, trades=trades(), chunk=61)
    facts = certificate.to_json()["trade_sides"]
    assert facts["compared"] == len(MESSAGES) - 4 + 1  # two messages on each side of every trade but the first ones
    assert (facts["other_side"], facts["inside_spread"], facts["far"]) == (0, 0, 0)
    assert outcomes["trade_sides"].status == "passed"


def test_flipped_trades_and_a_print_far_away_are_seen() -> None:
    flipped = [(t, -s, p, i) for t, s, p, i in trades()]
    assert "trade_sides" in refusing(MESSAGES, trades=flipped)
    assert "trades_near" in refusing(MESSAGES, trades=trades(off=(80, 40)))


def test_a_quote_in_force_is_compared_at_every_message() -> None:
    sparse = [t for k, t in enumerate(TOPS) if k == 0 or t[1:] != TOPS[k - 1][1:]]
    certificate, outcomes = watched(MESSAGES, BYBIT, CLOCK, DATE, quotes=sparse, chunk=71)
    found = certificate.to_json()["top_of_book_in_force"]
    assert found["compared"] == found["equal"] > 100
    assert outcomes["rows_in_force"].status == "passed"
    wrong = [(i, b, n + (60 < i < 80), a, m) for i, b, n, a, m in sparse]
    assert "top_of_book_in_force" in refusing(MESSAGES, quotes=wrong)


def test_differences_on_end_count_over_batches() -> None:
    force = InForce()
    for same in ([True] * 500 + [False], [False], [True] * 500):
        force.add(np.array(same))
    assert (force.compared, force.equal, force.longest_run, force.ok) == (1002, 1000, 2, True)
    force.add(np.array([False] * 3))
    assert not force.ok


def _quotes(recv: bool = False) -> dict:
    t = START + np.arange(50) * STEP
    none = np.zeros(50, np.int64)
    return {
        "ts_event_ns": none if recv else t,
        "ts_recv_ns": t,
        "bid_ticks": none + 10_000,
        "ask_ticks": none + 10_002,
    }


@pytest.mark.parametrize("recv", [False, True])
@pytest.mark.parametrize(("price", "check"), [(10_000, "sides"), (10_001, "spread"), (10_900, "near"), (10_002, None)])
def test_trades_are_judged_by_quotes_alone(recv: bool, price: int, check: str | None) -> None:
    t = START + np.arange(1, 41) * STEP + STEP // 2
    bought = {
        "ts_event_ns": t,
        "ts_recv_ns": t,
        "side": np.ones(40, np.int8),
        "price_ticks": np.full(40, price),
        "flags": np.zeros(40, np.int8),
    }
    whole = _quotes(recv)
    parts = [{n: v[i : i + 7] for n, v in whole.items()} for i in range(0, 50, 7)]
    judged = TradeQuotes(bought, iter(parts))
    assert judged.compared == 40
    assert {o.name for o in judged.outcomes() if o.refuses} == ({f"trade_quote_{check}"} if check else set())


def test_trade_ids_twice_refuse_and_holes_are_told() -> None:
    (unique,) = TradeIds((5, 4), None).outcomes()
    assert unique.refuses
    unique, complete = TradeIds((4, 4), np.array([3, 4, 9, 8])).outcomes()
    assert (unique.status, complete.status, complete.severity) == ("passed", "refused", "warning")
    assert TradeIds((4, 4), np.array([3, 4, 9, 8])).facts()["trade_ids"]["missing"] == 3


@pytest.mark.parametrize(
    ("pairs", "equal", "alone", "recv", "status"),
    [
        (100, 1, 0, 1, "passed"),
        (100, 100, 0, 1, "refused"),
        (100, 40, 0, 1, "refused"),
        (99, 0, 1, 1, "refused"),
        (0, 0, 100, 1, "refused"),
        (0, 0, 100, 0, "not_judged"),
    ],
)
def test_the_two_clocks_of_a_feed(pairs: int, equal: int, alone: int, recv: int, status: str) -> None:
    extra = {"decoder_facts": {"clock_pairs": pairs, "clock_equal": equal, "clock_alone": alone}}
    stamped = [m._replace(recv=recv and m.ts + 7) for m in MESSAGES]
    certificate, outcomes = watched(stamped, BYBIT, CLOCK, DATE, extra=extra)
    assert outcomes["clock_pair"].status == status
    assert certificate.to_json()["clock_pairs"] == {"pairs": pairs, "equal": equal, "alone": alone}


GAP = [MESSAGES[0], MESSAGES[5]._replace(ts=START + 1), *MESSAGES[6:]]
"""A snapshot, a gap at once, and no snapshot after it: every row is invalid."""
NOTHING = {"empty": [], "every row invalid": GAP}
BOOK_CHECKS = [n for n in CHECKS["book_snapshots"] if n not in (PUBLISHED, "schema", *BOOKS.checks)]


@pytest.fixture(scope="module")
def of_nothing() -> dict[str, dict]:
    """The outcomes of a partition that shows nothing, with trades and quotes that could be compared."""
    found = {}
    for name, messages in NOTHING.items():
        certificate, outcomes = watched(messages, BYBIT, CLOCK, DATE, trades=trades(), quotes=TOPS)
        assert not certificate.to_json()["holds"]
        assert certificate.counts.valid == 0
        found[name] = outcomes
    return found


@pytest.mark.parametrize("what", NOTHING)
@pytest.mark.parametrize("check", BOOK_CHECKS)
def test_no_check_of_a_book_passes_on_nothing(of_nothing: dict[str, dict], what: str, check: str) -> None:
    found = of_nothing[what].get(check)
    assert found is None or found.status != "passed"


def test_some_book_passes_each_check_of_every_feed() -> None:
    extra = {"decoder_facts": {"clock_pairs": 9}, "off_grid_lots": 0}
    stamped = [m._replace(recv=m.ts + 7) for m in MESSAGES]
    stamped[80:80] = []
    _, outcomes = watched(stamped, BYBIT, CLOCK, DATE, trades=trades(), quotes=TOPS, extra=extra, seq=list(range(160)))
    passed = {name for name, o in outcomes.items() if o.status == "passed"}
    elsewhere = {"bridges_applied", "closing_snapshot_match", "boundary_match", "snapshot_continues", "warm_rows"}
    elsewhere |= {"spread_sanity", "trade_tick_tight", "lots_on_grid", "quote_clock_match", "trade_clock"}
    elsewhere.add("updates_in_time")  # of feeds with several quotes a message
    elsewhere |= {f"trade_quote_{what}" for what in ("sides", "spread", "near")} | {"depth_agreement"}
    assert set(BOOK_CHECKS) - passed - elsewhere == set()
    assert certificate_window(outcomes) == DEPTH


def certificate_window(outcomes: dict) -> int:
    """Return the window that ``levels_within_depth`` speaks of."""
    return int(outcomes["levels_within_depth"].message.split(" levels that")[0].split()[-1])


@pytest.mark.parametrize("table", FIXED_TABLES, ids=lambda t: t.name if hasattr(t, "name") else str(t))
def test_no_schema_passes_on_an_empty_table(table) -> None:
    declared = FIXED_TABLES[table] if isinstance(table, str) else table
    assert SchemaGate(declared).outcome(minimum=0).status == "not_judged"


@pytest.mark.parametrize("gates", [EventGates, TradeGates])
def test_no_gate_of_an_ingest_passes_on_no_row(gates: type) -> None:
    assert all(o.status != "passed" for o in gates().outcomes())


def test_a_market_that_has_no_ids_is_judged_too() -> None:
    _, outcomes = watched(MESSAGES, make_instrument("none"), CLOCK, DATE)
    assert outcomes["certificate"].status == "passed"


@pytest.mark.parametrize(("bps", "trades_off", "refuses"), [(40, 2, False), (40, 3, True), (200, 1, True)])
def test_only_lone_prints_are_far_and_few_never_count(bps: int, trades_off: int, refuses: bool) -> None:
    off = {8 * (k + 1): 10_000 - bps for k in range(trades_off)}
    prices = [off.get(k, 10_000) for k in range(40)]
    near = _judged_prices(prices)["trade_quote_near"]
    assert near.refuses == refuses


def test_a_sweep_through_the_book_is_no_lone_print() -> None:
    down = [10_000 - 10 * min(k, 12 - k) for k in range(13)]
    assert not _judged_prices([10_000] * 100 + down + [10_000] * 300)["trade_quote_near"].refuses
    assert lone_prints(np.array([10_000, 9_900, 9_900, 10_000]), 25).tolist() == [False, True, True, False]
    assert lone_prints(np.array([], np.int64), 25).tolist() == []


def _judged_prices(prices: list[int]) -> dict:
    """Return the outcomes of sells at these prices while the quote stands at 10000 to 10002."""
    t = START + STEP + np.arange(len(prices)) * (40 * STEP // len(prices))
    sold = {
        "ts_event_ns": t,
        "ts_recv_ns": t,
        "side": np.full(len(prices), -1, np.int8),
        "price_ticks": np.array(prices),
        "flags": np.zeros(len(prices), np.int8),
    }
    judged = TradeQuotes(sold, iter([_quotes()]))
    assert judged.compared == len(prices)
    return {o.name: o for o in judged.outcomes()}


def test_nothing_is_judged_by_quotes_while_their_stream_was_cut() -> None:
    t = START + np.arange(4000) * 5_000_000
    none = np.zeros(len(t), np.int64)
    up = np.where(np.arange(len(t)) < 2000, 0, 50)  # the market rises while nobody listens
    lost = (np.arange(len(t)) >= 1900) & (np.arange(len(t)) < 2200)
    names = ("ts_event_ns", "ts_recv_ns", "bid_ticks", "ask_ticks")
    heard = {n: v[~lost] for n, v in zip(names, (t, t, none + up + 10_000, none + up + 10_002), strict=True)}
    sold = {
        "ts_event_ns": t[10:-10],
        "ts_recv_ns": t[10:-10],
        "side": np.full(len(t) - 20, -1, np.int8),
        "price_ticks": (none + up + 10_000)[10:-10],
        "flags": np.zeros(len(t) - 20, np.int8),
    }
    judged = TradeQuotes(sold, iter([heard]))
    assert 3600 < judged.compared <= len(t) - 20 - 300
    assert not any(o.refuses for o in judged.outcomes())

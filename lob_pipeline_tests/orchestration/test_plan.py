"""Staleness: transitive, by content hash and code fingerprint; what cannot be built says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.lake import fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.stages.layers import LAYERS
from lob_pipeline.stages.plan import choose_days, default_clock, known_days, plan, recorded_outcomes, status
from lob_pipeline_tests.orchestration.fake_stages import Fake, register_days

MARKET = parse_market("sim.BTCUSDT")
DAYS = ["2026-01-05", "2026-01-06", "2026-01-07"]
PAIRS = [(MARKET, day) for day in DAYS]


@pytest.fixture
def home(memory_home: Path) -> Home:
    home = Home(memory_home)
    register_days(home, MARKET, DAYS)
    return home


def build(
    home: Home, fake: Fake, layers: str = "raw books profile features labels", days: list[str] | None = None
) -> None:
    stages = fake.stages()
    for layer in layers.split():
        for day in days or DAYS:
            getattr(stages, f"build_{'events' if layer == 'raw' else layer}")(home, MARKET, day)


def states(home: Home, pairs: list[tuple[Market, str]] = PAIRS) -> dict[tuple[str, str], str]:
    return {(step.table, step.date): step.state for step in plan(home, pairs)}


def test_an_empty_lake_is_absent_and_a_built_one_fresh(home: Home) -> None:
    assert set(states(home).values()) == {"absent"}
    assert len(states(home)) == 7 * 3
    build(home, Fake())
    assert set(states(home).values()) == {"fresh"}


def test_code_of_one_layer_makes_that_layer_and_what_follows_stale(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    build(home, Fake())
    real = fingerprint.code_fingerprint
    changed = lambda stage, instrument: real(stage, instrument) + ("x" if stage == "features" else "")  # noqa: E731
    monkeypatch.setattr("lob_pipeline.stages.plan.code_fingerprint", changed)
    found = states(home)
    assert {table for (table, _), state in found.items() if state == "stale"} == {"features"}
    changed = lambda stage, instrument: real(stage, instrument) + ("x" if stage == "books" else "")  # noqa: E731
    monkeypatch.setattr("lob_pipeline.stages.plan.code_fingerprint", changed)
    found = states(home)
    assert {table for (table, _), state in found.items() if state == "stale"} == {
        "book_snapshots",
        "seasonal_profile",
        "features",
        "labels",
    }
    certain = {step.table for step in plan(home, PAIRS) if step.todo and step.certain}
    assert certain == {"book_snapshots"}  # the others wait: the books may come out the same


def test_new_content_upstream_makes_its_readers_stale_and_equal_content_does_not(home: Home) -> None:
    build(home, Fake())
    build(home, Fake(), "books")  # the same content again
    assert set(states(home).values()) == {"fresh"}
    build(home, Fake(salt={"books": "other"}), "books", [DAYS[0]])
    found = states(home)
    assert {key for key, state in found.items() if state == "stale"} == {
        ("seasonal_profile", DAYS[0]),
        ("features", DAYS[0]),
        ("labels", DAYS[0]),
        ("seasonal_profile", DAYS[1]),
        ("book_snapshots", DAYS[1]),  # its optional input, the closing book of the day before, changed
        ("features", DAYS[1]),
        ("labels", DAYS[1]),
    } | {(table, DAYS[2]) for table in ("book_snapshots", "seasonal_profile", "features", "labels")}
    certain = {(s.table, s.date) for s in plan(home, PAIRS) if s.todo and s.certain}
    assert certain == {("seasonal_profile", DAYS[0]), ("labels", DAYS[0]), ("book_snapshots", DAYS[1])}


def test_a_day_that_arrives_later_makes_the_next_day_stale(home: Home) -> None:
    build(home, Fake(), days=[DAYS[1]])
    assert {s for (_, d), s in states(home, [(MARKET, DAYS[1])]).items()} == {"fresh"}
    build(home, Fake(), days=[DAYS[0]])
    found = {t: s for (t, d), s in states(home, PAIRS[:2]).items() if d == DAYS[1]}
    assert found == {
        "l2_events": "stale",
        "trades": "stale",
        "quotes": "stale",
        "book_snapshots": "stale",
        "seasonal_profile": "stale",
        "features": "stale",
        "labels": "stale",
    }
    why = {s.table: s.why for s in plan(home, PAIRS[:2]) if s.date == DAYS[1]}
    assert why["l2_events"] == f"changed: l2_events/{DAYS[0]}"
    assert why["book_snapshots"] == f"changed: book_snapshots/{DAYS[0]}"


def test_another_source_for_a_day_makes_its_events_stale(home: Home) -> None:
    build(home, Fake())
    other = parse_market("sim.BTCUSDT")
    register_days(home, other, [DAYS[1]], "a second recording")
    certain = {(s.table, s.date) for s in plan(home, PAIRS) if s.todo and s.certain}
    assert certain == {(table, DAYS[1]) for table in ("l2_events", "trades", "quotes")}


def test_a_refused_day_stays_refused_and_blocks_only_what_reads_it(home: Home) -> None:
    fake = Fake(bad={("books", str(MARKET), DAYS[1])})
    build(home, fake, "raw books")
    build(home, fake, "profile features labels", [DAYS[0], DAYS[2]])
    found = states(home)
    assert found["book_snapshots", DAYS[1]] == "refused"
    assert found["features", DAYS[1]] == found["labels", DAYS[1]] == "blocked"
    assert {s for (_, day), s in found.items() if day != DAYS[1]} == {"fresh"}
    why = {(s.table, s.date): s.why for s in plan(home, PAIRS)}
    assert "bad on purpose" in why["book_snapshots", DAYS[1]]
    assert f"book_snapshots of {DAYS[1]} is refused" in why["features", DAYS[1]]
    assert any(o.name == "plausible" and o.refuses for o in recorded_outcomes(home, "book_snapshots", MARKET, DAYS[1]))


def test_a_refused_replacement_takes_its_readers_freshness(home: Home) -> None:
    build(home, Fake())
    build(home, Fake(bad={("books", str(MARKET), DAYS[0])}), "books", [DAYS[0]])
    found = states(home)
    assert found["book_snapshots", DAYS[0]] == "refused"
    assert found["features", DAYS[0]] == "blocked"
    assert PartitionKey("features", MARKET, DAYS[0], "t100ms").path(home).exists()  # stands, but is not fresh
    assert found["book_snapshots", DAYS[1]] == "stale"


def test_days_without_a_source_are_blocked_and_unknown_days_are_bad_input(home: Home) -> None:
    step = plan(home, [(MARKET, "2026-01-20")])[0]
    assert step.state == "blocked"
    assert "lob ingest" in step.why
    assert known_days(home) == PAIRS
    assert choose_days(home, MARKET, DAYS[1], None) == PAIRS[1:]
    with pytest.raises(BadInputError, match="known are 3 days"):
        choose_days(home, MARKET, "2030-01-01", None)
    with pytest.raises(BadInputError, match="none is known"):
        choose_days(home, parse_market("okx.BTC-USDT"), None, None)
    with pytest.raises(BadInputError, match="not a day"):
        choose_days(home, MARKET, "yesterday", None)


def test_a_year_of_days_is_planned_without_deep_recursion(memory_home: Path) -> None:
    import datetime as dt

    home = Home(memory_home)
    start = dt.date(2024, 1, 1)
    days = [(start + dt.timedelta(days=i)).isoformat() for i in range(700)]
    register_days(home, MARKET, days)
    steps = plan(home, known_days(home))
    assert len(steps) == 700 * sum(len(layer.tables) for layer in LAYERS)


def test_status_lists_every_clock_that_was_built(home: Home) -> None:
    build(home, Fake())
    found = status(home)["partitions"]
    assert len(found) == 21
    assert {p["state"] for p in found} == {"fresh"}
    assert all(set(p) >= {"table", "market", "date", "clock", "state", "rows", "why"} for p in found)


def test_the_clock_of_a_market_that_has_no_entry_is_the_default() -> None:
    assert default_clock(parse_market("binance-spot.NEXOUSDT")) == "t1s"
    assert default_clock(parse_market("bybit-linear.NEWUSDT")) == "t100ms"

"""The ledger tells who is champion; a changed line is named, never read around."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake import chain
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.releases import (
    Release,
    current,
    read_releases,
    record_promoted,
    record_registered,
    record_rolled_back,
    releases_ledger,
    releasing,
)
from lob_pipeline.registry.select import find_release, only_market
from lob_pipeline_tests.registry.samples import sample_info

PASSED = (CheckOutcome("parity", "passed", 10, 10),)
NEXO = "binance-spot.NEXOUSDT"


def _sha(number: int) -> str:
    return f"{number:064x}"


def _register(home: Home, number: int, **changes: Any) -> Release:
    info = sample_info(semver=f"1.{number}.0", **changes)
    return record_registered(home, info, _sha(number), number, "retrained", PASSED, mlflow_run_id=f"run{number}")


def _promote(home: Home, new: Release) -> None:
    record_promoted(home, read_releases(home).current("champion", new.market), new, "because", PASSED, "recipe")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_no_ledger_is_no_champion(home: Home) -> None:
    assert current(home, "champion") is None
    assert current(home, "challenger") is None
    assert read_releases(home).releases == ()
    assert list(home.root.iterdir()) == []


def test_the_newest_registered_is_the_challenger_until_promoted(home: Home) -> None:
    first, second = _register(home, 1), _register(home, 2)
    assert first.aliases == ("challenger",)
    assert second.aliases == ("challenger",)
    assert read_releases(home).releases[0].aliases == ()
    _promote(home, second)
    after = read_releases(home)
    assert [r.aliases for r in after.releases] == [(), ("champion",)]
    assert after.current("challenger") is None


def test_a_line_says_why_from_to_and_what_was_judged(home: Home) -> None:
    _promote(home, _register(home, 1))
    _promote(home, _register(home, 2))
    line = read_releases(home).events[-1]
    assert (line["event"], line["from"], line["to"], line["why"]) == ("promoted", _sha(1), _sha(2), "because")
    assert line["outcomes"][0]["name"] == "parity"
    assert line["at"].endswith("Z")


class _Model:
    """The same rules in the simplest form: a stack of champions a market, and one challenger."""

    def __init__(self) -> None:
        self.stack: list[int] = []
        self.challenger = 0

    def step(self, action: str, number: int) -> None:
        if action == "register":
            self.challenger = number
        elif action == "promote":
            self.stack.append(number)
            self.challenger = 0 if self.challenger == number else self.challenger
        else:
            self.stack.pop()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["register", "promote", "back"]), st.integers(0, 5)), max_size=12))
def test_any_history_ends_where_the_simple_model_does(tmp_path_factory: pytest.TempPathFactory, history: list) -> None:
    home = Home(tmp_path_factory.mktemp("h"))
    model, count = _Model(), 0
    for action, choice in history:
        releases = read_releases(home)
        if action == "register":
            count += 1
            _register(home, count)
            model.step(action, count)
        elif action == "promote" and count:
            number = choice % count + 1
            if model.stack and model.stack[-1] == number:
                continue
            _promote(home, releases.releases[number - 1])
            model.step(action, number)
        elif action == "back" and len(model.stack) > 1:
            old, new = releases.current("champion"), releases.previous_champion("lob-moe", "sim.BTCUSDT")
            assert old is not None
            assert new is not None
            record_rolled_back(home, old, new, "slow", ())
            model.step(action, 0)
    after = read_releases(home)
    champion, challenger = after.current("champion"), after.current("challenger")
    assert (champion.version if champion else 0) == (model.stack[-1] if model.stack else 0)
    assert (challenger.version if challenger else 0) == model.challenger


def test_each_way_back_goes_one_further(home: Home) -> None:
    for number in (1, 2, 3):
        _promote(home, _register(home, number))
    seen = []
    for _ in range(2):
        releases = read_releases(home)
        old, new = releases.current("champion"), releases.previous_champion("lob-moe", "sim.BTCUSDT")
        assert old is not None
        assert new is not None
        seen.append((old.version, new.version))
        record_rolled_back(home, old, new, "slow", ())
    assert seen == [(3, 2), (2, 1)]
    assert read_releases(home).previous_champion("lob-moe", "sim.BTCUSDT") is None


def test_a_market_does_not_push_out_another(home: Home) -> None:
    _promote(home, _register(home, 1))
    other = _register(home, 2, market=NEXO)
    _promote(home, other)
    releases = read_releases(home)
    assert [r.aliases for r in releases.releases] == [("champion",), ("champion",)]
    champion = releases.current("champion", "sim.BTCUSDT")
    assert champion is not None
    assert champion.version == 1
    with pytest.raises(BadInputError, match="--market"):
        find_release(releases, "lob-moe@champion")
    with pytest.raises(BadInputError, match="--market"):
        only_market(releases, None)
    assert find_release(releases, "lob-moe@champion", NEXO).version == 2
    assert only_market(releases, NEXO) == ("lob-moe", NEXO)


@pytest.mark.parametrize("words", ["lob-moe@1", "lob-moe@1.1.0", "lob-moe@challenger"])
def test_a_release_is_named_by_alias_number_or_version(home: Home, words: str) -> None:
    _register(home, 1)
    assert find_release(read_releases(home), words).version == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lob-moe", "NAME@ALIAS"),
        ("@champion", "NAME@ALIAS"),
        ("lob-moe@", "NAME@ALIAS"),
        ("other@champion", "known: lob-moe of sim.BTCUSDT"),
        ("lob-moe@champion", "nobody is champion"),
        ("lob-moe@7", "no such version: 7"),
    ],
)
def test_what_names_nothing_is_bad_input(home: Home, words: str, message: str) -> None:
    _register(home, 1)
    with pytest.raises(BadInputError, match=message):
        find_release(read_releases(home), words)


def test_an_unknown_alias_is_bad_input(home: Home) -> None:
    with pytest.raises(BadInputError, match="champion or challenger"):
        current(home, "best")


@pytest.mark.parametrize("why", ["", "  "])
def test_nothing_is_written_without_a_reason(home: Home, why: str) -> None:
    release = _register(home, 1)
    before = releases_ledger(home).read_bytes()
    with pytest.raises(BadInputError, match="--why"):
        record_promoted(home, None, release, why, PASSED, "recipe")
    assert releases_ledger(home).read_bytes() == before


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_is_named(home: Home, line: int) -> None:
    _promote(home, _register(home, 1))
    _register(home, 2)
    path = releases_ledger(home)
    lines = path.read_text().splitlines(keepends=True)
    record = json.loads(lines[line])
    record["why"] = "a better story"
    lines[line] = json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"
    path.write_text("".join(lines))
    with pytest.raises(LobError, match=f"line {line + 1}"):
        read_releases(home)


@pytest.mark.parametrize(
    "change",
    [
        {"event": "deleted"},
        {"from": _sha(9)},
        {"to": _sha(9)},
        {"event": "rolled_back"},
        {"name": None},
    ],
)
def test_a_well_chained_line_that_contradicts_the_ones_before_is_named(home: Home, change: dict[str, Any]) -> None:
    """Appended by something else than this program: the chain holds, the story does not."""
    first = _register(home, 1)
    record = {"event": "promoted", "name": first.name, "market": first.market, "from": None, "to": _sha(1)}
    chain.append(releases_ledger(home), {**record, **change})
    with pytest.raises(LobError, match="line 2 is no release event"):
        read_releases(home)


@pytest.mark.parametrize("field", ["semver", "version", "bundle_sha256", "mlflow_run_id", "market"])
def test_a_line_without_a_field_is_named(home: Home, field: str) -> None:
    _register(home, 1)
    record = {**read_releases(home).events[0], "version": 2, "bundle_sha256": _sha(2)}
    del record[field]
    chain.append(releases_ledger(home), record)
    with pytest.raises(LobError, match=f"line 2 is no release event of this version .*{field}"):
        read_releases(home)


def test_a_number_is_given_once(home: Home) -> None:
    _register(home, 1)
    with pytest.raises(LobError, match="line 2"):
        record_registered(home, sample_info(), _sha(5), 1, "again", PASSED)


def test_one_process_releases_at_a_time(home: Home) -> None:
    words = "another process writes the release ledger"
    with releasing(home), pytest.raises(BadInputError, match=words), releasing(home):
        raise AssertionError("two held the lock")

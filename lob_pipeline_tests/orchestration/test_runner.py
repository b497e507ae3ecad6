"""``lob run`` in process: it does what is stale, nothing twice, and the instance shows what it did."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.project import instance_home
from lob_pipeline.runner import RunReport, run_stale
from lob_pipeline_tests.orchestration.fake_stages import Fake, register_days

MARKET = parse_market("sim.BTCUSDT")
OTHER = parse_market("bybit-linear.BTCUSDT")
DAYS = ["2026-01-05", "2026-01-06", "2026-01-07"]
LAYERS = ("raw", "books", "profile", "features", "labels")


@pytest.fixture
def home(memory_home: Path) -> Home:
    home = Home(memory_home)
    register_days(home, MARKET, DAYS)
    return home


@pytest.fixture(autouse=True)
def _no_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The marts have tests of their own; here dbt would only cost time."""
    monkeypatch.setattr("lob_pipeline.stages.marts.Marts.state", lambda self: ("fresh", ""))


def run(home: Home, fake: Fake, **options: object) -> tuple[RunReport, list[str]]:
    said: list[str] = []
    report = run_stale(home, overrides=fake.stages(), say=said.append, **options)  # type: ignore[arg-type]
    return report, said


def counts(report: RunReport) -> dict[str, dict[str, int]]:
    return {layer: dict(report.stages[layer]) for layer in LAYERS}


def materialised(home: Home, table: str) -> set[str]:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(instance_home(home))) as instance:
        return set(instance.get_materialized_partitions(dg.AssetKey(table)))


def test_the_first_run_builds_everything_and_the_second_nothing(home: Home) -> None:
    fake = Fake()
    first, said = run(home, fake)
    assert counts(first) == {layer: {"built": 3} for layer in LAYERS}
    assert first.exit_code == 0
    assert len(fake.built) == 15
    assert materialised(home, "labels") == {f"{day}|{MARKET}" for day in DAYS}
    assert any("books" in line and "2026-01-06" in line and "3 rows" in line for line in said)
    second, said = run(home, fake)
    assert counts(second) == {layer: {"fresh": 3} for layer in LAYERS}
    assert len(fake.built) == 15
    assert sum("3 fresh" in line for line in said) >= len(LAYERS)
    json.dumps(first.to_json())


def test_a_layer_that_comes_out_the_same_redoes_nothing_after_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from lob_pipeline.lake import fingerprint

    run(home, Fake())
    real = fingerprint.code_fingerprint

    def changed(stage: str, instrument: object) -> str:
        return real(stage, instrument) + ("x" if stage == "books" else "")  # type: ignore[arg-type]

    monkeypatch.setattr("lob_pipeline.stages.plan.code_fingerprint", changed)
    monkeypatch.setattr("lob_pipeline_tests.orchestration.fake_stages.code_fingerprint", changed)
    same = Fake()
    assert counts(run(home, same)[0]) == {
        "raw": {"fresh": 3},
        "books": {"built": 3},
        "profile": {"fresh": 3},
        "features": {"fresh": 3},
        "labels": {"fresh": 3},
    }
    assert {layer for layer, _, _ in same.built} == {"books"}
    other = Fake(salt={"features": "other formula"})
    monkeypatch.setattr(
        "lob_pipeline.stages.plan.code_fingerprint", lambda s, i: changed(s, i) + ("y" if s == "features" else "")
    )
    monkeypatch.setattr(
        "lob_pipeline_tests.orchestration.fake_stages.code_fingerprint",
        lambda s, i: changed(s, i) + ("y" if s == "features" else ""),
    )
    assert counts(run(home, other)[0])["features"] == {"built": 3}
    assert {layer for layer, _, _ in other.built} == {"features"}


def test_a_bad_day_stops_what_reads_it_and_says_so(home: Home) -> None:
    fake = Fake(bad={("books", str(MARKET), DAYS[1])})
    report, said = run(home, fake)
    assert counts(report) == {
        "raw": {"built": 3},
        "books": {"built": 2, "refused": 1},
        "profile": {"built": 2, "blocked": 1},
        "features": {"built": 2, "blocked": 1},
        "labels": {"built": 2, "blocked": 1},
    }
    assert report.exit_code == 3
    assert any("bad on purpose" in line for line in said)
    again, _ = run(home, fake)
    assert counts(again)["books"] == {"fresh": 2, "refused": 1}
    assert again.exit_code == 3
    assert fake.built.count(("books", str(MARKET), DAYS[1])) == 1  # refused once, not again


def test_a_stage_that_fails_is_named_and_the_other_days_are_built(home: Home) -> None:
    report, said = run(home, Fake(broken={("raw", str(MARKET), DAYS[0])}))
    assert counts(report)["raw"] == {"built": 2, "failed": 1}
    assert counts(report)["books"] == {"built": 2, "blocked": 1}
    assert report.exit_code != 0
    assert any("broken on purpose" in line for line in said)


def test_reversed_arrival_ends_in_the_same_content(home: Home, memory_folder: Path) -> None:
    run(home, Fake())
    other = Home(memory_folder / "reversed")
    for day in reversed(DAYS):
        register_days(other, MARKET, [day])
        run(other, Fake(), first=day, last=day)
    report, _ = run(other, Fake())
    assert counts(report)["raw"] == {"built": 2, "fresh": 1}  # the book that could be carried over is an input
    assert counts(report)["books"] == {"built": 2, "fresh": 1}  # and so is the boundary
    assert counts(run(other, Fake())[0]) == {layer: {"fresh": 3} for layer in LAYERS}
    from lob_pipeline.lake.reader import content_or_absent

    for table in ("l2_events", "book_snapshots", "features", "labels"):
        for day in DAYS:
            key = PartitionKey(table, MARKET, day, None if table == "l2_events" else "t100ms")
            assert content_or_absent(home, key) == content_or_absent(other, key) != "absent"


def test_plan_only_and_only_stale(home: Home) -> None:
    fake = Fake()
    report, said = run(home, fake, plan_only=True)
    assert counts(report) == {layer: {"absent": 3} for layer in LAYERS}
    assert not fake.built
    assert not instance_home(home).exists()
    assert any("absent" in line for line in said)
    report, _ = run(home, fake, only_stale=True)
    assert not fake.built
    assert counts(report)["raw"] == {"absent": 3}


def test_partitions_built_without_dagster_are_reported_to_the_instance_once(home: Home) -> None:
    import dagster as dg

    fake = Fake()
    stages = fake.stages()
    built = (stages.build_events, stages.build_books, stages.build_profile, stages.build_features, stages.build_labels)
    for function in built:
        for day in DAYS:
            function(home, MARKET, day)
    report, _ = run(home, fake)
    assert counts(report) == {layer: {"fresh": 3} for layer in LAYERS}
    assert materialised(home, "book_snapshots") == {f"{day}|{MARKET}" for day in DAYS}
    run(home, fake)
    (instance_home(home) / "known_partitions.json").unlink()
    run(home, fake)
    with dg.DagsterInstance.from_config(str(instance_home(home))) as instance:
        records = instance.fetch_materializations(dg.AssetKey("book_snapshots"), limit=100).records
        assert len(records) == 3
        assert records[0].asset_materialization.metadata["certificate_holds"].value is True
        assert not instance.get_runs()


def test_two_markets_and_a_choice_of_one(home: Home) -> None:
    register_days(home, OTHER, DAYS[:2])
    fake = Fake()
    assert counts(run(home, fake, market=OTHER)[0])["labels"] == {"built": 2}
    assert {market for _, market, _ in fake.built} == {str(OTHER)}
    assert counts(run(home, fake)[0])["labels"] == {"built": 3, "fresh": 2}
    with pytest.raises(BadInputError, match="known are"):
        run(home, fake, market=OTHER, first="2026-01-07")


def test_a_day_before_the_first_partition_is_built_without_a_run(memory_home: Path) -> None:
    home = Home(memory_home)
    old = Market("binance-usdm", "BTCUSDT")
    register_days(home, old, ["2021-05-19"])
    report, said = run(home, Fake())
    assert counts(report) == {layer: {"built": 1} for layer in LAYERS}
    assert any("no partition" in line for line in said)


def test_nothing_to_do_does_not_import_dagster(home: Home) -> None:
    run(home, Fake())
    code = (
        "import sys; from pathlib import Path; from lob_pipeline.lake.home import Home;"
        "import lob_pipeline.stages.marts as m; m.Marts.state = lambda self: ('fresh', '');"
        "from lob_pipeline.runner import run_stale;"
        f"report = run_stale(Home(Path({str(home.root)!r})), say=lambda line: None);"
        "print(dict(report.stages['labels']), 'dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'fresh': 3} False"

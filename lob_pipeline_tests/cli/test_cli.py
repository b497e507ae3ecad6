"""The ``lob`` command as a user meets it: exit codes, one sentence, one JSON object, an untouched lake."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    seen = capsys.readouterr()
    return int(stop.value.code or 0), seen.out, seen.err


def run_json(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(capsys, *words, "--json")
    return code, json.loads(out)


def tree_hash(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("verify", "nasdaq.AAPL", "2024-01-01"), "expected venue.SYMBOL"),
        (("verify", "sim.BTCUSDT", "yesterday"), "expected YYYY-MM-DD"),
        (("books", "sim.BTCUSDT", "2024-01-01", "--clock", "t7ms"), "clock"),
        (("books", "sim.BTCUSDT", "2024-01-01"), "ingest"),
        (("schema", "prices"), "expected one of"),
        (("explain", "sim.BTCUSDT", "noon"), "instant"),
        (("ingest", "sim.BTCUSDT", "no/such/file.zip"), "no/such/file.zip"),
        (("simulate", "--out", "x", "--edge-bps", "nan"), "edge"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_2(
    words: tuple[str, ...],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert code == 2, err
    assert sentence in err
    assert len(err.strip().splitlines()) == 1, err
    assert out == ""


def test_an_error_is_one_json_object_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, answer = run_json(capsys, "verify", "sim.BTCUSDT", "2024-13-01", "--home", str(tmp_path))
    assert code == answer["exit"] == 2
    assert "2024-13-01" in answer["error"]


def test_unknown_words_are_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "nonsense")[0] == 2
    assert run(capsys)[0] == 2
    assert run(capsys, "--help")[0] == 0


def test_every_command_shows_an_example() -> None:
    from lob_pipeline.cli.app import app

    shown = {c.name: "Example: lob " in (c.callback.__doc__ or "") for c in app.registered_commands if c.callback}
    undocumented = [name for name, has_example in shown.items() if not has_example]
    assert len(app.registered_commands) >= 15
    assert undocumented == []


def test_registries_and_schemas_agree(capsys: pytest.CaptureFixture[str]) -> None:
    features = run_json(capsys, "features-list")[1]["features"]
    assert len(features) == 103
    built = [f["name"] for f in features if f["built"]]
    columns = [c["name"] for c in run_json(capsys, "schema", "features")[1]["columns"]]
    assert columns == ["ts_ns", "valid", *built]
    labels = {entry["name"] for entry in run_json(capsys, "labels-list")[1]["labels"]}
    stored = {c["name"] for c in run_json(capsys, "schema", "labels")[1]["columns"]}
    assert labels == stored


def test_status_of_an_empty_lake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "status", "--home", str(tmp_path / "home"))
    assert code == 0
    assert "empty" in out


@pytest.mark.real
def test_a_recording_through_ingest_books_verify(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ("--home", str(tmp_path / "home"))
    source = real_data / "bybit_linear_ws"
    market, day = "bybit-linear.BTCUSDT", "2026-08-09"
    paths = [str(source / f"{topic}.BTCUSDT.ndjson") for topic in ("orderbook.200", "publicTrade")]
    code, first = run_json(capsys, "ingest", market, *paths, *home)
    assert code == 0
    assert {p["table"] for p in first["partitions"]} == {"l2_events", "trades", "quotes"}
    standing = tree_hash(tmp_path / "home" / "lake")
    code, again = run_json(capsys, "ingest", market, *paths, *home)
    assert (code, again["partitions"]) == (0, [])
    broken = tmp_path / "broken.ndjson"
    broken.write_bytes(Path(paths[0]).read_bytes().replace(b'"u":', b'"v":', 1))
    code, refusal = run_json(capsys, "ingest", market, str(broken), *home)
    assert code == 2, refusal
    assert tree_hash(tmp_path / "home" / "lake") == standing
    code, books = run_json(capsys, "books", market, day, *home)
    assert (code, books["partitions"][0]["rows"]) == (0, 436)
    code, certificate = run_json(capsys, "verify", market, day, *home)
    assert (code, certificate["holds"], certificate["messages"]) == (0, True, 414)


def test_help_is_light() -> None:
    heavy = ["numpy", "numba", "pyarrow", "polars", "dagster", "torch", "duckdb", "pandera", "great_expectations"]
    script = f"import sys, lob_pipeline.cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--own-lots", "5"], "--own-every-s"),
        (["--common-share", "0.5"], "--symbols"),
        (["--own-every-s", "10", "--own-lots", "0"], "--own-lots 0"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    out = tmp_path / "market"
    code, _, said = run(capsys, "simulate", "--out", str(out), *words)
    assert code == 2
    assert named in said
    assert not out.exists()

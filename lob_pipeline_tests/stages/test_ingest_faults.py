"""Bad input: one clear sentence, the contract's exit code, and a home exactly as it was."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.stages.days import days_with_events, event_inputs, ledger_days
from lob_pipeline.stages.ingest import build_events, ingest, register
from lob_pipeline_tests.lake.helpers import tree
from lob_pipeline_tests.stages.ingest_streams import (
    DAY,
    MIDNIGHT_MS,
    bybit_book,
    bybit_stream,
    bybit_trade,
    contents,
    write_lines,
)

MARKET = parse_market("bybit-linear.BTCUSDT")
START = MIDNIGHT_MS - 60_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which the next day stands."""
    place = Home(tmp_path / "home")
    ingest(place, MARKET, [write_lines(tmp_path / "standing.ndjson", bybit_stream(20, first_ms=MIDNIGHT_MS + 1000))])
    return place


def _truncated_gzip(folder: Path) -> Path:
    path = write_lines(folder / "x.ndjson.gz", bybit_stream(200, first_ms=START))
    path.write_bytes(path.read_bytes()[:-200])
    return path


def _archive(folder: Path, member: str, lines: list[str]) -> Path:
    path = folder / f"{DAY}_BTCUSDT_ob500.data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, "\n".join(lines) + "\n")
    return path


def _truncated_zip(folder: Path) -> Path:
    path = _archive(folder, "x.data", bybit_stream(200, first_ms=START))
    path.write_bytes(path.read_bytes()[:-300])
    return path


def _bomb(folder: Path) -> Path:
    path = folder / f"{DAY}_BTCUSDT_ob500.data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.data", "w") as member:
        member.write((bybit_stream(1, first_ms=START)[0] + "\n").encode())
        for _ in range(80):
            member.write(b" " * (1 << 20))
    return path


def _with(change: Callable[[list[str]], None], name: str = "x.ndjson") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        lines = bybit_stream(50, first_ms=START)
        change(lines)
        return write_lines(folder / name, lines)

    return make


def _put(index: int, line: str) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        lines[index] = line

    return change


BAD = {
    "truncated zip": (_truncated_zip, "truncated or damaged"),
    "zip member with a path": (
        lambda f: _archive(f, "../x.data", bybit_stream(3, first_ms=START)),
        "member with a path",
    ),
    "zip bomb": (_bomb, "bomb"),
    "truncated gzip": (_truncated_gzip, "the file is truncated"),
    "a line that is no json": (_with(_put(30, "{not json")), r"line 31, byte \d+"),
    "a price off the tick": (
        _with(_put(30, bybit_book(START, 40, a=[["100.15", "1.000"]]))),
        r"line 31, byte \d+ .*(tick|0\.1)",
    ),
    "another symbol": (_with(_put(30, bybit_book(START, 40, symbol="ETHUSDT", a=[["1.0", "1.000"]]))), "ETHUSDT"),
    "another market": (lambda f: write_lines(f / "x.ndjson", [bybit_book(START, 1, symbol="ETHUSDT")]), "ETHUSDT"),
    "an unknown format": (lambda f: write_lines(f / "x.ndjson", ["hello", "world"]), "unknown format"),
    "an empty file": (lambda f: write_lines(f / "x.ndjson", []), "is empty"),
    "an absent file": (lambda f: f / "nothing.ndjson", "cannot be read"),
    "trades without books": (
        lambda f: write_lines(f / f"BTCUSDT{DAY}.csv.gz", _csv()),
        "trades without books",
    ),
}


def _csv() -> list[str]:
    head = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    return [head, f"{START / 1000:.1f},BTCUSDT,Buy,0.010,100.1,PlusTick,t,1,0.010,1.001"]


@pytest.mark.parametrize("fault", list(BAD))
@pytest.mark.parametrize("call", [ingest, register])
def test_bad_input_changes_nothing(tmp_path: Path, home: Home, fault: str, call: Callable[..., object]) -> None:
    make, words = BAD[fault]
    folder = tmp_path / "given"
    folder.mkdir()
    path = make(folder)
    before = tree(home.root)
    with pytest.raises(BadInputError, match=words) as hit:
        call(home, MARKET, [path])
    assert hit.value.exit_code == 2
    assert path.name in str(hit.value)
    assert tree(home.root) == before


def test_bad_input_in_an_empty_home_does_not_even_make_the_home(tmp_path: Path) -> None:
    path = _truncated_gzip(tmp_path)
    with pytest.raises(BadInputError):
        ingest(Home(tmp_path / "home"), MARKET, [path])
    assert not (tmp_path / "home").exists()


def test_trades_of_another_kind_twice_are_named(tmp_path: Path, home: Home) -> None:
    both = [*bybit_stream(5, first_ms=START), bybit_trade(START + 1000, 1)]
    files = [write_lines(tmp_path / "both.ndjson", both), write_lines(tmp_path / "t.ndjson", [bybit_trade(START, 0)])]
    before = tree(home.root)
    with pytest.raises(BadInputError, match=r"trades come twice: both\.ndjson holds trades already"):
        ingest(home, MARKET, files)
    assert tree(home.root) == before


def test_two_ingests_of_one_partition_at_once(tmp_path: Path, home: Home) -> None:
    path = write_lines(tmp_path / "x.ndjson", bybit_stream(20, first_ms=START))
    key = PartitionKey("l2_events", MARKET, DAY)
    with WriterLock(home, key.lock_name, str(key)):
        before = tree(home.root)
        with pytest.raises(BadInputError, match=r"another process writes l2_events of bybit-linear\.BTCUSDT on"):
            ingest(home, MARKET, [path])
        assert tree(home.root) == before
    ingest(home, MARKET, [path])
    assert f"l2_events {DAY}" in contents(home, MARKET)


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _noisy(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    lines = bybit_stream(1, first_ms=START)
    for i in range(1, 400):
        prices = rng.integers(1000, 900_000, 60)
        levels = [[f"{p / 10:.2f}", f"{s / 1000:.3f}"] for p, s in zip(prices, rng.integers(1, 10**9, 60), strict=True)]
        lines.append(bybit_book(START + i * 100, 10 + i, a=levels))
    return write_lines(folder / "noisy.ndjson", lines)


@pytest.mark.parametrize("limit", [0, 1000, 50_000])
def test_a_full_disk_changes_nothing(tmp_path: Path, home: Home, limit: int) -> None:
    path = _noisy(tmp_path)
    before = tree(home.root)
    with (
        _file_size_limit(limit),
        pytest.raises(LobError, match=r"cannot write .*nothing in the lake was changed") as hit,
    ):
        ingest(home, MARKET, [path])
    assert hit.value.exit_code == 1
    assert tree(home.root) == before
    ingest(home, MARKET, [path])


def test_no_room_for_the_kept_source_takes_everything_back(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError("no hard links here")

    path = _noisy(tmp_path)
    monkeypatch.setattr(os, "link", no_links)
    before = tree(home.root)
    room = 600_000  # the partitions fit, the copy of the source does not
    assert path.stat().st_size > room
    with _file_size_limit(room), pytest.raises(LobError, match="cannot write"):
        ingest(home, MARKET, [path])
    assert tree(home.root) == before
    ingest(home, MARKET, [path])
    assert (home.raw / next(iter(event_inputs(home, MARKET, DAY).values()))).read_bytes() == path.read_bytes()


def test_a_read_only_home(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.ingest import ingest
market = parse_market("bybit-linear.BTCUSDT")
ingest(Home(Path(sys.argv[3])), market, [Path(sys.argv[2])])  # once where it works: loads what needs root to be read
if os.getuid() == 0:
    os.setuid(65534)
try:
    ingest(Home(Path(sys.argv[1])), market, [Path(sys.argv[2])])
except BadInputError as error:
    print(error, error.exit_code)
"""
    path = write_lines(tmp_path / "x.ndjson", bybit_stream(20, first_ms=START))
    folder = tmp_path / "home"
    folder.mkdir(mode=0o555)
    for parent in (folder, tmp_path, *tmp_path.parents):
        if os.getuid() == 0 and parent != Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o055)
    command = [sys.executable, "-c", code, str(folder), str(path), str(tmp_path / "other")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "writing is not permitted; choose a home that can be written" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("2")
    assert tree(folder) == {}


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_lines(tmp_path / "x.ndjson", bybit_stream(20, first_ms=START))
    from lob_pipeline.stages import ingest as module

    real = module.closed_days

    def meanwhile(*arguments: object) -> object:
        os.utime(path, (1, 1))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "closed_days", meanwhile)
    before = tree(home.root)
    with pytest.raises(BadInputError, match="changed while it was read"):
        ingest(home, MARKET, [path])
    assert tree(home.root) == before


def test_a_kept_source_that_changed_is_not_built_from(tmp_path: Path, home: Home) -> None:
    raw = next(home.raw.iterdir())
    raw.write_bytes(gzip.compress(b"other"))
    with pytest.raises(LobError, match="has other bytes than were registered"):
        build_events(home, MARKET, "2024-08-09")
    raw.unlink()
    with pytest.raises(LobError, match="is missing"):
        build_events(home, MARKET, "2024-08-09")


def test_unknown_markets_and_dates(tmp_path: Path, home: Home) -> None:
    path = write_lines(tmp_path / "x.ndjson", bybit_stream(20, first_ms=START))
    before = tree(home.root)
    with pytest.raises(BadInputError, match=r"holds bybit_messages, not messages of okx\.BTC-USDT-SWAP"):
        ingest(home, parse_market("okx.BTC-USDT-SWAP"), [path])
    with pytest.raises(BadInputError, match=r"value of one contract of okx\.SUSHI-USDT-SWAP is unknown"):
        ingest(home, parse_market("okx.SUSHI-USDT-SWAP"), [path])
    with pytest.raises(BadInputError, match="no file was given"):
        ingest(home, MARKET, [])
    with pytest.raises(BadInputError, match="is not a positive decimal"):
        ingest(home, MARKET, [path], tick="zero")
    with pytest.raises(BadInputError, match=r"no book source of .* on 2020-01-01 is registered"):
        build_events(home, MARKET, "2020-01-01")
    with pytest.raises(BadInputError, match=r"has no events of .* on 2020-01-01: run `lob ingest"):
        days_with_events(home, MARKET, ["2020-01-01"])
    assert ledger_days(home) == [(MARKET, "2024-08-09")]
    assert event_inputs(home, MARKET, "2020-01-01") == {}
    assert tree(home.root) == before


def test_tick_and_lot_that_nobody_knows(tmp_path: Path) -> None:
    market = parse_market("bybit-linear.NEWUSDT")
    lines = [bybit_book(START, 1, snapshot=True, symbol="NEWUSDT", b=[["1.0", "1"]], a=[["1.1", "1"]])]
    path = write_lines(tmp_path / "x.ndjson", lines)
    with pytest.raises(BadInputError, match="pass --tick and --lot"):
        ingest(Home(tmp_path / "home"), market, [path])
    report = ingest(Home(tmp_path / "home"), market, [path], tick="0.1", lot="1")
    assert not report.partitions[0].refused


_KILLED = """
import os, signal, sys
from pathlib import Path
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.stages import ingest as module
from lob_pipeline.stages.ingest_build import Built

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[3] == "before the ledger":
    module._register = die
else:
    Built.publish = die
module.ingest(Home(Path(sys.argv[1])), parse_market("bybit-linear.BTCUSDT"), [Path(sys.argv[2])])
"""


@pytest.mark.parametrize("moment", ["before the ledger", "before publication"])
def test_an_ingest_that_was_killed_is_finished_by_the_next(tmp_path: Path, home: Home, moment: str) -> None:
    path = write_lines(tmp_path / "x.ndjson", bybit_stream(20, first_ms=START))
    standing = contents(home, MARKET)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(home.root), str(path), moment], check=False)
    assert done.returncode == -9
    assert contents(home, MARKET) == standing, "nothing is half published"
    assert list(home.staging.glob("*.parquet")), "its remains lie in staging"
    report = ingest(home, MARKET, [path])
    assert [(p.date, p.refused) for p in report.partitions] == [(DAY, False)] * 3
    assert not home.staging.exists()
    fresh = Home(tmp_path / "fresh")
    ingest(fresh, MARKET, [path])
    assert contents(home, MARKET) == {**contents(fresh, MARKET), **standing}

"""Storage that fails and processes that die: the lake stays as it was, and readers never see a mixture."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.tables import QUOTES
from lob_pipeline.lake import ledger
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline_tests.lake.helpers import KEY, passed, publish, quotes, tree

_PROLOGUE = """
import sys, time
from pathlib import Path
from lob_pipeline.core.tables import QUOTES
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.lake.reader import open_partition
from lob_pipeline_tests.lake.helpers import KEY, publish, quotes
home = Home(Path(sys.argv[1]))
"""
_HANG = """
with PartitionWriter(home, KEY, QUOTES) as writer:
    writer.write(quotes(200_000, 9))
    writer.flush()
    print("staged", flush=True)
    time.sleep(60)
"""
_READ = """
seen = set()
print("ready", flush=True)
while not (home.root / "stop").exists():
    with open_partition(home, KEY, QUOTES) as partition:
        columns = partition.read()
        values = {int(v) for name in ("bid_lots", "ask_lots", "bid_ticks") for v in set(columns[name].tolist())}
        assert len(values) == 1, values
        value = values.pop()
        assert partition.manifest.rows == columns["order"].shape[0] == 40 + value % 7
        seen.add(value)
print(len(seen), flush=True)
"""
_REPLACE = """
for i in range(1, 1001):
    publish(home, rows=40 + i % 7, value=i)
"""


@contextmanager
def _python(code: str, root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", _PROLOGUE + code, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_two_readers_during_a_thousand_replaces_see_whole_partitions_only(tmp_path: Path) -> None:
    publish(Home(tmp_path), rows=40, value=0)
    with _python(_READ, tmp_path) as one, _python(_READ, tmp_path) as two:
        assert _line(one) == _line(two) == "ready"
        with _python(_REPLACE, tmp_path) as writer:
            assert writer.wait(timeout=120) == 0
        (tmp_path / "stop").touch()
        assert [int(_line(p)) > 1 for p in (one, two)] == [True, True]
        assert [p.wait(timeout=30) for p in (one, two)] == [0, 0]


def test_a_writer_killed_in_the_middle_leaves_the_old_partition_and_its_remains_are_swept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    publish(home, value=1)
    with _python(_HANG, tmp_path) as process:
        assert _line(process) == "staged"
        with pytest.raises(BadInputError, match=r"another process writes quotes of sim\.BTCUSDT on 2024-08-08"):
            publish(home, value=2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert list(home.staging.glob("*.parquet"))
    with open_partition(home, KEY, QUOTES) as partition:
        assert partition.read(["bid_lots"])["bid_lots"].tolist() == [1] * 5
    publish(home, value=3)
    assert not home.staging.exists()
    with open_partition(home, KEY, QUOTES) as partition:
        assert partition.read(["bid_lots"])["bid_lots"].tolist() == [3] * 5


def test_a_second_writer_is_told_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with PartitionWriter(home, KEY, QUOTES):
        start = time.monotonic()
        with pytest.raises(BadInputError, match="wait until it has finished"), PartitionWriter(home, KEY, QUOTES):
            pass
        assert time.monotonic() - start < 5
    publish(home)


def test_a_released_lock_can_be_taken_again_and_leaves_no_file(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for _ in range(3):
        with WriterLock(home, "a", "a"):
            assert (home.staging / "a.lock").exists()
    assert not home.root.exists()


def _write_much(home: Home) -> None:
    rng = np.random.default_rng(1)
    with PartitionWriter(home, KEY, QUOTES) as writer:
        for value in range(5):
            columns = quotes(20_000, value)
            columns["bid_lots"] = rng.integers(0, 1 << 40, 20_000)
            writer.write(columns)
            writer.flush()
        writer.commit(code_fingerprint="f", inputs={}, outcomes=passed())


def _write_then_commit_without_room(home: Home) -> None:
    with PartitionWriter(home, KEY, QUOTES) as writer:
        writer.write(quotes(50_000))
        writer.flush()
        with _file_size_limit(1):
            writer.commit(code_fingerprint="f", inputs={}, outcomes=passed())


@pytest.mark.parametrize("limit", [0, 4096, 60_000])
def test_no_room_leaves_the_lake_as_it_was(tmp_path: Path, limit: int) -> None:
    home = Home(tmp_path)
    publish(home, value=1)
    before = tree(tmp_path)
    with _file_size_limit(limit), pytest.raises(LobError, match=r"write .*nothing in the lake was changed") as hit:
        _write_much(home)
    assert hit.value.exit_code == 1
    assert tree(tmp_path) == before
    publish(home, value=2)


def test_no_room_only_for_the_footer(tmp_path: Path) -> None:
    home = Home(tmp_path)
    publish(home, value=1)
    before = tree(tmp_path)
    with pytest.raises(LobError, match="cannot write"):
        _write_then_commit_without_room(home)
    assert tree(tmp_path) == before


_READ_ONLY = """
import os
os.setuid(65534)
from lob_pipeline.core.errors import BadInputError
try:
    publish(home)
except BadInputError as error:
    print(error)
"""


def test_a_read_only_home_is_bad_input(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    for parent in (tmp_path, *tmp_path.parents):
        if os.getuid() == 0 and parent != Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    folder.chmod(0o555)
    code = _READ_ONLY if os.getuid() == 0 else _READ_ONLY.replace("os.setuid(65534)\n", "")
    try:
        with _python(code, folder) as process:
            text = _line(process)
    finally:
        folder.chmod(0o755)
    assert "writing is not permitted; choose a home that can be written" in text
    assert tree(folder) == {}


def test_a_ledger_keeps_whole_lines_only(tmp_path: Path) -> None:
    path = ledger.raw_ledger(Home(tmp_path))
    ledger.append(path, {"n": 1})
    with path.open("ab") as handle:
        handle.write(b'{"n": 2, "cut')
    assert ledger.read(path) == [{"n": 1}]
    ledger.append(path, {"n": 3})
    assert ledger.read(path) == [{"n": 1}, {"n": 3}]
    with _file_size_limit(path.stat().st_size + 3), pytest.raises(LobError, match="cannot write"):
        ledger.append(path, {"n": 4})
    assert ledger.read(path) == [{"n": 1}, {"n": 3}]
    path.write_bytes(b"nonsense\n")
    with pytest.raises(LobError, match="line 1 is not a JSON object"):
        ledger.read(path)
    assert ledger.read(tmp_path / "none.jsonl") == []

"""The recorder as its own process: kill -9 at random moments, SIGTERM, a real limit on the size of files."""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard

from lob_pipeline.capture.heartbeat import read_heartbeat
from lob_pipeline.capture.segments import open_files, segments_root
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline_tests.capture.helpers import (
    BOOK,
    MARKET,
    bybit_files,
    lines,
    recorded,
    recording,
    require_sound_ledger,
    require_true_statement,
    wait_for,
)

pytestmark = pytest.mark.real


def start(home: Home, url: str, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "lob_pipeline.cli", "record", MARKET, "--url", url, "--home", str(home.root)]
    return subprocess.Popen([*words, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def beating(home: Home, process: subprocess.Popen[str]) -> None:
    """Wait until this very process records frames."""
    wait_for(
        lambda: (b := read_heartbeat(home)) and b["pid"] == process.pid and b["frames"] > 50, "the recorder's heartbeat"
    )


def test_kills_at_random_moments_lose_less_than_a_second_each(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    chance = random.Random(20)
    killed_ns = []
    with serving(Exchange(bybit_files(real_data), loop=True, rate=400.0, log=log)) as url:
        for _ in range(3):
            process = start(home, url)
            beating(home, process)
            time.sleep(chance.uniform(0.0, 0.5))
            before = recorded(home)
            process.kill()
            killed_ns.append(time.time_ns())
            process.communicate()
            assert [line.frame for line in recorded(home)[: len(before)]] == [line.frame for line in before]
        with recording(home, url) as live:
            live.frames(len(recorded(home)) + 100)
    _, lost = require_true_statement(home, log)
    assert lost
    unknown = [line for line in lines(home, "unknown") if line["topic"] == BOOK]
    assert [line["cause"] for line in unknown] == ["killed"] * 3
    for line, killed in zip(unknown, killed_ns, strict=True):
        assert killed - line["from_wall_ns"] < 1_000_000_000
    assert len([line for line in lines(home, "recovered") if line["lane"] == "main"]) == 3
    require_sound_ledger(home)


def test_a_torn_tail_is_cut_and_what_was_whole_is_kept(real_data: Path, tmp_path: Path) -> None:
    """A kill in the middle of a write leaves half a zstd frame: the next start cuts it off."""
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    with serving(Exchange(bybit_files(real_data), loop=True, rate=400.0, log=log)) as url:
        process = start(home, url)
        beating(home, process)
        process.kill()
        process.communicate()
        (torn,) = (path for path in open_files(segments_root(home)) if path.parent.name == "main")
        whole = recorded(home)
        half = zstandard.ZstdCompressor(write_checksum=True).compress(b"1 1 a line that a kill cut off\n")[:-5]
        torn.write_bytes(torn.read_bytes() + half)
        with recording(home, url) as live:
            live.frames(len(whole) + 50)
    (recovered,) = (line for line in lines(home, "recovered") if line["lane"] == "main")
    assert recovered["cut_bytes"] == len(half)
    assert [line.frame for line in recorded(home)[: len(whole)]] == [line.frame for line in whole]
    require_true_statement(home, log)
    require_sound_ledger(home)


def test_a_stop_flushes_closes_and_reports(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    with serving(Exchange(bybit_files(real_data), loop=True, rate=400.0, log=log)) as url:
        process = start(home, url, "--flush-ms", "1000")
        beating(home, process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    report = json.loads(out)
    assert report["frames"] == len(recorded(home)) + len(recorded(home, "extra")) > 50
    assert lines(home, "stopped")[0]["frames"] == report["frames"]
    _, lost = require_true_statement(home, log)
    assert lost == set()
    require_sound_ledger(home)


def test_a_file_that_may_not_grow_stops_the_recorder_with_exit_1(real_data: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from lob_pipeline.capture.config import RecordConfig\n"
        "from lob_pipeline.capture.recorder import RecordOptions, record\n"
        "from lob_pipeline.core.errors import LobError\nfrom lob_pipeline.core.instrument import parse_market\n"
        "from lob_pipeline.lake.home import Home\n"
        "try:\n    record(Home(Path(sys.argv[1])), [parse_market(sys.argv[2])], RecordOptions(sys.argv[3]),\n"
        "           RecordConfig(flush_ms=50, reserve_bytes=1000), print)\n"
        "except LobError as error:\n    sys.exit(f'{error.exit_code} {error}')\n"
    )
    with serving(Exchange(bybit_files(real_data), loop=True, rate=400.0, log=log)) as url:
        done = subprocess.run(
            [sys.executable, "-c", code, str(home.root), MARKET, url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
        )
    assert done.stderr.startswith("1 recording stopped: File too large")
    assert lines(home, "full")[0]["error"] == "File too large"
    assert len(recorded(home)) > 100
    require_sound_ledger(home)
    _, lost = require_true_statement(home, log)
    assert lost == set()

"""One soak: an exchange with every fault in random order, a recorder that is killed again and again, and its ingest."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.faults import random_script, to_json
from lob_pipeline.stages.ingest import ingest

MARKETS = ("bybit-linear.BTCUSDT", "bybit-linear.SOLUSDT")
BOOKS = tuple(f"orderbook.200.{market.partition('.')[2]}" for market in MARKETS)
_SAMPLE_S = 0.5
_START_S = 120.0
_UNREADY_SHARE = 0.1
_LAST_FAULT_S = 6.0
"""Before the end, so that the last fault's consequences are recorded."""


@dataclass(frozen=True)
class SoakConfig:
    """How long, how fast, how often. ``calm_s``: without kills first, in which memory is watched."""

    seconds: float
    rate: float
    kills: int
    seed: int
    fault_every_s: float = 4.0
    calm_share: float = 0.4

    @property
    def calm_s(self) -> float:
        """Seconds without kills."""
        return self.seconds * self.calm_share if self.kills else self.seconds

    @property
    def warm_s(self) -> float:
        """Seconds after which memory is expected to stand still."""
        return min(60.0, self.calm_s / 2)


@dataclass
class SoakRun:
    """What a soak left: folders, the moments of the kills (wall clock, ns), and what the processes took.

    ``planned``: kinds of faults in its script. ``rss``: (seconds since the recorder began, bytes) of the calm part.
    """

    home: Path
    log: Path
    recordings: list[Path]
    planned: set[str] = field(default_factory=set)
    kills_ns: list[int] = field(default_factory=list)
    rss: list[tuple[float, int]] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    lasted_s: float = 0.0

    def rss_growth_bytes(self, warm_s: float) -> int:
        """Return by how much memory grew after ``warm_s``: the most of the last fifth over the most of the first."""
        steady = [size for at, size in self.rss if at >= warm_s]
        fifth = max(1, len(steady) // 5)
        return max(steady[-fifth:]) - max(steady[:fifth]) if steady else 0


def soak(config: SoakConfig, folder: Path, real_data: Path) -> SoakRun:
    """Run it all and return what was left. Raises ``RuntimeError`` when a process ends that should not."""
    data = real_data / "bybit_linear_ws"
    symbols = [parse_market(market).symbol for market in MARKETS]
    paths = [data / f"{topic}.{symbol}.ndjson" for symbol in symbols for topic in ("orderbook.200", "publicTrade")]
    run = SoakRun(folder / "home", folder / "log", paths)
    faults = random_script(
        config.seed, config.seconds - _LAST_FAULT_S, every_s=config.fault_every_s, topics=BOOKS
    )
    run.planned = {fault.kind for fault in faults}
    script = folder / "faults.json"
    script.write_text(json.dumps(to_json(faults)))
    words = ["-m", "lob_pipeline.sim.exchange", *map(str, paths), "--loop", "--extras", "--rate", str(config.rate)]
    exchange = subprocess.Popen(
        [sys.executable, *words, "--faults", str(script), "--log", str(run.log)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert exchange.stdout is not None
        url = exchange.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the exchange did not start (exit {exchange.wait()})")
        _record(config, run, url)
        run.cpu_s["exchange"] = _cpu_s(exchange.pid)
    finally:
        exchange.terminate()
        exchange.wait(30)
    for market in MARKETS:
        _ingest(run.home, market)
    return run


def _start(run: SoakRun, url: str) -> subprocess.Popen[bytes]:
    words = ["-m", "lob_pipeline.cli", "record", *MARKETS, "--url", url, "--home", str(run.home), "--json"]
    run.home.mkdir(parents=True, exist_ok=True)
    with (run.home / "recorder.log").open("ab") as said:
        return subprocess.Popen([sys.executable, *words], stdout=said, stderr=said)


def _record(config: SoakConfig, run: SoakRun, url: str) -> None:
    chance = random.Random(config.seed + 1)
    pause_s = (config.seconds - config.calm_s - _LAST_FAULT_S) / max(1, config.kills)
    began, used = time.monotonic(), 0.0
    recorder = _start(run, url)
    try:
        while (at := time.monotonic() - began) < config.calm_s:
            run.rss.append((at, _rss_bytes(recorder.pid)))
            _sleep(recorder, min(_SAMPLE_S, max(0.01, config.calm_s - at)))
        while len(run.kills_ns) < config.kills:
            if chance.random() < _UNREADY_SHARE:  # now and then it is killed before it listens again
                _sleep(recorder, chance.uniform(0, 1))
            else:
                _wait_until_it_records(run, recorder)
                _sleep(recorder, chance.uniform(0.05, 2 * pause_s) if pause_s > 0 else 0.0)
            used += _cpu_s(recorder.pid)
            run.kills_ns.append(time.time_ns())
            recorder.kill()
            recorder.wait()
            recorder = _start(run, url)
        _wait_until_it_records(run, recorder)
        while (left := config.seconds - (time.monotonic() - began)) > 0:
            _sleep(recorder, min(_SAMPLE_S, left))
    finally:
        used += _cpu_s(recorder.pid) if recorder.poll() is None else 0.0
        recorder.send_signal(signal.SIGTERM)
        run.exits.append(recorder.wait(60))
        run.cpu_s["recorder"], run.lasted_s = used, time.monotonic() - began


def _sleep(recorder: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait. Raises ``RuntimeError`` when the recorder ends meanwhile: it has no reason to."""
    try:
        recorder.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise RuntimeError(f"the recorder ended by itself (exit {recorder.returncode}): see recorder.log in its home")


def _wait_until_it_records(run: SoakRun, recorder: subprocess.Popen[bytes]) -> None:
    """Wait until the exchange has sent it the books as they stand, and a little more."""
    since_ns = run.kills_ns[-1] if run.kills_ns else 0
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        events = [json.loads(line) for line in (run.log / "events.jsonl").read_text("utf-8").splitlines()[-40:]]
        if any(event["event"] == "snapshot" and event["wall_ns"] > since_ns for event in events):
            return
        _sleep(recorder, 0.1)
    raise RuntimeError(f"the recorder did not come back within {_START_S:g} s: see recorder.log in its home")


def _ingest(home: Path, market: str) -> None:
    parsed = parse_market(market)
    segments = sorted((home / "segments" / parsed.venue / parsed.symbol / "main").glob("*.seg.zst"))
    if not segments:
        raise RuntimeError(f"no closed segment of {market}: {home}/recorder.log")
    ingest(Home(home), parsed, segments, keep=False)


def _rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def to_report(config: SoakConfig, run: SoakRun) -> dict[str, Any]:
    """Return what was measured, as plain JSON types."""
    return {
        "seconds": round(run.lasted_s, 1),
        "rate": config.rate,
        "seed": config.seed,
        "kills": len(run.kills_ns),
        "recorder_exit": run.exits[-1] if run.exits else None,
        "rss_growth_mib": round(run.rss_growth_bytes(config.warm_s) / (1 << 20), 2),
        "rss_mib": round(run.rss[-1][1] / (1 << 20), 1) if run.rss else None,
        "cpu_share": {name: round(used / run.lasted_s, 3) for name, used in run.cpu_s.items()},
    }

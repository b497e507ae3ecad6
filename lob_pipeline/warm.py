"""Compile the kernels once, at install: two tiny markets through every stage, in a folder that is thrown away.

numba keeps what it compiled beside the sources, so that neither the first command nor the first test waits for it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.lake.home import Home, find_home

_START_MS = 1_704_067_200_000  # 2024-01-01 00:00:00 UTC


def binance_lines() -> Iterator[str]:
    """Yield four minutes of a market of two levels a side in the form of a Binance spot recording."""

    def line(at_ms: int, body: str) -> str:
        return f"{at_ms}000 {body}\n"

    yield line(_START_MS, '{"lastUpdateId":10,"bids":[["1.000","5.00"],["0.999","4.00"]],"asks":[["1.002","6.00"]]}')
    for i in range(1, 241):
        at_ms, lots = _START_MS + 1000 * i, f"{1 + i % 7}.{i % 97:02d}"
        ids = f'"E":{at_ms},"s":"NEXOUSDT","U":{10 + i},"u":{10 + i}'
        touch = f'"b":[["1.000","{lots}"]],"a":[["1.002","{lots}"]]'
        trade = f'"E":{at_ms},"s":"NEXOUSDT","t":{i},"p":"1.000","q":"0.50","T":{at_ms},"m":true,"M":true'
        quote = f'"u":{10 + i},"s":"NEXOUSDT","b":"1.000","B":"{lots}","a":"1.002","A":"{lots}"'
        for topic, data in (
            ("depth@100ms", f'"e":"depthUpdate",{ids},{touch}'),
            ("trade", f'"e":"trade",{trade}'),
            ("bookTicker", quote),
        ):
            yield line(at_ms, f'{{"stream":"nexousdt@{topic}","data":{{{data}}}}}')


def through(home: Home, market: Market, paths: list[Path]) -> None:
    """Take recordings through every stage up to the labels."""
    from lob_pipeline.stages.build_books import build_books
    from lob_pipeline.stages.build_features import build_features
    from lob_pipeline.stages.build_labels import build_labels
    from lob_pipeline.stages.ingest import ingest

    report = ingest(home, market, paths).to_json()
    for day in sorted({part["date"] for part in report["partitions"]}):
        for build in (build_books, build_features, build_labels):
            if build(home, market, day, None).refused:
                raise SystemExit(f"warming the kernels: {build.__name__} of {market} {day} was refused")


def main() -> None:
    """Take both markets through ingest, books, features and labels in a temporary home, random rows through a fold."""
    from lob_pipeline.sim.config import SimConfig
    from lob_pipeline.stages.simulate import simulate

    started = time.monotonic()
    print("compiling the kernels (once, about a minute)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = find_home(str(Path(scratch) / "home"))
        report = simulate(Path(scratch) / "sim", SimConfig(seed=1, days=1, minutes=3)).to_json()
        through(home, parse_market("sim.BTCUSDT"), [Path(p) for p in report["files"]])
        recording = Path(scratch) / "recording.txt"
        recording.write_text("".join(binance_lines()), "utf-8")
        through(home, parse_market("binance-spot.NEXOUSDT"), [recording])
    from lob_pipeline.warm_learning import warm_learning

    warm_learning()
    print(f"compiled in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""What the install compiles with must pass the gates: a refusal there would end `make install`."""

from __future__ import annotations

from pathlib import Path

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.reader import list_partitions
from lob_pipeline.warm import binance_lines, through


def test_the_market_of_the_install_passes_every_gate(tmp_path: Path) -> None:
    recording = tmp_path / "recording.txt"
    recording.write_text("".join(binance_lines()), "utf-8")
    home = Home(tmp_path / "home")
    through(home, parse_market("binance-spot.NEXOUSDT"), [recording])
    assert {key.table for key in list_partitions(home)} >= {"l2_events", "book_snapshots", "features", "labels"}

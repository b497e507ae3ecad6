"""A simulated day as its websocket would have sent it: book messages and trades in one file of lines.

``python -m lob_pipeline.sim.live_form OUT.ndjson BOOK.zip TRADES.csv.gz`` turns the archive files of a day into what
``python -m lob_pipeline.sim.exchange OUT.ndjson`` serves, so that a market with known truth can be recorded, watched
live and ingested like any other. Book messages are the archive's, byte for byte, but for the closing snapshot, which
no websocket sends. A trade message carries the trades of one instant; it stands before the first book message whose
engine time is not earlier, carries that message's ``seq``, and tells its time in whole milliseconds, rounded up.
"""

from __future__ import annotations

import argparse
import json
import re
import zipfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from isal import isal_zlib

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.archive import write_whole

_CTS, _SEQ = re.compile(rb'"cts":(\d+)'), re.compile(rb'"seq":(\d+)')


def _milliseconds(stamp: str) -> int:
    """Return a stamp in seconds with four decimals as ms, rounded up."""
    whole, _, part = stamp.partition(".")
    return int(whole) * 1000 + -(-int(part.ljust(4, "0")[:4]) // 10)


def _trades(lines: list[str]) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield (ms, rows of that instant) of a trades file, in its order."""
    rows = [line.split(",") for line in lines[1:] if line]
    for ms, group in groupby(rows, key=lambda row: _milliseconds(row[0])):
        yield ms, list(group)


def _message(ms: int, rows: list[list[str]], seq: int) -> bytes:
    data: list[dict[str, Any]] = [
        {
            "T": ms,
            "s": symbol,
            "S": side,
            "v": size,
            "p": price,
            "L": direction,
            "i": trade_id,
            "BT": False,
            "RPI": False,
            "seq": seq,
        }
        for _, symbol, side, size, price, direction, trade_id, *_ in rows
    ]
    said = {"topic": f"publicTrade.{rows[0][1]}", "type": "snapshot", "ts": ms, "data": data}
    return json.dumps(said, separators=(",", ":")).encode()


def live_lines(book: Path, trades: Path) -> Iterator[bytes]:
    """Yield the messages of a day, without line ends. Raises ``BadInputError`` for files that are no simulated day."""
    with zipfile.ZipFile(book) as archive:
        messages = archive.read(archive.namelist()[0]).splitlines()
    text = isal_zlib.decompress(trades.read_bytes(), 31).decode().splitlines()
    if not messages or b'"topic":"orderbook.' not in messages[0] or not text or not text[0].startswith("timestamp,"):
        raise BadInputError(f"{book}, {trades}: expected the archive files of a simulated day, books first")
    ahead = _trades(text)
    ms, rows = next(ahead, (0, []))
    for message in messages[:-1]:
        cts, seq = (int(found[1]) if (found := rule.search(message)) else 0 for rule in (_CTS, _SEQ))
        while rows and ms <= cts:
            yield _message(ms, rows, seq)
            ms, rows = next(ahead, (0, []))
        yield message


def main(arguments: list[str] | None = None) -> int:
    """Write the live form of one simulated day."""
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline.sim.live_form", description=main.__doc__)
    for name in ("out", "book", "trades"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    options = parser.parse_args(arguments)
    write_whole(options.out, b"".join(line + b"\n" for line in live_lines(options.book, options.trades)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

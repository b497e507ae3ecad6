"""What is fuzzed: each decoder with its seeds, and what must hold of whatever it is given."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.venues.block import DecodedBlock
from lob_pipeline.venues.decode import decode_file
from lob_pipeline.venues.detect import FileInfo, detect_file
from lob_pipeline.venues.forms import form_of
from lob_pipeline_tests.venues.checked_streams import changes, kraken_messages, okx_messages
from lob_pipeline_tests.venues.samples import SAMPLES

SPLIT = b"\n--------\n"
"""Between the two files of one input."""
_STEM = "GOOG_2012-06-21_34200000_57600000"
_PLACE = re.compile(r"(?:line \d+, )?byte (\d+)|row (\d+)")
_OF_THE_FILE = (
    "holds no data once inflated",
    "is empty",
    "no whole Parquet file",
    "has the columns",
    "has more rows than the",
    "ends after",
    "is damaged after row",
    "one column of each meaning",
    "cannot be read",
    "no line end in",
    "unknown format",
    "expected",
)
"""What is said of a file as a whole has no place in it."""


class Target(NamedTuple):
    """A decoder: the market that is read, the form's name, whether there is a header line, and its seeds."""

    name: str
    market: str
    form: str
    header: int
    seeds: tuple[bytes, ...]

    @property
    def grid(self) -> Instrument:
        """The instrument, with a grid of its own where markets.toml knows none."""
        market = parse_market(self.market)
        return instrument(market, "0.01", "1") if market.venue == "lobster" else instrument(market)


class Broken(NamedTuple):
    """A rule that an input broke."""

    rule: str
    detail: str


def _tables() -> Iterator[Target]:
    t = 1_700_000_000_000_000
    book = [
        (t, "true", "bid", "100.1", "1.5"),
        (t, "true", "ask", "100.2", "0.001"),
        (t + 1, "false", "bid", "100.1", "0"),
        (t + 2000, "false", "ask", "1.003e2", "2"),
    ]
    rows = [f"binance-futures,BTCUSDT,{ts},{ts + 7},{m},{s},{p},{q}" for ts, m, s, p, q in book]
    tardis = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n" + "\n".join(rows) + "\n"
    plain = "ts_event_ns,side,price,size,is_snapshot,update_id,prev_update_id,ts_recv_ns\n" + "".join(
        f"{ts}000,{s},{p},{q},{m},{50 + k},{'' if k < 2 else 49 + k},{'' if k else ts * 1000}\n"
        for k, (ts, m, s, p, q) in enumerate(book)
    )
    trades = f"timestamp,side,price,size,id,flags\n{t},buy,100.1,0.5,a-1,0\n{t + 5},Sell,1e2,5e-1,b,4\n"
    tape = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n" + "".join(
        f"binance-futures,BTCUSDT,{ts},{ts + 7},{ts % 97},{'buy' if s == 'bid' else 'sell'},{p},{q}\n"
        for ts, _, s, p, q in book
    )
    yield Target("tardis_trades", "binance-usdm.BTCUSDT", "tardis_trades", 1, (tape.encode(),))
    yield Target("tardis_l2", "binance-usdm.BTCUSDT", "tardis_l2", 1, (tardis.encode(),))
    yield Target("level_table", "bybit-linear.BTCUSDT", "level_table", 1, (plain.encode(), tardis.encode()))
    yield Target("trade_table", "binance-spot.BTCUSDT", "trade_table", 1, (trades.encode(),))
    columns = {
        "timestamp": [ts for ts, *_ in book],
        "side": [s for _, _, s, _, _ in book],
        "price": [float(p) for _, _, _, p, _ in book],
        "size": [q for *_, q in book],
        "is_snapshot": [m == "true" for _, m, _, _, _ in book],
    }
    seeds = []
    for compression in ("none", "zstd"):
        out = io.BytesIO()
        pq.write_table(pa.table(columns), out, compression=compression)
        seeds.append(out.getvalue())
    yield Target("parquet_table", "binance-usdm.BTCUSDT", "parquet_table", 0, tuple(seeds))


def _lobster() -> Target:
    messages = [
        "34200.1,1,11,100,5000000,1",
        "34200.123456789,4,11,40,5000000,1",
        "34200.2,5,0,10,5000100,-1",
        "34201,3,12,30,5000200,-1",
        "34202,2,11,10,5000000,1",
        "34203,7,0,0,-1,-1",
        "34204,1,13,5,5000100,-1",
    ]
    books = [
        "5000200,30,5000000,100,5000300,9,4999900,7",
        "5000200,30,5000000,60,5000300,9,4999900,7",
        "5000200,30,5000000,60,5000300,9,4999900,7",
        "5000300,9,5000000,60,5000400,8,4999900,7",
        "5000300,9,5000000,50,5000400,8,4999900,7",
        "5000300,9,5000000,50,5000400,8,4999900,7",
        "5000100,5,5000000,50,5000300,9,4999900,7",
    ]
    data = ("\n".join(messages) + "\n").encode() + SPLIT + ("\n".join(books) + "\n").encode()
    return Target("lobster", "lobster.GOOG", "lobster", 0, (data,))


def _checksummed() -> Iterator[Target]:
    stream = changes(7, 4)
    for name, market, made in (
        ("okx", "okx.BTC-USDT", [okx_messages(stream), okx_messages(stream, seq=50)]),
        ("kraken", "kraken.XBT-USD", [kraken_messages(stream)]),
    ):
        seeds = ("".join(json.dumps(m, separators=(",", ":")) + "\n" for m in messages).encode() for messages in made)
        yield Target(name, market, f"{name}_messages", 0, tuple(seeds))


def _segment() -> Target:
    """A recorder's segment: its first line, notes, frames with stamps; a broken frame is counted, not refused."""
    facts = {"lob_segment": 1, "venue": "bybit-linear", "symbol": "BTCUSDT", "lane": "main", "conn": 1}
    lines = [b"# " + json.dumps(facts, separators=(",", ":")).encode(), b"# a note"]
    for k, frame in enumerate((SAMPLES["bybit_book"].data + SAMPLES["bybit_trades"].data).splitlines()):
        lines.append(b"%d %d " % (1_733_011_200_000_000_000 + k, 5_000 + k) + frame)
    lines.append(b"1733011200000000099 5099 !" + base64.b64encode(b"{"))
    return Target("segment", "bybit-linear.BTCUSDT", "bybit_messages", 0, (b"\n".join(lines) + b"\n",))


def targets() -> dict[str, Target]:
    """Return every target by name."""
    found = [
        Target(name, s.market, s.format, int(s.format == "bybit_trades_csv"), (s.data,)) for name, s in SAMPLES.items()
    ]
    found += [*_tables(), _lobster(), *_checksummed(), _segment()]
    return {target.name: target for target in found}


def _write(target: Target, data: bytes, folder: Path) -> FileInfo:
    if target.name == "lobster":
        one, _, two = data.partition(SPLIT)
        path = folder / f"{_STEM}_message_2.csv"
        path.write_bytes(one)
        companion = folder / f"{_STEM}_orderbook_2.csv"
        companion.write_bytes(two)
        return FileInfo(path, "plain", "lobster", "lobster", ("GOOG",), ("book",), companion=companion, name=path.name)
    path = folder / "recording"
    path.write_bytes(data)
    family = form_of(target.form).family
    if target.name == "segment":
        return FileInfo(path, "plain", target.form, family, (), ("book",), segment=target.grid.market)
    if target.form == "parquet_table":
        return FileInfo(path, "plain", target.form, family, (), ("book",))
    return FileInfo(path, "plain", target.form, family, (), (), several_symbols=True)


def examine(target: Target, data: bytes, folder: Path) -> tuple[str, list[Broken]]:
    """Decode ``data``; return a digest of the outcome (rows or refusal) and the rules that were broken.

    Anything but ``BadInputError`` is raised on.
    """
    info = _write(target, data, folder)
    try:
        detect_file(info.path)
    except BadInputError as error:
        if "\n" in str(error):
            return "", [Broken("one line", str(error))]
    try:
        blocks = list(decode_file(info.path, target.grid, info=info))
    except BadInputError as error:
        return f"refused: {error}".replace(str(folder), ""), _refusal(str(error), data)
    return _digest(blocks), _accounts(target, data, blocks)


def _refusal(text: str, data: bytes) -> list[Broken]:
    found = []
    if "\n" in text:
        found.append(Broken("one line", text))
    place = _PLACE.search(text)
    if place is None and not any(part in text for part in _OF_THE_FILE):
        found.append(Broken("errors carry their place", text))
    if place is not None and place[1] and int(place[1]) > len(data):
        found.append(Broken("the place is in the file", text))
    return found


def _accounts(target: Target, data: bytes, blocks: list[DecodedBlock]) -> list[Broken]:
    """No row may be lost in silence: every line became rows, is counted as skipped, or is the header."""
    found: list[Broken] = []
    if target.form == "parquet_table":
        return found
    text = data.partition(SPLIT)[0] if target.name == "lobster" else data
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    if sum(b.lines for b in blocks) != lines:
        found.append(Broken("every line is read", f"{sum(b.lines for b in blocks)} of {lines}"))
    skipped = sum(sum(b.skipped.values()) for b in blocks)
    if target.form in ("tardis_l2", "level_table"):
        rows = sum(b.book.level_rows for b in blocks)
        told = rows + target.header
    else:
        seen: set[int] = set()
        for block in blocks:
            for rows_of in (block.book, block.trades, block.quotes):
                seen |= set(rows_of.line.tolist())
        told = len(seen) + skipped + target.header
        if target.name == "lobster":
            told += sum(b.facts["messages_on_unknown_levels"] for b in blocks)
    if told < lines:
        found.append(Broken("no line is lost", f"{told} of {lines} lines became rows or were counted"))
    for block in blocks:
        b = block.book
        if (np.diff(b.level_start) < 0).any() or (len(b) and int(b.level_start[-1]) != b.level_rows):
            found.append(Broken("levels belong to messages", str(b.level_start.tolist())))
        if (b.price_ticks <= 0).any() or (b.size_lots < 0).any() or (np.abs(b.side) != 1).any():
            found.append(Broken("levels are on the grid", ""))
        if (block.trades.price_ticks <= 0).any() or (np.abs(block.trades.side) != 1).any():
            found.append(Broken("trades are on the grid", ""))
    return found


def _digest(blocks: list[DecodedBlock]) -> str:
    total = hashlib.sha256()
    for block in blocks:
        for rows in (block.book, block.trades, block.quotes):
            for value in vars(rows).values():
                if isinstance(value, np.ndarray):
                    total.update(np.ascontiguousarray(value).astype(np.int64).tobytes())
                else:
                    total.update(repr(value.to_pylist()).encode())
        total.update(repr((sorted(block.skipped.items()), block.off_grid_lots, block.checksums)).encode())
        total.update(repr(sorted(block.facts.items())).encode())
    return total.hexdigest()

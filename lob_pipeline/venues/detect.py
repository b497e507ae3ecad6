"""What a recorded file is: told by its content, never by its extension; the name only adds the declared day."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import parse_date
from lob_pipeline.venues import binance, bybit, bybit_csv
from lob_pipeline.venues.lines import UnreadableError, parse_object, shown
from lob_pipeline.venues.source import Container, container_of, open_source

Format = Literal["bybit_messages", "bybit_trades_csv", "binance_raw"]
Stream = Literal["book", "trades", "quotes"]

KNOWN = (
    "Bybit messages (orderbook.*, publicTrade.*), Bybit trade archives (csv), Binance recordings "
    "(receive stamp and JSON a line, or ts_local wrappers)"
)
_BOOK_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})_([A-Z0-9_-]+)_ob\d+\.data(\.zip)?\Z")
_TRADES_NAME = re.compile(r"([A-Z0-9_-]*?[A-Z])(\d{4}-\d{2}-\d{2})\.csv(\.gz)?\Z")
_SAMPLE_BYTES = 256 << 10
_SAMPLE_LINES = 400
_RECV_SUFFIX = ".recv_ts.txt"


@dataclass(frozen=True)
class FileInfo:
    """What the first lines of a file say.

    ``symbols``: in order of appearance, as markets name them. ``streams``: kinds of rows seen. ``declared_day``: of an
    archive's name. ``grids``: symbol -> (tick, lot) as decimal strings where the recording carries them.
    ``spot``: whether the market is a spot market, None where messages do not tell. ``several_symbols``: the format says
    of each line which symbol it is of, so that others may be skipped.
    """

    path: Path
    container: Container
    format: Format
    family: Literal["bybit", "binance"]
    symbols: tuple[str, ...]
    streams: tuple[Stream, ...]
    declared_day: str | None = None
    grids: dict[str, tuple[str, str]] = field(default_factory=dict)
    spot: bool | None = None
    several_symbols: bool = False
    recv_path: Path | None = None

    @property
    def markets(self) -> tuple[Market, ...]:
        """The markets the file may hold, likeliest first."""
        if self.family == "bybit":
            venues = {None: ("bybit-linear", "bybit-spot"), False: ("bybit-linear",), True: ("bybit-spot",)}[self.spot]
        else:
            spot = ("binance-spot",)
            futures = ("binance-coinm",) if any("USD_" in s for s in self.symbols) else ("binance-usdm",)
            venues = {None: futures + spot, False: futures, True: spot}[self.spot]
        return tuple(Market(venue, symbol) for symbol in self.symbols for venue in venues)

    def require(self, market: Market) -> None:
        """Raise ``BadInputError`` unless the file can hold ``market``."""
        family = "bybit" if market.venue == "sim" else market.venue.partition("-")[0]
        spot = market.venue.endswith("-spot")
        if family != self.family or (self.spot is not None and self.family == "binance" and spot != self.spot):
            likely = ", ".join(map(str, self.markets)) or self.family
            raise BadInputError(f"{self.path} holds {self.format}, not messages of {market}: it looks like {likely}")
        if self.symbols and market.symbol not in self.symbols:
            raise BadInputError(
                f"{self.path} holds {', '.join(self.symbols)}: expected {market.symbol}; give the file of that market"
            )


def detect_file(path: Path) -> FileInfo:
    """Return what ``path`` is. Raises ``BadInputError`` when it is absent, empty, damaged or of no known format."""
    container = container_of(path)
    block = next(open_source(path, _SAMPLE_BYTES))
    lines = bytes(block.data[: block.size]).split(b"\n")[:_SAMPLE_LINES]
    found = _Sample(path)
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            found.add(line)
        except UnreadableError as error:
            if number == 0:
                raise BadInputError(
                    f"{path}: unknown format, its first line begins {shown(line[:40].decode('utf-8', 'replace'))!r}: "
                    f"expected {KNOWN}"
                ) from error
            break  # decoding will name the line; what the lines before it said is enough to begin
        if found.complete:
            break
    return found.info(container)


class _Sample:
    """What the lines seen so far said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format: Format | None = None
        self.symbols: dict[str, None] = {}
        self.streams: dict[Stream, None] = {}
        self.grids: dict[str, tuple[str, str]] = {}
        self.spot: bool | None = None
        self.several = False
        self.complete = False

    def add(self, line: bytes) -> None:
        if self.format == "bybit_trades_csv" or (self.format is None and bybit_csv.is_header(line)):
            self._add_csv(line)
            return
        start = binance.stamp_end(line)
        found = parse_object(line, start)
        if start or binance.is_message(found):
            self._add_binance(found)
        elif "topic" in found or bybit.is_control(found):
            self._add_bybit(found)
        else:
            raise UnreadableError("a known message", shown(line[:60].decode("utf-8", "replace")))

    def _be(self, format: Format) -> None:
        if self.format not in (None, format):
            raise UnreadableError(f"{self.format} as before", format)
        self.format = format

    def _add_csv(self, line: bytes) -> None:
        if self.format is None:
            self.format = "bybit_trades_csv"
            self._header = line.decode("ascii").removesuffix("\r").split(",")
            self.streams["trades"] = None
            return
        cells = line.decode("ascii", "replace").split(",")
        if len(cells) == len(self._header):
            self.symbols[cells[self._header.index("symbol")]] = None
        self.complete = True

    def _add_bybit(self, found: dict[str, Any]) -> None:
        self._be("bybit_messages")
        if "topic" in found:
            symbol, depth = bybit.topic_of(str(found["topic"]))
            self.symbols[symbol] = None
            self.streams["book" if depth else "trades"] = None

    def _add_binance(self, found: dict[str, Any]) -> None:
        self._be("binance_raw")
        said = binance.describe(found)
        self.several |= said.wrapped
        if said.symbol:
            self.symbols[said.symbol] = None
        if said.stream:
            self.streams[said.stream] = None
        if said.spot is not None:
            self.spot = said.spot
        if said.grid and said.symbol:
            self.grids[said.symbol] = said.grid

    def info(self, container: Container) -> FileInfo:
        if self.format is None:
            raise BadInputError(f"{self.path}: unknown format, no line tells what it is: expected {KNOWN}")
        grids, category = instruments_beside(self.path)
        spot = self.spot
        if self.format != "binance_raw" and category is not None:
            spot = category == "spot"
        recv = self.path.with_name(
            re.sub(r"\.(ndjson|jsonl|json|txt)(\.gz|\.zst)?\Z", "", self.path.name) + _RECV_SUFFIX
        )
        return FileInfo(
            path=self.path,
            container=container,
            format=self.format,
            family="binance" if self.format == "binance_raw" else "bybit",
            symbols=tuple(self.symbols),
            streams=tuple(self.streams),
            declared_day=declared_day(self.path.name),
            grids={**grids, **self.grids},
            spot=spot,
            several_symbols=self.several,
            recv_path=recv if recv != self.path and recv.is_file() else None,
        )


def declared_day(name: str) -> str | None:
    """Return the day in an archive's file name (``2024-12-01_XRPUSDT_ob500.data.zip``), None for other names."""
    book, trades = _BOOK_NAME.match(name), _TRADES_NAME.match(name)
    day = book[1] if book else (trades[2] if trades else None)
    return parse_date(day).isoformat() if day else None


def instruments_beside(path: Path) -> tuple[dict[str, tuple[str, str]], str | None]:
    """Return (symbol -> (tick, lot), category) from ``instruments-info.json`` in the folder of ``path``.

    Bybit's REST answer as it is; nothing where there is none. Raises ``BadInputError`` when it is unreadable.
    """
    beside = path.parent / "instruments-info.json"
    if not beside.is_file():
        return {}, None
    try:
        result = json.loads(beside.read_bytes())["result"]
        grids = {
            str(entry["symbol"]): (
                str(entry["priceFilter"]["tickSize"]),
                str(entry["lotSizeFilter"].get("qtyStep") or entry["lotSizeFilter"]["basePrecision"]),
            )
            for entry in result["list"]
        }
        return grids, str(result.get("category")) if result.get("category") else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{beside} is no instruments-info answer ({type(error).__name__}: {error}): fetch it again or remove it"
        ) from error

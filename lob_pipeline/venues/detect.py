"""What a recorded file is: told by its content, never by its extension; the name only adds the declared day."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import parse_date
from lob_pipeline.venues.form import Form, Format, Said, Stream
from lob_pipeline.venues.forms import FORMS, KNOWN, form_of, websocket_form
from lob_pipeline.venues.lines import UnreadableError, shown
from lob_pipeline.venues.segment_form import MAGIC, header_of, market_of
from lob_pipeline.venues.source import Container, container_of, open_source

__all__ = ["KNOWN", "FileInfo", "Format", "Stream", "declared_day", "detect_file", "instruments_beside"]

_BOOK_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})_([A-Z0-9_-]+)_ob\d+\.data(\.zip)?\Z")
_TRADES_NAME = re.compile(r"([A-Z0-9_-]*?[A-Z])(\d{4}-\d{2}-\d{2})\.csv(\.gz)?\Z")
_TARDIS_NAME = re.compile(
    r"[a-z0-9-]+_(incremental_book_L2|trades)_(\d{4}-\d{2}-\d{2})_[A-Za-z0-9_-]+\.csv(\.gz|\.zst)?\Z"
)
_SAMPLE_BYTES = 256 << 10
_SAMPLE_LINES = 400
_LONGEST_PREAMBLE_BYTES = 64 << 20
"""Recorders may begin with whole instrument lists: what is read in search of a first message."""
_NOT_TELLING = (b"", b"ping", b"pong")
_RECV_SUFFIX = ".recv_ts.txt"


@dataclass(frozen=True)
class FileInfo:
    """What the first lines of a file say.

    ``symbols``: in order of appearance, as markets name them. ``streams``: kinds of rows seen. ``declared_day``: of an
    archive's name. ``grids``: symbol -> (tick, lot) as decimal strings where the recording carries them.
    ``spot``: whether the market is a spot market, None where messages do not tell. ``several_symbols``: the format says
    of each line which symbol it is of, so that others may be skipped. ``segment``: the market that a recorder's segment
    was recorded for (``venues.segment``), None for other files. ``companion``: a second file without which this one
    cannot be read (LOBSTER's book file beside the messages). ``name``: what the file is called, where that tells more
    than its content.
    """

    path: Path
    container: Container
    format: Format
    family: str
    symbols: tuple[str, ...]
    streams: tuple[Stream, ...]
    declared_day: str | None = None
    grids: dict[str, tuple[str, str]] = field(default_factory=dict)
    spot: bool | None = None
    several_symbols: bool = False
    recv_path: Path | None = None
    segment: Market | None = None
    companion: Path | None = None
    name: str = ""

    @property
    def markets(self) -> tuple[Market, ...]:
        """The markets the file may hold, likeliest first."""
        venues = form_of(self.format).likely(self.symbols, self.spot)
        return tuple(Market(venue, symbol) for symbol in self.symbols for venue in venues)

    def require(self, market: Market) -> None:
        """Raise ``BadInputError`` unless the file can hold ``market``."""
        if self.segment not in (None, market):
            raise BadInputError(f"{self.path} was recorded for {self.segment}: expected {market}")
        if not form_of(self.format).accepts(market.venue, self.spot):
            likely = ", ".join(map(str, self.markets)) or self.family
            raise BadInputError(f"{self.path} holds {self.format}, not messages of {market}: it looks like {likely}")
        if self.symbols and market.symbol not in self.symbols:
            raise BadInputError(
                f"{self.path} holds {', '.join(self.symbols)}: expected {market.symbol}; give the file of that market"
            )


def detect_file(path: Path, name: str | None = None) -> FileInfo:
    """Return what ``path`` is. Raises ``BadInputError`` when it is absent, empty, damaged or of no known format.

    ``name``: what the file was called, where ``path`` is not called so any more.
    """
    container = container_of(path)
    for candidate in FORMS:
        found = candidate.sniff_file(path, name or path.name, container) if candidate.sniff_file else None
        if found is not None:
            return found
    form: Form | None = None
    said = Said(path)
    number = 0
    for block in open_source(path, _SAMPLE_BYTES):
        lines = bytes(block.data[: block.size - 1]).split(b"\n")
        if block.offset == 0 and lines[0].startswith(MAGIC):
            return _segment(path, container, lines[0])
        for line in lines:
            number += 1
            if said.complete or (number > _SAMPLE_LINES and said.streams):
                break
            if not line or line.strip() in _NOT_TELLING:
                continue
            try:
                form = _take(line, form, said)
            except UnreadableError as error:
                if number == 1:
                    raise BadInputError(
                        f"{path}: unknown format, its first line begins "
                        f"{shown(line[:40].decode('utf-8', 'replace'))!r}: expected {KNOWN}"
                    ) from error
                said.complete = True  # decoding will name the line; what was said before it is enough to begin
        if said.complete or said.streams or block.offset > _LONGEST_PREAMBLE_BYTES:
            break
    if form is None:
        raise BadInputError(f"{path}: unknown format, no line tells what it is: expected {KNOWN}")
    return _info(container, form, said)


def _segment(path: Path, container: Container, first_line: bytes) -> FileInfo:
    """Return what a segment's own first line says: its messages are those that the venue's websocket speaks."""
    market = market_of(path, header_of(path, first_line))
    form = form_of(websocket_form(market.venue))
    return FileInfo(path, container, form.name, form.family, (market.symbol,), ("book", "trades"), segment=market)


def _take(line: bytes, form: Form | None, said: Said) -> Form:
    """Let the file's form take the line, or find the form that does. Raises ``UnreadableError`` when none does."""
    if form is not None:
        if not form.sniff(line, said):
            raise UnreadableError(f"{form.name} as before", shown(line[:60].decode("utf-8", "replace")))
        return form
    unreadable: UnreadableError | None = None
    for candidate in FORMS:
        try:
            if candidate.sniff(line, said):
                return candidate
        except UnreadableError as error:
            unreadable = unreadable or error
    raise unreadable or UnreadableError("a known message", shown(line[:60].decode("utf-8", "replace")))


def _info(container: Container, form: Form, said: Said) -> FileInfo:
    path = said.path
    grids, category = instruments_beside(path)
    spot = said.spot
    if form.family == "bybit" and category is not None:
        spot = category == "spot"
    recv = path.with_name(re.sub(r"\.(ndjson|jsonl|json|txt)(\.gz|\.zst)?\Z", "", path.name) + _RECV_SUFFIX)
    return FileInfo(
        path=path,
        container=container,
        format=form.name,
        family=form.family,
        symbols=tuple(said.symbols),
        streams=tuple(said.streams),
        declared_day=declared_day(path.name),
        grids={**grids, **said.grids},
        spot=spot,
        several_symbols=said.several,
        recv_path=recv if recv != path and recv.is_file() else None,
    )


def declared_day(name: str) -> str | None:
    """Return the day in an archive's file name (``2024-12-01_XRPUSDT_ob500.data.zip``), None for other names."""
    for pattern, group in ((_BOOK_NAME, 1), (_TRADES_NAME, 2), (_TARDIS_NAME, 2)):
        if found := pattern.match(name):
            return parse_date(found[group]).isoformat()
    return None


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

"""Binance's recorded format: its websocket and REST messages, each with a receive stamp or in a wrapper, or bare."""

from __future__ import annotations

from lob_pipeline.venues import binance, binance_kernel
from lob_pipeline.venues.form import Decoder, Form, Said
from lob_pipeline.venues.lines import parse_object


def _likely(symbols: tuple[str, ...], spot: bool | None) -> tuple[str, ...]:
    futures = ("binance-coinm",) if any("USD_" in s for s in symbols) else ("binance-usdm",)
    return {None: (*futures, "binance-spot"), False: futures, True: ("binance-spot",)}[spot]


def _accepts(venue: str, spot: bool | None) -> bool:
    return venue.startswith("binance-") and (spot is None or spot == venue.endswith("-spot"))


def _sniff(line: bytes, said: Said) -> bool:
    if line[:1] == b"[":
        return False
    start = binance.stamp_end(line)
    found = parse_object(line, start)
    if not (start or binance.is_message(found)):
        return False
    told = binance.describe(found)
    said.several |= told.wrapped
    if told.symbol:
        said.symbols[told.symbol] = None
    if told.stream:
        said.streams[told.stream] = None
    if told.spot is not None:
        said.spot = told.spot
    if told.grid and told.symbol:
        said.grids[told.symbol] = told.grid
    return True


RAW = Form(
    name="binance_raw",
    family="binance",
    sniff=_sniff,
    likely=_likely,
    accepts=_accepts,
    decoder=Decoder(binance_kernel.scan_block, binance.read_line),
    websocket_of=("binance-usdm", "binance-coinm", "binance-spot"),
)

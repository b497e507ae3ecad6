"""Bybit's recorded formats: websocket messages (also of its book archive) and the trade archive's table."""

from __future__ import annotations

from lob_pipeline.venues import binance, bybit, bybit_csv, bybit_csv_kernel, bybit_kernel
from lob_pipeline.venues.bybit_spelled_kernel import SPELLING
from lob_pipeline.venues.form import Decoder, Form, Said
from lob_pipeline.venues.lines import parse_object

_TOPIC = b'{"topic":"'
_VENUES = {None: ("bybit-linear", "bybit-spot"), False: ("bybit-linear",), True: ("bybit-spot",)}


def _likely(_symbols: tuple[str, ...], spot: bool | None) -> tuple[str, ...]:
    return _VENUES[spot]


def _accepts(venue: str, spot: bool | None) -> bool:
    """Topics of both categories have the same names: what stands beside the file decides where it says anything."""
    return venue in _VENUES[spot] or venue == "sim"  # the simulator writes Bybit's messages


def _sniff_messages(line: bytes, said: Said) -> bool:
    if binance.stamp_end(line) or line[:1] == b"[":
        return False
    topic = line[: line.find(b'"', len(_TOPIC))].decode("latin-1") if line.startswith(_TOPIC) else ""
    if topic and topic in said.scratch:
        return True
    found = parse_object(line)
    if "topic" in found:
        said.scratch[topic] = True  # lines that begin alike tell nothing new
        symbol, depth = bybit.topic_of(str(found["topic"]))
        said.symbols[symbol] = None
        said.streams["book" if depth else "trades"] = None
        return True
    return bybit.is_control(found)


def _sniff_csv(line: bytes, said: Said) -> bool:
    header: list[str] | None = said.scratch.get("header")
    if header is None:
        if not bybit_csv.is_header(line):
            return False
        said.scratch["header"] = line.decode("ascii", "replace").removesuffix("\r").split(",")
        said.streams["trades"] = None
        return True
    cells = line.decode("ascii", "replace").split(",")
    if len(cells) == len(header):
        said.symbols[cells[header.index("symbol")]] = None
    said.complete = True
    return True


MESSAGES = Form(
    name="bybit_messages",
    family="bybit",
    sniff=_sniff_messages,
    likely=_likely,
    accepts=_accepts,
    decoder=Decoder(bybit_kernel.scan_block, bybit.read_line, SPELLING),
    websocket_of=("bybit-linear", "bybit-spot", "sim"),
)
TRADES_CSV = Form(
    name="bybit_trades_csv",
    family="bybit",
    sniff=_sniff_csv,
    likely=_likely,
    accepts=_accepts,
    decoder=Decoder(bybit_csv_kernel.scan_block, bybit_csv.read_line),
)

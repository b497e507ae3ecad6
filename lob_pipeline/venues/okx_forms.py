"""OKX's recorded format: its websocket messages in a recorder's wrapper, with a receive stamp in front, or alone."""

from __future__ import annotations

from typing import Any

from lob_pipeline.venues import okx
from lob_pipeline.venues.form import Decoder, Form, Said, needs_begin, stop_at_once
from lob_pipeline.venues.wrapped import opened


def _likely(_symbols: tuple[str, ...], _spot: bool | None) -> tuple[str, ...]:
    return ("okx",)


def _accepts(venue: str, _spot: bool | None) -> bool:
    return venue == "okx"


def _is_message(found: Any) -> bool:
    arg = found.get("arg") if isinstance(found, dict) else None
    return isinstance(arg, dict) and {"channel", "instId"} <= arg.keys()


def _sniff(line: bytes, said: Said) -> bool:
    got = opened(line)
    known = bool(said.scratch.get("okx"))
    control = got.kind == "send" or (isinstance(got.found, dict) and "event" in got.found)
    if got.exchange != "OKX" and (got.exchange or not (_is_message(got.found) or (known and control))):
        return False
    said.scratch["okx"] = said.several = True
    for entry in okx.instruments_of(got) if got.kind == "http" else ():
        grid = okx.grid_of(entry)
        if grid is not None:
            said.grids[entry["instId"]] = grid
    if got.kind == "recv" and _is_message(got.found):
        channel, symbol = str(got.found["arg"]["channel"]), str(got.found["arg"]["instId"])
        if channel in okx.BOOKS or channel in okx.TRADES:
            said.symbols[symbol] = None
            if "data" in got.found or got.found.get("event") == "subscribe":
                said.streams["book" if channel in okx.BOOKS else "trades"] = None
    return True


MESSAGES = Form(
    name="okx_messages",
    family="okx",
    sniff=_sniff,
    likely=_likely,
    accepts=_accepts,
    decoder=Decoder(stop_at_once, needs_begin, begin=okx.BookReader),
    websocket_of=("okx",),
)

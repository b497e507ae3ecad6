"""How a venue writes what the mutators change: levels, ids, times, sides of trades. One ``Wire`` a venue."""

from __future__ import annotations

from typing import Any, Protocol

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.mutation.frames import Frame

Levels = list[list[Any]]


class Wire(Protocol):
    """Reads and edits frames of one venue. Prices and sizes are the venue's decimal strings, bids first.

    Methods that change a frame change its body in place: call them on ``Frame.edited()`` copies.
    """

    @property
    def two_clocks(self) -> bool:
        """Whether book messages tell the matching engine's time and that of the push."""

    @property
    def drops_empty(self) -> bool:
        """Whether the venue never sends an update without a level."""

    def parse(self, line: bytes, file: str, recv: bytes) -> Frame:
        """Return the frame of a recorded line."""

    def levels(self, frame: Frame) -> tuple[Levels, Levels]:
        """Return (bids, asks) of a book frame: lists of [price, size, …]; changing them changes the frame."""

    def set_levels(self, frame: Frame, bids: Levels, asks: Levels) -> None:
        """Put other levels into a book frame."""

    def ids(self, frame: Frame) -> tuple[int, int]:
        """Return (id before, id) of a book frame; (-1, id) of a snapshot, (-1, -1) where the venue has none."""

    def set_ids(self, frame: Frame, before: int, update_id: int) -> None:
        """Give a book frame other ids."""

    def snapshot(self, like: Frame, bids: Levels, asks: Levels) -> Frame:
        """Return a snapshot in the venue's form that shows these levels just after ``like`` was applied."""

    def as_snapshot(self, frame: Frame) -> Frame:
        """Return a delta's levels in the form of a snapshot."""

    def as_delta(self, frame: Frame, after: Frame) -> Frame:
        """Return a snapshot's levels in the form of a delta that follows the book frame ``after``."""

    def times(self, frame: Frame) -> list[tuple[Any, Any]]:
        """Return the (container, key) of each exchange time in the frame; the first is the matching engine's."""

    def engine_ms(self, frame: Frame) -> int:
        """Return the matching engine's time in ms, 0 where the frame has none."""

    def trades(self, frame: Frame) -> list[Any]:
        """Return the trades of a trade frame, each an editable body."""

    def flip(self, trade: Any) -> None:
        """Turn the side of a trade."""

    def price_at(self, trade: Any) -> tuple[Any, Any]:
        """Return (container, key) of a trade's price."""

    def size_at(self, trade: Any) -> tuple[Any, Any]:
        """Return (container, key) of a trade's size."""

    def quoted(self, frame: Frame) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """Return (container, key) of the prices and of the sizes of a quote frame."""

    def unflag(self, trade: Any) -> bool:
        """Take the flag from a print that did not meet the visible book; return whether there was one."""

    def is_sell(self, trade: Any) -> bool:
        """Return whether the taker sold."""

    def flag(self, trade: Any, kind: str) -> None:
        """Mark a trade as a print that did not meet the visible book: ``rpi``, ``block`` or ``insurance``."""


def wire_of(venue: str) -> Wire:
    """Return the wire of a venue. Raises ``BadInputError`` for a venue without one."""
    from lob_pipeline.mutation import wire_binance, wire_bybit, wire_kraken, wire_okx

    wires: dict[str, Wire] = {
        "bybit-linear": wire_bybit.BybitWire(),
        "binance-usdm": wire_binance.BinanceWire(spot=False),
        "binance-spot": wire_binance.BinanceWire(spot=True),
        "okx": wire_okx.OkxWire(),
        "kraken": wire_kraken.KrakenWire(),
    }
    if venue not in wires:
        raise BadInputError(f"no mutants are written for venue {venue!r}: expected one of {', '.join(wires)}")
    return wires[venue]

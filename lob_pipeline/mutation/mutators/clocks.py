"""10 book on the push clock, 18 units of time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from lob_pipeline.mutation.frames import DELTA, SNAPSHOT, TRADE, WITNESS, Frame
from lob_pipeline.mutation.mutant import Defect, Dose, Strength, one, span
from lob_pipeline.mutation.mutators.common import Choose, editing, every, graded
from lob_pipeline.mutation.wire import Wire


def _push_clock(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    places = wire.times(frame)
    (box, key), (other, name) = places[0], places[1]
    box[key] = other[name]


def _no_engine_clock(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    box, key = wire.times(frame)[0]
    del box[key]


def _apart(wire: Wire, frame: Frame) -> bool:
    places = wire.times(frame)
    return len(places) > 1 and places[0][0][places[0][1]] != places[1][0][places[1][1]]


def _in_unit(factor: Decimal) -> Callable[[Wire, Frame, np.random.Generator], None]:
    def change(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
        for box, key in wire.times(frame):
            value = Decimal(str(box[key])) * factor
            box[key] = format(value, "f") if isinstance(box[key], str) and "." in box[key] else _whole(box[key], value)

    return change


def _whole(old: object, value: Decimal) -> object:
    return str(int(value)) if isinstance(old, str) else int(value)


_thousandth, _thousandfold, _millionfold = Decimal("0.001"), Decimal(1000), Decimal(1_000_000)


def _unit(
    name: str, kinds: tuple[str, ...], factor: Decimal, choose: Choose, strength: Strength = "full"
) -> Dose:
    return Dose(name, editing(kinds, _in_unit(factor), choose, lambda wire, frame: bool(wire.times(frame))), strength)


_BOOK = (SNAPSHOT, DELTA, WITNESS)

DEFECTS = (
    Defect(
        10,
        "book on `ts`, trades on `T`",
        "the push clock in the place of the matching engine's (`cts` = `ts`, `T` = `E`), or the engine's left out",
        [
            *graded((DELTA,), _push_clock, _apart),
            Dose("engine clock left out", editing((DELTA,), _no_engine_clock, every, _apart)),
            Dose("engine clock left out of one", editing((DELTA,), _no_engine_clock, one, _apart), strength="small"),
        ],
        not_on=dict.fromkeys(("binance-spot", "okx", "kraken"), "its book messages carry one clock"),
    ),
    Defect(
        18,
        "ms read as s, µs as ms",
        "times divided or multiplied by a thousand (or a million), in the book, the trades, or both",
        [
            _unit("all a thousandth", (*_BOOK, TRADE), _thousandth, every),
            _unit("all a thousandfold", (*_BOOK, TRADE), _thousandfold, every),
            _unit("all a millionfold", (*_BOOK, TRADE), _millionfold, every),
            _unit("book a thousandth", _BOOK, _thousandth, every),
            _unit("trades a thousandth", (TRADE,), _thousandth, every),
            _unit("trades a thousandfold", (TRADE,), _thousandfold, every),
            _unit("a span of the book a thousandth", (DELTA,), _thousandth, span),
            _unit("one message a thousandth", (DELTA,), _thousandth, one, strength="small"),
            _unit("one message a thousandfold", (DELTA,), _thousandfold, one, strength="small"),
            _unit("one trade a thousandth", (TRADE,), _thousandth, one, strength="small"),
        ],
    ),
)

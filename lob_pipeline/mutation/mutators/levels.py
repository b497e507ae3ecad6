"""11 crossed levels removed, 12 zero sizes kept, 19 tick or lot wrong by ten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, QUOTE, SNAPSHOT, TRADE, WITNESS, Frame, Recording
from lob_pipeline.mutation.mutant import Defect, Dose, Make, Mutant, one, span
from lob_pipeline.mutation.mutators.common import any_level, applied_deltas, closed_up, editing, every, is_zero
from lob_pipeline.mutation.naive_book import NaiveBook, book_after
from lob_pipeline.mutation.wire import Levels, Wire


@lru_cache(maxsize=1 << 16)
def _number(price: str) -> float:
    return float(price)


def _uncross(book: NaiveBook, named: set[str]) -> tuple[Levels, Levels]:
    """Remove what crosses, older levels first; return it as deletions."""
    gone: tuple[Levels, Levels] = ([], [])
    while book.sides[0] and book.sides[1]:
        bid, ask = max(book.sides[0], key=_number), min(book.sides[1], key=_number)
        if _number(bid) < _number(ask):
            break
        side, price = (0, bid) if bid not in named else (1, ask)
        level = book.sides[side].pop(price)
        gone[side].append([price, "0", *level[2:]])
    return gone


def _crossed_removed(lost: int, frozen: bool = False) -> Make:
    """Lose updates (or the asks of all that follow) unnoticed, and delete from then on whatever crosses."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        deltas = applied_deltas(recording, wire)
        if len(deltas) < lost + 8:
            return None
        k = int(rng.integers(1, max(2, len(deltas) // 2 if frozen else len(deltas) - lost - 4)))
        book = book_after(recording, wire, deltas[k - 1])
        changes: dict[int, tuple[Frame, ...]] = dict.fromkeys(deltas[k:k + lost], ())
        for i in (j for j in recording.where(DELTA) if j >= deltas[k] and j not in changes):
            frame = recording.frames[i].edited()
            bids, asks = wire.levels(frame)
            asks = [] if frozen else asks
            book.apply(bids, asks)
            gone = _uncross(book, {level[0] for level in (*bids, *asks)})
            wire.set_levels(frame, [*bids, *gone[0]], [*asks, *gone[1]])
            changes[i] = () if wire.drops_empty and not any(wire.levels(frame)) else (frame,)
        return Mutant(closed_up(recording.put(changes), wire), deltas[k])

    return make


def smallest_size(recording: Recording, wire: Wire) -> str:
    """Return the smallest size above zero that the first snapshot names: close to one lot."""
    opened = [*recording.where(SNAPSHOT), *recording.where(DELTA)][0]
    frame = recording.frames[opened]
    sizes = [level[1] for side in wire.levels(frame) for level in side if not is_zero(level[1])]
    return min(sizes, key=Decimal)


def _zeros_kept(choose: Callable[[np.random.Generator, Any], list[int]], only_one: bool) -> Make:
    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        size = smallest_size(recording, wire)

        def change(_wire: Wire, frame: Frame, rng: np.random.Generator) -> None:
            if only_one:
                level = any_level(frame, wire, rng, lambda level: is_zero(level[1]))
                if level is not None:
                    level[1] = size
                return
            for side in wire.levels(frame):
                for level in side:
                    if is_zero(level[1]):
                        level[1] = size

        def deletes(_wire: Wire, frame: Frame) -> bool:
            return any(is_zero(level[1]) for side in wire.levels(frame) for level in side)

        return editing((DELTA,), change, choose, deletes)(recording, wire, rng)

    return make


def _times_ten(place: tuple[Any, Any], factor: Decimal) -> None:
    box, key = place
    box[key] = format((Decimal(box[key]) * factor).normalize(), "f")


def _scale(wire: Wire, frame: Frame, column: int, factor: Decimal) -> None:
    if frame.kind in (*BOOK_KINDS, WITNESS):
        for side in wire.levels(frame):
            for level in side:
                _times_ten((level, column), factor)
    elif frame.kind == TRADE:
        for trade in wire.trades(frame):
            _times_ten(wire.price_at(trade) if column == 0 else wire.size_at(trade), factor)
    elif frame.kind == QUOTE:
        for place in wire.quoted(frame)[column]:
            _times_ten(place, factor)


def _scaled(kinds: tuple[str, ...], column: int, factor: str, choose: Any) -> Make:
    def change(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
        _scale(wire, frame, column, Decimal(factor))

    return editing(kinds, change, choose)


def _scaled_level(column: int, factor: str) -> Make:
    def change(wire: Wire, frame: Frame, rng: np.random.Generator) -> None:
        level = any_level(frame, wire, rng, lambda level: not is_zero(level[1]))
        if level is not None:
            _times_ten((level, column), Decimal(factor))

    return editing((DELTA,), change, one)


def _option(name: str, factor: str) -> Make:
    """Call ingest with a tick or lot that is wrong by ``factor``: the bytes are as recorded."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        grid = instrument(parse_market(recording.market), recording.tick, recording.lot)
        steps = {"tick": grid.tick, "lot": grid.lot}
        steps[name] *= Decimal(factor)
        wrong = {key: format(value, "f") for key, value in steps.items()}
        return Mutant(replace(recording, tick=wrong["tick"], lot=wrong["lot"]), 0)

    return make


_BOOK = (SNAPSHOT, DELTA, WITNESS)  # who reads prices or sizes wrongly does so in every depth
_ALL = (*_BOOK, TRADE, QUOTE)

DEFECTS = (
    Defect(
        11,
        "crossed levels silently removed",
        "updates lost with their ids closed up, and from then on every level that would cross deleted",
        [
            Dose("asks frozen, what crosses removed", _crossed_removed(0, frozen=True)),
            Dose("100 updates lost, what crosses removed", _crossed_removed(100)),
            Dose("10 updates lost, what crosses removed", _crossed_removed(10), strength="small"),
            Dose("1 update lost, what crosses removed", _crossed_removed(1), strength="small"),
        ],
    ),
    Defect(
        12,
        "zero sizes kept as levels",
        "deletions written with the smallest size instead of zero",
        [
            Dose("all", _zeros_kept(every, only_one=False)),
            Dose("a span", _zeros_kept(span, only_one=False)),
            Dose("one message", _zeros_kept(one, only_one=False), strength="small"),
            Dose("one level", _zeros_kept(one, only_one=True), strength="small"),
        ],
    ),
    Defect(
        19,
        "tick or lot size wrong by 10×",
        "prices or sizes in the bytes times ten; or the options --tick, --lot wrong by ten",
        [
            Dose("option --tick a tenth", _option("tick", "0.1")),
            Dose("option --tick ten times", _option("tick", "10")),
            Dose("option --lot a tenth", _option("lot", "0.1")),
            Dose("option --lot ten times", _option("lot", "10")),
            Dose("all prices", _scaled(_ALL, 0, "10", every)),
            Dose("all sizes", _scaled(_ALL, 1, "10", every)),
            Dose("prices of the book", _scaled(_BOOK, 0, "10", every)),
            Dose("sizes of the book", _scaled(_BOOK, 1, "10", every)),
            Dose("prices of the trades", _scaled((TRADE,), 0, "10", every), trades=True),
            Dose("prices of one message", _scaled((DELTA,), 0, "10", one), strength="small"),
            Dose("sizes of one message", _scaled((DELTA,), 1, "10", one), strength="small"),
            Dose("price of one level", _scaled_level(0, "10"), strength="small"),
            Dose("size of one level", _scaled_level(1, "10"), strength="small"),
        ],
    ),
)

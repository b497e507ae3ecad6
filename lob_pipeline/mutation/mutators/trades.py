"""16 trade side flipped, 17 prints that did not meet the visible book taken for trades."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.mutation.frames import TRADE, Frame, Recording
from lob_pipeline.mutation.mutant import Defect, Dose, Make, Mutant, one, span
from lob_pipeline.mutation.mutators.common import editing, every
from lob_pipeline.mutation.wire import Wire


def _flip(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    for trade in wire.trades(frame):
        wire.flip(trade)


def _flip_one(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    chosen = one(rng, recording.where(TRADE))
    if not chosen:
        return None

    def change(frame: Frame) -> None:
        trades = wire.trades(frame)
        wire.flip(trades[int(rng.integers(0, len(trades)))])

    return Mutant(recording.edit(chosen, change), chosen[0])


def _unflagged(kind: str, count: int | None, off_bps: int | None) -> Make:
    """Turn ``count`` trades (None: a tenth) into prints of a kind, ``off_bps`` away from their price (None: one tick
    inside); lose the flag."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        places = recording.where(TRADE)
        if not places:
            return None
        grain = instrument(parse_market(recording.market), recording.tick, recording.lot).tick
        number = max(1, len(places) // 10) if count is None else min(count, len(places))
        some = rng.choice(places, number, replace=False)
        chosen = sorted(int(i) for i in some)
        away = int(rng.choice([-1, 1]))

        def mark(frame: Frame) -> None:
            trade = wire.trades(frame)[0]
            box, key = wire.price_at(trade)
            price = Decimal(box[key])
            if off_bps is None:
                price += grain if wire.is_sell(trade) else -grain
            else:
                price += away * (price * off_bps / 10_000 // grain) * grain
            box[key] = str(price)
            wire.flag(trade, kind)

        clean = recording.edit(chosen, mark)

        def lose(frame: Frame) -> None:
            wire.unflag(wire.trades(frame)[0])

        return Mutant(clean.edit(chosen, lose), chosen[0], clean)

    return make


def _as_recorded(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    """Lose the flag of every print that the recording itself marks."""
    found: list[int] = []
    for i in recording.where(TRADE):
        if any(wire.unflag(t) for t in wire.trades(recording.frames[i].edited())):
            found.append(i)

    def lose(frame: Frame) -> None:
        for trade in wire.trades(frame):
            wire.unflag(trade)

    return Mutant(recording.edit(found, lose), found[0]) if found else None


_NO_FLAG = "its public trades mark no such prints: they have channels of their own"

DEFECTS = (
    Defect(
        16,
        "trade side flipped",
        "taker side of trades turned",
        [
            Dose("all", editing((TRADE,), _flip, every), trades=True),
            Dose("a span", editing((TRADE,), _flip, span), trades=True),
            Dose("one message", editing((TRADE,), _flip, one), strength="small", trades=True),
            Dose("one trade", _flip_one, strength="small", trades=True),
        ],
    ),
    Defect(
        17,
        "RPI/block/insurance trades feeding fills",
        "trades turned into flagged prints (block, insurance: off the market; RPI: one tick inside), the flag lost",
        [
            Dose("the recorded ones", _as_recorded),
            Dose("ten block or insurance prints", _unflagged("block", 10, 50), trades=True),
            Dose("one block or insurance print", _unflagged("block", 1, 50), strength="small", trades=True),
            Dose("RPI prints, a tenth of the trades", _unflagged("rpi", None, None), trades=True),
            Dose("ten RPI prints", _unflagged("rpi", 10, None), strength="small", trades=True),
            Dose("one RPI print", _unflagged("rpi", 1, None), strength="small", trades=True),
        ],
        not_on=dict.fromkeys(("binance-spot", "okx", "kraken"), _NO_FLAG),
    ),
)

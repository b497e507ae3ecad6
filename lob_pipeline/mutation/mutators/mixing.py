"""9 two depths or two categories mixed in one book."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np

from lob_pipeline.mutation.frames import DELTA, Frame, Recording
from lob_pipeline.mutation.mutant import Defect, Dose, Make, Mutant, one, span
from lob_pipeline.mutation.mutators.common import Choose, applied_deltas, closed_up, every, snapshot_at
from lob_pipeline.mutation.wire import Levels, Wire

OTHER_DEPTH = 50
BASIS = Decimal("0.0005")  # how far the other category's prices are


def _topic(frame: Frame, depth: int) -> None:
    name, _, symbol = str(frame.body["topic"]).split(".")
    frame.body["topic"] = f"{name}.{depth}.{symbol}"


def _shifted(levels: Levels) -> Levels:
    out = []
    for price, size, *rest in levels:
        grain = Decimal(1).scaleb(int(Decimal(price).as_tuple().exponent) + 1)
        out.append([str(Decimal(price) - (Decimal(price) * BASIS // grain) * grain), size, *rest])
    return out


def _second(choose: Choose, category: bool, own_topic: bool, hidden: bool = False) -> Make:
    """Mix in messages of a second topic: another depth with its own ids, or the same topic name of another category."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        chosen = choose(rng, applied_deltas(recording, wire))
        if not chosen:
            return None
        number = int(rng.integers(10_000, 90_000_000))
        changes: dict[int, tuple[Frame, ...]] = {}
        for k, i in enumerate(chosen):
            frame = recording.frames[i]
            other = (snapshot_at(recording, wire, i, OTHER_DEPTH) if k == 0 else frame).edited()
            bids, asks = wire.levels(other)
            if category:
                wire.set_levels(other, _shifted(bids), _shifted(asks))
            if own_topic:
                _topic(other, OTHER_DEPTH)
            wire.set_ids(other, number - 1, number)
            number += 1
            if hidden:
                other = replace(other, kind=DELTA, body={**other.body, "type": "delta"})
            changes[i] = (frame, other)
        out = recording.put(changes)
        return Mutant(closed_up(out, wire) if hidden else out, chosen[0])

    return make


def _replaced(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
    """Let one snapshot of the smaller depth stand in the place of a delta, ids in order."""
    chosen = one(rng, applied_deltas(recording, wire))
    if not chosen:
        return None
    return Mutant(recording.put({chosen[0]: (snapshot_at(recording, wire, chosen[0], OTHER_DEPTH),)}), chosen[0])


_BYBIT_ONLY = "its frames name their stream and a connection carries one category; the shared topic name is Bybit's"

DEFECTS = (
    Defect(
        9,
        "two depths or two categories mixed in one book",
        "messages of a second depth (50) or of another category (prices 5 bps lower) among those of the topic",
        [
            Dose("all, second depth under its own topic", _second(every, category=False, own_topic=True)),
            Dose("all, second depth", _second(every, category=False, own_topic=False)),
            Dose("all, second category", _second(every, category=True, own_topic=False)),
            Dose("a span, second category", _second(span, category=True, own_topic=False)),
            Dose("one message, second depth", _second(one, category=False, own_topic=False), strength="small"),
            Dose("one message, second category", _second(one, category=True, own_topic=False), strength="small"),
            Dose("all, second category, ids closed up", _second(every, True, False, hidden=True), strength="disguised"),
            Dose("one message, second category, ids closed up", _second(one, True, False, True), strength="disguised"),
            Dose("one snapshot of the second depth, ids closed up", _replaced, strength="disguised"),
        ],
        not_on=dict.fromkeys(("binance-usdm", "binance-spot", "okx", "kraken"), _BYBIT_ONLY),
    ),
)

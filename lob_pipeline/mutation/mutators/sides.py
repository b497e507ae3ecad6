"""1 bid and ask inverted on snapshots, 4 side flag lost or snapshot ignored, 15 one side frozen."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, SNAPSHOT, WITNESS, Frame, Recording
from lob_pipeline.mutation.mutant import DEPTHS, Defect, Dose, Make, Mutant, one, span
from lob_pipeline.mutation.mutators.common import (
    Change,
    any_level,
    applied_deltas,
    editing,
    every,
    put_snapshot,
    snapshot_at,
    untraded,
    without_empty,
)
from lob_pipeline.mutation.wire import Levels, Wire


def _swap(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    bids, asks = wire.levels(frame)
    wire.set_levels(frame, asks, bids)


def _swap_best(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    bids, asks = wire.levels(frame)
    wire.set_levels(frame, [*asks[:10], *bids[10:]], [*bids[:10], *asks[10:]])


def _move_one(wire: Wire, frame: Frame, rng: np.random.Generator) -> None:
    bids, asks = wire.levels(frame)
    level = any_level(frame, wire, rng, lambda _: True)
    if level is None:
        return
    if any(other is level for other in bids):
        wire.set_levels(frame, [p for p in bids if p is not level], [*asks, level])
    else:
        wire.set_levels(frame, [*bids, level], [p for p in asks if p is not level])


def _all_on_one_side(wire: Wire, frame: Frame, rng: np.random.Generator) -> None:
    bids, asks = wire.levels(frame)
    both = [*bids, *asks]
    wire.set_levels(frame, *((both, []) if rng.random() < 0.5 else ([], both)))


def _nothing(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    wire.set_levels(frame, [], [])


def in_mid_stream(change: Change) -> Make:
    """Return a mutator that puts a damaged snapshot where the venue could have sent one."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        chosen = one(rng, applied_deltas(recording, wire))
        if not chosen:
            return None
        snapshot = snapshot_at(recording, wire, chosen[0]).edited()
        change(wire, snapshot, rng)
        return Mutant(put_snapshot(recording, chosen[0], snapshot), chosen[0])

    return make


def _freeze(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    bids, _ = wire.levels(frame)
    wire.set_levels(frame, bids, [])


def _freeze_bids(wire: Wire, frame: Frame, _rng: np.random.Generator) -> None:
    _, asks = wire.levels(frame)
    wire.set_levels(frame, [], asks)


def _has_asks(wire: Wire, frame: Frame) -> bool:
    return bool(wire.levels(frame)[1])


def _has_bids(wire: Wire, frame: Frame) -> bool:
    return bool(wire.levels(frame)[0])


def _mirrored(levels: Levels, about: Decimal) -> Levels:
    """Return the levels at the prices on the other side of ``about`` / 2; those that would fall below zero are lost."""
    moved = ([format(about - Decimal(price), "f"), *rest] for price, *rest in levels)
    return [level for level in moved if Decimal(level[0]) > 0]


def _inverted(*kinds: str) -> Make:
    """Exchange the sides of every message and mirror its prices about the first mid: a book that breaks no law."""

    def make(recording: Recording, wire: Wire, rng: np.random.Generator) -> Mutant | None:
        opened = next(iter(recording.where(SNAPSHOT)), None)
        if opened is None:
            return None
        bids, asks = wire.levels(recording.frames[opened])
        about = max(Decimal(level[0]) for level in bids) + min(Decimal(level[0]) for level in asks)

        def invert(frame: Frame) -> None:
            bids, asks = wire.levels(frame)
            wire.set_levels(frame, _mirrored(asks, about), _mirrored(bids, about))

        places = recording.where(*kinds)
        return Mutant(without_empty(recording.edit(places, invert), wire, places), opened)

    return make


_BYBIT_ONLY = "the array's key names the side in its snapshots; one in mid-stream that clears the book is Bybit's"

DEFECTS = (
    Defect(
        1,
        "bid and ask inverted on snapshots",
        "the two arrays of a snapshot (or of every message) exchanged, wholly or level by level; `mirrored`: the "
        "prices too, about the first mid, so that no law of a book is broken; `no trades`: none is held against it",
        [
            Dose("every message", editing((*BOOK_KINDS, WITNESS), _swap, every)),
            Dose(
                "every message of one depth, prices mirrored, no trades",
                untraded(_inverted(*BOOK_KINDS)),
                strength="disguised",
                needs=DEPTHS,
            ),
            Dose("every message, prices mirrored", _inverted(*BOOK_KINDS, WITNESS), strength="disguised"),
            Dose("every snapshot", editing((SNAPSHOT,), _swap, every)),
            Dose("one in mid-stream", in_mid_stream(_swap)),
            Dose("ten best levels", editing((SNAPSHOT,), _swap_best, one)),
            Dose("one level", editing((SNAPSHOT,), _move_one, one), strength="small"),
        ],
    ),
    Defect(
        4,
        "side flag lost on snapshot rows, snapshot ignored after a clear",
        "all levels of a snapshot on one side; a snapshot in mid-stream that clears the book and brings no level",
        [
            Dose("every snapshot", editing((SNAPSHOT,), _all_on_one_side, every)),
            Dose("one in mid-stream", in_mid_stream(_all_on_one_side)),
            Dose("one ignored after a clear", in_mid_stream(_nothing)),
            Dose("one level", in_mid_stream(_move_one), strength="small"),
        ],
        not_on=dict.fromkeys(("binance-usdm", "binance-spot", "okx", "kraken"), _BYBIT_ONLY),
    ),
    Defect(
        15,
        "one side frozen while the other moves",
        "the asks (or the bids) left out of deltas; `of one depth`: another one goes on, and no trade is there",
        [
            Dose(
                "a span of one depth, no trades",
                untraded(editing((DELTA,), _freeze, span, _has_asks)),
                strength="disguised",
                needs=DEPTHS,
            ),
            Dose(
                "bids of a span of one depth, no trades",
                untraded(editing((DELTA,), _freeze_bids, span, _has_bids)),
                strength="disguised",
                needs=DEPTHS,
            ),
            Dose("all", editing((DELTA,), _freeze, every, _has_asks)),
            Dose("all, bids", editing((DELTA,), _freeze_bids, every, _has_bids)),
            Dose("a span", editing((DELTA,), _freeze, span, _has_asks)),
            Dose("one message", editing((DELTA,), _freeze, one, _has_asks), strength="small"),
        ],
    ),
)

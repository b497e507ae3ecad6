"""One book of a looped recording: what it holds at every place of the loop, and how a pass leads into the next."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from lob_pipeline.sim.feed import Levels, apply_levels

_CHECKPOINT = 64
Changes = list[list[str]]


@dataclass
class LoopBook:
    """The state before the loop, the changes of each of its messages, and the ids of the last message sent."""

    bids: Levels
    asks: Levels
    update_id: int
    seq: int = -1
    _places: list[int] = field(default_factory=list)
    _changes: list[tuple[Changes, Changes]] = field(default_factory=list)
    _states: dict[int, tuple[Levels, Levels]] = field(default_factory=dict)

    def add(self, place: int, bids: Changes, asks: Changes) -> None:
        """Append the changes of the message at ``place`` of the loop; places ascend."""
        self._places.append(place)
        self._changes.append((bids, asks))

    def at(self, place: int) -> tuple[Levels, Levels]:
        """Return (bids, asks) after the message at ``place`` of any pass; −1: before the first."""
        count = bisect_right(self._places, place)
        start = max((done for done in self._states if done <= count), default=0)
        held_bids, held_asks = self._states.get(start, (self.bids, self.asks))
        bids, asks = dict(held_bids), dict(held_asks)
        for done in range(start, count):
            apply_levels(bids, self._changes[done][0])
            apply_levels(asks, self._changes[done][1])
            if (done + 1) % _CHECKPOINT == 0:
                self._states[done + 1] = (dict(bids), dict(asks))
        return bids, asks

    def way_back(self) -> tuple[Changes, Changes]:
        """Return the changes that lead from the end of the loop to its beginning."""
        bids, asks = self.at(self._places[-1] if self._places else -1)
        return difference(bids, self.bids), difference(asks, self.asks)


def difference(old: Levels, new: Levels) -> Changes:
    """Return the level changes that make ``old`` into ``new``; a deleted level has the size ``0``."""
    gone = [[price, "0"] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]

"""A whole book of which only the best levels are shown: what a topic of limited depth sends of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from lob_pipeline.core.units import ASK, BID

Levels = list[tuple[int, int]]
"""Price in ticks and size in lots, best first."""

_NOTHING = -(1 << 62)


class ShownBook:
    """Keeps a book from absolute sizes, and for one topic of ``depth`` levels a side what was sent of it.

    Plain Python, one level after the other: made for minutes of a recording, not for days.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._sizes: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self._keys: dict[int, list[int]] = {BID: [], ASK: []}  # -side * price, ascending: best first
        self._touched: dict[int, set[int]] = {BID: set(), ASK: set()}
        self._sent: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self._worst: dict[int, int] = {BID: _NOTHING, ASK: _NOTHING}  # key of the last level sent

    def clear(self) -> None:
        """Forget every level; what was sent stays known."""
        for side in (BID, ASK):
            self._touched[side].update(self._keys[side])
            self._sizes[side].clear()
            self._keys[side].clear()

    def apply(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Set levels: (side, price in ticks, size in lots), 0 deletes."""
        for side, price, lots in rows:
            sizes, keys, key = self._sizes[side], self._keys[side], -side * price
            self._touched[side].add(key)
            if lots == 0:
                if sizes.pop(key, 0):
                    del keys[bisect_left(keys, key)]
            else:
                if key not in sizes:
                    insort(keys, key)
                sizes[key] = lots

    def _last_shown(self, side: int) -> int:
        keys = self._keys[side]
        return keys[min(self._depth, len(keys)) - 1] if keys else _NOTHING

    def snapshot(self) -> dict[int, Levels]:
        """Return all shown levels by side; they count as sent."""
        shown = {}
        for side in (BID, ASK):
            sizes = self._sizes[side]
            self._sent[side] = {key: sizes[key] for key in self._keys[side][: self._depth]}
            self._worst[side] = self._last_shown(side)
            self._touched[side].clear()
            shown[side] = [(-side * key, lots) for key, lots in self._sent[side].items()]
        return shown

    def changes(self) -> dict[int, Levels]:
        """Return what turns the levels last sent into those shown now, by side: gone levels with size 0, best first."""
        found = {}
        for side in (BID, ASK):
            keys, sizes, sent = self._keys[side], self._sizes[side], self._sent[side]
            before, now = self._worst[side], self._last_shown(side)
            # Beside what was touched, only levels between the two ends of the view can have come or gone.
            maybe = self._touched[side]
            maybe.update(keys[bisect_right(keys, min(before, now)) : bisect_right(keys, max(before, now))])
            rows: Levels = []
            for key in sorted(maybe):
                lots = sizes.get(key, 0) if key <= now else 0
                if sent.get(key, 0) == lots:
                    continue
                rows.append((-side * key, lots))
                if lots:
                    sent[key] = lots
                else:
                    del sent[key]
            maybe.clear()
            self._worst[side] = now
            found[side] = rows
        return found

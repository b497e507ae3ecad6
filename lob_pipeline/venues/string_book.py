"""A second book, kept as the venue's own strings, and what the venue's checksums say of it.

Independent of the book kernel and obvious on purpose: prices are ordered as decimals, a checksum is taken over the text
as it was sent. It vouches for the levels that the checksum covers, and nothing deeper.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import islice

from lob_pipeline.core.units import BID

Text = tuple[str, str]
"""Price and size of a level as sent."""
Change = tuple[int, str, str]
"""Side, price and size of a level as sent; a size of zero deletes."""


_Told = tuple[int, int | None, tuple[Change, ...]]
"""Time, checksum and levels of a message: all that it says."""
RECENT = 1000
"""Messages among which one that says the same to the letter, its time included, is the same."""


class _Side:
    """One side, best level first. ``sign``: +1 where the lowest price is the best (asks), -1 for bids."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[Decimal] = []
        self._texts: dict[Decimal, Text] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, price: str, size: str) -> None:
        """Set the level's size; one of zero takes it away, and a level that is not there is no error."""
        key = self._sign * Decimal(price)
        if Decimal(size) == 0:
            if self._texts.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
            return
        if key not in self._texts:
            insort(self._keys, key)
        self._texts[key] = (price, size)

    def best(self, levels: int) -> list[Text]:
        """Return the best ``levels`` levels, as sent."""
        return [self._texts[key] for key in islice(self._keys, levels)]

    def cut(self, depth: int) -> list[Text]:
        """Take away the levels beyond ``depth`` and return them."""
        gone = [self._texts.pop(key) for key in self._keys[depth:]]
        del self._keys[depth:]
        return gone


class StringBook:
    """Bids and asks as strings."""

    def __init__(self) -> None:
        self.bids, self.asks = _Side(-1), _Side(1)

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply changes in the order in which they were sent."""
        for side, price, size in changes:
            (self.bids if side == BID else self.asks).put(price, size)

    def best(self) -> tuple[Text, Text] | None:
        """Return the best bid and ask, None where a side is empty."""
        bid, ask = self.bids.best(1), self.asks.best(1)
        return (bid[0], ask[0]) if bid and ask else None


class Witness:
    """Keeps the string book of one stream, compares the venue's checksums with it, and numbers the messages.

    A message is given (update id, id it follows). Where the venue has ids they are those; else messages are counted
    from their snapshot on, which starts at its time in microseconds, so that numbers rise over restarts too.

    The chain breaks at the first checksum that disagrees, or is left out, after one that agreed since the snapshot.
    A break shows as an id that does not follow; nothing is compared until the next snapshot. A checksum that disagrees
    before any agreed is no loss but a book that was read wrongly: it counts as compared and not equal. A message that
    was recorded twice keeps its id, so that it shows as a duplicate.
    """

    def __init__(self, checksum: Callable[[StringBook], int]) -> None:
        self._checksum = checksum
        self._agreed = False
        self.book: StringBook | None = None
        self.vouched: tuple[Text, Text] | None = None
        """Best bid and ask after the last message, where its checksum agreed."""
        self.last_id = 0
        self.compared = self.equal = 0
        self._counted = (0, 0)
        self._needed = False  # a message that neither an id nor a checksum vouches for was seen
        self._opened: _Told | None = None  # what the snapshot said, until an update followed it
        self._recent: dict[_Told, tuple[int, int]] = {}  # what updates since said, and their ids

    def counts_since_last(self) -> tuple[int, int] | None:
        """Return (compared, equal) since the last call; None while nothing was compared and nothing needed to be."""
        if not self.compared and not self._needed:
            return None
        (before, equal), self._counted = self._counted, (self.compared, self.equal)
        return self.compared - before, self.equal - equal

    def snapshot(self, changes: list[Change], said: int | None, ts_ns: int, own_id: int | None) -> int:
        """Start again from a snapshot; return its id. ``said``: the venue's checksum, None where it sent none."""
        told = (ts_ns, said, tuple(changes))
        if told == self._opened and own_id is None:
            self.vouched = None
            return self.last_id
        self._opened, self._recent = told, {}
        self.book = StringBook()
        self.book.apply(changes)
        self._agreed = False
        self.last_id = max(ts_ns // 1000, self.last_id + 2) if own_id is None else own_id
        self._compare(said)
        return self.last_id

    def update(
        self, changes: list[Change], said: int | None, ts_ns: int, own_ids: tuple[int, int] | None, depth: int = 0
    ) -> tuple[int, int, list[Change]]:
        """Apply an update; return its id, the id it follows, and the deletes of levels that fell out of view.

        ``own_ids``: the venue's own, in the same order. ``depth``: levels a side that the venue goes on telling of, 0
        where it deletes every level itself.
        """
        if own_ids is None:
            told = (ts_ns, said, tuple(changes))
            if told in self._recent:
                self.vouched = None  # once is enough, for checksum and quote alike
                return *self._recent[told], []
        elif own_ids[0] <= self.last_id and own_ids[1] != self.last_id:
            self.vouched = None  # an older message once more
            return *own_ids, []
        before, whole = self.last_id, self.book is not None
        gone: list[Change] = []
        self._needed |= own_ids is None and said is None
        if self.book is not None and (own_ids is None or own_ids[1] == before):
            self.book.apply(changes)
            gone = [(sign, price, "0") for sign, price in self._cut(self.book, depth)]
            unsaid = said is None and own_ids is None and self._agreed  # a stream that vouches does so for each update
            if unsaid or not self._compare(said):
                self.book = self.vouched = None
        else:
            self.book = self.vouched = None
        follows = self.book is not None or not whole
        if own_ids is not None:
            self.last_id = own_ids[0]
            # a broken chain shows by itself, unless only the checksum saw it
            return own_ids[0], own_ids[1] if follows or own_ids[1] != before else -2, gone
        step = 1 if follows else 2
        self.last_id = before + step if before else max(ts_ns // 1000, 2)
        self._opened = None
        if len(self._recent) >= RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[told] = self.last_id, self.last_id - 1
        return self.last_id, self.last_id - 1, gone

    def _compare(self, said: int | None) -> bool:
        """Count the comparison; return whether the book may still be believed."""
        self.vouched = None
        if said is None or self.book is None:
            return True
        equal = self._checksum(self.book) == said
        if not equal and self._agreed:
            return False
        self.compared += 1
        self.equal += equal
        self._agreed |= equal
        self.vouched = self.book.best() if equal else None
        return True

    @staticmethod
    def _cut(book: StringBook, depth: int) -> list[tuple[int, str]]:
        if not depth:
            return []
        bids, asks = book.bids.cut(depth), book.asks.cut(depth)
        return [(BID, price) for price, _ in bids] + [(-BID, price) for price, _ in asks]

"""Rows of books whose venue sends checksums: what the readers of OKX and Kraken share."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT
from lob_pipeline.venues import job as card
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import Reader, add_message, add_quote
from lob_pipeline.venues.string_book import Change, StringBook, Witness

_SECONDS = re.compile(r"([1-8]\d{9})(?:\.(\d{1,9}))?\Z", re.ASCII)
_MILLISECONDS = re.compile(r"[1-8]\d{12}\Z", re.ASCII)


class Place(NamedTuple):
    """Where a message came from: byte of its line in the block, receive time, 0 unknown."""

    offset: int
    recv_ns: int


MAX_PRICE_TICKS = 1 << 31
"""Prices that a book of ticks can hold (``book.state``). Some people offer a coin for 9,999,999,997."""


class Ids(NamedTuple):
    """The venue's own ids of a book message: its own, and the one it follows (-1 on a snapshot)."""

    update_id: int
    prev_id: int


def seconds_text_ns(reader: Reader, text: object) -> int:
    """Return a time written as ``"1618678133.020508"`` in nanoseconds."""
    parts = _SECONDS.match(text) if isinstance(text, str) else None
    if parts is None:
        raise reader.wrong("a time in decimal seconds", text)
    return int(parts[1]) * 1_000_000_000 + int((parts[2] or "").ljust(9, "0"))


def ms_text_ns(reader: Reader, text: object) -> int:
    """Return a time written as ``"1652459225393"`` (milliseconds) in nanoseconds."""
    if not isinstance(text, str) or not _MILLISECONDS.match(text):
        raise reader.wrong("a time in milliseconds (13 digits)", text)
    return int(text) * 1_000_000


def changes_of(reader: Reader, rows: object, side: int, least: int, most: int) -> list[Change]:
    """Return levels ``["price", "size", …]`` of ``least`` to ``most`` members as sent, each checked."""
    if not isinstance(rows, list):
        raise reader.wrong("a list of levels", rows)
    out: list[Change] = []
    for row in rows:
        if not isinstance(row, list) or not least <= len(row) <= most:
            raise reader.wrong('a level ["price", "size", …]', row)
        reader.ticks(row[0])
        reader.lots(row[1])
        out.append((side, row[0], row[1]))
    return out


class CheckedReader:
    """Reads the lines of one file of one market: a memory of the book, as its checksums need it."""

    def __init__(self, job: Job, checksum: Callable[[StringBook], int]) -> None:
        self._job = job
        self._symbol = job.instrument.market.symbol
        self._witness = Witness(checksum)
        self._out_of_reach = 0

    def checksums(self) -> tuple[int, int] | None:
        """Return (compared, equal) since the last call; None while the venue sent none and its ids tell of losses."""
        return self._witness.counts_since_last()

    def facts(self) -> dict[str, int]:
        """Return how many levels since the last call lie at prices that no book of ticks holds, and were left out."""
        count, self._out_of_reach = self._out_of_reach, 0
        return {"levels_out_of_reach": count} if count else {}

    def add_book(
        self,
        reader: Reader,
        place: Place,
        ts_ns: int,
        changes: list[Change],
        *,
        snapshot: bool,
        said: int | None,
        own: Ids | None = None,
        depth: int = 0,
    ) -> None:
        """Append a book message, and the best bid and ask where its checksum vouches for them. All was checked.

        ``said``: the venue's checksum, None where it sent none. ``depth``: as in ``Witness.update``: levels that fell
        out of view are deleted in the message that pushed them out.
        """
        witness = self._witness
        reader.rounded = 0  # each size is converted once more
        numbered_ns = ts_ns or place.recv_ns
        if snapshot:
            update_id, prev_id = witness.snapshot(changes, said, numbered_ns, own.update_id if own else None), -1
        else:
            update_id, prev_id, gone = witness.update(changes, said, numbered_ns, own, depth)
            changes = changes + gone
        all_levels = [(side, reader.ticks(price), reader.lots(size)) for side, price, size in changes]
        self._job.card[card.N_ROUNDED] += reader.rounded
        levels = [level for level in all_levels if level[1] < MAX_PRICE_TICKS]
        self._out_of_reach += len(all_levels) - len(levels)
        kind = KIND_SNAPSHOT if snapshot else KIND_DELTA
        add_message(self._job, place.offset, place.recv_ns, ts_ns, (update_id, -1, prev_id, -1), kind, levels)
        if witness.vouched is not None:
            values = [units for text in witness.vouched for units in (reader.ticks(text[0]), reader.lots(text[1]))]
            if values[2] < MAX_PRICE_TICKS:
                bid, bid_lots, ask, ask_lots = values
                quote = (bid, bid_lots, ask, ask_lots)
                add_quote(self._job, place.offset, place.recv_ns, ts_ns, update_id, quote)


def contracts_as_lots(job: Job) -> None:
    """Let sizes in contracts be read as lots, on a market whose lot is in base units (linear derivatives of OKX)."""
    instrument = job.instrument
    step = (instrument.lot / instrument.contract_value).normalize()
    _, digits, exponent = step.as_tuple()
    whole, shift = int("".join(map(str, digits))), int(exponent)
    job.card[card.LOT_SCALE] = max(0, -shift)
    job.card[card.LOT_STEP] = whole * 10 ** max(0, shift)


def decimal_of(text: object) -> Decimal | None:
    """Return a plain decimal string's value, None for anything else."""
    return Decimal(text) if isinstance(text, str) and re.fullmatch(r"\d{1,40}(\.\d{1,40})?", text, re.ASCII) else None

"""Cut, join and reorder what decoders hand over, and lay the items of a stretch of input out in arrival order."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lob_pipeline.venues.block import BookMessages, DecodedBlock, QuoteRows, TradeRows

Int64s = npt.NDArray[np.int64]
Rows = TypeVar("Rows", TradeRows, QuoteRows)

_LEVELS = ("side", "price_ticks", "size_lots")
_MESSAGES = tuple(f.name for f in fields(BookMessages) if f.name not in (*_LEVELS, "level_start"))


def slice_book(book: BookMessages, lo: int, hi: int) -> BookMessages:
    """Return messages [lo, hi) without copying their levels."""
    first, last = int(book.level_start[lo]), int(book.level_start[hi])
    return BookMessages(
        **{name: getattr(book, name)[lo:hi] for name in _MESSAGES},
        level_start=book.level_start[lo : hi + 1] - first,
        **{name: getattr(book, name)[first:last] for name in _LEVELS},
    )


def take_book(book: BookMessages, index: Int64s) -> BookMessages:
    """Return the messages ``index``, in that order, with their levels."""
    counts = np.diff(book.level_start)[index]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.arange(start[-1], dtype=np.int64) + np.repeat(book.level_start[:-1][index] - start[:-1], counts)
    return BookMessages(
        **{name: getattr(book, name)[index] for name in _MESSAGES},
        level_start=start,
        **{name: getattr(book, name)[rows] for name in _LEVELS},
    )


def concat_books(one: BookMessages, two: BookMessages) -> BookMessages:
    """Return the messages of ``one``, then those of ``two``."""
    if len(one) == 0 or len(two) == 0:
        return two if len(one) == 0 else one
    joined = {name: np.concatenate([getattr(one, name), getattr(two, name)]) for name in (*_MESSAGES, *_LEVELS)}
    start = np.concatenate([one.level_start, two.level_start[1:] + one.level_start[-1]])
    return BookMessages(**joined, level_start=start)


def slice_rows(rows: Rows, lo: int, hi: int) -> Rows:
    """Return trades or quotes [lo, hi) without copying."""
    return type(rows)(
        **{
            f.name: (getattr(rows, f.name).slice(lo, hi - lo) if f.name == "trade_id" else getattr(rows, f.name)[lo:hi])
            for f in fields(rows)
        }
    )


def take_rows(rows: Rows, index: Int64s) -> Rows:
    """Return the trades or quotes ``index``, in that order."""
    columns = {f.name: getattr(rows, f.name) for f in fields(rows)}
    return type(rows)(
        **{n: (values.take(pa.array(index)) if n == "trade_id" else values[index]) for n, values in columns.items()}
    )


def concat_rows(one: Rows, two: Rows) -> Rows:
    """Return the trades or quotes of ``one``, then those of ``two``."""
    if len(one) == 0 or len(two) == 0:
        return two if len(one) == 0 else one
    joined = {}
    for f in fields(one):
        parts = [getattr(one, f.name), getattr(two, f.name)]
        joined[f.name] = pa.concat_arrays(parts) if f.name == "trade_id" else np.concatenate(parts)
    return type(one)(**joined)


@dataclass(frozen=True)
class Arrivals:
    """A stretch of input. Every book message, trade and quote is an item; ``*_at`` are their places, 0 … items - 1.

    ``book_when``: the message's time, where it has none of its own that of the next message of the stream that has one.
    ``*_day``: days since 1970 that the items belong to (CONTRACT.md, ``lob ingest``), never falling within a stream.
    """

    items: int
    book: BookMessages
    book_at: Int64s
    book_when: Int64s
    book_day: Int64s
    trades: TradeRows
    trades_at: Int64s
    trades_day: Int64s
    quotes: QuoteRows
    quotes_at: Int64s
    quotes_day: Int64s


def places(block: DecodedBlock) -> tuple[Int64s, Int64s, Int64s]:
    """Return the places of the block's book messages, trades and quotes in file order.

    Of one line the trade comes first, then the book that shows what it did, then the best levels of that book.
    """
    trades, book = len(block.trades), len(block.book)
    lines = np.concatenate([block.trades.line, block.book.line, block.quotes.line])
    rank = np.empty(lines.shape[0], dtype=np.int64)
    rank[np.argsort(lines, kind="stable")] = np.arange(lines.shape[0], dtype=np.int64)
    return rank[trades : trades + book], rank[:trades], rank[trades + book :]


def cut(part: Arrivals, lo: int, hi: int) -> Arrivals:
    """Return the items at places [lo, hi), renumbered from 0."""
    if lo == 0 and hi == part.items:
        return part
    b = np.searchsorted(part.book_at, (lo, hi))
    t = np.searchsorted(part.trades_at, (lo, hi))
    q = np.searchsorted(part.quotes_at, (lo, hi))
    return Arrivals(
        hi - lo,
        slice_book(part.book, int(b[0]), int(b[1])),
        part.book_at[b[0] : b[1]] - lo,
        part.book_when[b[0] : b[1]],
        part.book_day[b[0] : b[1]],
        slice_rows(part.trades, int(t[0]), int(t[1])),
        part.trades_at[t[0] : t[1]] - lo,
        part.trades_day[t[0] : t[1]],
        slice_rows(part.quotes, int(q[0]), int(q[1])),
        part.quotes_at[q[0] : q[1]] - lo,
        part.quotes_day[q[0] : q[1]],
    )


def place_together(parts: list[Arrivals], ranks: list[Int64s]) -> Arrivals:
    """Return the items of several parts in one stretch; ``ranks[i][place]`` is the new place of an item of part i.

    Each kind of item comes from parts in an order in which their ranks ascend.
    """
    book, trades, quotes = parts[0].book, parts[0].trades, parts[0].quotes
    for part in parts[1:]:
        book, trades = concat_books(book, part.book), concat_rows(trades, part.trades)
        quotes = concat_rows(quotes, part.quotes)

    def joined(name: str) -> Int64s:
        return np.concatenate([getattr(p, name) for p in parts])

    def moved(name: str) -> Int64s:
        return np.concatenate([r[getattr(p, name)] for p, r in zip(parts, ranks, strict=True)])

    return Arrivals(
        sum(p.items for p in parts),
        book,
        moved("book_at"),
        joined("book_when"),
        joined("book_day"),
        trades,
        moved("trades_at"),
        joined("trades_day"),
        quotes,
        moved("quotes_at"),
        joined("quotes_day"),
    )


def join(one: Arrivals, two: Arrivals) -> Arrivals:
    """Return the items of ``one`` followed by those of ``two``."""
    if one.items == 0 or two.items == 0:
        return two if one.items == 0 else one
    return place_together([one, two], [np.arange(one.items), np.arange(two.items) + one.items])

"""The ladder against a plain dictionary, on random messages over near and far prices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.book import kernel, pool, state
from lob_pipeline.core.errors import BadInputError

_PRICES = st.one_of(
    st.integers(100_000, 100_040),
    st.integers(99_000, 103_000),
    st.integers(0, 70_000),
    st.integers(1, (1 << 31) - 1),
)
_ROW = st.tuples(st.sampled_from((1, -1)), _PRICES, st.sampled_from((0, 0, 1, 2, 7, 10**12)))
_MESSAGES = st.lists(st.tuples(st.booleans(), st.lists(_ROW, min_size=0, max_size=40)), max_size=30)


def _arrays(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(rows, np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int8), table[:, 1].copy(), table[:, 2].copy()


def _sorted_levels(book: dict[tuple[int, int], int], side: int) -> list[tuple[int, int]]:
    return sorted(((p, n) for (s, p), n in book.items() if s == side), reverse=side > 0)


def _check(book: state.BookState, naive: dict[tuple[int, int], int]) -> None:
    side, price, size = kernel.book_levels(book)
    bids, asks = _sorted_levels(naive, 1), _sorted_levels(naive, -1)
    assert list(zip(side.tolist(), price.tolist(), size.tolist(), strict=True)) == [
        *((1, p, n) for p, n in bids),
        *((-1, p, n) for p, n in asks),
    ]
    for s, levels in ((0, bids), (1, asks)):
        assert kernel.best_price(book, s) == (levels[0][0] if levels else -1)
        flip = int(book.meta[state.FLIP + s])
        top = [(int(k) ^ flip, int(n)) for k, n in book.top[s].T if k < state.NO_KEY]
        assert top == levels[: state.TOP]
        for p, n in levels[:3]:
            assert kernel.lots_at(book, s, p) == n


@settings(max_examples=150, deadline=None)
@given(_MESSAGES)
def test_every_book_state_equals_the_dictionary(messages: list[tuple[bool, list[tuple[int, int, int]]]]) -> None:
    book, naive = state.new_book(pages=1), {}
    for is_snapshot, rows in messages:
        arrays = _arrays(rows)
        book = pool.reserve(book, *arrays)
        before = dict(naive)
        if is_snapshot:
            naive.clear()
        for s, p, n in rows:
            naive[s, p] = n
            if n == 0:
                del naive[s, p]
        if is_snapshot:
            assert kernel.replace_book(book, *arrays, 0, len(rows)) == (before != naive)
        else:
            kernel.apply_delta(book, *arrays, 0, len(rows))
        _check(book, naive)
    levels = state.levels_from_bytes(state.book_to_bytes(*kernel.book_levels(book)))
    again = pool.reserve(state.new_book(), *levels)
    kernel.replace_book(again, *levels, 0, len(levels[0]))
    _check(again, naive)
    twin = state.copy_book(book)
    kernel.clear(book)
    _check(book, {})
    _check(twin, naive)


def test_pages_are_given_back() -> None:
    book = state.new_book(pages=2)
    for price in range(0, 60_000, 997):
        side, ticks = np.array([1], np.int8), np.array([price])
        book = pool.reserve(book, side, ticks, np.array([5]))
        kernel.apply_delta(book, side, ticks, np.array([5]), 0, 1)
        kernel.apply_delta(book, side, ticks, np.array([0]), 0, 1)
    assert len(book.pages) == 2


def test_a_deletion_on_a_page_that_was_left_empty_reads_nothing_else() -> None:
    """The page stays open after its last level went: the touch lies nowhere, and the next deletion must not look."""
    book = pool.reserve(state.new_book(pages=4), *_arrays([(1, 70_000, 5), (-1, 71_000, 3)]))
    for rows in ([(1, 70_000, 5)], [(1, 70_000, 0)], [(1, 70_001, 0)], [(-1, 71_000, 3)], [(1, 70_002, 0)]):
        kernel.apply_delta(book, *_arrays(rows), 0, 1)
    _check(book, {(-1, 71_000): 3})


def test_a_wandering_market_needs_no_more_pages_than_it_shows() -> None:
    """Twenty levels a side, 1,000 ticks apart, walk through 600 pages: what is left behind is swept up."""
    book, naive = state.new_book(pages=16), {}
    for step in range(300):
        middle = 100_000 + 2_000 * step
        wanted = {(s, middle - s * (500 + 1_000 * k)): step + k + 1 for s in (1, -1) for k in range(20)}
        rows = [(s, p, 0) for s, p in naive if (s, p) not in wanted] + [(s, p, n) for (s, p), n in wanted.items()]
        arrays = _arrays(rows)
        book = pool.reserve(book, *arrays)
        kernel.apply_delta(book, *arrays, 0, len(rows))
        naive = wanted
        _check(book, naive)
    assert len(book.pages) <= 256


@settings(max_examples=60, deadline=None)
@given(_MESSAGES)
def test_a_reserved_book_has_the_pages_that_its_rows_open(
    messages: list[tuple[bool, list[tuple[int, int, int]]]],
) -> None:
    book = state.new_book(pages=1)
    for _, rows in messages:
        arrays = _arrays(rows)
        ticks = arrays[1]
        lowest, highest = (int(ticks.min()), int(ticks.max())) if len(ticks) else (0, 0)
        book = pool.reserve(book, *arrays)
        counted = pool.new_pages(book, *arrays, 0, len(rows))
        assert counted <= pool.absent_pages(book, lowest, highest)
        assert counted <= pool.pages_for(book, *arrays, 0, len(rows), lowest, highest) <= book.meta[state.FREE]
        kernel.apply_delta(book, *arrays, 0, len(rows))


def test_levels_that_lie_far_apart_cost_a_page_each() -> None:
    rows = [(1 if k % 2 else -1, (k + 1) << 24, 5) for k in range(40)]
    book = pool.reserve(state.new_book(), *_arrays(rows))
    kernel.apply_delta(book, *_arrays(rows), 0, len(rows))
    _check(book, {(s, p): n for s, p, n in rows})
    assert len(book.pages) <= 64


@settings(max_examples=60, deadline=None)
@given(_MESSAGES)
def test_sweeping_changes_no_level(messages: list[tuple[bool, list[tuple[int, int, int]]]]) -> None:
    book = state.new_book(pages=1)
    for _, rows in messages:
        book = pool.reserve(book, *_arrays(rows))
        kernel.apply_delta(book, *_arrays(rows), 0, len(rows))
    before = [column.tolist() for column in kernel.book_levels(book)]
    pool.sweep(book)
    assert [column.tolist() for column in kernel.book_levels(book)] == before
    in_use = len(book.pages) - int(book.meta[state.FREE])
    keys = {(s, p >> state.PAGE_BITS) for s, p, _ in zip(*before, strict=True)}
    assert in_use == len(keys)  # the flip is a multiple of a page, so prices and keys share their pages


@pytest.mark.parametrize(("side", "price", "size"), [(0, 5, 1), (1, -1, 1), (1, 1 << 31, 1), (-1, 5, -1)])
def test_a_row_no_book_can_hold_is_named(side: int, price: int, size: int) -> None:
    with pytest.raises(BadInputError, match="level row 1 "):
        pool.reserve(
            state.new_book(), np.array([1, side], np.int8), np.array([7, price]), np.array([1, size], np.int64)
        )


@pytest.mark.parametrize("data", [b"", b"LBK1", b"x" * 40])
def test_other_bytes_are_no_saved_book(data: bytes) -> None:
    with pytest.raises(BadInputError, match="no saved book"):
        state.levels_from_bytes(data)

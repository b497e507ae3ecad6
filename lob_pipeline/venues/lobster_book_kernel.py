"""LOBSTER's book, rebuilt from its messages: what each does to the levels in view, and what had to be looked up.

A level in view changes by what messages say of it and by nothing else. The book file is asked for two things alone:
the opening book, and the size of a level that comes into view at the far end (no message tells it). Every row of the
rebuilt view is then compared with the file's row, in full: prices and sizes of all levels.
"""

from __future__ import annotations

from lob_pipeline.core.jit import njit
from lob_pipeline.venues.lobster_kernel import DIRECTION, PRICE, SIZE, TYPE
from lob_pipeline.venues.lobster_view import (
    BELOW_ZERO,
    EXECUTE,
    FROM_FILE,
    FROM_MESSAGES,
    LEFT_VIEW,
    NEW,
    ROWS,
    ROWS_EQUAL,
    ROWS_KNOWN,
    ROWS_KNOWN_EQUAL,
    ROWS_SEEN,
    ROWS_SEEN_EQUAL,
    UNKNOWN_LEVEL,
    Int64s,
    LevelRows,
    View,
)


@njit(cache=True)
def _find(view: View, si: int, price: int) -> int:
    """Return the place of ``price`` among the levels of a side, or ``~place`` where it belongs."""
    step = 1 if si == 1 else -1
    for k in range(view.n[si]):
        if view.price[si, k] == price:
            return k
        if (view.price[si, k] - price) * step > 0:
            return ~k
    return ~view.n[si]


@njit(cache=True)
def _insert(view: View, si: int, at: int, price: int, size: int, looked_up: int) -> None:
    for k in range(view.n[si], at, -1):
        view.price[si, k] = view.price[si, k - 1]
        view.size[si, k] = view.size[si, k - 1]
        view.looked_up[si, k] = view.looked_up[si, k - 1]
    view.price[si, at], view.size[si, at], view.looked_up[si, at] = price, size, looked_up
    view.n[si] += 1


@njit(cache=True)
def _remove(view: View, si: int, at: int) -> None:
    view.n[si] -= 1
    for k in range(at, view.n[si]):
        view.price[si, k] = view.price[si, k + 1]
        view.size[si, k] = view.size[si, k + 1]
        view.looked_up[si, k] = view.looked_up[si, k + 1]


@njit(cache=True)
def _put(out: LevelRows, message: int, si: int, price: int, size: int) -> None:
    n = out.n[0]
    out.message[n], out.side[n], out.price[n], out.size[n] = message, 1 - 2 * si, price, size
    out.n[0] = n + 1


@njit(cache=True)
def _apply(view: View, levels: int, m: Int64s, i: int, out: LevelRows, counts: Int64s) -> None:
    """Do to the view what message ``m`` says; write the level rows of that."""
    kind, price, size = m[TYPE], m[PRICE], m[SIZE]
    si = 0 if m[DIRECTION] == 1 else 1
    at = _find(view, si, price)
    if kind == NEW:
        if at >= 0:
            view.size[si, at] += size
            _put(out, i, si, price, view.size[si, at])
            counts[FROM_MESSAGES] += 1
            return
        if ~at >= levels:
            counts[UNKNOWN_LEVEL] += 1
            return
        _insert(view, si, ~at, price, size, 0)
        _put(out, i, si, price, size)
        counts[FROM_MESSAGES] += 1
        if view.n[si] > levels:
            view.n[si] = levels
            _put(out, i, si, view.price[si, levels], 0)
            counts[LEFT_VIEW] += 1
        return
    if at < 0:
        counts[UNKNOWN_LEVEL] += 1
        return
    left = view.size[si, at] - size
    counts[BELOW_ZERO] += left < 0
    counts[FROM_MESSAGES] += 1
    _put(out, i, si, price, max(left, 0))
    if left > 0:
        view.size[si, at] = left
    else:
        _remove(view, si, at)


@njit(cache=True)
def look_up(view: View, levels: int, row: Int64s, i: int, out: LevelRows, counts: Int64s) -> int:
    """Take from the file's row the levels behind the last one in view; return how many. ``row``: ask, bid in turn."""
    found = 0
    for si in range(2):
        step = 1 if si == 1 else -1
        for k in range(levels):
            price, size = row[4 * k + 2 * (1 - si)], row[4 * k + 2 * (1 - si) + 1]
            n = view.n[si]
            if size <= 0 or n == levels or (n > 0 and (price - view.price[si, n - 1]) * step <= 0):
                continue
            _insert(view, si, n, price, size, 1)
            _put(out, i, si, price, size)
            found += 1
    counts[FROM_FILE] += found
    return found


@njit(cache=True)
def _equals(view: View, levels: int, row: Int64s) -> bool:
    for si in range(2):
        n = 0
        for k in range(levels):
            price, size = row[4 * k + 2 * (1 - si)], row[4 * k + 2 * (1 - si) + 1]
            if size == 0:
                continue
            if n >= view.n[si] or view.price[si, n] != price or view.size[si, n] != size:
                return False
            n += 1
        if n != view.n[si]:
            return False
    return True


@njit(cache=True)
def _all_known(view: View) -> bool:
    for si in range(2):
        for k in range(view.n[si]):
            if view.looked_up[si, k]:
                return False
    return True


@njit(cache=True)
def rebuild(
    view: View, levels: int, messages: Int64s, rows: Int64s, first: int, out: LevelRows, counts: Int64s
) -> None:
    """Apply ``messages`` from ``first`` on, each followed by the comparison with its row of the book file.

    Prices and sizes are the files' own units. ``out`` has room for ``rebuild_rows`` rows, written at ``out.n[0]``.
    """
    for i in range(first, messages.shape[0]):
        if NEW <= messages[i, TYPE] <= EXECUTE:
            _apply(view, levels, messages[i], i, out, counts)
        found = look_up(view, levels, rows[i], i, out, counts)
        equal = _equals(view, levels, rows[i])
        counts[ROWS] += 1
        counts[ROWS_EQUAL] += equal
        if found == 0:
            counts[ROWS_SEEN] += 1
            counts[ROWS_SEEN_EQUAL] += equal
        if _all_known(view):
            counts[ROWS_KNOWN] += 1
            counts[ROWS_KNOWN_EQUAL] += equal

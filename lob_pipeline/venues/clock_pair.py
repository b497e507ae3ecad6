"""The two clocks of a Bybit book message: ``ts``, when it was built, and ``cts``, when the matching engine made it.

Only ``cts`` may be aligned with trades, and only it is kept. A recording whose ``cts`` is a copy of ``ts``, or that
lost it, cannot be told from its rows: so the clocks are counted here, on the bytes of every book message.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.venues.block import Int64s, Uint8s

PAIRS, EQUAL, ALONE = "clock_pairs", "clock_equal", "clock_alone"
_TS = np.frombuffer(b'"ts":', np.uint8)
_CTS = np.frombuffer(b'"cts":', np.uint8)


@njit(cache=True)
def _find(data: Uint8s, lo: int, hi: int, word: Uint8s) -> int:
    """Return where the digits after the last ``word`` in [lo, hi) begin, -1 where it does not occur."""
    size = len(word)
    for i in range(hi - size, lo - 1, -1):
        if data[i + 1] == word[1] and data[i + size - 1] == word[size - 1]:
            same = True
            for k in range(size):
                same = same and data[i + k] == word[k]
            if same:
                return i + size
    return -1


@njit(cache=True)
def _stands(data: Uint8s, at: int, word: Uint8s) -> bool:
    """Whether ``word`` stands at ``at``, a place that may lie outside of the data."""
    if at < 0 or at + len(word) > len(data):
        return False
    for k in range(len(word)):  # noqa: SIM110  numba has no generators
        if data[at + k] != word[k]:
            return False
    return True


@njit(cache=True)
def _number(data: Uint8s, at: int) -> int | np.int64:
    while data[at] == 32:
        at += 1
    value = np.int64(0)
    while 48 <= data[at] <= 57:
        value = value * 10 + np.int64(data[at]) - 48
        at += 1
    return value


@njit(cache=True)
def count_pairs(
    data: Uint8s, starts: Int64s, lines: Int64s, words: tuple[Uint8s, Uint8s], head: int, tail: int
) -> Int64s:
    """Return int64 (3,): messages with both clocks, of these equal ones, and messages with ``ts`` alone.

    ``starts``: where lines begin in ``data``, which ends in a newline; ``lines``: their numbers. The clocks stand in
    the first ``head`` and last ``tail`` bytes of a line as the venue writes it; other lines are searched whole. Nearly
    every line has them where the line before it had them, so that is looked at first.
    """
    ts_from_start = cts_from_end = np.int64(0)
    found = np.zeros(3, np.int64)
    ts_word, cts_word = words
    for j in range(len(starts)):
        lo = starts[j]
        follows = j + 1 < len(starts) and lines[j + 1] == lines[j] + 1
        end = starts[j + 1] - 1 if follows else lo
        while end < len(data) and data[end] != 10:
            end += 1
        cts = end - cts_from_end
        if cts - len(cts_word) < lo or not _stands(data, cts - len(cts_word), cts_word):
            cts = _find(data, max(lo, end - tail), end, cts_word)
        if cts < 0:
            cts = _find(data, lo, end, cts_word)
        if cts < 0:
            found[2] += 1
            continue
        cts_from_end = end - cts
        ts = lo + ts_from_start
        if ts - len(ts_word) < lo or ts > end or not _stands(data, ts - len(ts_word), ts_word):
            ts = _find(data, lo, min(end, lo + head), ts_word)
        if ts < 0:
            ts = _find(data, lo, end, ts_word)
        if ts >= 0:
            ts_from_start = ts - lo
            found[0] += 1
            found[1] += _number(data, ts) == _number(data, cts)
    return found


def clock_facts(data: Uint8s, starts: Int64s, lines: Int64s) -> dict[str, int]:
    """Return how many book messages carry both clocks, how many of them equal ones, and how many ``ts`` alone."""
    both, equal, alone = count_pairs(data, starts, lines, (_TS, _CTS), 160, 48).tolist()
    return {PAIRS: both, EQUAL: equal, ALONE: alone}

"""The three queue models (LABELS.md, State): what a trade, a level update and an opposite quote do to resting orders.

Fronts are float64 and every operation on them is written in the order of the definition, so that a slow reference that
follows one order at a time gets the same bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fates import DONE_LOTS, EXIT_LOTS, KINDS, LIFE, LOTS, ROWS, Fates, take
from lob_pipeline.labels.resting import (
    ARRIVE,
    FRESH,
    HEAD,
    LIST,
    NUMBER,
    OFFSET,
    SHOWN,
    TAIL,
    TRADED,
    Resting,
)
from lob_pipeline.labels.spec import KIND_QUEUE, PESSIMISTIC, PROPORTIONAL
from lob_pipeline.labels.states import Float, Int, Int64s

Float64s = npt.NDArray[np.float64]


@njit(cache=True)
def front_after_update(model: Int, front: Float, shown: Int, traded: Int, now: Int) -> Float:
    """Return the front F after an update of the level to ``now`` lots, for one order's own D and C."""
    cancelled = max(0, shown - now - traded)
    if cancelled > 0 and model != PESSIMISTIC:
        if model == PROPORTIONAL:
            front -= cancelled * front / (shown - traded)
        else:
            front -= cancelled
    return min(max(front, 0.0), np.float64(now))


@njit(cache=True, forceinline=True)
def _shrink(fronts: Float64s, model: Int, cancelled: Int, base: Int, now: Int) -> None:
    """Apply one update to fronts that share D and C (``base`` = D - C > 0 where lots were cancelled)."""
    size = np.float64(now)
    lots = np.float64(cancelled)
    if cancelled == 0 or model == PESSIMISTIC:
        for i in range(fronts.size):
            fronts[i] = fronts[i] if fronts[i] < size else size
    elif model == PROPORTIONAL:
        whole = np.float64(base)
        for i in range(fronts.size):
            front = fronts[i] - lots * fronts[i] / whole
            front = front if front > 0.0 else 0.0
            fronts[i] = front if front < size else size
    else:
        for i in range(fronts.size):
            front = fronts[i] - lots
            front = front if front > 0.0 else 0.0
            fronts[i] = front if front < size else size


@njit(cache=True, forceinline=True)
def level_update(groups: Int64s, front: Float64s, tags: Int64s, clock: Int64s, g: Int, now: Int) -> None:
    """Apply an update of group ``g``'s level to ``now`` lots."""
    shown = groups[g, SHOWN]
    traded = groups[g, TRADED]
    for m in range(front.shape[0]):
        tail = groups[g, TAIL + LIST * m]
        if now < shown:  # a rise is an add behind us: F <= D already
            head, fresh = groups[g, HEAD + LIST * m], groups[g, FRESH + LIST * m]
            model = clock[KINDS + m]
            _shrink(front[m, g, head:fresh], model, max(0, shown - now - traded), shown - traded, now)
            for i in range(fresh, tail):
                front[m, g, i] = front_after_update(model, front[m, g, i], shown, traded - tags[m, g, i, OFFSET], now)
        groups[g, FRESH + LIST * m] = tail
    groups[g, SHOWN] = now
    groups[g, TRADED] = 0


@njit(cache=True)
def _before(resting: Resting, m: Int, g: Int, t_ns: Int, lots: Int) -> Int:
    """Return the end of the orders that arrived before ``t_ns``; the later ones do not count the trade (offset)."""
    groups, tags = resting.groups, resting.tags
    tail = groups[g, TAIL + LIST * m]
    end = tail
    while end > groups[g, HEAD + LIST * m] and tags[m, g, end - 1, ARRIVE] >= t_ns:
        end -= 1
    for i in range(end, tail):
        if i < groups[g, FRESH + LIST * m]:
            tags[m, g, i, OFFSET] = 0
        tags[m, g, i, OFFSET] += lots
    groups[g, FRESH + LIST * m] = min(end, groups[g, FRESH + LIST * m])
    return end


@njit(cache=True)
def _keep(tags: Int64s, front: Float64s, m: Int, g: Int, target: Int, source: Int, fresh: Int) -> None:
    """Move an order that stays to a later place of its list; one from before ``fresh`` shares the group's C."""
    front[m, g, target] = front[m, g, source]
    tags[m, g, target, NUMBER] = tags[m, g, source, NUMBER]
    tags[m, g, target, ARRIVE] = tags[m, g, source, ARRIVE]
    tags[m, g, target, OFFSET] = tags[m, g, source, OFFSET] if source >= fresh else 0


@njit(cache=True)
def rest_lots(fates: Fates, clock: Int64s, m: Int, number: Int) -> Int:
    """Return the lots order ``number`` has left."""
    n = 2 * clock[ROWS]
    done = fates.events[number - n, EXIT_LOTS] if number >= n else fates.fill[m, number, DONE_LOTS]
    return clock[LOTS] - done


@njit(cache=True)
def _serve(
    resting: Resting, fates: Fates, clock: Int64s, m: Int, g: Int, negative: Int, t_ns: Int, bound_ns: Int
) -> None:
    """Fill the ``negative`` orders of a list whose front a trade passed. Survivors keep their order and stand last."""
    groups, front, tags = resting.groups, resting.front, resting.tags
    head, fresh = groups[g, HEAD + LIST * m], groups[g, FRESH + LIST * m]
    last = head
    while negative > 0:
        negative -= front[m, g, last] < 0.0
        last += 1
    keep = last
    for i in range(last - 1, head - 1, -1):
        number = tags[m, g, i, NUMBER]
        dies = tags[m, g, i, ARRIVE] + clock[LIFE]
        done = dies < bound_ns
        if front[m, g, i] < 0.0:
            if t_ns <= dies:
                lots = np.int64(min(np.float64(rest_lots(fates, clock, m, number)), np.floor(-front[m, g, i])))
                done = lots > 0 and take(fates, clock, m, number, lots, t_ns, KIND_QUEUE)
            front[m, g, i] = 0.0
        if not done:
            keep -= 1
            _keep(tags, front, m, g, keep, i, fresh)
    groups[g, HEAD + LIST * m] = keep
    groups[g, FRESH + LIST * m] = max(keep, fresh)


@njit(cache=True, forceinline=True)
def _pass(fronts: Float64s, volume: Float) -> Int:
    """Take a trade off fronts; return how many of them fall below zero."""
    negative = np.int64(0)
    for i in range(fronts.size):
        front = fronts[i] - volume
        fronts[i] = front
        negative += np.int64(front < 0.0)
    return negative


@njit(cache=True, forceinline=True)
def trade_at(resting: Resting, fates: Fates, clock: Int64s, g: Int, lots: Int, t_ns: Int, bound_ns: Int) -> Int:
    """Let a trade of ``lots`` at group ``g``'s price advance every front there; return how many it passed."""
    groups, front, tags = resting.groups, resting.front, resting.tags
    groups[g, TRADED] += lots
    passed = np.int64(0)
    for m in range(front.shape[0]):
        head, end = groups[g, HEAD + LIST * m], groups[g, TAIL + LIST * m]
        if head == end:
            continue
        if tags[m, g, end - 1, ARRIVE] >= t_ns:
            end = _before(resting, m, g, t_ns, lots)
        negative = _pass(front[m, g, head:end], np.float64(lots))
        if negative > 0:
            _serve(resting, fates, clock, m, g, negative, t_ns, bound_ns)
            passed += negative
    return passed


@njit(cache=True)
def fill_group(resting: Resting, fates: Fates, clock: Int64s, g: Int, t_ns: Int, bound_ns: Int, kind: Int) -> None:
    """Fill whole every order of group ``g`` that is live at ``t_ns``; forget the expired; keep the rest."""
    groups, front, tags = resting.groups, resting.front, resting.tags
    q = clock[LOTS]
    for m in range(front.shape[0]):
        head, keep = groups[g, HEAD + LIST * m], groups[g, TAIL + LIST * m]
        fresh = groups[g, FRESH + LIST * m]
        for i in range(keep - 1, head - 1, -1):
            arrive = tags[m, g, i, ARRIVE]
            if arrive < t_ns <= arrive + clock[LIFE]:
                take(fates, clock, m, tags[m, g, i, NUMBER], q, t_ns, kind)
            elif arrive + clock[LIFE] >= bound_ns:
                keep -= 1
                _keep(tags, front, m, g, keep, i, fresh)
        groups[g, HEAD + LIST * m] = keep
        groups[g, FRESH + LIST * m] = max(keep, fresh)

"""The three queue models (LABELS.md, State): what a trade, a level update and an opposite quote do to resting orders.

Fronts are float64 and every operation on them is written in the order of the definition, so that a slow reference that
follows one order at a time gets the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lob_pipeline.labels.fates import LIFE, LOTS, Fates, rest_lots, take
from lob_pipeline.labels.resting import (
    ACTIVE,
    ARRIVE,
    FRESH,
    HEAD,
    KEY,
    NUMBER,
    OFFSET,
    SHOWN,
    TAIL,
    TRADED,
    Resting,
    close_if_empty,
)
from lob_pipeline.labels.spec import KIND_QUEUE, KIND_THROUGH, PESSIMISTIC, PROPORTIONAL
from lob_pipeline.labels.states import Float, Int, Int64s


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


@njit(cache=True)
def level_update(resting: Resting, models: Int64s, g: Int, now: Int) -> None:
    """Apply an update of group ``g``'s level to ``now`` lots."""
    shown = resting.groups[g, SHOWN]
    traded = resting.groups[g, TRADED]
    size = np.float64(now)
    cancelled = max(0, shown - now - traded)
    lots = np.float64(cancelled)
    base = np.float64(shown - traded)
    for m in range(models.size):
        head, fresh, tail = resting.ends[m, g, HEAD], resting.ends[m, g, FRESH], resting.ends[m, g, TAIL]
        if now < shown:  # a rise is an add behind us: F <= D already
            old = resting.front[m, g, head:fresh]
            model = models[m]
            if cancelled == 0 or model == PESSIMISTIC:
                for i in range(old.size):
                    old[i] = min(old[i], size)
            elif model == PROPORTIONAL:
                for i in range(old.size):
                    old[i] = min(max(old[i] - lots * old[i] / base, 0.0), size)
            else:
                for i in range(old.size):
                    old[i] = min(max(old[i] - lots, 0.0), size)
            for i in range(fresh, tail):
                own = traded - resting.tags[m, g, i, OFFSET]
                resting.front[m, g, i] = front_after_update(model, resting.front[m, g, i], shown, own, now)
        resting.ends[m, g, FRESH] = tail
    resting.groups[g, SHOWN] = now
    resting.groups[g, TRADED] = 0


@njit(cache=True)
def _before(resting: Resting, m: Int, g: Int, t_ns: Int, lots: Int) -> Int:
    """Return the end of the orders that arrived before ``t_ns``; the later ones do not count the trade (offset)."""
    tail = resting.ends[m, g, TAIL]
    end = tail
    while end > resting.ends[m, g, HEAD] and resting.tags[m, g, end - 1, ARRIVE] >= t_ns:
        end -= 1
    for i in range(end, tail):
        if i < resting.ends[m, g, FRESH]:
            resting.tags[m, g, i, OFFSET] = 0
        resting.tags[m, g, i, OFFSET] += lots
    resting.ends[m, g, FRESH] = min(end, resting.ends[m, g, FRESH])
    return end


@njit(cache=True)
def _serve(
    resting: Resting,
    fates: Fates,
    cursor: Int64s,
    settings: Int64s,
    m: Int,
    g: Int,
    negative: Int,
    t_ns: Int,
    bound_ns: Int,
) -> None:
    """Fill the ``negative`` orders of a list whose front a trade passed. Survivors keep their order and stand last."""
    head = resting.ends[m, g, HEAD]
    last = head
    while negative > 0:
        negative -= resting.front[m, g, last] < 0.0
        last += 1
    keep = last
    for i in range(last - 1, head - 1, -1):
        front = resting.front[m, g, i]
        number = resting.tags[m, g, i, NUMBER]
        dies = resting.tags[m, g, i, ARRIVE] + settings[LIFE]
        done = dies < bound_ns
        if front < 0.0:
            if t_ns <= dies:
                lots = np.int64(min(np.float64(rest_lots(fates, settings, m, number)), np.floor(-front)))
                done = lots > 0 and take(fates, cursor, settings, m, number, lots, t_ns, KIND_QUEUE)
            front = 0.0
        if not done:
            keep -= 1
            resting.front[m, g, keep] = front
            resting.tags[m, g, keep, NUMBER] = number
            resting.tags[m, g, keep, ARRIVE] = resting.tags[m, g, i, ARRIVE]
            resting.tags[m, g, keep, OFFSET] = resting.tags[m, g, i, OFFSET] if i >= resting.ends[m, g, FRESH] else 0
    resting.ends[m, g, HEAD] = keep
    resting.ends[m, g, FRESH] = max(keep, resting.ends[m, g, FRESH])


@njit(cache=True)
def trade_at(
    resting: Resting, fates: Fates, cursor: Int64s, settings: Int64s, g: Int, lots: Int, t_ns: Int, bound_ns: Int
) -> None:
    """Let a trade of ``lots`` at group ``g``'s price advance every front there."""
    resting.groups[g, TRADED] += lots
    volume = np.float64(lots)
    for m in range(resting.ends.shape[0]):
        head, end = resting.ends[m, g, HEAD], resting.ends[m, g, TAIL]
        if head == end:
            continue
        if resting.tags[m, g, end - 1, ARRIVE] >= t_ns:
            end = _before(resting, m, g, t_ns, lots)
        fronts = resting.front[m, g, head:end]
        negative = 0
        for i in range(fronts.size):
            fronts[i] -= volume
            negative += fronts[i] < 0.0
        if negative > 0:
            _serve(resting, fates, cursor, settings, m, g, negative, t_ns, bound_ns)


@njit(cache=True)
def fill_group(
    resting: Resting, fates: Fates, cursor: Int64s, settings: Int64s, g: Int, t_ns: Int, bound_ns: Int, kind: Int
) -> None:
    """Fill whole every order of group ``g`` that is live at ``t_ns``; forget the expired; keep the rest."""
    for m in range(resting.ends.shape[0]):
        keep = resting.ends[m, g, TAIL]
        for i in range(keep - 1, resting.ends[m, g, HEAD] - 1, -1):
            arrive = resting.tags[m, g, i, ARRIVE]
            number = resting.tags[m, g, i, NUMBER]
            if arrive < t_ns <= arrive + settings[LIFE]:
                take(fates, cursor, settings, m, number, settings[LOTS], t_ns, kind)
            elif arrive + settings[LIFE] >= bound_ns:
                keep -= 1
                resting.front[m, g, keep] = resting.front[m, g, i]
                resting.tags[m, g, keep, NUMBER] = number
                resting.tags[m, g, keep, ARRIVE] = arrive
                resting.tags[m, g, keep, OFFSET] = (
                    resting.tags[m, g, i, OFFSET] if i >= resting.ends[m, g, FRESH] else 0
                )
        resting.ends[m, g, HEAD] = keep
        resting.ends[m, g, FRESH] = max(keep, resting.ends[m, g, FRESH])


@njit(cache=True)
def on_trade(
    resting: Resting,
    fates: Fates,
    cursor: Int64s,
    settings: Int64s,
    side: Int,
    price: Int,
    lots: Int,
    t_ns: Int,
    bound_ns: Int,
) -> None:
    """Apply one public trade (``side`` of the taker): it meets the orders resting on the other side."""
    si = (1 + side) >> 1
    key = -side * price
    for at in range(resting.meta[ACTIVE + si] - 1, -1, -1):
        g = resting.ladder[si, at]
        if resting.groups[g, KEY] < key:
            return
        if resting.groups[g, KEY] > key:
            fill_group(resting, fates, cursor, settings, g, t_ns, bound_ns, KIND_THROUGH)
        else:
            trade_at(resting, fates, cursor, settings, g, lots, t_ns, bound_ns)
        close_if_empty(resting, si, at)

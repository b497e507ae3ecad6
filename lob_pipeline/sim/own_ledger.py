"""What became of one's own orders, order by order: the truth for a model of fills, costs and delays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.sim.own_script import ENDS, KINDS, TRADED_ALL, UNDECIDED, WITHDRAWN, OwnOrders
from lob_pipeline.sim.state import BID_SIDE, Tape

Ints = npt.NDArray[np.int64]
_MAKER, _TAKER = 0, 1


class OwnLedger:
    """Collects the trades that met the orders of ``own``, chunk by chunk."""

    def __init__(self, own: OwnOrders) -> None:
        self._own = own
        self._fills: list[Ints] = []

    def add(self, trades: Tape) -> None:
        """Keep the trades of a chunk in which one of the orders took or rested."""
        entered = np.flatnonzero(self._own.order_id >= 0)
        by_id = entered[np.argsort(self._own.order_id[entered])]
        ids, n = self._own.order_id[by_id], int(trades.n[0])
        for role, column in ((_MAKER, trades.maker_id[:n]), (_TAKER, trades.taker_id[:n])):
            if not len(ids):
                return
            at = np.minimum(np.searchsorted(ids, column), len(ids) - 1)
            rows = np.flatnonzero(ids[at] == column)
            order, role_of = by_id[at[rows]], np.full(len(rows), role)
            self._fills.append(
                np.column_stack([order, role_of, trades.t_us[rows], trades.price[rows], trades.lots[rows]])
            )

    def fills(self) -> Ints:
        """Return the fills in order of time, int64 (m, 5): order of the script, 0 rested or 1 took, µs, ticks, lots."""
        if not self._fills:
            return np.zeros((0, 5), np.int64)
        found = np.concatenate(self._fills)
        return found[np.lexsort((found[:, 0], found[:, 2]))]

    def rows(self) -> list[dict[str, Any]]:
        """Return one record an order that was decided, plain JSON types; null where the thing did not happen.

        ``end``: how it ended. ``busy``: load at the decision (1 is ordinary). ``latency_us``: decision to market;
        ``cancel_latency_us``: call to market. ``ahead_lots``: what stood before it where it came to rest.
        ``taken_lots`` crossed at once, ``rested_lots`` were filled while resting; ``mean_ticks``: of all fills.
        """
        own, fills = self._own, self.fills()
        return [self._row(i, fills[fills[:, 0] == i]) for i in np.flatnonzero(own.price >= 0).tolist()]

    def _row(self, i: int, fills: Ints) -> dict[str, Any]:
        own, filled = self._own, int(fills[:, 4].sum())
        end = int(own.end[i])
        if end == TRADED_ALL and filled < own.lots[i]:
            end = WITHDRAWN  # the venue's price window left it behind
        elif end == UNDECIDED and filled == own.lots[i]:
            end = TRADED_ALL
        end_us = int(fills[-1, 2]) if end == TRADED_ALL else int(own.end_us[i])
        resting = own.slot[i] >= 0
        called = own.called_us[i] >= 0 and end == WITHDRAWN
        return {
            "decide_ns": int(own.decide_us[i]) * 1000,
            "arrive_ns": int(own.arrive_us[i]) * 1000,
            "kind": KINDS[own.kind[i]],
            "side": 1 if own.side[i] == BID_SIDE else -1,
            "price_ticks": int(own.price[i]),
            "lots": int(own.lots[i]),
            "end": ENDS[end],
            "end_ns": end_us * 1000 if end_us >= 0 else None,
            "busy": int(own.busy[i]) / 1000.0,
            "latency_us": int(own.arrive_us[i] - own.decide_us[i]),
            "spike": bool(own.spike[i]),
            "cancel_latency_us": int(own.end_us[i] - own.called_us[i]) if called else None,
            "ahead_lots": int(own.ahead[i]) if resting else None,
            "taken_lots": int(fills[fills[:, 1] == _TAKER, 4].sum()),
            "rested_lots": int(fills[fills[:, 1] == _MAKER, 4].sum()),
            "first_fill_ns": int(fills[0, 2]) * 1000 if filled else None,
            "last_fill_ns": int(fills[-1, 2]) * 1000 if filled else None,
            "mean_ticks": float(fills[:, 3] @ fills[:, 4] / filled) if filled else None,
        }

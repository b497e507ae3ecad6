"""What followed an instant whatever was filled: the mid return and direction, and the taker's edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.labels.fates import HORIZON, N_STATES
from lob_pipeline.labels.outcomes import m2_of
from lob_pipeline.labels.states import Float, Int64s, States, advance_to

Float64s = npt.NDArray[np.float64]


@njit(cache=True)
def instant_outcomes(
    states: States,
    clock: Int64s,
    hints: Int64s,
    t_arrive_ns: Int64s,
    taker_ns: Int64s,
    taker_bps: Float,
    mid_return: Float64s,
    direction: npt.NDArray[np.int8],
    taker: Float64s,
) -> None:
    """Write what does not depend on a fill, for rows (n,): mid return and direction, and the taker's edges.

    ``hints`` int64 (2 + horizons,): states found for the row before, kept between calls. ``mid_return`` (2n,) NaN and
    ``direction`` (2n,) -2 where null; ``taker`` (horizons, 2n), NaN where null; sells and buys in turn.
    """
    used = clock[N_STATES]
    for j in range(t_arrive_ns.size):
        t = t_arrive_ns[j]
        hints[0] = advance_to(states.time_ns, used, hints[0], t)
        hints[1] = advance_to(states.time_ns, used, hints[1], t + clock[HORIZON])
        before = m2_of(states, hints[0])
        after = m2_of(states, hints[1])
        change = np.nan
        sign = np.int8(-2)
        if before > 0 and after > 0:
            change = 1e4 * np.log(after / before)
            sign = np.int8(np.sign(after - before))
        mid_return[2 * j] = mid_return[2 * j + 1] = change
        direction[2 * j] = direction[2 * j + 1] = sign
        for h in range(taker_ns.size):
            leave = advance_to(states.time_ns, used, hints[2 + h], t + taker_ns[h])
            hints[2 + h] = leave
            taker[h, 2 * j] = taker[h, 2 * j + 1] = np.nan
            if hints[0] < 0:
                continue
            sell_in, buy_out = states.sell_sum[hints[0]], states.buy_sum[leave]
            if sell_in > 0 and buy_out > 0:
                taker[h, 2 * j] = -1e4 * np.log(buy_out / sell_in) - 2 * taker_bps
            buy_in, sell_out = states.buy_sum[hints[0]], states.sell_sum[leave]
            if buy_in > 0 and sell_out > 0:
                taker[h, 2 * j + 1] = 1e4 * np.log(sell_out / buy_in) - 2 * taker_bps

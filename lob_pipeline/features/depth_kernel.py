"""Depth features of one row (declarations: depth). Integers until the last expression of each feature."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import LEVELS, ROW
from lob_pipeline.features.profile_kernel import microprice_offset
from lob_pipeline.features.registry import INDEX
from lob_pipeline.features.state import INVERSE, LARGE, SMALL, Float64s, Int64s

_BID_TICKS, _BID_LOTS = ROW["bid_ticks_1"], ROW["bid_lots_1"]
_ASK_TICKS, _ASK_LOTS = ROW["ask_ticks_1"], ROW["ask_lots_1"]
_BID_BPS, _ASK_BPS = ROW["bid_depth_1bps_lots"], ROW["ask_depth_1bps_lots"]

_SPREAD = INDEX["spread_ticks"]
_MICROPRICE = INDEX["microprice_offset_ticks"]
_IMBALANCE_L1 = INDEX["queue_imbalance_l1_ratio"]
_IMBALANCE_L2 = INDEX["queue_imbalance_l2_ratio"]
_IMBALANCE_L3 = INDEX["queue_imbalance_l3_ratio"]
_IMBALANCE_L5 = INDEX["queue_imbalance_l5_ratio"]
_IMBALANCE_L10 = INDEX["queue_imbalance_l10_ratio"]
_IMBALANCE_L20 = INDEX["queue_imbalance_l20_ratio"]
_BID_DEPTH = tuple(INDEX[f"bid_depth_l{k}_log1p_lots"] for k in (1, 5, 10, 20))
_ASK_DEPTH = tuple(INDEX[f"ask_depth_l{k}_log1p_lots"] for k in (1, 5, 10, 20))
_SHAPE_NAMES = ("slope_l10_log1p_lots_per_tick", "centre_of_mass_l10_ticks", "gap_1_ticks", "gap_2_ticks")
_BID_SHAPE = tuple(INDEX[f"bid_{name}"] for name in (*_SHAPE_NAMES, "concentration_l10_ratio"))
_ASK_SHAPE = tuple(INDEX[f"ask_{name}"] for name in (*_SHAPE_NAMES, "concentration_l10_ratio"))
_BUY_COST = (INDEX["buy_cost_small_bps"], INDEX["buy_cost_large_bps"])
_SELL_COST = (INDEX["sell_cost_small_bps"], INDEX["sell_cost_large_bps"])
_WEIGHTED_L5 = INDEX["weighted_mid_offset_l5_ticks"]
_WEIGHTED_L10 = INDEX["weighted_mid_offset_l10_ticks"]
_BPS_IMBALANCE = tuple(INDEX[f"depth_imbalance_{n}bps_ratio"] for n in (1, 2, 4))
_GAP_CAP = 1000


@njit(cache=True, error_model="numpy")
def imbalance(bid: int, ask: int) -> float:
    """Return (bid − ask)/(bid + ask), 0 where both are 0."""
    total = bid + ask
    return (bid - ask) / total if total > 0 else 0.0


@njit(cache=True, error_model="numpy")
def _gap(row: Int64s, ticks_at: int, k: int) -> int:
    """Return the ticks between level k and k + 1 (1-based), 1000 where it is wider or level k + 1 is absent."""
    if row[ticks_at + k] < 0:
        return _GAP_CAP
    return min(_GAP_CAP, abs(row[ticks_at + k] - row[ticks_at + k - 1]))


@njit(cache=True, error_model="numpy")
def _side(row: Int64s, ticks_at: int, lots_at: int, depth: tuple, shape: tuple, out: np.ndarray) -> tuple:  # type: ignore[type-arg]
    """Write one side's depth and shape features; return its lots over 2, 3, 5, 10, 20 levels and moments over 5, 10.

    The moment is Σ lots·ticks behind the best. Absent levels hold 0 lots and end the ladder's reach.
    """
    best = row[ticks_at]
    total, moment, reach = 0, 0, 0
    l2 = l3 = l5 = l10 = m5 = m10 = 0
    for k in range(LEVELS):
        lots = row[lots_at + k]
        if row[ticks_at + k] >= 0:
            distance = abs(row[ticks_at + k] - best)
            total += lots
            moment += lots * distance
            if k < 10:
                reach = distance
        if k == 1:
            l2 = total
        elif k == 2:
            l3 = total
        elif k == 4:
            l5, m5 = total, moment
        elif k == 9:
            l10, m10 = total, moment
    # Squares of lots may leave 64 bits (a lot can be 1e-8 of a coin), shares of the total cannot.
    concentration = 0.0
    for k in range(10):
        share = row[lots_at + k] / l10
        concentration += share * share
    out[depth[0]] = np.log1p(row[lots_at])
    out[depth[1]] = np.log1p(l5)
    out[depth[2]] = np.log1p(l10)
    out[depth[3]] = np.log1p(total)
    out[shape[0]] = np.log1p(l10 / (reach + 1))
    out[shape[1]] = m10 / l10
    out[shape[2]] = _gap(row, ticks_at, 1)
    out[shape[3]] = _gap(row, ticks_at, 2)
    out[shape[4]] = concentration
    return l2, l3, l5, l10, total, m5, m10


@njit(cache=True, error_model="numpy")
def _cost_bps(row: Int64s, ticks_at: int, lots_at: int, q: int, spread: int, m2: int) -> float:
    """Return what trading q lots against one side costs beyond the mid: 1e4·|VWAP − mid|/mid.

    Beyond the stored levels the last one's price holds. 2·Σ lots·price − M2·q = spread·q + 2·Σ lots·distance: the same
    integer on both sides, so buying and selling are exact mirrors.
    """
    best = row[ticks_at]
    left, moment, distance = q, 0, 0
    for k in range(LEVELS):
        if row[ticks_at + k] < 0 or left == 0:
            break
        distance = abs(row[ticks_at + k] - best)
        taken = min(left, row[lots_at + k])
        moment += taken * distance
        left -= taken
    moment += left * distance
    return 1e4 * ((spread * q + 2 * moment) / (m2 * q))


@njit(cache=True, error_model="numpy")
def _weighted_mid(spread: int, bid: int, ask: int, bid_moment: int, ask_moment: int) -> float:
    """Return (P^b·A + P^a·B)/(A + B) − mid with P = best ∓ moment/lots, written so that swapping sides negates it."""
    pull = ask_moment * (bid / ask) - bid_moment * (ask / bid)
    return (0.5 * spread * (bid - ask) + pull) / (bid + ask)


@njit(cache=True, error_model="numpy")
def depth_step(row: Int64s, params: Int64s, microprice: Float64s, out: np.ndarray) -> None:  # type: ignore[type-arg]
    """Write the 35 depth features of a valid row into ``out`` (float32, registry positions)."""
    spread = row[_ASK_TICKS] - row[_BID_TICKS]
    m2 = row[_ASK_TICKS] + row[_BID_TICKS]
    bid, ask = row[_BID_LOTS], row[_ASK_LOTS]
    b2, b3, b5, b10, b20, b_m5, b_m10 = _side(row, _BID_TICKS, _BID_LOTS, _BID_DEPTH, _BID_SHAPE, out)
    a2, a3, a5, a10, a20, a_m5, a_m10 = _side(row, _ASK_TICKS, _ASK_LOTS, _ASK_DEPTH, _ASK_SHAPE, out)
    out[_SPREAD] = spread
    out[_MICROPRICE] = microprice_offset(microprice, bid, ask, spread)
    out[_IMBALANCE_L1] = imbalance(bid, ask)
    out[_IMBALANCE_L2] = imbalance(b2, a2)
    out[_IMBALANCE_L3] = imbalance(b3, a3)
    out[_IMBALANCE_L5] = imbalance(b5, a5)
    out[_IMBALANCE_L10] = imbalance(b10, a10)
    out[_IMBALANCE_L20] = imbalance(b20, a20)
    for size in range(2):
        q = params[SMALL + size] if params[INVERSE] else (params[SMALL + size] + m2 - 1) // m2
        out[_BUY_COST[size]] = _cost_bps(row, _ASK_TICKS, _ASK_LOTS, q, spread, m2)
        out[_SELL_COST[size]] = _cost_bps(row, _BID_TICKS, _BID_LOTS, q, spread, m2)
    out[_WEIGHTED_L5] = _weighted_mid(spread, b5, a5, b_m5, a_m5)
    out[_WEIGHTED_L10] = _weighted_mid(spread, b10, a10, b_m10, a_m10)
    for i in range(3):
        out[_BPS_IMBALANCE[i]] = imbalance(row[_BID_BPS + i], row[_ASK_BPS + i])


assert LARGE == SMALL + 1

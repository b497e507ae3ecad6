"""Depth features: functions of the current row's levels (35). Declarations; the arithmetic is in depth_kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from lob_pipeline.features.spec import EVEN, ODD, Feature, declare

_depth = partial(declare, "depth")
_POSITIVE = (0.0, None)
_RATIO = (0.0, 1.0)
_SIGNED = (-1.0, 1.0)
_GOULD = "Gould, Bonart 2016, Queue imbalance as a one-tick-ahead price predictor, definition of the queue imbalance"
_NAES = "after Næs, Skjeltorp 2006, Order book characteristics and the volume-volatility relation, the slope measure"
_FARMER = "Farmer, Gillemot, Lillo, Mike, Sen 2004, What really causes large price changes?, gaps behind the best"
_STOIKOV = "Stoikov 2018, The micro-price, section on the finite-state estimator (G* as the limit of B^j G_1)"
_LARGE_SMALL = (("small", "10,000"), ("large", "100,000"))


def _pair(name: str, unit: str, bid: str, ask: str, **rest: Any) -> Iterator[Feature]:
    yield _depth(f"bid_{name}", unit, bid, f"ask_{name}", **rest)
    yield _depth(f"ask_{name}", unit, ask, f"bid_{name}", **rest)


def _imbalance(levels: int) -> Feature:
    sums = f"(Σ_{{k≤{levels}}}B_k − Σ_{{k≤{levels}}}A_k)/(Σ_{{k≤{levels}}}B_k + Σ_{{k≤{levels}}}A_k) [0]"
    return _depth(
        f"queue_imbalance_l{levels}_ratio",
        "ratio",
        "(B_1 − A_1)/(B_1 + A_1) [0]" if levels == 1 else sums,
        ODD,
        bounds=_SIGNED,
        source=_GOULD if levels <= 2 else "definition of this project",
    )


def _depth_log(side: str, levels: int) -> Feature:
    lots = side[0].upper()
    total = f"{lots}_1" if levels == 1 else f"Σ_{{k≤{levels}}} {lots}_k"
    partner = "ask" if side == "bid" else "bid"
    return _depth(
        f"{side}_depth_l{levels}_log1p_lots",
        "log1p_lots",
        f"ln(1 + {total})",
        f"{partner}_depth_l{levels}_log1p_lots",
        bounds=_POSITIVE,
    )


def _features() -> Iterator[Feature]:
    yield _depth("spread_ticks", "ticks", "S", EVEN, bounds=(1.0, None))
    yield _depth(
        "microprice_offset_ticks",
        "ticks",
        "G*(i, s): i = decile of B_1/(B_1+A_1) (a border belongs to the decile nearer one half, equal queues: 0), "
        "s = min(S,3); G* = Σ_{j=0..5} B^j G_1 of the symmetrised Markov "
        "chain fitted on ≤ 28 strictly earlier days at 100 ms; 0 without a profile",
        ODD,
        source=_STOIKOV,
    )
    yield from (_imbalance(levels) for levels in (1, 2, 3, 5, 10, 20))
    yield from (_depth_log(side, levels) for side in ("bid", "ask") for levels in (1, 5, 10, 20))
    yield from _pair(
        "slope_l10_log1p_lots_per_tick",
        "log1p_lots_per_tick",
        "ln(1 + Σ_{k≤10}B_k / (b_1 − b_10 + 1)) (last level present if thinner)",
        "ln(1 + Σ_{k≤10}A_k / (a_10 − a_1 + 1)) (last level present if thinner)",
        bounds=_POSITIVE,
        source=_NAES,
    )
    yield from _pair(
        "centre_of_mass_l10_ticks",
        "ticks",
        "Σ_{k≤10}B_k(b_1 − b_k)/Σ_{k≤10}B_k",
        "Σ_{k≤10}A_k(a_k − a_1)/Σ_{k≤10}A_k",
        bounds=_POSITIVE,
    )
    for side, first, second in (("bid", "b_1 − b_2", "b_2 − b_3"), ("ask", "a_2 − a_1", "a_3 − a_2")):
        partner = "ask" if side == "bid" else "bid"
        for n, text in ((1, first), (2, second)):
            yield _depth(
                f"{side}_gap_{n}_ticks",
                "ticks",
                f"{text} (cap 1000, also if absent)",
                f"{partner}_gap_{n}_ticks",
                bounds=(1.0, 1000.0),
                source=_FARMER,
            )
    yield from _pair(
        "concentration_l10_ratio",
        "ratio",
        "Σ_{k≤10}B_k² / (Σ_{k≤10}B_k)²",
        "Σ_{k≤10}A_k² / (Σ_{k≤10}A_k)²",
        bounds=_RATIO,
        source="Herfindahl index of the ten best queues",
    )
    yield from _costs()
    yield from (_weighted_mid(levels) for levels in (5, 10))
    yield from (_bps_imbalance(n) for n in (1, 2, 4))


def _costs() -> Iterator[Feature]:
    for side, partner, text in (
        ("buy", "sell", "1e4·(VWAP of buying {q} from the 20 stored asks − mid)/mid"),
        ("sell", "buy", "1e4·(mid − VWAP of selling {q} into the 20 stored bids)/mid"),
    ):
        for size, quote in _LARGE_SMALL:
            q = f"q_{size[0]}"
            yield _depth(
                f"{side}_cost_{size}_bps",
                "bps",
                f"{text.format(q=q)}; what exceeds them at the last level's price; "
                f"{q} = ⌈2·{quote}/(M2·tick·lot)⌉ lots (inverse: ⌈{quote}/contract value⌉)",
                f"{partner}_cost_{size}_bps",
                bounds=_POSITIVE,
                source="cost surface p(t, s, q)",
            )


def _weighted_mid(levels: int) -> Feature:
    return _depth(
        f"weighted_mid_offset_l{levels}_ticks",
        "ticks",
        f"(P^b·ΣA + P^a·ΣB)/(ΣA+ΣB) − mid, sums and lot-weighted mean prices P over k ≤ {levels}",
        ODD,
    )


def _bps_imbalance(n: int) -> Feature:
    return _depth(
        f"depth_imbalance_{n}bps_ratio",
        "ratio",
        f"(D^b_{n} − D^a_{n})/(D^b_{n} + D^a_{n}) [0], D^b_{n} = Σ B_k with "
        f"b_1 − b_k ≤ max({n}, ⌊{n}·M2/20000⌋) ticks, D^a_{n} mirrored",
        ODD,
        bounds=_SIGNED,
    )


DEPTH: tuple[Feature, ...] = tuple(_features())

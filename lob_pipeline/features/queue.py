"""Queue features: flow at and behind the touch over short windows (30). Declarations; arithmetic in queue_kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from lob_pipeline.features.spec import ODD, Feature, declare

_queue = partial(declare, "queue")
_POSITIVE = (0.0, None)
_CLIP10 = (-10.0, 10.0)
_CONT = "Cont, Kukanov, Stoikov 2014, The price impact of order book events, definition of e_n and of OFI"
_XU = "Xu, Gould, Howison 2019, Multi-level order-flow imbalance in a limit order book, definition of MLOFI"
_HUANG = "idea of Huang, Lehalle, Rosenbaum 2015, The queue-reactive model: time until a queue empties"
_ABSORPTION = "absorption signal of this project's predecessor"
_VACUUM = "vacuum signal of this project's predecessor"
_EXHAUSTION = "exhaustion signal of this project's predecessor"


def _sides(name: str, unit: str, formula: str, **rest: Any) -> Iterator[Feature]:
    """Yield bid and ask of a formula written with {side}, {lots} and {price}."""
    for side, partner, lots, price in (("bid", "ask", "B", "b"), ("ask", "bid", "A", "a")):
        text = formula.format(side=side, lots=lots, price=price)
        yield _queue(f"{side}_{name}", unit, text, f"{partner}_{name}", **rest)


def _ofi(levels: int, window: str) -> Feature:
    return _queue(
        f"ofi_l{levels}_{window.replace(' ', '')}_lots",
        "lots",
        f"Σ_w ofi_l{levels}",
        ODD,
        window=window,
        source=_CONT if levels == 1 else _XU,
    )


def _features() -> Iterator[Feature]:
    yield from (_ofi(1, window) for window in ("100 ms", "1 s", "5 s", "30 s"))
    yield from (_ofi(levels, window) for levels, window in ((5, "1 s"), (5, "5 s"), (10, "1 s")))
    yield from _sides("adds_1s_lots", "lots", "Σ_w {side}_add", window="1 s", bounds=_POSITIVE)
    yield from _sides("removals_1s_lots", "lots", "Σ_w {side}_remove", window="1 s", bounds=_POSITIVE)
    yield from _sides(
        "net_depletion_1s_ratio",
        "ratio",
        "Σ_w({side}_remove − {side}_add) / (1 + mean_w {lots}_1), clip 10",
        window="1 s",
        bounds=_CLIP10,
    )
    yield from _sides(
        "removal_share_5s_ratio",
        "ratio",
        "Σ_w {side}_remove / Σ_w({side}_remove + {side}_add) [0.5]",
        window="5 s",
        bounds=(0.0, 1.0),
    )
    for side, partner, text in (("bid", "ask", "b_1 was lower"), ("ask", "bid", "a_1 was higher")):
        yield _queue(
            f"{side}_since_worse_ms",
            "ms",
            f"min(60000, t − time of the last message after which {text} than before it)",
            f"{partner}_since_worse_ms",
            window="cap 60 s",
            bounds=(0.0, 60_000.0),
        )
    for window in ("1 s", "5 s"):
        for way, partner, text in (("up", "down", "rose"), ("down", "up", "fell")):
            name = window.replace(" ", "")
            yield _queue(
                f"mid_{way}_moves_{name}_count",
                "count",
                f"number of messages of the window after which M2 {text}",
                f"mid_{partner}_moves_{name}_count",
                window=window,
                bounds=_POSITIVE,
            )
    yield from _sides(
        "refill_5s_ratio",
        "ratio",
        "rows of w whose {price}_1 equals the row before: "
        "Σ max(0, {side}_add − {side}_remove) / (1 + Σ max(0, {side}_remove − {side}_add)), clip 10",
        window="5 s",
        bounds=(0.0, 10.0),
        source=_ABSORPTION,
    )
    yield from _sides(
        "depth_2bps_vs_60s_ratio",
        "ratio",
        "D^{price}_2 / mean_w D^{price}_2 [1], clip 10",
        window="60 s",
        bounds=(0.0, 10.0),
        source=_VACUUM,
    )
    yield _queue(
        "flow_per_move_5s_ratio",
        "ratio",
        "Σ_w ofi_l1 / ((1 + mean_w (B_1+A_1)/2)·(1 + abs(M2_t − M2_{t−w}))), clip 10",
        ODD,
        window="5 s",
        bounds=_CLIP10,
        source=_EXHAUSTION,
    )
    yield _queue(
        "queue_imbalance_l1_change_1s_ratio",
        "ratio",
        "I_1(t) − I_1(t − w), I_1 = (B_1 − A_1)/(B_1 + A_1)",
        ODD,
        window="1 s",
        bounds=(-2.0, 2.0),
    )
    yield from _sides(
        "time_to_empty_s",
        "s",
        "min(60, (n_w·Δ in s)·{lots}_1 / Σ_w {side}_remove) [60]",
        window="5 s",
        bounds=(0.0, 60.0),
        source=_HUANG,
    )
    yield _queue(
        "ofi_l6_to_l10_5s_lots",
        "lots",
        "Σ_w(ofi_l10 − ofi_l5): flow behind the touch",
        ODD,
        window="5 s",
        source=_XU,
    )


QUEUE: tuple[Feature, ...] = tuple(_features())

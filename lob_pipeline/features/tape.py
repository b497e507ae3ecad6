"""Tape features: what the public trades say (14); v is lots, signed + where the taker bought.

Declarations; the arithmetic is in tape_kernel, and which row a trade belongs to in tape_rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lob_pipeline.features.spec import EVEN, ODD, Feature, declare

_tape = partial(declare, "tape")
_POSITIVE = (0.0, None)
_EASLEY = "Easley, López de Prado, O'Hara 2012, Flow toxicity, VPIN over time bars with the true aggressor side"
_KYLE = "Kyle 1985, Continuous auctions and insider trading: the slope of price on signed volume"


def _features() -> Iterator[Feature]:
    for window in ("1 s", "5 s", "30 s"):
        name = window.replace(" ", "")
        yield _tape(f"signed_volume_{name}_lots", "lots", "Σ_w v", ODD, window=window)
    for window in ("1 s", "30 s"):
        name = window.replace(" ", "")
        yield _tape(f"trade_count_{name}_count", "count", "number of trades", EVEN, window=window, bounds=_POSITIVE)
    for window in ("5 s", "30 s"):
        name = window.replace(" ", "")
        yield _tape(
            f"trade_imbalance_{name}_ratio",
            "ratio",
            "Σ_w v / Σ_w |v| [0]",
            ODD,
            window=window,
            bounds=(-1.0, 1.0),
        )
    yield _tape(
        "vpin_60s_ratio",
        "ratio",
        "Σ|Σv| / ΣΣ|v| [0] over the 60 bars of one second ending at ⌊t⌋; bar s = rows with s − 1 s < t ≤ s",
        EVEN,
        window="60 s",
        bounds=(0.0, 1.0),
        source=_EASLEY,
    )
    yield _tape(
        "kyle_lambda_60s_half_ticks",
        "half_ticks",
        "q_s · Σ x·y / Σ x² over the bars of vpin, x = Σv, y = M2(row s) − M2(row s − 1 s), no intercept [0]",
        EVEN,
        window="60 s",
        source=_KYLE,
    )
    yield _tape(
        "large_trade_1s_flag",
        "flag",
        "1 if a trade of the last 1 s ≥ 50 × mean |v| of 300 s",
        EVEN,
        window="300 s",
        bounds=(0.0, 1.0),
    )
    yield _tape(
        "time_since_trade_ms",
        "ms",
        "min(60000, t − last trade's time, ≥ 0)",
        EVEN,
        window="cap 60 s",
        bounds=(0.0, 60_000.0),
    )
    yield _tape(
        "trade_size_5s_vs_300s_ratio",
        "ratio",
        "mean |v| of 5 s / mean |v| of 300 s [1], clip 20",
        EVEN,
        window="300 s",
        bounds=(0.0, 20.0),
    )
    yield _tape(
        "volume_5s_vs_300s_ratio",
        "ratio",
        "(Σ_5s|v|/n_5s)/(Σ_300s|v|/n_300s) [1], clip 100",
        EVEN,
        window="300 s",
        bounds=(0.0, 100.0),
    )
    yield _tape("vwap_offset_5s_bps", "bps", "1e4·(Σ_w price·|v|/Σ_w|v| − mid)/mid [0]", ODD, window="5 s")


TAPE_FEATURES: tuple[Feature, ...] = tuple(_features())

"""Temporal features: returns, volatility, rates (16). Declarations; arithmetic in temporal_kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lob_pipeline.features.spec import EVEN, ODD, Feature, declare

_temporal = partial(declare, "temporal")
_POSITIVE = (0.0, None)


def _features() -> Iterator[Feature]:
    for window in ("100 ms", "500 ms", "1 s", "5 s", "30 s", "60 s"):
        name = window.replace(" ", "")
        yield _temporal(f"log_return_{name}_bps", "bps", "1e4·ln(M2_t / M2_{t−w})", ODD, window=window)
    for window in ("1 s", "5 s", "30 s", "300 s"):
        name = window.replace(" ", "")
        yield _temporal(
            f"realised_vol_{name}_bps",
            "bps",
            "1e4·sqrt(Σ_w (ΔM2)²)/M2_t, ΔM2 row to row (integer sum; not annualised)",
            EVEN,
            window=window,
            bounds=_POSITIVE,
        )
    yield _temporal(
        "realised_vol_5s_vs_300s_ratio",
        "ratio",
        "sqrt((Σ_5s ΔM2²/n_5s)/(Σ_300s ΔM2²/n_300s)) [1]",
        EVEN,
        window="300 s",
        bounds=_POSITIVE,
    )
    yield _temporal(
        "return_autocorr_lag1_30s_ratio",
        "ratio",
        "Σ_w ΔM2_i·ΔM2_{i−1} / Σ_w ΔM2_i² [0], clip ±1",
        EVEN,
        window="30 s",
        bounds=(-1.0, 1.0),
    )
    yield _temporal("mid_range_60s_bps", "bps", "1e4·(max_w M2 − min_w M2)/M2_t", EVEN, window="60 s", bounds=_POSITIVE)
    yield _temporal(
        "microprice_momentum_1s_ticks",
        "ticks",
        "microprice_offset_t − microprice_offset_{t−w} (the mid's own move is log_return_1s)",
        ODD,
        window="1 s",
    )
    yield _temporal(
        "spread_vs_60s_ratio", "ratio", "S / mean_w S [1], clip 20", EVEN, window="60 s", bounds=(0.0, 20.0)
    )
    yield _temporal("message_rate_1s_hz", "hz", "Σ_w messages / (n_w·Δ in s)", EVEN, window="1 s", bounds=_POSITIVE)


TEMPORAL: tuple[Feature, ...] = tuple(_features())

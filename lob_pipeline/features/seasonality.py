"""Seasonality features: time of day, week and funding, and ratios to the season (8).

Declarations; the arithmetic is in seasonality_kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lob_pipeline.features.spec import EVEN, Feature, declare

_seasonal = partial(declare, "seasonality")
_SIGNED = (-1.0, 1.0)
_CLIP5 = (-5.0, 5.0)
_PROFILE = (
    "seasonal profile of this project: by quarter-hour, the median over ≤ 28 strictly earlier days of the day's mean "
    "spread, and of its messages in 60 s"
)
_PHASES = (
    ("hour", "2π·(t mod 86,400 s)/86,400 s", ", UTC", ", UTC"),
    ("weekday", "2π·((t − Monday 1970-01-05 00:00 UTC) mod 7 d)/7 d", "", ""),
    (
        "funding",
        "2π·(t mod T_f)/T_f",
        ", T_f = funding interval of the market (8 h); no funding: 0",
        ", T_f = funding interval of the market (8 h); no funding: 1",
    ),
)


def _features() -> Iterator[Feature]:
    for name, phase, sine, cosine in _PHASES:
        yield _seasonal(f"{name}_sin", "ratio", f"sin({phase}){sine}", EVEN, bounds=_SIGNED)
        yield _seasonal(f"{name}_cos", "ratio", f"cos({phase}){cosine}", EVEN, bounds=_SIGNED)
    yield _seasonal(
        "spread_vs_season_log",
        "log_ratio",
        "ln(mean_60s S / profile_spread[quarter-hour of the UTC day]), clip ±5; 0 without a profile",
        EVEN,
        window="60 s",
        bounds=_CLIP5,
        source=_PROFILE,
    )
    yield _seasonal(
        "activity_vs_season_log",
        "log_ratio",
        "ln((1 + Σ_60s messages)/(1 + profile_messages_60s[quarter-hour of the UTC day])), clip ±5; "
        "0 without a profile",
        EVEN,
        window="60 s",
        bounds=_CLIP5,
        source=_PROFILE,
    )


SEASONALITY: tuple[Feature, ...] = tuple(_features())

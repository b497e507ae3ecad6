"""Named markets: the one fitted to a recording, which commands use, and the one set by hand that was there before."""

from __future__ import annotations

from typing import Any, NamedTuple

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.config import FlowParams, SimConfig
from lob_pipeline.sim.parts import ALL_PARTS, Parts


class Preset(NamedTuple):
    """A market: about where BTCUSDT opens, in quote units, which parts act, and their parameters."""

    opening_price_quote: int
    parts: Parts
    flow: FlowParams


FITTED = "btcusdt-2023"
BY_HAND = "by-hand"

# Fitted to Binance USDT-M BTCUSDT over midnight of 2023-04-05, how: docs/adr/0165. A step of the search is
# python -m lob_pipeline.sim.fit --home HOME --market binance-usdm.BTCUSDT --dates 2023-04-04..2023-04-05 --state FILE
# --preset by-hand --set NAME=VALUE ... --tries N
PRESETS = {
    FITTED: Preset(
        28_145,
        ALL_PARTS,
        FlowParams(
            touch_rate=11.0,
            touch_reference_lots=4000.0,
            mood_rate=0.5,
            mood_strength=0.9,
            deep_rate=12.0,
            deep_near_share=0.15,
            deep_near_ticks=12.0,
            deep_far_ticks=200.0,
            deep_remote_share=0.15,
            deep_remote_ticks=1500.0,
            deep_quick_share=0.3,
            improve_rate=80.0,
            improve_inward_share=0.7,
            heat_flow=0.4,
            fast_cancel_rate=0.4,
            slow_cancel_rate=0.025,
            young_cancel_share=0.8,
            small_order_share=0.55,
            small_order_lots=20.0,
            small_order_log_sigma=1.5,
            large_order_lots=150.0,
            large_order_log_sigma=1.15,
            noise_rate=1.05,
            noise_decay=6.5,
            noise_same_side=3.2,
            noise_other_side=1.15,
            noise_lots=20.0,
            noise_log_sigma=2.6,
            noise_fit_share=0.4,
            noise_reach_ticks=20.0,
            noise_imbalance=0.5,
            impact_ticks=0.2,
            value_rate=0.055,
            value_decay=0.5,
            value_excitation=0.2,
            value_small_share=0.65,
            value_small_ticks=3.0,
            value_large_ticks=40.0,
            value_cap_ticks=300.0,
            value_imbalance=4.0,
            stale_ticks=0.5,
            pull_rate=80.0,
            arbitrage_rate=8.0,
            arbitrage_least_share=0.05,
            arbitrage_spread_share=0.6,
            maker_rate=0.4,
            maker_urgent_rate=100.0,
            maker_urgent_ticks=1.0,
            maker_lots=645.0,
            maker_inventory_lots=20000.0,
            maker_skew_ticks=3.0,
            maker_spacing=0.4,
            meta_rate=0.004,
            meta_smallest_lots=2000.0,
            meta_largest_lots=400000.0,
            meta_size_exponent=1.5,
            meta_child_s=2.0,
            meta_participation=0.08,
            meta_market_share=0.5,
            meta_patience_s=1800.0,
            informed_share=0.25,
            informed_lead_s=12.0,
            informed_rate=3.0,
            informed_take_share=0.9,
            informed_queue_share=0.9,
            informed_margin_ticks=1.0,
            regime_seconds=900.0,
            regime_sigma=0.25,
            season_strength=1.0,
            burst_rate=0.0006666666666666666,
            burst_value_heat=4.0,
            burst_noise_heat=3.0,
        ),
    ),
    BY_HAND: Preset(60_000, Parts(), FlowParams()),
}


def configured(preset: str = FITTED, **fields: Any) -> SimConfig:
    """Return the run of a preset; ``fields``: any others of ``SimConfig``, such as ``seed`` and ``minutes``.

    Raises ``BadInputError`` for a name that no preset has, and as ``SimConfig`` does.
    """
    if preset not in PRESETS:
        raise BadInputError(f"preset {preset!r} is unknown: expected one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    taken = {"opening_price_quote": chosen.opening_price_quote, "parts": chosen.parts, "flow": chosen.flow}
    return SimConfig(**{**taken, "preset": preset, **fields})

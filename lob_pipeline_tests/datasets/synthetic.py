"""Small random instants: gaps, unusable rows, rows that decide nothing, orders of every fate."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.datasets.instants import SUFFIXES, Instants, empty_orders, segments

STEP_NS = 1_000_000_000
BLOCK_NS = 120 * STEP_NS
SPAN_NS = 9 * STEP_NS
START_NS = 1_000 * BLOCK_NS


def random_instants(seed: int, n: int = 1200, *, gap_rate: float = 0.004, decides: float = 0.8) -> Instants:
    """``n`` rows one second apart but for gaps of up to two blocks; spans of nine seconds; blocks of two minutes."""
    rng = np.random.default_rng(seed)
    steps = np.ones(n, np.int64)
    gaps = rng.random(n) < gap_rate
    steps[gaps] = rng.integers(2, 240, int(gaps.sum()))
    ts_ns = START_NS + int(rng.integers(0, 200)) * STEP_NS + np.cumsum(steps) * STEP_NS
    usable = rng.random(n) < 0.99
    usable[: int(rng.integers(0, 60))] = False
    features = rng.normal(size=(n, 3)).astype(np.float32)
    features[~usable, 0] = np.nan
    has_label = rng.random(n) < decides
    orders = empty_orders(n)
    orders.valid[:] = (has_label & (rng.random(n) < 0.97))[:, None]
    orders.valid[rng.random((n, 2)) < 0.01] = False
    orders.price_ticks[:] = np.where(orders.valid, 1000 + rng.integers(0, 2, (n, 2)), 0)
    for s in SUFFIXES:
        filled = orders.valid & (rng.random((n, 2)) < 0.5)
        orders.filled[s][:] = filled
        delay = rng.integers(1, 4, (n, 2)) * STEP_NS
        orders.fill_delay_ns[s][:] = np.where(filled, delay, np.where(orders.valid, -1, 0))
        edge = np.where(filled & (rng.random((n, 2)) < 0.95), rng.normal(-1, 3, (n, 2)), np.nan)
        adverse = np.where(filled, (rng.random((n, 2)) < 0.3).astype(float), np.nan)
        orders.edge_bps[s][:], orders.adverse[s][:] = edge, adverse
        entry = np.where(orders.valid, ((edge > 0) & (adverse == 0)).astype(float), np.nan)
        orders.entry[s][:] = np.where(filled & np.isnan(edge), np.nan, entry)
        orders.exit_maker_ratio[s][:] = np.where(np.isnan(edge), np.nan, rng.integers(0, 2, (n, 2)))
    known = orders.filled[""]
    orders.mfe_bps[:] = np.where(known, rng.exponential(2, (n, 2)), np.nan)
    orders.mae_bps[:] = np.where(known, -rng.exponential(2, (n, 2)), np.nan)
    mid = np.round(rng.normal(0, 1.5, n)) * 0.5
    mid[~orders.valid.any(axis=1)] = np.nan
    latency = 0 if seed % 2 else STEP_NS // 20  # without one, spans end exactly at rows and block edges
    arrive = np.where(has_label, ts_ns + latency, 0)
    return Instants(
        market="sim.BTCUSDT",
        clock_id="t1s",
        step_ns=STEP_NS,
        block_ns=BLOCK_NS,
        names=("spread_ticks", "ofi_l1_1s_lots", "log_return_1s_bps"),
        features=features,
        ts_ns=ts_ns,
        segment=segments(ts_ns, usable, STEP_NS),
        t_arrive_ns=arrive,
        t_end_ns=np.where(has_label, arrive + SPAN_NS, 0),
        mid_return_bps=mid,
        orders=orders,
        dates=("1970-01-02",),
    )


def first_rows(instants: Instants, n: int) -> Instants:
    """The same data as it was when only the first ``n`` rows were there."""

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: v[:n] for k, v in value.items()}
        return value[:n]

    own = {k: cut(v) for k, v in instants.orders.__dict__.items()}
    rows = ("features", "ts_ns", "segment", "t_arrive_ns", "t_end_ns", "mid_return_bps")
    fields = dict(instants.__dict__) | {k: cut(getattr(instants, k)) for k in rows}
    return Instants(**(fields | {"orders": type(instants.orders)(**own)}))

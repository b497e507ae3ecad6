"""What a trade costs at each instant and size: p(t, side, size) from the 20 stored levels (METHODS.md, Costs).

Slippage is integer (ticks × lots) until the one division into bps. An order that exceeds the 20 stored levels has
no known price: it is flagged and counted as truncated, never extrapolated. A quantile that falls among truncated
rows is NaN ("at least beyond the book we store"), so thin books cannot look cheap by leaving out their worst rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import LEVELS
from lob_pipeline.core.units import NS_PER_DAY
from lob_pipeline.labels.spec import Fees, fees_of

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

STYLES = ("maker_maker", "maker_taker", "taker_taker")
COST_COLUMNS: tuple[str, ...] = (
    "ts_ns",
    "valid",
    *(f"{side}_{what}_{k}" for side in ("bid", "ask") for what in ("ticks", "lots") for k in range(1, LEVELS + 1)),
)
_NS_PER_HOUR = NS_PER_DAY // 24


@dataclass(frozen=True)
class CostConfig:
    """Order sizes in quote currency, the quantiles reported, and how many rows are kept at most."""

    sizes_quote: tuple[int, ...] = (1_000, 10_000, 50_000, 100_000, 500_000)
    quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    max_rows: int = 1_500_000


def style_fee_bps(fees: Fees, style: str) -> float:
    """Return fee_in + fee_out of a style in bps."""
    takers = STYLES.index(style)
    return (2 - takers) * fees.maker_bps + takers * fees.taker_bps


@njit(cache=True)
def walk(ticks: Int, lots: Int, q: int) -> tuple[int, int]:
    """Take ``q`` lots from one side's levels, best first.

    ``ticks``, ``lots``: int64 (levels,), −1 / 0 where absent. Returns ``(slippage, left)``: Σ |price − best|·lots
    in tick·lots over what was taken, and the lots that the stored levels could not supply.
    """
    left = q
    slippage = 0
    for k in range(ticks.shape[0]):
        if left == 0 or ticks[k] < 0:
            break
        taken = min(left, lots[k])
        slippage += abs(ticks[k] - ticks[0]) * taken
        left -= taken
    return slippage, left


@njit(cache=True)
def walk_rows(ticks: Int, lots: Int, q: Int, slippage: Int, short: npt.NDArray[np.bool_]) -> None:
    """``walk`` for every row and size: ticks, lots (n, levels); q, slippage, short (n, sizes)."""
    for i in range(ticks.shape[0]):
        for j in range(q.shape[1]):
            paid, left = walk(ticks[i], lots[i], q[i, j])
            slippage[i, j] = paid
            short[i, j] = left > 0


def sizes_in_lots(instrument: Instrument, m2: Int, sizes_quote: tuple[int, ...]) -> Int:
    """Return q (n, sizes): the lots of each quote size at each mid, rounded up exactly (``Instrument.order_lots``)."""
    if instrument.contract == "inverse":
        row = [instrument.order_lots(size, 1) for size in sizes_quote]
        return np.broadcast_to(np.array(row, np.int64), (m2.shape[0], len(row))).copy()
    num, den = instrument.lots_scale
    return np.stack([_whole_lots(2 * size * den, m2 * num) for size in sizes_quote], axis=1)


def _whole_lots(value: int, worth: Int) -> Int:
    """Return ⌈value / worth⌉ (n,), exact; what exceeds 2^62 lots, more than any book holds, is that.

    Where a lot is 10^-8 of a coin that is quoted in another one, ``value`` leaves 64 bits.
    """
    if value < 1 << 63:
        return -(np.int64(-value) // worth)
    return np.array([min(-(-value // one), 1 << 62) for one in worth.tolist()], np.int64)


def _matrix(rows: Columns, side: str, what: str, keep: npt.NDArray[np.bool_]) -> Int:
    return np.stack([np.asarray(rows[f"{side}_{what}_{k}"], np.int64)[keep] for k in range(1, LEVELS + 1)], axis=1)


@dataclass(frozen=True)
class RowCosts:
    """Costs of ``n`` valid rows: ``ts_ns`` (n,), ``spread_bps`` (n,), slippage in bps (n, sizes), NaN where truncated.

    ``m2`` is twice the mid in ticks. ``buy_bps`` walks the asks, ``sell_bps`` the bids; both are measured from the
    touch and divided by the order's value at the mid.
    """

    ts_ns: Int
    m2: Int
    spread_bps: Float
    buy_bps: Float
    sell_bps: Float


def row_costs(rows: Columns, instrument: Instrument, sizes_quote: tuple[int, ...]) -> RowCosts:
    """Return the cost of each size at each *valid* row of a chunk of ``book_snapshots`` (``COST_COLUMNS``)."""
    keep = np.asarray(rows["valid"], bool)
    bid, ask = _matrix(rows, "bid", "ticks", keep), _matrix(rows, "ask", "ticks", keep)
    m2 = bid[:, 0] + ask[:, 0]
    q = sizes_in_lots(instrument, m2, sizes_quote)
    shape = q.shape
    found = []
    for ticks, lots in ((ask, _matrix(rows, "ask", "lots", keep)), (bid, _matrix(rows, "bid", "lots", keep))):
        slippage, short = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
        walk_rows(ticks, lots, q, slippage, short)
        bps = 2e4 * slippage / (q.astype(np.float64) * m2[:, None])  # the product of whole numbers may leave 64 bits
        found.append(np.where(short, np.nan, bps))
    return RowCosts(
        ts_ns=np.asarray(rows["ts_ns"], np.int64)[keep],
        m2=m2,
        spread_bps=2e4 * (ask[:, 0] - bid[:, 0]) / m2,
        buy_bps=found[0],
        sell_bps=found[1],
    )


def order_value_quote(costs: RowCosts, instrument: Instrument, sizes_quote: tuple[int, ...]) -> Float:
    """Return q·p (n, sizes): what the whole lots of each size are worth at the mid, in quote currency.

    An inverse contract is worth its face value whatever the price.
    """
    q = sizes_in_lots(instrument, costs.m2, sizes_quote)
    if instrument.contract == "inverse":
        return np.asarray(q * float(instrument.contract_value), np.float64)
    num, den = instrument.lots_scale
    return np.asarray(q * (costs.m2[:, None] * (num / (2.0 * den))), np.float64)


def trade_cost_bps(costs: RowCosts, fees: Fees, style: str) -> tuple[Float, Float]:
    """Return the round trip's cost in bps (n, sizes) for a long and for a short.

    A maker leg pays its fee only; a taker leg pays its fee, half the spread and its own slippage. So taker–taker is
    METHODS' ``fees + spread + slippage_buy + slippage_sell``, and maker–maker has neither spread nor slippage. The
    maker–taker long leaves by selling, the short by buying.
    """
    fee = style_fee_bps(fees, style)
    half = costs.spread_bps[:, None] / 2.0
    if style == "maker_maker":
        flat = np.full(costs.buy_bps.shape, fee)
        return flat, flat
    if style == "maker_taker":
        return fee + half + costs.sell_bps, fee + half + costs.buy_bps
    both = fee + 2.0 * half + costs.buy_bps + costs.sell_bps
    return both, both


def censored_quantiles(values: Float, probabilities: tuple[float, ...]) -> list[float | None]:
    """Return the quantiles of ``values`` where NaN means "more than we can see": such rows sort to the top.

    The quantile is the smallest value with at least a share p of the rows at or below it; None where that row is
    truncated, or where there are no rows.
    """
    if values.size == 0:
        return [None for _ in probabilities]
    at = [max(0, int(np.ceil(p * values.size)) - 1) for p in probabilities]
    ordered = np.partition(values, at)  # numpy puts NaN behind every number
    return [None if np.isnan(ordered[i]) else float(ordered[i]) for i in at]


@dataclass
class CostAccumulator:
    """Collects row costs chunk by chunk; ``summary`` turns them into distributions by size, by hour, by style.

    Beyond ``max_rows`` rows only every k-th row is kept (k doubles), and the summary says so in ``every_kth_row``.
    """

    instrument: Instrument
    config: CostConfig = field(default_factory=CostConfig)
    stride: int = 1
    _seen: int = 0
    _kept: int = 0
    _parts: list[RowCosts] = field(default_factory=list)

    def add(self, rows: Columns) -> None:
        """Add a chunk of ``book_snapshots`` columns."""
        part = row_costs(rows, self.instrument, self.config.sizes_quote)
        self._push(_every(part, -self._seen % self.stride, self.stride))
        self._seen += len(part.ts_ns)
        while self._kept > self.config.max_rows:
            whole = _concatenate(self._parts)
            self._parts, self._kept = [], 0
            self.stride *= 2
            self._push(_every(whole, 0, 2))

    def _push(self, part: RowCosts) -> None:
        if len(part.ts_ns):
            self._parts.append(part)
            self._kept += len(part.ts_ns)

    def costs(self) -> RowCosts:
        """Return everything kept as one ``RowCosts``."""
        return _concatenate(self._parts) if self._parts else _empty(len(self.config.sizes_quote))

    def summary(self) -> dict[str, Any]:
        """Return the cost surface as plain JSON types (see ``summarise``)."""
        found = summarise(self.costs(), self.instrument, self.config)
        return {"market": str(self.instrument.market), "every_kth_row": self.stride, "valid_rows": self._seen, **found}


def _every(part: RowCosts, first: int, step: int) -> RowCosts:
    if step == 1:
        return part
    return RowCosts(*(getattr(part, name)[first::step] for name in RowCosts.__dataclass_fields__))


def _concatenate(parts: list[RowCosts]) -> RowCosts:
    return RowCosts(*(np.concatenate([getattr(p, name) for p in parts]) for name in RowCosts.__dataclass_fields__))


def _empty(sizes: int) -> RowCosts:
    whole, wide = np.empty(0, np.int64), np.empty((0, sizes))
    return RowCosts(whole, whole, np.empty(0), wide, wide)


def _spread(values: Float, config: CostConfig) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    names = [f"p{p * 100:g}" for p in config.quantiles]
    return {
        "rows": int(values.size),
        "truncated_share": float(1.0 - known.size / values.size) if values.size else None,
        # a mean that leaves out the truncated rows would flatter a thin book: it is given only where none is
        "mean_bps": float(known.mean()) if known.size and known.size == values.size else None,
        "quantiles_bps": dict(zip(names, censored_quantiles(values, config.quantiles), strict=True)),
    }


def summarise(costs: RowCosts, instrument: Instrument, config: CostConfig) -> dict[str, Any]:
    """Return distributions: ``spread``, and a list ``surface`` of one entry per (size, side, style), each with hours.

    Quantile names are ``p5 … p99``; None stands where the quantile lies beyond the stored levels.
    """
    fees = fees_of(instrument)
    hours = ((costs.ts_ns - 1) % NS_PER_DAY) // _NS_PER_HOUR
    value = order_value_quote(costs, instrument, config.sizes_quote)
    surface: list[dict[str, Any]] = []
    for style in STYLES:
        long, short = trade_cost_bps(costs, fees, style)
        for j, size in enumerate(config.sizes_quote):
            of_long = _trip(long[:, j], value[:, j], config)
            of_short = of_long if short is long else _trip(short[:, j], value[:, j], config)
            for side, found in (("long", of_long), ("short", of_short)):
                surface.append({"style": style, "side": side, "size_quote": size, **found})
    slippage = []
    for side, bps in (("buy", costs.buy_bps), ("sell", costs.sell_bps)):
        for j, size in enumerate(config.sizes_quote):
            by_hour = _by_hour(hours, bps[:, j], config)
            slippage.append({"side": side, "size_quote": size, **_spread(bps[:, j], config), "hours": by_hour})
    spread = costs.spread_bps
    return {
        "fees_bps": {style: style_fee_bps(fees, style) for style in STYLES},
        "fees_as_of": instrument.fees_as_of,
        "median_mid_quote": round(float(np.median(costs.m2)) * float(instrument.tick) / 2, 9)
        if costs.m2.size
        else None,
        "spread": {**_spread(spread, config), "hours": _by_hour(hours, spread, config)},
        "slippage": slippage,
        "surface": surface,
    }


def _trip(bps: Float, value_quote: Float, config: CostConfig) -> dict[str, Any]:
    quote = censored_quantiles(bps * value_quote / 1e4, (0.5,))[0]
    return {"median_quote": quote, **_spread(bps, config)}


def _by_hour(hours: Int, values: Float, config: CostConfig) -> list[dict[str, Any]]:
    return [{"hour": int(h), **_spread(values[hours == h], config)} for h in np.unique(hours)]

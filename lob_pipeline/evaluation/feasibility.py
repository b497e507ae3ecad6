"""Can any model pay here? The calculation before training: best case − fees − adverse selection − slippage.

The best case is an oracle that knows the direction of every move: it earns the mean absolute move of the mid. Nobody
is that good; where even the oracle does not pay its fees, no model can. Beside it stand the simulated maker orders of
the labels, where they exist: what was really filled, what the mid did afterwards, and what the whole trade left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.evaluation.costs import STYLES, style_fee_bps
from lob_pipeline.evaluation.outcomes import MARKOUT_HORIZONS, LabelOutcomes, summarise_labels
from lob_pipeline.evaluation.significance import Estimate, block_mean, mean_block_ns
from lob_pipeline.labels.spec import Fees

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

HORIZONS: tuple[tuple[str, int], ...] = (
    ("100ms", 100 * NS_PER_MS),
    ("500ms", 500 * NS_PER_MS),
    ("1s", NS_PER_S),
    ("5s", 5 * NS_PER_S),
    ("10s", 10 * NS_PER_S),
    ("30s", 30 * NS_PER_S),
    ("60s", 60 * NS_PER_S),
)

MINIMUM_WINDOWS = 30
"""With fewer windows that do not overlap, a horizon supports no sentence and no verdict."""

CAVEATS = (
    "The mean absolute move is what an oracle would earn that is right every time; real signals keep a fraction of it.",
    "The maker's line counts half a spread only through the markouts of simulated fills; without labels it is "
    "left out, and so is the chance of not being filled.",
    "Fees are the venue's base tier; another tier or a rebate moves every line by the same amount.",
    "Intervals are 95 % block-bootstrap intervals; effective n counts windows that do not overlap.",
)


@dataclass(frozen=True)
class MidSeries:
    """Best prices on the grid, days appended one after another: ``ts_ns``, ``bid_ticks``, ``ask_ticks``, ``valid``.

    All (n,); ``step_ns`` is the clock's step.
    """

    ts_ns: Int
    bid_ticks: Int
    ask_ticks: Int
    valid: npt.NDArray[np.bool_]
    step_ns: int

    @property
    def m2(self) -> Int:
        """Return twice the mid in ticks."""
        return self.bid_ticks + self.ask_ticks

    def spread_bps(self) -> Float:
        """Return the spread in bps of the mid (n,), NaN on invalid rows."""
        return np.where(self.valid, 2e4 * (self.ask_ticks - self.bid_ticks) / np.maximum(self.m2, 1), np.nan)


def moves_bps(series: MidSeries, horizon_ns: int) -> Float:
    """Return 1e4·ln(mid(t + h)/mid(t)) (n,): NaN unless both rows exist, exactly h apart, and are valid."""
    out = np.full(series.ts_ns.shape[0], np.nan)
    ahead = horizon_ns // series.step_ns
    if horizon_ns % series.step_ns or ahead == 0 or ahead >= out.shape[0]:
        return out
    whole = series.valid[:-ahead] & series.valid[ahead:]
    whole &= series.ts_ns[ahead:] - series.ts_ns[:-ahead] == horizon_ns
    m2 = series.m2
    out[:-ahead][whole] = 1e4 * np.log(m2[ahead:][whole] / m2[:-ahead][whole])
    return out


@njit(cache=True)
def non_overlapping(known: npt.NDArray[np.bool_], width: int) -> int:
    """Return how many windows of ``width`` rows fit without overlap, each starting at a ``known`` row."""
    count = 0
    i = 0
    while i < known.shape[0]:
        if known[i]:
            count += 1
            i += width
        else:
            i += 1
    return count


@dataclass(frozen=True)
class Crossing:
    """What crossing costs beyond the half spread: mean slippage in bps of one side at ``size_quote``, None unknown."""

    size_quote: int
    slippage_bps: float | None


def feasibility(
    series: MidSeries, fees: Fees, crossing: Crossing, labels: LabelOutcomes | None = None
) -> dict[str, Any]:
    """Return the feasibility of any model, by horizon and style, as plain JSON types.

    ``horizons``: mean absolute move with interval and effective n, share of windows that move more than each style's
    fees, adverse selection of simulated fills (− mean markout, proportional model), the net of each style, and one
    plain sentence. ``labels``: outcomes per queue model, or None. Horizons shorter than the clock's step are left out.
    """
    spread = series.spread_bps()
    half_spread = float(np.nanmean(spread)) / 2.0 if np.any(series.valid) else None
    found = summarise_labels(labels) if labels is not None else None
    entries = [
        _horizon(series, name, h, fees, half_spread, crossing, found)
        for name, h in HORIZONS
        if h >= series.step_ns and h % series.step_ns == 0
    ]
    return {
        "rows": int(series.ts_ns.size),
        "valid_rows": int(series.valid.sum()),
        "fees_bps": {style: style_fee_bps(fees, style) for style in STYLES},
        "half_spread_bps": half_spread,
        "slippage_bps": crossing.slippage_bps,
        "slippage_size_quote": crossing.size_quote,
        "horizons": entries,
        "labels": found,
        "sentence": _verdict(entries, fees),
        "caveats": list(CAVEATS),
    }


def _horizon(
    series: MidSeries,
    name: str,
    horizon_ns: int,
    fees: Fees,
    half_spread: float | None,
    crossing: Crossing,
    labels: dict[str, Any] | None,
) -> dict[str, Any]:
    size = np.abs(moves_bps(series, horizon_ns))
    known = ~np.isnan(size)
    move = block_mean(size, mean_block_ns(horizon_ns) / series.step_ns)
    above = {s: float(np.mean(size[known] > style_fee_bps(fees, s))) if move.n else None for s in STYLES}
    windows = int(non_overlapping(known, horizon_ns // series.step_ns))
    adverse = None
    if labels is not None and name in MARKOUT_HORIZONS:
        markout = labels["models"]["proportional"]["markouts_bps"][name]["mean"]
        adverse = None if markout is None else -markout
    return {
        "horizon": name,
        "horizon_ns": horizon_ns,
        "mean_abs_move_bps": move.to_json(),
        "effective_n": windows,
        "enough": windows >= MINIMUM_WINDOWS,
        "share_above_fees": above,
        "adverse_selection_bps": adverse,
        "net_bps": {s: _net(s, move, fees, half_spread, crossing, adverse) for s in STYLES},
        "sentence": _sentence(name, move, windows, above["maker_maker"], fees),
    }


def _net(
    style: str,
    move: Estimate,
    fees: Fees,
    half_spread: float | None,
    crossing: Crossing,
    adverse: float | None,
) -> dict[str, float | None]:
    """Return the oracle's move less everything: None where a term is not known. A taker has no adverse selection."""
    crossings = STYLES.index(style)
    terms = [style_fee_bps(fees, style)]
    if style != "taker_taker":
        terms.append(adverse if adverse is not None else 0.0)
    if crossings:
        if half_spread is None or crossing.slippage_bps is None:
            return {"mean": None, "low": None, "high": None}
        terms.append(crossings * (half_spread + crossing.slippage_bps))
    cost = sum(terms)
    return {
        k: None if v is None else v - cost for k, v in (("mean", move.mean), ("low", move.low), ("high", move.high))
    }


def _sentence(name: str, move: Estimate, windows: int, above: float | None, fees: Fees) -> str:
    where = f"At {spaced(name)}"
    if move.mean is None or above is None:
        return f"{where} there is no pair of valid rows: nothing can be said."
    if windows < MINIMUM_WINDOWS:
        return (
            f"{where} the recording holds {windows} of the {MINIMUM_WINDOWS} separate windows that a statement needs."
        )
    fee = style_fee_bps(fees, "maker_maker")
    text = f"{where} the whole average move is {move.mean:.2f} bps, the maker–maker fee is {fee:g} bps: "
    if move.mean <= fee:
        return text + (
            f"trading every move in the right direction would not pay the fee; {above:.1%} of the moves exceed it."
        )
    return text + f"a model must keep at least {fee / move.mean:.0%} of what an oracle earns."


def spaced(horizon: str) -> str:
    """Return ``100 ms`` for ``100ms``."""
    digits = horizon.rstrip("ms")
    return f"{digits} {horizon[len(digits) :]}"


def _verdict(entries: list[dict[str, Any]], fees: Fees) -> str:
    fee = style_fee_bps(fees, "maker_maker")
    known = [e for e in entries if e["enough"]]
    if not known:
        return (
            f"No horizon has {MINIMUM_WINDOWS} windows of valid rows that do not overlap: "
            "feasibility cannot be judged on this recording."
        )
    above = [e for e in known if e["mean_abs_move_bps"]["mean"] > fee]
    first = above[0] if above else known[-1]
    where, move = spaced(first["horizon"]), first["mean_abs_move_bps"]["mean"]
    if not above:
        share = first["share_above_fees"]["maker_maker"]
        return (
            f"Up to {where} the whole average move ({move:.2f} bps) stays below the maker–maker fee ({fee:g} bps): "
            f"trading every move in the right direction would lose money. "
            f"{share:.1%} of the {where} moves exceed the fee."
        )
    below = "" if first is known[0] else f" Below {where} trading every move in the right direction loses money."
    return (
        f"From {where} on the whole average move ({move:.2f} bps there) exceeds the maker–maker fee ({fee:g} bps)."
        f"{below} That an oracle pays says nothing yet about a model."
    )

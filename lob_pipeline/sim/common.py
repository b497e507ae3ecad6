"""Several symbols of one market: jumps of the value that all of them share.

A share of the jumps of every symbol's latent value comes from one stream, keyed by (seed, date) and by no symbol: same
instants, same directions, same sizes in ticks. The rest, and everything else a symbol does, comes from streams of its
own (``SimConfig.market_seed``). So a symbol generated alone has the bytes that it has among others, and two symbols'
returns are correlated as far as their values are. This is a one-factor model in trade time: Hayashi and Yoshida,
"On covariance estimation of non-synchronously observed diffusion processes", Bernoulli 11 (2005), is how to measure it
finer than the minute that ``minute_correlation`` uses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.jit import njit
from lob_pipeline.sim.config import FlowParams
from lob_pipeline.sim.flow import SEASON, VALUE, Agents
from lob_pipeline.sim.informed import announced
from lob_pipeline.sim.parts import FAR_US

_STREAM = 3 << 40
_US = 1_000_000
_HOUR_US = 3_600_000_000
_MOST_OFFSPRING = 0.95  # a jump brings fewer than one other: clusters end
Ints = npt.NDArray[np.int64]


class Common(NamedTuple):
    """The shared jumps of one day: ``t_us`` int64 (n,) ascending, ``ticks`` float64 (n,) signed; ``at`` the next."""

    t_us: npt.NDArray[np.int64]
    ticks: npt.NDArray[np.float64]
    at: npt.NDArray[np.int64]


def no_common() -> Common:
    """Return the shared jumps of a market that shares nothing."""
    return Common(np.zeros(0, np.int64), np.zeros(0), np.zeros(1, np.int64))


def draw_common(seed: int, day: int, from_us: int, until_us: int, share: float, params: FlowParams) -> Common:
    """Return the shared jumps of the session ``[from_us, until_us)`` of day number ``day``.

    A Hawkes process by clusters: first jumps are Poisson of rate ``share * value_rate`` per second times the hour's
    activity, and those of shared bursts; each jump brings others after it, as a symbol's own jumps do
    (``value_excitation``, ``value_decay``), and these are shared too. Sizes are as a symbol's own
    (``value_small_ticks``, ``value_large_ticks``), directions fair coins. Source of the clusters: Hawkes and Oakes,
    J. Applied Probability 11 (1974).
    """
    if share == 0.0 or params.value_rate == 0.0:
        return no_common()
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, _STREAM + day], np.uint64)))
    hourly = SEASON**params.season_strength
    highest, seconds = float(hourly.max()), (until_us - from_us) / _US
    t_us = rng.integers(from_us, until_us, rng.poisson(highest * share * params.value_rate * seconds))
    hour = (t_us % (24 * _HOUR_US)) / _HOUR_US
    t_us = t_us[rng.random(len(t_us)) * highest < np.interp(hour, np.arange(25), [*hourly, hourly[0]])]
    bursts = rng.integers(from_us, until_us, rng.poisson(params.burst_rate * seconds))
    t_us = np.concatenate([t_us, _offspring(rng, bursts, share * params.burst_value_heat, params.value_decay)])
    heat = min(params.value_excitation, _MOST_OFFSPRING * params.value_decay)
    every = [t_us]
    while len(every[-1]):
        every.append(_offspring(rng, every[-1], heat, params.value_decay))
    t_us = np.sort(np.concatenate(every))
    t_us = t_us[t_us < until_us]
    n = len(t_us)
    scale = np.where(rng.random(n) < params.value_small_share, params.value_small_ticks, params.value_large_ticks)
    ticks = np.minimum(params.value_cap_ticks, 1.0 + scale * rng.exponential(size=n))
    return Common(t_us, np.where(rng.random(n) < 0.5, ticks, -ticks), np.zeros(1, np.int64))


def _offspring(rng: np.random.Generator, t_us: Ints, heat: float, decay: float) -> Ints:
    """Return the jumps that each instant's heat (intensity per second, fading by ``decay`` a second) brings."""
    if decay == 0.0:
        return t_us[:0]
    after = np.repeat(t_us, rng.poisson(heat / decay, len(t_us)))
    return after + 1 + np.round(_US * rng.exponential(1.0 / decay, len(after))).astype(np.int64)


@njit(cache=True)
def common_due_us(common: Common) -> int:
    """Return when the next shared jump happens, ``FAR_US`` after the last."""
    return int(common.t_us[common.at[0]]) if common.at[0] < common.t_us.size else FAR_US


@njit(cache=True)
def common_step(agents: Agents, common: Common, params: FlowParams, t_us: int) -> None:
    """Let the shared jumps due at ``t_us`` happen, as a symbol's own do: announced to the informed or at once."""
    while common_due_us(common) <= t_us:
        ticks = common.ticks[common.at[0]]
        if not announced(agents.informed, params, ticks, t_us):
            agents.latent[VALUE] += ticks
        common.at[0] += 1


def minute_correlation(mids: dict[str, npt.NDArray[np.float64]]) -> dict[str, float | None]:
    """Return Pearson's correlation of the 1-minute log returns of every pair of symbols, ``"A,B"`` in order of names.

    ``mids``: symbol -> mid at each whole minute, float64 (minutes,), days in a row with NaN between them. None where
    fewer than three returns are known or one symbol did not move. Raises ``ValueError`` for different lengths.
    """
    names, found = sorted(mids), dict[str, float | None]()
    returns = {name: np.diff(np.log(mids[name])) for name in names}
    if len({len(r) for r in returns.values()}) > 1:
        raise ValueError(f"{ {n: len(r) for n, r in returns.items()} } returns: expected as many of each symbol")
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            known = np.isfinite(returns[one]) & np.isfinite(returns[other])
            x, y = returns[one][known], returns[other][known]
            moved = len(x) >= 3 and x.std() > 0 and y.std() > 0
            found[f"{one},{other}"] = round(float(np.corrcoef(x, y)[0, 1]), 4) if moved else None
    return found

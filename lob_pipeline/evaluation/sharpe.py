"""Sharpe ratios that know their sample: probabilistic and deflated (Bailey and López de Prado 2012, 2014)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

_EULER = 0.577_215_664_901_532_9
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Sharpe:
    """``sharpe``: mean / standard deviation per trade (not annualised). ``psr``: P(true SR > 0).

    ``benchmark``: the SR that the best of ``trials`` worthless recipes would show. ``dsr``: P(true SR > benchmark).
    None where fewer than three trades or no variance leave them undefined.
    """

    sharpe: float | None
    psr: float | None
    dsr: float | None
    benchmark: float
    trials: int
    n: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def sharpe_per_trade(pnl_bps: Float) -> float | None:
    """Return mean / sample standard deviation of ``pnl_bps`` (n,); None under two values or without variance."""
    if pnl_bps.size < 2:
        return None
    deviation = float(pnl_bps.std(ddof=1))
    return float(pnl_bps.mean()) / deviation if deviation > 0.0 else None


def psr_of_moments(ratio: float, benchmark: float, skewness: float, kurtosis: float, n: int) -> float | None:
    """Return PSR(SR*), the probability that the true Sharpe ratio exceeds ``benchmark``; None where it is undefined.

    PSR = Φ[(SR − SR*)·√(n − 1) / √(1 − γ₃·SR + (γ₄ − 1)/4·SR²)], γ₃ the skewness and γ₄ the kurtosis (3 for a normal)
    of the n returns (Bailey, López de Prado 2012, equation 11).
    """
    variance = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if n < 3 or variance <= 0.0:
        return None
    return _NORMAL.cdf((ratio - benchmark) * math.sqrt(n - 1) / math.sqrt(variance))


def probabilistic_sharpe(pnl_bps: Float, benchmark: float = 0.0) -> float | None:
    """Return ``psr_of_moments`` of the trades ``pnl_bps`` (n,).

    Trades are taken as independent: one at a time, they nearly are; the block-bootstrap bound that stands beside this
    number in every verdict does not assume so.
    """
    ratio = sharpe_per_trade(pnl_bps)
    if ratio is None:
        return None
    z = (pnl_bps - pnl_bps.mean()) / pnl_bps.std()
    return psr_of_moments(ratio, benchmark, float(np.mean(z**3)), float(np.mean(z**4)), int(pnl_bps.size))


def expected_best_sharpe(trials: int, sharpe_variance: float) -> float:
    """Return the Sharpe ratio to expect of the best of ``trials`` recipes without skill; 0 for a single trial.

    SR₀ = √V · [(1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e))], γ the Euler–Mascheroni constant, V the variance of the
    trials' Sharpe ratios (Bailey, López de Prado 2014, equation 5).
    """
    if trials < 2 or sharpe_variance <= 0.0:
        return 0.0
    first, second = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(sharpe_variance) * ((1.0 - _EULER) * first + _EULER * second)


def deflated_sharpe(pnl_bps: Float, trials: int, sharpe_variance: float) -> Sharpe:
    """Return the Sharpe ratio of the trades (n,) with PSR against 0 and DSR against the best of ``trials``.

    ``sharpe_variance``: of the trials' ratios; never taken below 1 / n, what luck alone makes of a true ratio of 0.
    """
    benchmark = expected_best_sharpe(trials, max(sharpe_variance, 1.0 / max(1, pnl_bps.size)))
    return Sharpe(
        sharpe=sharpe_per_trade(pnl_bps),
        psr=probabilistic_sharpe(pnl_bps),
        dsr=probabilistic_sharpe(pnl_bps, benchmark),
        benchmark=benchmark,
        trials=trials,
        n=int(pnl_bps.size),
    )

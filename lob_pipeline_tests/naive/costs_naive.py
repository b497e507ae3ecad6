"""Trade costs the slow way: decimal prices, one lot at a time where it matters, no integers shared with the kernel."""

from __future__ import annotations

from fractions import Fraction


def slippage_quote(levels: list[tuple[Fraction, Fraction]], size: Fraction) -> Fraction | None:
    """Return Σ |price − best|·size over the levels walked, best first; None where they do not hold ``size``.

    ``levels``: (price, size) in quote and base units.
    """
    best = levels[0][0]
    paid, left = Fraction(0), size
    for price, available in levels:
        take = min(left, available)
        paid += abs(price - best) * take
        left -= take
    return None if left else paid


def trade_cost_quote(
    bids: list[tuple[Fraction, Fraction]],
    asks: list[tuple[Fraction, Fraction]],
    size: Fraction,
    fee_in_bps: Fraction,
    fee_out_bps: Fraction,
) -> Fraction | None:
    """Return METHODS' formula of the taker–taker trade word for word: fees, spread, slippage both ways."""
    mid = (bids[0][0] + asks[0][0]) / 2
    buy, sell = slippage_quote(asks, size), slippage_quote(bids, size)
    if buy is None or sell is None:
        return None
    fees = size * mid * (fee_in_bps + fee_out_bps) / 10_000
    return fees + size * (asks[0][0] - bids[0][0]) + buy + sell

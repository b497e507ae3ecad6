"""The walk-forward and the verdict as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lob_pipeline.evaluation.policy import ALWAYS_BPS

QUEUES = ("pessimistic", "proportional", "optimistic")


def walk_lines(walk: dict[str, Any]) -> Iterator[str]:
    """Yield the table of all models, the folds of the chosen one, then the verdict."""
    days = [day["date"] for day in walk["data"]["days"]]
    yield f"{walk['market']}  {days[0]}..{days[-1]}  {walk['clock']}  {len(walk['folds'])} folds"
    yield from model_table(walk)
    yield ""
    yield from fold_table(walk)
    yield ""
    yield from verdict_lines({**walk["verdict"], "report": walk.get("report")})


def model_table(walk: dict[str, Any]) -> Iterator[str]:
    """Yield one line a model: mean P&L a filled trade in bps after fees with its interval, in each queue model."""
    yield (
        f"{'model':16} {'filled':>7} {'eff. n':>7}  "
        + "  ".join(f"{queue + ', bps a trade':>30}" for queue in QUEUES)
        + f"  {'folds < 0':>9}  verdict"
    )
    for name, model in walk["models"].items():
        found = model["verdict"]
        worst = found["intervals"]["pessimistic"]
        cells = "  ".join(f"{_interval(found['intervals'][queue]):>30}" for queue in QUEUES)
        negative = next(g for g in found["gates"] if g["name"] == "negative_folds")["value"]
        yield (
            f"{name:16} {worst['filled']:>7,} {worst['effective_n']:>7,}  {cells}  "
            f"{negative:>3.0f} of {len(found['folds'])}   {found['verdict']}"
        )


def fold_table(walk: dict[str, Any]) -> Iterator[str]:
    """Yield one line a fold of the chosen model, in the queue model that fills least."""
    yield f"folds of {walk['chosen']} (pessimistic queue)"
    for fold, score in zip(walk["folds"], walk["models"][walk["chosen"]]["folds"], strict=True):
        queue = score["queues"]["pessimistic"]
        masked = f"; masked {', '.join(score['masked_heads'])}" if score["masked_heads"] else ""
        yield (
            f"  {fold['fold']}: {fold['train_rows']:>9,} training, {fold['test_rows']:>8,} test rows; "
            f"θ {_theta(score['theta_bps'])}; {queue['orders']:,} orders, {queue['filled']:,} filled "
            f"(distinct {queue['effective_n']:,}); {_interval(queue)}{masked}"
        )


def verdict_lines(verdict: dict[str, Any]) -> Iterator[str]:
    """Yield the verdict, its reasons and its gates."""
    yield f"verdict          {verdict['verdict']}"
    for reason in verdict["reasons"]:
        yield f"                 {reason}"
    for gate in verdict["gates"]:
        value = "–" if gate["value"] is None else f"{gate['value']:,.4g}"
        yield f"  {'ok' if gate['ok'] else 'NO':>3}  {gate['name']:28} {value:>10}  bound {gate['bound']:,.4g}"
    if verdict["break_even_maker_fee_bps"] is not None:
        yield f"break-even maker fee  {verdict['break_even_maker_fee_bps']:+.2f} bps"
    if verdict["days_needed"] is not None:
        yield f"days needed more      {verdict['days_needed']:,.1f}"
    if verdict.get("report"):
        yield f"report           {verdict['report']}"


def _theta(theta_bps: float) -> str:
    return "none: always in the market" if theta_bps <= ALWAYS_BPS else f"{theta_bps:+.2f} bps"


def _interval(found: dict[str, Any]) -> str:
    mean = found.get("mean", found.get("mean_bps"))
    low, high = found.get("low", found.get("low_bps")), found.get("high", found.get("high_bps"))
    if mean is None:
        return "no trade"
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]" if low is not None else f"{mean:+.2f} [too few]"

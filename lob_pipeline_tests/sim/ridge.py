"""How much of a planted edge a ridge regression on depth and queue features recovers, through the whole pipeline.

``python -m lob_pipeline_tests.sim.ridge --seeds 3``: each seed is one simulated session, ingested and built like any
recording; the first 60 % of its rows teach (the last quarter of them chooses the threshold), the rest judges. Between
the parts rows as long as a label are dropped. The ridge predicts the 30 s mid return; beyond the threshold the taker
crosses, holds 30 s and crosses back (``taker_edge_30s_bps`` with the fee added back), one trade at a time.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE, fees_of
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.oracle_tape import TAKER
from lob_pipeline.sim.presets import FITTED, configured
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_features import build_features
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import simulate
from lob_pipeline_tests.sim.linear import PURGE, Ridge

MARKET = parse_market("sim.BTCUSDT")
CLOCK, HOLD_NS, EVERY = "t100ms", 30_100_000_000, 5
TAUGHT, CHOOSING = 0.6, 0.25  # share of the rows that teach; share of these that choose the threshold
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Instants (n,) with inputs (n, F), the 30 s mid return, and what a taker earns gross: buys, sells (n, 2)."""

    ts_ns: npt.NDArray[np.int64]
    inputs: Floats
    ahead: Floats
    taker: Floats


@dataclass(frozen=True)
class Recovered:
    """``edge_bps``: each trade of the judged part, gross of fees; ``signals``: planted there; ``oracle``: his mean."""

    edge_bps: Floats
    signals: int
    oracle_bps: float

    @property
    def by_trade(self) -> float:
        """Return the mean edge of a trade as a share of the oracle's."""
        return float(self.edge_bps.mean()) / self.oracle_bps if len(self.edge_bps) else 0.0

    @property
    def in_all(self) -> float:
        """Return what all trades earned as a share of what the oracle earned on all signals of the same hours."""
        return float(self.edge_bps.sum()) / (self.oracle_bps * self.signals)


def load(home: Home, date: str) -> Rows:
    """Return the usable rows of a built partition: features of the depth and queue groups, and what came after."""
    names = [f.name for f in BUILT if f.group in ("depth", "queue")]
    with open_partition(home, PartitionKey("features", MARKET, date, CLOCK), FEATURES_TABLE) as part:
        columns = part.read(["ts_ns", "valid", *names])
    inputs = np.column_stack([np.asarray(columns[n], np.float64) for n in names])
    lots = [n.endswith("_lots") and "log1p" not in n for n in names]
    inputs[:, lots] = np.arcsinh(inputs[:, lots] / 1000.0)
    fee = fees_of(SimConfig().instrument).taker_bps
    with open_partition(home, PartitionKey("labels", MARKET, date, CLOCK), LABELS_TABLE) as part:
        found = part.read(["ts_ns", "side", "valid", "mid_return_bps", "taker_edge_30s_bps"])
    ahead, taker = (
        np.ma.filled(np.ma.asarray(found[n]).astype(np.float64), np.nan).reshape(-1, 2)
        for n in ("mid_return_bps", "taker_edge_30s_bps")
    )  # two rows an instant: sell, buy
    ts_ns = np.asarray(columns["ts_ns"], np.int64)
    at = np.searchsorted(ts_ns, np.asarray(found["ts_ns"], np.int64)[::2])
    usable = np.asarray(found["valid"], np.bool_)[::2] & np.asarray(columns["valid"], np.bool_)[at]
    usable &= np.isfinite(inputs[at]).all(axis=1) & np.isfinite(taker).all(axis=1)
    return Rows(ts_ns[at][usable], inputs[at][usable], ahead[usable, 0], taker[usable][:, ::-1] + 2 * fee)


def trades(rows: Rows, seen: Floats, threshold: float) -> Floats:
    """Return what each trade earns: where |seen| exceeds the threshold, one at a time."""
    earned, free_ns = [], 0
    for i in np.flatnonzero(np.abs(seen) > threshold):
        if rows.ts_ns[i] >= free_ns:
            earned.append(rows.taker[i, 0 if seen[i] > 0 else 1])
            free_ns = rows.ts_ns[i] + HOLD_NS
    return np.array(earned)


def part(rows: Rows, where: slice) -> Rows:
    """Return some of the rows."""
    return Rows(rows.ts_ns[where], rows.inputs[where], rows.ahead[where], rows.taker[where])


def judged(rows: Rows) -> tuple[Rows, Floats]:
    """Return the trades of the last part and its rows: taught and chosen on what lies before it, apart by a label."""
    cut = int(TAUGHT * len(rows.ts_ns))
    choose = int((1.0 - CHOOSING) * cut)
    parts = (slice(0, choose - PURGE), slice(choose, cut - PURGE), slice(cut, None))
    taught, chosen, last = (part(rows, where) for where in parts)
    model = Ridge(taught.inputs[::EVERY], taught.ahead[::EVERY])
    tried = model(chosen.inputs)
    levels = np.quantile(np.abs(tried), np.arange(0.5, 0.995, 0.01))
    totals = [trades(chosen, tried, level).sum() for level in levels]
    return last, trades(last, model(last.inputs), float(levels[int(np.argmax(totals))]))


def recovered(config: SimConfig, folder: Path) -> Recovered:
    """Simulate, build and judge one session of ``config``."""
    report, home, date = simulate(folder / "market", config), Home(folder / "home"), config.first_day
    ingest(home, MARKET, report.files)
    for build in (build_books, build_features, build_labels):
        if build(home, MARKET, date).refused:
            raise AssertionError(f"{build.__name__} refused {date} of seed {config.seed}")
    last, edge = judged(load(home, date))
    inside = [s for s in report.days[0].signals if last.ts_ns[0] <= s["move_ns"] <= last.ts_ns[-1]]
    oracle = report.days[0].oracle[TAKER].to_json()["mean_edge_bps"]
    return Recovered(edge, len(inside), oracle)


def main() -> int:
    """Print what the ridge recovers, seed by seed."""
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline_tests.sim.ridge", description=main.__doc__)
    parser.add_argument("--preset", default=FITTED)
    parser.add_argument("--edge-bps", type=float, default=10.0)
    parser.add_argument("--horizon-s", type=float, default=30.0, help="the default is the labels' own")
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--first-seed", type=int, default=301)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--order-lots", type=float, default=None, help="median size of the orders that show a signal")
    options = parser.parse_args()
    config = configured(options.preset, days=1, minutes=options.minutes, horizon_s=options.horizon_s)
    if options.order_lots is not None:
        config = replace(config, shape=config.shape._replace(order_lots=options.order_lots))
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found = recovered(replace(config, seed=seed, edge_bps=options.edge_bps), Path(folder))
        print(
            f"seed {seed}: {len(found.edge_bps)} trades on {found.signals} signals, mean {found.edge_bps.mean():.2f} "
            f"bps gross of {found.oracle_bps:.2f}: {found.by_trade:.0%} a trade, {found.in_all:.0%} of all",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

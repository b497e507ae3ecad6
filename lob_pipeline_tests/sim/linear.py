"""What a ridge regression sees of a planted edge: ``python -m lob_pipeline_tests.sim.linear HOME``.

Half days are blocks; each is tested with what the blocks before it teach, the last fifth of the newest one held out to
choose the threshold. Value of a side: predicted fill probability × predicted edge; one order at a time.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.features.registry import BOOK, BUILT, FEATURES_TABLE
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition

MARKET = parse_market("sim.BTCUSDT")
CLOCK = "t100ms"
SEASONAL = ("hour_", "weekday_", "funding_")
EVERY = 10  # rows used for fitting
PURGE = 900  # rows dropped before what is held: the span of a label at 100 ms
PENALTY = 100.0
WAIT_NS, HOLD_NS = 30_000_000_000, 45_000_000_000  # an unfilled order; a position: 30 s and about 15 s to leave it
QUEUES = ("", "_pess", "_opt")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """Rows (n,) with features (n, F); label columns (n, 2), buy first, NaN where there is none."""

    ts_ns: npt.NDArray[np.int64]
    inputs: Floats
    usable: npt.NDArray[np.bool_]
    label: dict[str, Floats]

    def cut(self, part: slice) -> Block:
        return Block(
            self.ts_ns[part], self.inputs[part], self.usable[part], {k: v[part] for k, v in self.label.items()}
        )


def load(home: Home, date: str) -> Block:
    names = [f.name for f, book in zip(BUILT, BOOK, strict=True) if book and not f.name.startswith(SEASONAL)]
    with open_partition(home, PartitionKey("features", MARKET, date, CLOCK), FEATURES_TABLE) as rows:
        columns = rows.read(["ts_ns", "valid", *names])
    ts_ns = np.asarray(columns["ts_ns"], np.int64)
    inputs = np.column_stack([np.asarray(columns[n], np.float64) for n in names])
    lots = [n.endswith("_lots") and "log1p" not in n for n in names]
    inputs[:, lots] = np.arcsinh(inputs[:, lots] / 1000.0)
    wanted = ["mid_return_bps", *(f"{n}{q}" for n in ("filled", "edge_bps", "fill_delay_ns") for q in QUEUES)]
    with open_partition(home, PartitionKey("labels", MARKET, date, CLOCK), LABELS_TABLE) as rows:
        found = rows.read(["ts_ns", "side", "valid", *wanted])
    at = np.searchsorted(ts_ns, np.asarray(found["ts_ns"], np.int64))
    side = np.where(np.asarray(found["side"], np.int8) > 0, 0, 1)
    label = {n: np.full((len(ts_ns), 2), np.nan) for n in wanted}
    for name in wanted:
        label[name][at, side] = np.ma.filled(np.ma.asarray(found[name]).astype(np.float64), np.nan)
    known = np.zeros(len(ts_ns), np.bool_)
    known[at] = np.asarray(found["valid"], np.bool_)
    usable = known & np.asarray(columns["valid"], np.bool_) & np.isfinite(inputs).all(axis=1)
    return Block(ts_ns, inputs, usable, label)


class Ridge:
    """Least squares with a penalty on standardised inputs, clipped at ±10."""

    def __init__(self, inputs: Floats, target: Floats) -> None:
        self.mean, self.scale, self.level = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9, target.mean()
        z = self._scaled(inputs)
        self.weights = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ (target - self.level))

    def _scaled(self, inputs: Floats) -> Floats:
        return np.clip((inputs - self.mean) / self.scale, -10.0, 10.0)

    def __call__(self, inputs: Floats) -> Floats:
        return self._scaled(inputs) @ self.weights + self.level


def fitted(blocks: list[Block], name: str, side: int, filled_only: bool) -> Ridge:
    inputs, target = [], []
    for block in blocks:
        keep = block.usable & np.isfinite(block.label[name][:, side])
        if filled_only:
            keep &= block.label["filled"][:, side] == 1
        rows = np.flatnonzero(keep)[::EVERY]
        inputs.append(block.inputs[rows])
        target.append(block.label[name][rows, side])
    return Ridge(np.concatenate(inputs), np.concatenate(target))


def trade(block: Block, value: Floats, threshold: float, queue: str) -> Floats:
    """Return the net edge (bps) of each filled order; the better side is sent where its value exceeds the threshold."""
    side, free_ns, earned = value.argmax(axis=1), 0, []
    for i in np.flatnonzero(block.usable & (value.max(axis=1) > threshold)):
        if block.ts_ns[i] < free_ns:
            continue
        free_ns = block.ts_ns[i] + WAIT_NS
        if block.label[f"filled{queue}"][i, side[i]] == 1:
            earned.append(block.label[f"edge_bps{queue}"][i, side[i]])
            free_ns = block.ts_ns[i] + block.label[f"fill_delay_ns{queue}"][i, side[i]] + HOLD_NS
    return np.array(earned)


def folds(blocks: list[Block]) -> list[dict[str, Any]]:
    """Return a record for every block but the first: R² of the 30 s mid return, threshold, trades and mean a queue."""
    out = []
    for k in range(1, len(blocks)):
        newest, test = blocks[k - 1], blocks[k]
        cut = round(len(newest.ts_ns) * (1.0 - min(0.8, 0.2 * k)))
        train = [*blocks[: k - 1], newest.cut(slice(0, max(1, cut - PURGE)))]
        held = newest.cut(slice(cut, None))
        ahead = fitted(train, "mid_return_bps", 0, False)
        moved, seen = test.label["mid_return_bps"][test.usable, 0], ahead(test.inputs[test.usable])
        edge = [fitted(train, "edge_bps", s, True) for s in (0, 1)]
        fill = [fitted(train, "filled", s, False) for s in (0, 1)]

        def value(block: Block, edge: list[Ridge] = edge, fill: list[Ridge] = fill) -> Floats:
            return np.column_stack(
                [np.clip(fill[s](block.inputs), 0.02, 1.0) * edge[s](block.inputs) for s in (0, 1)]
            )

        tried = {t: trade(held, value(held), t, "") for t in np.arange(0.0, 8.0, 0.5).tolist()}
        threshold = max(tried, key=lambda t: tried[t].sum() if len(tried[t]) >= 5 else -np.inf)
        earned = {q: trade(test, value(test), threshold, q) for q in QUEUES}
        out.append(
            {
                "r2": 1.0 - np.sum((moved - seen) ** 2) / np.sum((moved - moved.mean()) ** 2),
                "threshold_bps": threshold,
                "trades": {q: len(e) for q, e in earned.items()},
                "mean_bps": {q: float(np.nanmean(e)) if len(e) else float("nan") for q, e in earned.items()},
            }
        )
    return out


def main() -> int:
    home = Home(Path(sys.argv[1]))
    days = sorted(
        p.name.removeprefix("date=") for p in home.root.glob(f"lake/labels/venue=sim/*/clock={CLOCK}/date=*")
    )
    blocks = []
    for date in days:
        day = load(home, date)
        half = len(day.ts_ns) // 2
        blocks += [day.cut(slice(0, half)), day.cut(slice(half, None))]
    for k, fold in enumerate(folds(blocks), 1):
        means = ", ".join(f"{fold['mean_bps'][q]:.2f} ({fold['trades'][q]})" for q in QUEUES)
        print(
            f"block {k}: R2 {fold['r2']:.3f}, threshold {fold['threshold_bps']}, "
            f"net bps (trades) proportional, pessimistic, optimistic: {means}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The P&L of a policy on the grid of the rows it looked at: what intervals and differences are made of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lob_pipeline.evaluation.policy import Trades, observed_ns
from lob_pipeline.evaluation.significance import Estimate, block_mean, mean_block_ns
from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.lake.storage import fsync_directory, storing

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

_FIELDS = ("ts_ns", "pnl_bps", "maker_legs", "fill_ids", "fold")


@dataclass(frozen=True)
class PnlSeries:
    """Rows in time order, all (m,): ``pnl_bps`` and ``maker_legs`` NaN where no order was filled.

    ``fill_ids``: equal where (t_fill, side, price) are, -1 where not filled. ``fold``: number of the fold.
    ``orders``: how many orders were sent, filled or not.
    """

    ts_ns: Int
    pnl_bps: Float
    maker_legs: Float
    fill_ids: Int
    fold: Int
    orders: int

    @property
    def filled(self) -> int:
        """Return the number of filled orders."""
        return int(np.count_nonzero(~np.isnan(self.pnl_bps)))

    @property
    def effective_n(self) -> int:
        """Return the number of distinct fills."""
        return int(np.unique(self.fill_ids[self.fill_ids >= 0]).size)

    @property
    def days(self) -> float:
        """Return the time the rows cover in days of 24 hours (pauses of a minute and more left out)."""
        return sum(observed_ns(self.ts_ns[self.fold == k]) for k in np.unique(self.fold)) / 86_400e9

    def block_rows(self, horizon_ns: int = LabelConfig().horizon_ns) -> float:
        """Return METHODS' mean block, max(30 s, 10 · horizon), in rows of this series."""
        return mean_block_ns(horizon_ns) * self.ts_ns.size / max(self.days * 86_400e9, 1.0)

    def estimate(self, values: Float | None = None) -> Estimate:
        """Return the mean of the P&L per filled trade (or of ``values`` (m,)) with its block-bootstrap interval."""
        return block_mean(self.pnl_bps if values is None else values, self.block_rows())


def series_of(trades: Trades, rows: Int, ts_ns: Int, fold: int) -> PnlSeries:
    """Return the series of one fold: ``rows`` (m,) ascending, ``ts_ns`` (m,) theirs."""
    pnl, legs, ids = np.full(rows.size, np.nan), np.full(rows.size, np.nan), np.full(rows.size, -1, np.int64)
    at = np.searchsorted(rows, trades.row[trades.filled])
    pnl[at], legs[at] = trades.pnl_bps[trades.filled], trades.maker_legs[trades.filled]
    keys = np.stack([trades.fill_ns, trades.side.astype(np.int64), trades.price_ticks])[:, trades.filled]
    if keys.size:
        ids[at] = np.unique(keys, axis=1, return_inverse=True)[1].ravel()
    return PnlSeries(ts_ns, pnl, legs, ids, np.full(rows.size, fold, np.int64), trades.row.size)


def joined(parts: list[PnlSeries]) -> PnlSeries:
    """Return the series of successive folds as one; an empty one where there are none."""
    offset, ids = 0, []
    for part in parts:
        ids.append(np.where(part.fill_ids >= 0, part.fill_ids + offset, -1))
        offset += int(part.fill_ids.max(initial=-1)) + 1
    whole = np.empty(0, np.int64)
    return PnlSeries(
        ts_ns=np.concatenate([whole, *(p.ts_ns for p in parts)]),
        pnl_bps=np.concatenate([np.empty(0), *(p.pnl_bps for p in parts)]),
        maker_legs=np.concatenate([np.empty(0), *(p.maker_legs for p in parts)]),
        fill_ids=np.concatenate([whole, *ids]),
        fold=np.concatenate([whole, *(p.fold for p in parts)]),
        orders=sum(p.orders for p in parts),
    )


def write_series(path: Path, found: dict[tuple[str, str], PnlSeries]) -> None:
    """Write series by (model, queue model) as one ``.npz`` of plain arrays, whole or not at all."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for (model, queue), series in found.items():
        for name in _FIELDS:
            arrays[f"{model}|{queue}|{name}"] = getattr(series, name)
        arrays[f"{model}|{queue}|orders"] = np.array([series.orders], np.int64)
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        with beside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_directory(path.parent)


def read_series(path: Path) -> dict[tuple[str, str], PnlSeries]:
    """Return what ``write_series`` wrote. Nothing in the file is executed."""
    found: dict[tuple[str, str], PnlSeries] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for model, queue in sorted({(n.split("|")[0], n.split("|")[1]) for n in arrays.files}):
            columns = {name: arrays[f"{model}|{queue}|{name}"] for name in _FIELDS}
            found[model, queue] = PnlSeries(**columns, orders=int(arrays[f"{model}|{queue}|orders"][0]))
    return found

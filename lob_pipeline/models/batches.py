"""The resident loader: features and targets stay in memory once, a batch of windows is one gather.

No worker, no per-window object: a window is a number (its first row), and overlapping windows share their bytes. Where
windows are unbroken runs of rows, as all but the padded ones are, a batch copies one block of memory a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lob_pipeline.datasets.windows import Positions, positions, windows
from lob_pipeline.models.losses import Truth, pack, unpack

Batch = tuple[Tensor, Truth, Tensor]  # x (batch, length, F), targets, counted bool (batch, length)


@dataclass
class Windows:
    """Windows over resident rows; iterating yields the batches of one epoch.

    Shuffled, an epoch's order is decided by (seed, epoch) alone.
    """

    features: Tensor  # float32 (n, F), C order
    packed: Tensor  # float32 (n, 18), C order: see losses.pack
    row: Tensor  # int64 (k, length)
    counted: Tensor  # bool (k, length)
    batch_windows: int
    shuffle: bool
    seed: int
    epoch: int = 0

    def __post_init__(self) -> None:
        """Find the windows that are one block of memory."""
        self.first = self.row[:, 0].contiguous()
        self.unbroken = (self.row == self.row[:, :1] + torch.arange(self.row.shape[1])).all(dim=1)
        self.all_unbroken = bool(self.unbroken.all())

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        return -(-self.row.shape[0] // self.batch_windows)

    def __iter__(self) -> Iterator[Batch]:
        """Yield one epoch."""
        order = torch.arange(self.row.shape[0])
        if self.shuffle:
            order = torch.from_numpy(np.random.default_rng([self.seed, self.epoch]).permutation(self.row.shape[0]))
        for at in range(0, order.numel(), self.batch_windows):
            picked = order[at : at + self.batch_windows]
            if self.all_unbroken or bool(self.unbroken[picked].all()):
                first, length = self.first[picked], self.row.shape[1]
                x, packed = (blocks(data, first, length) for data in (self.features, self.packed))
            else:
                row = self.row[picked]
                x, packed = (data[row] for data in (self.features, self.packed))
            yield x, unpack(packed), self.counted[picked]

    @property
    def rows(self) -> int:
        """Return how many rows count in an epoch."""
        return int(self.counted.sum())


def blocks(data: Tensor, first: Tensor, length: int) -> Tensor:
    """Return (batch, length, F): the ``length`` rows of ``data`` (n, F; C order) from each of ``first`` (batch,) on."""
    n, width = data.shape
    every = data.as_strided((n - length + 1, length * width), (width, 1))
    return every.index_select(0, first).view(-1, length, width)


def real_rows(found: Positions, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows (k, length) to read: padding behind a short segment repeats its window's first row.

    What follows a segment may be NaN, and NaN passes through attention even where it has no weight.
    """
    return np.where(found.real, found.row, starts[:, None])


def make_windows(
    features: Tensor,
    truth: Truth,
    segment: npt.NDArray[np.int32],
    target_rows: npt.NDArray[np.int64],
    *,
    length: int,
    batch_windows: int,
    max_rows: int = 0,
    shuffle: bool = False,
    seed: int = 0,
) -> Windows:
    """Return windows that count each target row once; ``max_rows`` > 0 keeps so many rows by drawing whole windows.

    The draw is decided by ``seed`` and is the same in every epoch: the cap is on the rows a model ever learns from.
    """
    target = np.zeros(segment.size, np.bool_)
    target[target_rows] = True
    starts = windows(segment, target, length)
    found = positions(segment, target, starts, length)
    row, counted = real_rows(found, starts), found.counted
    total = int(counted.sum())
    if 0 < max_rows < total:
        drawn = max(1, max_rows * len(starts) // total)
        keep = np.sort(np.random.default_rng(seed).permutation(len(starts))[:drawn])
        row, counted = row[keep], counted[keep]
    rows, counts = torch.from_numpy(np.ascontiguousarray(row)), torch.from_numpy(np.ascontiguousarray(counted))
    return Windows(features, pack(truth), rows, counts, batch_windows, shuffle, seed)

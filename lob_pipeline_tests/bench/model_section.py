"""The model at the full preset: labels a second, the resident loader, and one streamed prediction. One thread."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lob_pipeline.datasets.normalise import Normaliser
from lob_pipeline.models.batches import Windows
from lob_pipeline.models.config import TrainConfig, parameter_count, preset
from lob_pipeline.models.fitted import Fitted, Scaling
from lob_pipeline.models.losses import Truth, head_losses, pack, router_losses
from lob_pipeline.models.network import Network, build
from lob_pipeline.models.outputs import TEMPERATURE_HEADS
from lob_pipeline.models.stream import StreamModel
from lob_pipeline_tests.bench.environment import Peers
from lob_pipeline_tests.bench.timing import Figure, interleave, timed
from lob_pipeline_tests.bench.workload import Workload

FEATURES = 89
ROWS = 60_000
WINDOW = 64
LENGTH = 256
POSITIONS = 2_048  # a step, in both ways of training
_WARM, _MEASURED = 500, 4_000


def _rows() -> tuple[torch.Tensor, Truth]:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(ROWS, FEATURES)).astype(np.float32))
    values = torch.from_numpy(rng.normal(size=(ROWS, 15)).astype(np.float32).clip(0, 1))
    direction = torch.from_numpy(rng.integers(0, 3, ROWS))
    return features, Truth(values, direction, torch.ones(ROWS, 2), values[:, 5].clone())


def _windows(features: torch.Tensor, truth: Truth, length: int, count: int) -> Windows:
    starts = np.random.default_rng(1).integers(0, ROWS - length, count)
    row = torch.from_numpy(starts[:, None] + np.arange(length))
    counted = torch.ones(row.shape, dtype=torch.bool)
    return Windows(features, pack(truth), row, counted, POSITIONS // length, True, 0, count)


def _step(network: Network, optimizer: torch.optim.Optimizer, config: object, last_only: bool) -> Callable[..., None]:
    def step(x: torch.Tensor, truth: Truth, counted: torch.Tensor) -> None:
        states = network.encode(x)
        if last_only:
            states, counted = states[:, -1:], counted[:, -1:]
            truth = Truth(*(t[:, -1:] for t in truth))
        raw, logits = network.head(states)
        balance, z, _ = router_losses(logits, counted)
        losses = head_losses(raw, truth, counted, config)  # type: ignore[arg-type]
        optimizer.zero_grad(set_to_none=True)
        (torch.stack(list(losses.values())).sum() + 0.01 * balance + 0.001 * z).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def training(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Labels a second with a loss at every position, over training on the last position of each window."""
    torch.set_num_threads(1)
    config, _ = preset("full", FEATURES)
    features, truth = _rows()
    work = {}
    for name, length, last_only in (("dense", LENGTH, False), ("last", WINDOW, True)):
        network = build(config, 0).train()
        optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
        step = _step(network, optimizer, config, last_only)
        data = _windows(features, truth, length, 3 * POSITIONS // length)

        def epoch(data: Windows = data, step: Callable[..., None] = step) -> None:
            for batch in data:
                step(*batch)

        work[name] = timed(epoch)
    found = interleave(work)
    labels = {"dense": 3 * POSITIONS, "last": 3 * POSITIONS // WINDOW}
    rate = {name: labels[name] / found.median(name) for name in work}
    ratio = found.ratio("last", "dense") * labels["dense"] / labels["last"]
    yield Figure(
        "training", f"labels/s at every position over the last only ({parameter_count(config):,} parameters)",
        ratio, 20.0, False, f"{rate['dense']:,.0f} labels/s", f"{rate['last']:,.0f} labels/s",
    )  # fmt: skip


class _Sliced(Dataset):
    """What a training script writes first: one window an item, cut out of the same resident rows."""

    def __init__(self, features: torch.Tensor, truth: Truth, starts: torch.Tensor) -> None:
        self.features, self.truth, self.starts = features, truth, starts.tolist()

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, ...]:
        rows = slice(self.starts[i], self.starts[i] + WINDOW)
        return (self.features[rows], *(t[rows] for t in self.truth))


def loader(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Batches of shuffled windows against a DataLoader without workers, and the loader's share of a training step."""
    torch.set_num_threads(1)
    features, truth = _rows()
    count, batch = 8_192, 2 * POSITIONS // WINDOW  # as many rows a batch as the preset takes
    made = _windows(features, truth, WINDOW, count)
    made.batch_windows = batch
    plain = DataLoader(_Sliced(features, truth, made.row[:, 0]), batch_size=batch, shuffle=True)
    found = interleave({"ours": timed(lambda: sum(1 for _ in made)), "theirs": timed(lambda: sum(1 for _ in plain))})
    rate = {name: f"{count / found.median(name) / 1e3:,.0f} k windows/s" for name in ("ours", "theirs")}
    name = f"windows of {WINDOW} with their targets, over DataLoader(0)"
    yield Figure("loader", name, found.ratio("theirs", "ours"), 4.0, False, rate["ours"], rate["theirs"])
    config, _ = preset("full", FEATURES)
    network = build(config, 0).train()
    step = _step(network, torch.optim.AdamW(network.parameters(), 1e-3), config, False)
    data = _windows(features, truth, LENGTH, 3 * POSITIONS // LENGTH)
    batches = [(x.clone(), *rest) for x, *rest in data]
    share = interleave({
        "load": timed(lambda: sum(1 for _ in data)),
        "steps": timed(lambda: [step(*b) for b in batches]),
    })  # fmt: skip
    each = [f"{1e3 * share.median(name) / len(batches):.2f} ms" for name in ("load", "steps")]
    name = f"loader's share of a training step of {POSITIONS:,} positions"
    yield Figure("loader", name, share.ratio("load", "steps"), 0.03, True, *each)


def prediction(load: Workload, peers: Peers) -> Iterator[Figure]:
    """One streamed prediction, batch 1, over torch recomputing the window with the same weights; core seconds."""
    torch.set_num_threads(1)
    config, _ = preset("full", FEATURES)
    network = build(config, 0).eval()
    weights = {name: t.numpy() for name, t in network.state_dict().items()}
    ones = dict.fromkeys(TEMPERATURE_HEADS, 1.0)
    fitted = Fitted(config, TrainConfig(), weights, Scaling((0.0,) * 6, (1.0,) * 6), ones, (), [], 0, 0, 0.0)
    names = tuple(f"f{i}" for i in range(FEATURES))
    width = np.zeros(FEATURES, np.float32)
    model = StreamModel.from_fitted(fitted, Normaliser(names, width.astype(np.bool_), width, width + 1))
    features = np.random.default_rng(0).normal(size=(_WARM + _MEASURED, FEATURES)).astype(np.float32)
    rows, valid, state = torch.from_numpy(features), np.ones(1, np.bool_), model.new_state()
    ours: list[int] = []
    theirs: list[int] = []
    gc.collect()
    gc.disable()
    with torch.inference_mode():
        for i in range(_WARM + _MEASURED):
            one = features[i : i + 1]
            started = time.thread_time_ns()
            model.run(state, one, valid)
            took = time.thread_time_ns() - started
            if i >= _WARM:
                ours.append(took)
                if i % 8 == 0:
                    window = rows[None, i - WINDOW + 1 : i + 1]
                    started = time.thread_time_ns()
                    network(window)
                    theirs.append(time.thread_time_ns() - started)
                    model.run(state.copy(), one, valid)  # the peer's pass threw our weights out of the cache
    gc.enable()
    p50, p99, peer = float(np.median(ours)), float(np.percentile(ours, 99)), float(np.median(theirs))
    said = f"{p50 / 1e3:.0f} µs"
    name = f"torch's window of {WINDOW} over one step"
    yield Figure("prediction", name, peer / p50, 10.0, False, said, f"{peer / 1e3:.0f} µs")
    yield Figure("prediction", "one step, p99 over its p50", p99 / p50, 5.0, True, f"{p99 / 1e3:.0f} µs", said)

"""Live: the bytes of one message to the row and the features it closes, in process, one at a time."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import msgspec
import numpy as np

from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.live.engine import LiveEngine
from lob_pipeline.venues.decode import LiveDecoder
from lob_pipeline_tests.bench.environment import Peers
from lob_pipeline_tests.bench.kernel_sections import CLOCK
from lob_pipeline_tests.bench.timing import Figure
from lob_pipeline_tests.bench.workload import Workload

_WARM, _MEASURED = 3_000, 12_000


def live(load: Workload, peers: Peers) -> Iterator[Figure]:
    """p50 and p99 of a closing message to its features, over the p50 of msgspec.json.decode of the same messages."""
    with load.ndjson.open("rb") as file:
        messages = [line.strip() for _, line in zip(range(_WARM + _MEASURED), file, strict=False)]
    decoder, engine = LiveDecoder(load.instrument, "bybit_messages"), LiveEngine(load.instrument, CLOCK)
    plain = msgspec.json.Decoder()
    ours: list[int] = []
    theirs: list[int] = []
    gc.collect()
    gc.disable()
    for i, message in enumerate(messages):
        started = time.perf_counter_ns()
        rows, _, _ = engine.push_bytes(decoder, message)
        middle = time.perf_counter_ns()
        plain.decode(message)
        ended = time.perf_counter_ns()
        if i >= _WARM and len(rows) == 1:
            ours.append(middle - started)
            theirs.append(ended - middle)
    gc.enable()
    base = float(np.median(theirs))
    for share, bar in ((50, 3.5), (99, 6.0)):
        found = float(np.percentile(ours, share))
        yield Figure(
            "live", f"message → {N_BUILT} features, p{share} over msgspec's p50", found / base, bar, True,
            f"{found / 1e3:.1f} µs", f"{base / 1e3:.1f} µs",
        )  # fmt: skip

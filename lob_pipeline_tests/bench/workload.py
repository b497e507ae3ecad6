"""What is measured: a stretch of the simulated market in the archive's form, and integers made of it independently.

The peers' integers come from a plain JSON loop, not from the project's decoder, so no peer depends on what it races.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.jit import source_stamp
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S
from lob_pipeline.sim import session
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.stages.simulate import simulate

FULL_MINUTES = 1440
DEFAULT_MINUTES = 480
_BATCH = 500_000  # level rows held as Python objects at once


@dataclass(frozen=True)
class Workload:
    """One market to measure on. ``folder`` holds ``events.npz`` and ``messages.ndjson`` for the peers.

    ``archive`` and ``trades``: the files as a venue would hand them out.
    """

    name: str
    instrument: Instrument
    folder: Path
    archive: Path
    trades: Path
    messages: int
    level_rows: int
    json_bytes: int
    date: str

    @property
    def ndjson(self) -> Path:
        """Return the uncompressed messages."""
        return self.folder / "messages.ndjson"

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the integers (see ``convert``)."""
        with np.load(self.folder / "events.npz") as data:
            return {name: data[name] for name in data.files}


def simulated(root: Path, minutes: int, seed: int = 1) -> Workload:
    """Make the simulated workload under ``root`` once; later runs of the same simulator find it there.

    Its flow is the benchmarks' own (``busy_day``), whatever market the simulator makes by default.
    """
    config = SimConfig.busy_day(seed, minutes)
    folder = root / f"busy-{seed}-{minutes}-{source_stamp(Path(session.__file__))[:8]}"
    done = folder / "done.json"
    if not done.exists():
        print(f"simulating {minutes} minutes of market into {folder}", flush=True)
        simulate(folder, config)
    date = config.dates[0]
    symbol = config.instrument.market.symbol
    archive, trades = folder / f"{date}_{symbol}_ob{config.depth}.data.zip", folder / f"{symbol}{date}.csv.gz"
    if not done.exists():
        done.write_text(json.dumps(convert(archive, trades, config.instrument, folder)), "utf-8")
    return Workload("sim", config.instrument, folder, archive, trades, **json.loads(done.read_text("utf-8")), date=date)


def convert(archive: Path, trades: Path, instrument: Instrument, folder: Path) -> dict[str, int]:
    """Write ``messages.ndjson`` and ``events.npz``; return the counts.

    ``events.npz``: ``b_*`` one level row each (ts ns, kind, side, price ticks, size lots, first, update id),
    ``t_*`` one trade each, ``tick``, ``lot``.
    """
    tick, lot = float(instrument.tick), float(instrument.lot)
    with zipfile.ZipFile(archive) as packed:
        text = packed.read(packed.namelist()[0])
    (folder / "messages.ndjson").write_bytes(text)
    rows: list[tuple[int, int, int, float, float, bool, int]] = []
    tables: list[np.ndarray] = []
    messages = 0
    for line in io.BytesIO(text):
        if len(rows) > _BATCH:
            tables.append(np.array(rows, np.float64))
            rows.clear()
        message = json.loads(line)
        data, kind = message["data"], 1 if message["type"] == "snapshot" else 2
        first = True
        for side, levels in ((1, data["b"]), (-1, data["a"])):
            for price, size in levels:
                rows.append((message["cts"], kind, side, float(price), float(size), first, data["u"]))
                first = False
        messages += 1
    table = np.concatenate([*tables, np.array(rows, np.float64)])
    with gzip.open(trades, "rt", newline="") as file:
        prints = [
            (float(t["timestamp"]), t["side"] == "Buy", float(t["price"]), float(t["size"]))
            for t in csv.DictReader(file)
        ]
    told = np.array(prints, np.float64).reshape(-1, 4)
    order = np.argsort(told[:, 0], kind="stable")
    np.savez(
        folder / "events.npz",
        b_ts=table[:, 0].astype(np.int64) * NS_PER_MS,
        b_kind=table[:, 1].astype(np.int8),
        b_side=table[:, 2].astype(np.int8),
        b_price=np.round(table[:, 3] / tick).astype(np.int64),
        b_size=np.round(table[:, 4] / lot).astype(np.int64),
        b_first=table[:, 5].astype(np.bool_),
        b_id=table[:, 6].astype(np.int64),
        t_ts=np.round(told[order, 0] * 1e6).astype(np.int64) * (NS_PER_S // 1_000_000),
        t_side=np.where(told[order, 1] > 0, 1, -1).astype(np.int8),
        t_price=np.round(told[order, 2] / tick).astype(np.int64),
        t_size=np.round(told[order, 3] / lot).astype(np.int64),
        tick=tick,
        lot=lot,
    )
    return {"messages": messages, "level_rows": len(table), "json_bytes": len(text)}

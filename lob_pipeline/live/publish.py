"""From spools to the partition of a day: what was published before and what was spooled since, one row an instant."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, open_partition
from lob_pipeline.lake.storage import remove_if_empty
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.live.code import prediction_code
from lob_pipeline.live.forecast import Forecasts, Identity
from lob_pipeline.live.gates import PredictionGates
from lob_pipeline.live.rows import NUMBERS, prediction_rows
from lob_pipeline.live.spool import RECORD, Records, read_spool, spool_files, spooled_dates
from lob_pipeline.models.outputs import COLUMN, N_OUTPUTS

CHUNK = 1 << 15
_SIDES = {"p_entry": "entry", "edge_bps": "edge", "mfe_bps": "mfe", "mae_bps": "mae", "p_adverse": "adverse",
          "p_fill": "fill"}  # fmt: skip


class Published(NamedTuple):
    """One day that was published: where, and what the gates said."""

    key: PartitionKey
    manifest: Manifest
    path: str


def live_key(identity: Identity, date: str) -> PartitionKey:
    """Return the partition of a bundle's live predictions of a day."""
    return PartitionKey("predictions", identity.market, date, identity.clock_id, identity.bundle, "live")


def publish_all(home: Home, identity: Identity, but: str | None = None) -> list[Published]:
    """Publish every day of which spools lie there, those that a crash left behind too, except ``but``."""
    return [publish_day(home, identity, date) for date in spooled_dates(home, identity) if date != but]


def publish_day(home: Home, identity: Identity, date: str) -> Published:
    """Publish a day's spools merged with what stands, and remove them.

    Where two sessions saw one instant the first valid forecast stays. When a gate refuses, the spools stay too.
    Raises ``RefusedError`` when the standing partition may not be used, ``LobError`` when storage fails.
    """
    key = live_key(identity, date)
    files = spool_files(home, identity, date)
    parts = [read_spool(path, identity) for path in files]
    alias = parts[-1][1] if parts else identity.alias
    identity = replace(identity, alias=alias)
    standing = _standing(home, key, identity)
    records = merged([*standing, *(records for records, _ in parts)])
    gates = PredictionGates(identity)
    with PartitionWriter(home, key, PREDICTIONS) as writer:
        for start in range(0, len(records), CHUNK):
            chunk = records[start : start + CHUNK]
            forecasts = _forecasts(chunk)
            columns, strings = prediction_rows(
                identity, forecasts, chunk["ts_recv_ns"].copy(), chunk["latency_us"].copy()
            )
            gates.add(forecasts, columns, strings)
            writer.write(columns, strings)
        manifest = writer.commit(
            code_fingerprint=prediction_code(),
            inputs={"bundle": identity.bundle_sha256},
            outcomes=gates.outcomes(),
            extra={
                "bundle_sha256": identity.bundle_sha256,
                "model_name": identity.model_name,
                "model_version": identity.model_version,
                "alias": alias,
                "features_fingerprint": identity.features_fingerprint,
                "sessions": len(files) + (1 if standing else 0),
            },
        )
    if manifest.usable:
        for path in files:
            path.unlink()
        if files:
            remove_if_empty(files[0].parent)
    return Published(key, manifest, str(writer.path))


def merged(parts: list[Records]) -> Records:
    """Return records by time, one an instant: the first valid one, else the first."""
    records = np.concatenate([np.zeros(0, RECORD), *parts])
    order = np.lexsort((np.arange(len(records)), ~records["valid"], records["ts_ns"]))
    records = records[order]
    first = np.diff(records["ts_ns"], prepend=-1) != 0
    return records[first]


def _forecasts(records: Records) -> Forecasts:
    return Forecasts(
        records["ts_ns"].copy(),
        records["valid"].copy(),
        np.ascontiguousarray(records["numbers"]),
        records["seen"].copy(),
        np.ascontiguousarray(records["inputs"]),
    )


def _standing(home: Home, key: PartitionKey, identity: Identity) -> list[Records]:
    if not key.path(home).exists():
        return []
    try:
        with open_partition(home, key, PREDICTIONS) as partition:
            return [_records_of_partition(partition, identity.window)]
    except RefusedError as error:
        raise RefusedError(f"{error}; the spools of the day stay where they are") from error


def _records_of_partition(partition: Partition, window: int) -> Records:
    """Return a published day as records: its gates have judged it, so a valid instant counts as warm."""
    columns = partition.read()
    records = np.zeros(partition.rows // 2, RECORD)
    for name in ("ts_ns", "ts_recv_ns", "latency_us", "valid"):
        records[name] = columns[name][::2]
    records["seen"] = np.where(records["valid"], window, 0)
    numbers = np.empty((len(records), N_OUTPUTS), np.float32)
    for name in NUMBERS:
        for at, side in ((0, "sell"), (1, "buy")):
            head = f"{_SIDES[name]}_{side}" if name in _SIDES else name.removeprefix("p_")
            numbers[:, COLUMN[head]] = columns[name][at::2]
    records["numbers"] = numbers
    texts = "".join(partition.strings("input_sha256").take(np.arange(0, partition.rows, 2)).to_pylist())
    records["inputs"] = np.frombuffer(bytes.fromhex(texts), np.uint8).reshape(len(records), -1)
    return records

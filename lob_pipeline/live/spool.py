"""The spool: what a live session forecast, appended as it happens, so that a crash loses no more than the last moments.

``HOME/live/predictions/<venue>/<symbol>/<clock>/<bundle>/<date>/<start>-<pid>.spool``: a JSON line that says whose they
are, then records of fixed size. One file a session and day; a record that a crash cut short is ignored.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import fsync_directory, storing
from lob_pipeline.live.forecast import INPUT_BYTES, Forecasts, Identity
from lob_pipeline.models.outputs import N_OUTPUTS

RECORD = np.dtype(
    [
        ("ts_ns", "<i8"),
        ("ts_recv_ns", "<i8"),
        ("latency_us", "<f8"),
        ("seen", "<i8"),
        ("valid", "?"),
        ("numbers", "<f4", (N_OUTPUTS,)),
        ("inputs", "u1", (INPUT_BYTES,)),
    ]
)
_VERSION = 1
_SYNC_S = 1.0
_MAGIC = "lob live spool"

Records = npt.NDArray[np.void]


def spool_folder(home: Home, identity: Identity) -> Path:
    """Return the folder of one bundle's spools; a folder a day lies in it."""
    market = identity.market
    return home.live / "predictions" / market.venue / market.symbol / identity.clock_id / identity.bundle


def records_of(forecasts: Forecasts, recv_ns: int, latency_us: float) -> Records:
    """Return forecasts that one message closed as records."""
    records = np.zeros(len(forecasts.ts_ns), RECORD)
    records["ts_ns"], records["seen"], records["valid"] = forecasts.ts_ns, forecasts.seen, forecasts.valid
    records["ts_recv_ns"], records["latency_us"] = recv_ns, latency_us
    records["numbers"], records["inputs"] = forecasts.numbers, forecasts.inputs
    return records


class Spool:
    """One session's records of one day, appended; durable about once a second and when it is closed."""

    def __init__(self, home: Home, identity: Identity, date: str) -> None:
        folder = spool_folder(home, identity) / date
        self.path = folder / f"{time.time_ns()}-{os.getpid()}.spool"
        head = {"what": _MAGIC, "version": _VERSION, "bundle_sha256": identity.bundle_sha256, "alias": identity.alias}
        with storing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb")
            self._file.write(json.dumps(head, sort_keys=True).encode() + b"\n")
            self._sync()
            fsync_directory(folder)

    def append(self, records: Records) -> None:
        """Append records."""
        with storing(self.path):
            self._file.write(records.tobytes())
            if time.monotonic() - self._synced > _SYNC_S:
                self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Make everything durable."""
        with storing(self.path):
            self._sync()
            self._file.close()


def spooled_dates(home: Home, identity: Identity) -> list[str]:
    """Return the days of which spools lie there, sorted."""
    folder = spool_folder(home, identity)
    return sorted(p.name for p in folder.iterdir() if any(p.glob("*.spool"))) if folder.is_dir() else []


def spool_files(home: Home, identity: Identity, date: str) -> list[Path]:
    """Return the spools of a day, oldest first."""
    return sorted((spool_folder(home, identity) / date).glob("*.spool"))


def read_spool(path: Path, identity: Identity) -> tuple[Records, str]:
    """Return (records, alias) of one spool. Raises ``LobError`` when it is no spool of this bundle."""
    data = path.read_bytes()
    end = data.find(b"\n") + 1
    head: Any = None
    if end:
        try:
            head = json.loads(data[:end])
        except ValueError:
            head = None
    right = {"what": _MAGIC, "version": _VERSION, "bundle_sha256": identity.bundle_sha256}
    if not isinstance(head, dict) or any(head.get(name) != value for name, value in right.items()):
        raise LobError(f"{path} is no spool of bundle {identity.bundle} of this version: move it away and start again")
    whole = (len(data) - end) // RECORD.itemsize
    return np.frombuffer(data, RECORD, whole, end).copy(), str(head["alias"])

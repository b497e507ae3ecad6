"""One trial: files through the real ``ingest`` and ``build_books`` in a scratch home; what they said, nothing else."""

from __future__ import annotations

import os
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lob_pipeline.book.replay import RowMap
from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.lake.home import Home
from lob_pipeline.mutation.frames import Recording
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.result import StageResult

HOME = "home"
"""Where the scratch home stands among a recording's files: a recorder's are given as ``home/segments/...``."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - a scratch home needs no disk; removed with the trial


@dataclass(frozen=True)
class Said:
    """One outcome of one partition."""

    table: str
    date: str
    name: str
    status: str
    refuses: bool
    judged: int
    message: str
    facts: dict[str, Any]


@dataclass
class Outcome:
    """What the pipeline said of some files.

    ``error``: class and text of a clear refusal to take them; ``crash``: a traceback, which is no clear refusal.
    ``books``: date -> columns of the book rows; ``trades``: date -> columns; both only of partitions that were
    published (quarantined ones are not readable by anyone downstream). ``extra``: date -> what manifests add.
    """

    error: tuple[str, str] | None = None
    crash: str = ""
    said: list[Said] = field(default_factory=list)
    certificates: dict[str, dict[str, Any]] = field(default_factory=dict)
    extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    books: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    trades: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    @property
    def refusals(self) -> list[Said]:
        """The gates that refused, in the order of the stages."""
        return [s for s in self.said if s.refuses]


def run_trial(recording: Recording) -> Outcome:
    """Ingest and build the files of a recording. Never raises for what the files hold."""
    with tempfile.TemporaryDirectory(prefix="lob-mutant-", dir=_scratch()) as folder:
        root = Path(folder)
        for name, data in recording.files().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        outcome = Outcome()
        try:
            _run(root, recording, outcome)
        except LobError as error:
            outcome.error = (type(error).__name__, str(error).replace(folder, ""))
        except Exception:  # a defect of the program, reported as such: the mutant counts as not refused
            outcome.crash = traceback.format_exc(limit=-3)
        return outcome


def _scratch() -> str | None:
    return str(_MEMORY) if os.environ.get("TMPDIR") is None and os.access(_MEMORY, os.W_OK) else None


def _run(root: Path, recording: Recording, outcome: Outcome) -> None:
    home, market = Home(root / HOME), parse_market(recording.market)
    results: dict[tuple[str, str], StageResult] = {}
    for call in recording.calls:
        paths, keep = [root / name for name in call], len(recording.calls) > 1
        report = ingest(home, market, paths, tick=recording.tick, lot=recording.lot, keep=keep)
        results.update({(r.table, r.date): r for r in report.partitions})
    for result in results.values():
        _note(outcome, result)
    usable = sorted(d for t, d in results if t == "l2_events" and not results[t, d].refused)
    for date in usable:
        _note(outcome, build_books(home, market, date, row_map=recording.row_map))


def _note(outcome: Outcome, result: StageResult) -> None:
    manifest = result.manifest
    for o in manifest.outcomes:
        outcome.said.append(
            Said(result.table, result.date, o.name, o.status, o.refuses, o.rows_judged, o.message, dict(o.facts))
        )
    if result.table == "book_snapshots":
        outcome.certificates[result.date] = manifest.certificate or {}
        outcome.extra[result.date] = manifest.extra
    if result.refused:
        return
    if result.table == "book_snapshots":
        table = pq.read_table(result.path, columns=list(BOOK_SNAPSHOTS.names))
        outcome.books[result.date] = {n: table[n].to_numpy() for n in BOOK_SNAPSHOTS.names}
    elif result.table == "trades":
        table = pq.read_table(result.path)
        outcome.trades[result.date] = {n: np.asarray(table[n].to_pylist()) for n in table.column_names}


__all__ = ["Outcome", "RowMap", "Said", "run_trial"]

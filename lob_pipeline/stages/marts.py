"""What dbt needs before it runs over the lake: which partitions it may read, where its database is, what changed.

The marts are leaves: derived, rebuildable, nothing depends on them. dbt itself runs in the asset (or any dbt command
with this environment).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.locks import WriterLock
from lob_pipeline.lake.manifest import ABSENT, read_manifest
from lob_pipeline.lake.paths import list_partitions
from lob_pipeline.lake.reader import content_or_absent
from lob_pipeline.lake.storage import replace_into, storing

PROJECT = Path(__file__).resolve().parents[2] / "dbt_features"
READ_TABLES = ("book_snapshots", "trades", "labels")
_SOURCES = ("*.yml", "macros/**/*.sql", "models/**/*.sql", "models/**/*.yml", "tests/**/*.sql")


@dataclass(frozen=True)
class Marts:
    """The dbt project over one home: paths, environment, freshness."""

    home: Home

    @property
    def folder(self) -> Path:
        """Return the folder of dbt's database, target and state."""
        return self.home.root / "dbt"

    @property
    def database(self) -> Path:
        """Return dbt's own DuckDB database; one run writes it at a time."""
        return self.folder / "marts.duckdb"

    @property
    def target(self) -> Path:
        """Return where a dbt run writes its artifacts. Only the holder of ``lock()`` may trust what lies there."""
        return self.folder / "target"

    @property
    def manifest(self) -> Path:
        """Return dbt's manifest of the project as it stands today: one name a content, never rewritten in place."""
        return self.folder / "manifests" / f"{self.project_sha256[:16]}.json"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that the project reads."""
        return {
            "LOB_LAKE": str(self.home.lake),
            "LOB_DBT_USABLE": str(self.folder / "usable_partitions.parquet"),
            "LOB_DBT_DATABASE": str(self.database),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
        }

    @cached_property
    def project_sha256(self) -> str:
        """Return the hash of the project's files and of the dbt that reads them."""
        from importlib.metadata import version

        total = hashlib.sha256(f"{version('dbt-core')} {version('dbt-duckdb')} {self.home.root}".encode())
        for path in sorted({p for pattern in _SOURCES for p in PROJECT.glob(pattern)}):
            total.update(f"\n{path.relative_to(PROJECT)}\n".encode())
            total.update(path.read_bytes())
        return total.hexdigest()

    def usable_partitions(self) -> list[dict[str, Any]]:
        """Return one row a usable partition of the tables that the marts read."""
        rows = []
        for table in READ_TABLES:
            for key in list_partitions(self.home, table):
                if content_or_absent(self.home, key) == ABSENT:
                    continue
                manifest = read_manifest(key.path(self.home))
                instrument = partition_instrument(self.home, key.market, key.date)
                num, den = instrument.lots_scale
                rows.append(
                    {
                        "table_name": table,
                        "venue": key.market.venue,
                        "symbol": key.market.symbol,
                        "clock": key.clock or "",
                        "date": key.date,
                        "content_sha256": manifest.content_sha256,
                        "contract": instrument.contract,
                        "contract_value": float(instrument.contract_value),
                        "value_num": num,
                        "value_den": den,
                    }
                )
        return rows

    def inputs_sha256(self) -> str:
        """Return the hash of all that the marts are made from."""
        text = json.dumps([self.project_sha256, self.usable_partitions()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def state(self) -> tuple[Literal["fresh", "stale", "absent", "blocked"], str]:
        """Return the marts' state and why, as the planner says it of a partition."""
        if not any(row["table_name"] == "book_snapshots" for row in self.usable_partitions()):
            return "blocked", "no usable book_snapshots in the lake"
        built = self._built()
        if not built or not self.database.exists():
            return "absent", ""
        if built["inputs_sha256"] == self.inputs_sha256():
            return "fresh", ""
        return "stale", "project changed" if self.needs_full_refresh() else "usable partitions changed"

    def needs_full_refresh(self) -> bool:
        """Whether the standing marts were made by other SQL."""
        return bool(self._built()) and self._built().get("project_sha256") != self.project_sha256

    def lock(self) -> WriterLock:
        """Return the lock that one dbt run holds."""
        return WriterLock(self.home, "dbt_marts", "the marts")

    def write_usable(self) -> str:
        """Write the list of usable partitions for dbt. Return ``inputs_sha256`` of exactly that list."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self.usable_partitions()
        target = Path(self.environment["LOB_DBT_USABLE"])
        staged = target.with_suffix(".new")
        with storing(target):
            self.folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows, schema=_usable_schema()), staged)
            os.replace(staged, target)
        return hashlib.sha256(json.dumps([self.project_sha256, rows], sort_keys=True).encode()).hexdigest()

    def record_built(self, inputs_sha256: str) -> None:
        """Remember what the marts were built from."""
        record = {"inputs_sha256": inputs_sha256, "project_sha256": self.project_sha256}
        (self.folder / "built.json").write_text(json.dumps(record), "utf-8")

    def _built(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.folder / "built.json").read_text("utf-8")))
        except FileNotFoundError:
            return {}

    def ensure_manifest(self) -> Path:
        """Return dbt's manifest, parsing the project only where its files or dbt changed.

        Several processes load the definitions at once (webserver, daemon, test workers): each parses into a folder
        of its own and renames its result into place, so a reader sees a whole manifest or none.
        Raises ``LobError`` with dbt's own words when the project does not parse.
        """
        if self.manifest.exists():
            return self.manifest
        with storing(self.manifest):
            self.manifest.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix="parse-", dir=self.folder))
        try:
            done = subprocess.run(
                [dbt_executable(), "parse", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)],
                env={**os.environ, **self.environment, "DBT_TARGET_PATH": str(scratch), "DBT_LOG_PATH": str(scratch)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise LobError(f"dbt cannot parse {PROJECT}: {(done.stdout + done.stderr).strip()[-2000:]}")
            replace_into(scratch / "manifest.json", self.manifest)
        finally:
            shutil.rmtree(scratch)
        return self.manifest


def dbt_executable() -> str:
    """Return the ``dbt`` beside the running interpreter."""
    return str(Path(sys.executable).with_name("dbt"))


def _usable_schema() -> Any:
    import pyarrow as pa

    text = ("table_name", "venue", "symbol", "clock", "date", "content_sha256", "contract")
    return pa.schema(
        [(name, pa.string()) for name in text]
        + [("contract_value", pa.float64()), ("value_num", pa.int64()), ("value_den", pa.int64())]
    )

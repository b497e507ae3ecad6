"""The home: one directory that holds the lake, the raw sources, the ledgers and the reports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lob_pipeline.core.errors import BadInputError


@dataclass(frozen=True)
class Home:
    """``LOB_HOME`` and the places in it (CONTRACT.md). ``given``: named by the user, so nothing outside is touched."""

    root: Path
    given: bool = True

    @property
    def lake(self) -> Path:
        """Return the folder of the published partitions."""
        return self.root / "lake"

    @property
    def staging(self) -> Path:
        """Return the folder of partitions being written and of the locks; on the lake's own file system."""
        return self.lake / ".staging"

    @property
    def raw(self) -> Path:
        """Return the folder of the sources, by SHA-256."""
        return self.root / "raw"

    @property
    def ledgers(self) -> Path:
        """Return the folder of the append-only ledgers."""
        return self.root / "ledgers"

    @property
    def quarantine(self) -> Path:
        """Return the folder of the refused partitions."""
        return self.root / "quarantine"

    @property
    def reports(self) -> Path:
        """Return the folder of the HTML reports."""
        return self.root / "reports"

    @property
    def markets(self) -> Path:
        """Return the home's own markets.toml (``core.markets``), which may be absent."""
        return self.root / "markets.toml"

    @property
    def live(self) -> Path:
        """Return the folder of the live engine's spools."""
        return self.root / "live"


def find_home(option: str | Path | None = None) -> Home:
    """Return the home: ``option`` (``--home``), else ``LOB_HOME``, else ``data/`` at the project root.

    Raises ``BadInputError`` when the path names something that is not a directory. Creates nothing.
    """
    named = option or os.environ.get("LOB_HOME")
    root = Path(named).expanduser() if named else Path(__file__).resolve().parents[2] / "data"
    root = root.absolute()
    if root.exists() and not root.is_dir():
        raise BadInputError(f"home {root} is not a directory: name a directory with --home or LOB_HOME")
    return Home(root, given=bool(named))

"""Which file holds a partition, and which partition a file holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.units import parse_date
from lob_pipeline.lake.home import Home

PART = "part-0.parquet"
_TABLE = re.compile(r"[a-z][a-z0-9_]*\Z")
_BUNDLE = re.compile(r"[0-9a-f]{12}\Z")
BY_BUNDLE = "predictions"
"""The one table whose partitions name a bundle and an origin too."""
ORIGINS = ("batch", "live")


@dataclass(frozen=True)
class PartitionKey:
    """A table, a market, a UTC day and, for the clocked tables, a clock id. Checked, so safe in a path.

    Partitions of ``predictions`` name a ``bundle`` (the first 12 hex digits of its SHA-256) and an ``origin``, batch or
    live, too; those of other tables neither.
    """

    table: str
    market: Market
    date: str
    clock: str | None = None
    bundle: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        if not _TABLE.match(self.table):
            raise BadInputError(f"table {self.table!r} is not a table name")
        parse_date(self.date)
        if self.clock is not None:
            parse_clock(self.clock)
        if self.table == BY_BUNDLE:
            if self.origin not in ORIGINS or self.bundle is None or not _BUNDLE.match(self.bundle):
                raise BadInputError(
                    f"a partition of {self.table} names a bundle (12 hex digits) and an origin "
                    f"({' or '.join(ORIGINS)}), not {self.bundle!r} and {self.origin!r}"
                )
        elif self.bundle is not None or self.origin is not None:
            raise BadInputError(f"a partition of {self.table} names neither a bundle nor an origin")

    @property
    def folder(self) -> Path:
        """Return the partition's folder relative to ``lake/`` (and to ``quarantine/``)."""
        parts = [self.table, f"venue={self.market.venue}", f"symbol={self.market.symbol}"]
        if self.clock is not None:
            parts.append(f"clock={self.clock}")
        if self.bundle is not None:
            parts += [f"bundle={self.bundle}", f"origin={self.origin}"]
        return Path(*parts, f"date={self.date}")

    def path(self, home: Home) -> Path:
        """Return the partition's one file."""
        return home.lake / self.folder / PART

    @property
    def lock_name(self) -> str:
        """Return the name of the lock: one writer a (table, market, date), whatever the clock.

        Champion and challenger predict side by side, so a bundle and an origin have a lock of their own.
        """
        own = f"__{self.bundle}__{self.origin}" if self.bundle else ""
        return f"{self.table}__{self.market.venue}__{self.market.symbol}__{self.date}{own}"

    @property
    def facts(self) -> dict[str, str]:
        """Return what the manifest says of the bundle and the origin; nothing for other tables."""
        return {"bundle": self.bundle, "origin": self.origin} if self.bundle and self.origin else {}

    def __str__(self) -> str:
        clock = f" at {self.clock}" if self.clock else ""
        by = f" by bundle {self.bundle}, {self.origin}" if self.bundle else ""
        return f"{self.table} of {self.market} on {self.date}{clock}{by}"


def key_of_path(path: Path, root: Path) -> PartitionKey | None:
    """Return the partition that ``path`` under ``root`` (lake or quarantine) holds, None when it holds none."""
    values: dict[str, str] = {}
    table, *rest = path.relative_to(root).parts
    for part in rest[:-1]:
        name, equals, value = part.partition("=")
        if equals:
            values[name] = value
    try:
        market = parse_market(f"{values['venue']}.{values['symbol']}")
        own = (values.get("clock"), values.get("bundle"), values.get("origin"))
        return PartitionKey(table, market, values["date"], *own)
    except (KeyError, BadInputError):
        return None  # a file that a user put there is not a partition; it is never opened as one


def list_partitions(home: Home, table: str | None = None) -> Iterator[PartitionKey]:
    """Yield every partition in the lake, of one table or of all, sorted by path."""
    if not home.lake.is_dir():
        return
    for root in sorted(p for p in home.lake.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if table is not None and root.name != table:
            continue
        for path in sorted(root.rglob(PART)):
            key = key_of_path(path, home.lake)
            if key is not None:
                yield key

"""The manifest: what a partition's Parquet footer says of itself, and what follows from it (usable, fresh)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake.paths import PartitionKey

FOOTER_KEY = "lob.manifest"
ABSENT = "absent"
REQUIRED_GATES: dict[str, tuple[str, ...]] = {
    "l2_events": ("schema", "messages", "verifiable_start"),
    "trades": ("schema", "trade_rows"),
    "quotes": ("schema",),
    "book_snapshots": ("schema", "certificate"),
    "features": ("schema", "nan_rule", "prefix_invariance", "warm_rows"),
    "labels": ("schema", "ordering_law", "null_rule", "fill_rule", "decision_prices", "valid_rows"),
}
"""The gates that must have run on a table's partition before anything reads it; other tables need one of any name."""


@dataclass(frozen=True)
class Manifest:
    """The JSON under ``lob.manifest`` (CONTRACT.md, The lake).

    ``coverage``: first and last time column value in ns, None for an empty partition. ``inputs``: name -> SHA-256 of
    the input's content, or ``absent``. ``extra``: facts of the table's own (lineage, tick and lot, refusals).
    """

    schema_version: int
    table: str
    market: str
    date: str
    clock: str | None
    rows: int
    coverage: tuple[int, int] | None
    content_sha256: str
    code_fingerprint: str
    inputs: dict[str, str]
    outcomes: tuple[CheckOutcome, ...]
    certificate: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def gates(self) -> tuple[CheckOutcome, ...]:
        """Return the outcomes that can refuse the partition."""
        return tuple(o for o in self.outcomes if o.severity == "gate")

    @property
    def usable(self) -> bool:
        """Whether every required gate ran and none refused. An absent gate is a refused gate."""
        return bool(self.gates) and not self.missing_gates and not any(o.refuses for o in self.gates)

    @property
    def missing_gates(self) -> tuple[str, ...]:
        """Return the gates that the table requires and that did not run on this partition."""
        ran = {o.name for o in self.gates}
        return tuple(name for name in REQUIRED_GATES.get(self.table, ()) if name not in ran)

    @property
    def trainable(self) -> bool:
        """Whether the partition may enter a training set: usable, and every gate was judged."""
        return self.usable and all(o.status == "passed" for o in self.gates)

    @property
    def refusal(self) -> str:
        """Return why the partition is not usable, in one sentence; empty when it is."""
        if not self.gates:
            return "no gate ran on it (an absent gate is a refused gate)"
        said = [f"{o.name}: {o.message or 'refused'}" for o in self.gates if o.refuses]
        if self.missing_gates and not said:
            said.append(f"without the gate {', '.join(self.missing_gates)} (an absent gate is a refused gate)")
        return "; ".join(said)

    def is_of(self, key: PartitionKey) -> bool:
        """Whether this is the manifest of the partition ``key``, not that of a file copied or moved into its place."""
        mine = (self.table, self.market, self.date, self.clock)
        facts = {name: self.extra[name] for name in ("bundle", "origin") if name in self.extra}
        return mine == (key.table, str(key.market), key.date, key.clock) and facts == key.facts

    def fresh(self, code_fingerprint: str, inputs: dict[str, str]) -> bool:
        """Whether code and every input are still those the partition was built from.

        A partition whose sources were not kept (``extra.sources_kept`` false) is never stale by code.
        """
        by_code = self.extra.get("sources_kept", True) is False or self.code_fingerprint == code_fingerprint
        return by_code and self.inputs == inputs

    def to_json(self) -> str:
        """Return the footer text: sorted keys, so that equal manifests are equal bytes."""
        data = {**self.__dict__, "outcomes": [o.to_json() for o in self.outcomes]}
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Rebuild a manifest from its footer text."""
        data = json.loads(text)
        data["outcomes"] = tuple(CheckOutcome.from_json(o) for o in data["outcomes"])
        data["coverage"] = tuple(data["coverage"]) if data["coverage"] else None
        return cls(**data)


def _plain(value: object) -> object:
    """Return a numpy scalar as the Python number it stands for: facts come from kernels."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")


def manifest_of_metadata(metadata: dict[bytes, bytes] | None, path: Path) -> Manifest:
    """Return the manifest in a Parquet footer's key-value metadata. Raises ``RefusedError`` when there is none."""
    text = (metadata or {}).get(FOOTER_KEY.encode())
    if text is None:
        raise RefusedError(f"{path} carries no {FOOTER_KEY} in its footer: it was not written here; rebuild it")
    try:
        return Manifest.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{path} carries a {FOOTER_KEY} that is none of ours ({error}): rebuild it") from error


def read_manifest(path: Path) -> Manifest:
    """Return a partition file's manifest, reading only the footer.

    Raises ``FileNotFoundError`` when the file is absent, ``RefusedError`` when it is damaged or no partition of ours.
    """
    with path.open("rb") as handle:
        try:
            metadata = pq.read_metadata(handle).metadata
        except pa.ArrowInvalid as error:
            raise damaged(path, error) from error
    return manifest_of_metadata(metadata, path)


def damaged(path: Path, error: Exception) -> RefusedError:
    """Return the error of a partition file that cannot be read (cut off, overwritten)."""
    return RefusedError(f"{path} is damaged ({str(error).strip()}): remove it and rebuild it")

"""Where refused partitions go, with the reason beside them and the partition they would have replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lob_pipeline.lake.beside import take_along, write_certificate
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest, read_manifest
from lob_pipeline.lake.paths import PART, PartitionKey
from lob_pipeline.lake.storage import fsync_directory, remove_if_empty, replace_into, storing

REASON = "reason.json"
STANDING = "standing"


def quarantine(home: Home, key: PartitionKey, staged: Path, manifest: Manifest) -> Path:
    """Move a refused, fsynced file out of the lake's way; the standing partition goes with it. Return its new path.

    Each refusal has a numbered folder of its own; a refusal equal to the newest one takes its place. The standing
    partition leaves the lake first: a crash in between leaves the partition absent, never the old one readable.
    """
    reason = {
        "partition": str(key),
        "reason": manifest.refusal,
        "content_sha256": manifest.content_sha256,
        "inputs": manifest.inputs,
        "refused": [o.to_json() for o in manifest.outcomes if o.refuses],
    }
    folder = _folder_for(home, key, manifest)
    standing = key.path(home)
    if standing.exists():
        replace_into(standing, folder / STANDING / PART)
        take_along(standing.parent, folder / STANDING)
        remove_if_empty(standing.parent)
    replace_into(staged, folder / PART)
    write_certificate(folder, manifest)
    with storing(folder):
        note = folder / f".{REASON}"
        with note.open("w", encoding="utf-8") as handle:
            json.dump(reason, handle, indent=1, sort_keys=True)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(note, folder / REASON)
        fsync_directory(folder)
    return folder / PART


def _numbered(home: Home, key: PartitionKey) -> list[Path]:
    root = home.quarantine / key.folder
    return sorted(p for p in root.iterdir() if p.name.isdigit()) if root.is_dir() else []


def _folder_for(home: Home, key: PartitionKey, manifest: Manifest) -> Path:
    folders = _numbered(home, key)
    if folders:
        newest = folders[-1]
        if not (newest / PART).exists():
            return newest  # a crash between the two moves above
        old = read_manifest(newest / PART)
        if (old.content_sha256, old.inputs) == (manifest.content_sha256, manifest.inputs):
            if not key.path(home).exists():
                return newest
    number = int(folders[-1].name) + 1 if folders else 1
    return home.quarantine / key.folder / f"{number:04d}"


def newest_refusal(home: Home, key: PartitionKey) -> Path | None:
    """Return the file of the newest refusal of a partition, None when it was never refused."""
    paths = [f / PART for f in _numbered(home, key) if (f / PART).exists()]
    return paths[-1] if paths else None

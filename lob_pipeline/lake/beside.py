"""The certificate of a partition as a small JSON file beside it, for people and tools that do not open footers.

The footer is the truth: the file follows the partition, after it, and names its content, so that a crash in between
shows. It is no Parquet file, so no glob over the lake meets it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from lob_pipeline.lake.manifest import Manifest
from lob_pipeline.lake.storage import fsync_directory, storing

CERTIFICATE = "certificate.json"


def write_certificate(folder: Path, manifest: Manifest) -> None:
    """Write the manifest's certificate into the partition's folder; remove an older one where it has none."""
    path = folder / CERTIFICATE
    if manifest.certificate is None:
        path.unlink(missing_ok=True)
        return
    text = {"content_sha256": manifest.content_sha256, "certificate": json.loads(manifest.to_json())["certificate"]}
    with storing(path):
        staged = folder / f".{CERTIFICATE}.{os.getpid()}"
        try:
            with staged.open("w", encoding="utf-8") as handle:
                json.dump(text, handle, indent=1, sort_keys=True)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(staged, path)
        finally:
            staged.unlink(missing_ok=True)
        fsync_directory(folder)


def take_along(folder: Path, target: Path) -> None:
    """Move the certificate of a partition that leaves ``folder`` to ``target``, where there is one."""
    path = folder / CERTIFICATE
    if path.exists():
        os.replace(path, target / CERTIFICATE)

"""JSON with one spelling: equal values are equal bytes, so that a hash of them is a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import RefusedError


def canonical(value: Any) -> bytes:
    """Return the one JSON spelling of ``value``: sorted keys, UTF-8, a final newline.

    Raises ``ValueError`` for NaN and infinities, ``TypeError`` for what is not JSON.
    """
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def parse_canonical(data: bytes, path: Path) -> dict[str, Any]:
    """Return the object that ``canonical`` wrote. Raises ``RefusedError`` for any other bytes."""
    try:
        value = json.loads(data)
        same = isinstance(value, dict) and canonical(value) == data
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise RefusedError(f"{path} is not a JSON object as this program writes it: it was changed or is another file")
    return dict(value)

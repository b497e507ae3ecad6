"""``lob verify``: the certificate of a day's book, of the events that the lake holds now."""

from __future__ import annotations

from typing import Any

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import L2_EVENTS
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import ABSENT, Manifest, read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import content_or_absent, open_standing
from lob_pipeline.stages.build_books import build_books


def verify(home: Home, market: Market, date: str, clock_id: str | None = None) -> dict[str, Any]:
    """Return the certificate of a day's books (CONTRACT.md), from the lake or, where they were refused, quarantine.

    Where no book was built yet, or only one of other events than stand now, it is built first, through its gates: an
    old certificate says nothing of what replaced its source. Raises ``RefusedError`` when the events are refused, or
    absent and no book of them is left either. Whether the certificate holds is its ``holds``.
    """
    clock = parse_clock(clock_id or partition_instrument(home, market, date).clock)
    key = PartitionKey("book_snapshots", market, date, clock.id)
    events = PartitionKey("l2_events", market, date)
    content = content_or_absent(home, events)
    if content == ABSENT:
        opened = open_standing(home, events, L2_EVENTS)  # raises with the reason where they were refused
        if opened is not None:
            opened.close()
    for manifest in _built(home, key):
        if manifest.certificate is not None and content in (ABSENT, manifest.inputs.get(f"l2_events/{date}")):
            return manifest.certificate
    if content == ABSENT:
        raise RefusedError(
            f"{key} is neither in the lake nor in quarantine, nor are its events: run `lob ingest {market} PATH...`"
        )
    certificate = build_books(home, market, date, clock.id).manifest.certificate
    if certificate is None:
        raise RefusedError(f"{key} was built without a certificate: run `lob books {market} {date}`")
    return certificate


def _built(home: Home, key: PartitionKey) -> list[Manifest]:
    """Return the manifests of the standing partition and of its newest refusal, as far as there are any."""
    found = []
    for path in (key.path(home), newest_refusal(home, key)):
        if path is not None and path.exists():
            found.append(read_manifest(path))
    return found

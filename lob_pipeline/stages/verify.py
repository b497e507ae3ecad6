"""``lob verify``: the certificate of a book partition, published or refused."""

from __future__ import annotations

from typing import Any

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal


def verify(home: Home, market: Market, date: str, clock_id: str | None = None) -> dict[str, Any]:
    """Return the certificate of a day's books (CONTRACT.md), from the lake or, where they were refused, quarantine.

    Raises ``RefusedError`` when neither holds the partition. Whether the certificate holds is its ``holds``.
    """
    clock = parse_clock(clock_id or partition_instrument(home, market, date).clock)
    key = PartitionKey("book_snapshots", market, date, clock.id)
    for path in (key.path(home), newest_refusal(home, key)):
        if path is None:
            continue
        try:
            certificate = read_manifest(path).certificate
        except FileNotFoundError:
            continue  # the next place
        if certificate is not None:
            return certificate
        raise RefusedError(f"{path} carries no certificate: rebuild it with `lob books {market} {date}`")
    raise RefusedError(f"{key} is neither in the lake nor in quarantine: run `lob books {market} {date}`")

"""The instrument as a partition's events were read with: its tick and lot travel in the manifest of ``l2_events``."""

from __future__ import annotations

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal


def partition_instrument(home: Home, market: Market, date: str) -> Instrument:
    """Return the market's instrument with the tick and lot that its events of ``date`` were read with.

    Looks at the ``l2_events`` partition, then at its newest refusal; where there is neither, markets.toml decides and
    ``BadInputError`` says when that knows no tick and lot either.
    """
    key = PartitionKey("l2_events", market, date)
    for path in (key.path(home), newest_refusal(home, key)):
        if path is None:
            continue
        try:
            extra = read_manifest(path).extra
        except (FileNotFoundError, RefusedError):
            continue  # absent or damaged: the next place
        return instrument(market, extra.get("tick"), extra.get("lot"), home.markets)
    return instrument(market, user=home.markets)

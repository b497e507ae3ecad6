"""The venues that can be listened to. A new one is its own file and one line here."""

from __future__ import annotations

from dataclasses import replace

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.venues import protocol_binance as binance
from lob_pipeline.venues import protocol_bybit as bybit
from lob_pipeline.venues import protocol_kraken as kraken
from lob_pipeline.venues import protocol_okx as okx
from lob_pipeline.venues.protocol import Protocol

PROTOCOLS: dict[str, Protocol] = {
    "bybit-linear": bybit.LINEAR,
    "bybit-spot": bybit.SPOT,
    "sim": replace(bybit.LINEAR, url=""),
    "binance-usdm": binance.USDM,
    "binance-coinm": binance.COINM,
    "binance-spot": binance.SPOT,
    "okx": okx.PUBLIC,
    "kraken": kraken.PUBLIC,
}
"""``sim`` speaks Bybit's protocol; it has no public address of its own."""


def protocol_of(market: Market) -> Protocol:
    """Return the protocol of a market's venue. Raises ``BadInputError`` when the venue has no stream to listen to."""
    found = PROTOCOLS.get(market.venue)
    if found is None:
        raise BadInputError(
            f"{market}: venue {market.venue} has no stream that can be listened to; known: {', '.join(PROTOCOLS)}"
        )
    return found

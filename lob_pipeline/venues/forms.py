"""The formats that can be read. A new one is a ``Form`` in a module of its own and one entry here."""

from __future__ import annotations

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.venues import binance_forms, bybit_forms, kraken_forms, lobster, okx_forms, tables, tardis
from lob_pipeline.venues.form import Decoder, Form, Format

# Asked in this order. Binance's takes any line with a receive stamp: forms that know their own come before it.
FORMS: tuple[Form, ...] = (
    bybit_forms.TRADES_CSV,
    okx_forms.MESSAGES,
    kraken_forms.MESSAGES,
    binance_forms.RAW,
    bybit_forms.MESSAGES,
    lobster.FORM,
    tardis.BOOK,
    tardis.TRADES,
    tables.LEVELS_CSV,
    tables.TRADES_CSV,
    tables.PARQUET,
)

KNOWN = (
    "Bybit messages (orderbook.*, publicTrade.*), Bybit trade archives (csv), Binance recordings "
    "(receive stamp and JSON a line, or ts_local wrappers), OKX and Kraken messages (alone, stamped or wrapped), "
    "LOBSTER files (message and orderbook csv, zipped or side by side), Tardis incremental_book_L2 and trades csv, "
    "tables of level changes or trades (csv, Parquet)"
)
"""For the user: what can be read."""

_BY_NAME = {form.name: form for form in FORMS}


def form_of(name: Format) -> Form:
    """Return the form called ``name``; ``KeyError`` where there is none."""
    return _BY_NAME[name]


def decoder_of(name: Format) -> Decoder:
    """Return how the lines of a form are read. Raises ``BadInputError`` for a form that is no messages by lines."""
    decoder = form_of(name).decoder
    if decoder is None:
        raise BadInputError(f"{name} is a table, not a stream of messages: give a recording of messages")
    return decoder


def websocket_form(venue: str) -> Format:
    """Return the form that the venue's public websocket speaks. Raises ``BadInputError`` where none is known."""
    for form in FORMS:
        if venue in form.websocket_of:
            return form.name
    raise BadInputError(f"venue {venue!r} has no websocket that is understood: use a recording of it")

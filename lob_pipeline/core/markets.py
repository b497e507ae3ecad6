"""Markets: the built-in markets.toml, and over it a home's own, turned into ``Instrument``s."""

from __future__ import annotations

import tomllib
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, Market, parse_market
from lob_pipeline.core.market_file import read_market_file
from lob_pipeline.core.units import NS_PER_S

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(resources.files("lob_pipeline.core").joinpath("markets.toml").read_text("utf-8"))


def enabled_markets() -> list[Market]:
    """Return the markets that markets.toml enables: those Dagster knows before anything was ingested."""
    return [parse_market(name) for name, entry in builtin_markets().items() if entry.get("enabled")]


def builtin_markets() -> dict[str, dict[str, Any]]:
    """Return the built-in entries by market, as written."""
    found: dict[str, dict[str, Any]] = _document()["market"]
    return found


def settings(market: Market, user: Path | None = None) -> dict[str, Any]:
    """Return a market's settings; later ones win: the defaults, its venue's, those of the patterns it fits, its own.

    ``user``: a home's markets.toml, absent or not: what was fetched (``refreshed``) wins over all that is built in,
    what its owner wrote wins over that. Raises ``BadInputError`` for a venue without an entry and a file that is wrong.
    """
    document, name = _document(), str(market)
    if market.venue not in document["venue"]:
        raise BadInputError(
            f"venue {market.venue!r} is not supported yet: supported are {', '.join(document['venue'])}"
        )
    own = read_market_file(user) if user is not None else {}
    fetched = own.get("refreshed", {}).get(name, {})
    found: dict[str, Any] = {}
    for part in (document["default"], *_parts(document, market), fetched, *_parts(own, market)):
        found |= part
    return found


def _parts(document: dict[str, Any], market: Market) -> list[dict[str, Any]]:
    name = str(market)
    patterns = [p for key, p in document.get("pattern", {}).items() if fnmatchcase(name, key)]
    return [document.get("venue", {}).get(market.venue, {}), *patterns, document.get("market", {}).get(name, {})]


def _step(text: str, name: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        raise BadInputError(f"{name} {text!r} is not a positive decimal: write it as the venue does, for example 0.1")
    return value.normalize()


def instrument(market: Market, tick: str | None = None, lot: str | None = None, user: Path | None = None) -> Instrument:
    """Return the instrument of ``market``; ``tick`` and ``lot`` (decimal strings) win over markets.toml.

    ``user``: a home's own markets.toml (``settings``). Raises ``BadInputError`` when none names a tick and a lot, the
    venue has no entry yet, or the file is wrong.
    """
    entry = settings(market, user)
    tick, lot = tick or entry.get("tick"), lot or entry.get("lot")
    if tick is None or lot is None:
        raise BadInputError(
            f"tick and lot of {market} are unknown: pass --tick and --lot, keep the venue's instruments file beside "
            "the recording, or run `lob markets refresh`"
        )
    block = str(entry["block"])
    if not entry["contract_value"]:
        raise BadInputError(
            f"the value of one contract of {market} is unknown: add contract_value (in base units) to its entry in "
            "markets.toml, or run `lob markets refresh`"
        )
    # Everything downstream counts in lots, so an inverse contract's value is that of a lot of contracts.
    per_lot = _step(lot, "lot") if entry["contract"] == "inverse" else Decimal(1)
    return Instrument(
        market=market,
        tick=_step(tick, "tick"),
        lot=_step(lot, "lot"),
        contract=entry["contract"],
        contract_value=_step(entry["contract_value"], "contract value") * per_lot,
        sequence=entry["sequence"],
        maker_fee_bps=entry.get("maker_fee_bps"),
        taker_fee_bps=entry.get("taker_fee_bps"),
        fees_as_of=entry["fees_as_of"],
        funding_interval_hours=int(entry["funding_interval_hours"]),
        depth_limit=int(entry["depth_limit"]),
        clock=entry["clock"],
        block_ns=int(block[:-1]) * _UNITS_S[block[-1]] * NS_PER_S,
        round_off_grid_lots=bool(entry["round_off_grid_lots"]),
        coarse_lots=int(entry.get("coarse_lots", 1)),
    )

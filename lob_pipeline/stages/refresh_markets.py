"""``lob markets refresh``: ticks, lots, contracts and base fees as the venues publish them, through ccxt."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.market_file import file_text, owners_part, read_market_file
from lob_pipeline.core.markets import settings
from lob_pipeline.core.units import parse_date
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import fsync_directory, storing

_TICK_SIZE = 4  # ccxt's precision mode in which precision is the step itself
_BPS = Decimal(10_000)


@dataclass(frozen=True)
class VenueSource:
    """Where a venue's markets come from: ccxt's class, and which of its unified markets are the venue's."""

    exchange: str
    takes: Callable[[dict[str, Any]], bool]
    symbol: Callable[[dict[str, Any]], str] = lambda m: str(m["id"])


def _kraken_symbol(market: dict[str, Any]) -> str:
    return str(market.get("info", {}).get("wsname") or f"{market['base']}/{market['quote']}").replace("/", "-")


def _derivative(market: dict[str, Any], kind: str) -> bool:
    return bool(market.get(kind)) and not market.get("spot") and not market.get("option")


SOURCES = {
    "bybit-linear": VenueSource("bybit", lambda m: _derivative(m, "linear")),
    "bybit-spot": VenueSource("bybit", lambda m: bool(m.get("spot"))),
    "binance-usdm": VenueSource("binanceusdm", lambda m: _derivative(m, "linear")),
    "binance-coinm": VenueSource("binancecoinm", lambda m: _derivative(m, "inverse")),
    "binance-spot": VenueSource("binance", lambda m: bool(m.get("spot"))),
    "okx": VenueSource("okx", lambda m: not m.get("option")),
    "kraken": VenueSource("kraken", lambda m: bool(m.get("spot")), _kraken_symbol),
}


@dataclass
class Refreshed:
    """What a refresh changed. ``changed``: market -> key -> (before, now). ``gone``: kept, but no longer listed."""

    path: str
    markets: int = 0
    added: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return dict(self.__dict__)


def ccxt_exchange(name: str) -> Any:
    """Return ccxt's exchange class of that name, made. Raises ``BadInputError`` where ccxt is not installed."""
    try:
        import ccxt
    except ImportError as error:
        raise BadInputError("ccxt is not installed: pip install -c constraints.txt -e '.[live]'") from error
    return getattr(ccxt, name)({"enableRateLimit": True})


def refresh_markets(
    home: Home,
    venues: list[str],
    *,
    today: str,
    exchange_of: Callable[[str], Any] = ccxt_exchange,
) -> Refreshed:
    """Fetch the active markets of ``venues`` and write them below the marker of ``HOME/markets.toml``.

    What the owner wrote above it stays byte for byte, entries of other venues stay too, and so do markets that are
    no longer listed: recordings of them still need their grid. ``today``: the day that fees are dated with.
    Raises ``BadInputError`` for an unknown venue, ``LobError`` when one does not answer; the file is then as it was.
    """
    parse_date(today)
    unknown = [v for v in venues if v not in SOURCES]
    if unknown:
        raise BadInputError(f"venue {unknown[0]!r} is not refreshed through ccxt: expected one of {', '.join(SOURCES)}")
    before = dict(read_market_file(home.markets).get("refreshed", {}))
    found: dict[str, dict[str, Any]] = {}
    report = Refreshed(str(home.markets))
    exchanges: dict[str, Any] = {}
    for venue in venues:
        source = SOURCES[venue]
        if source.exchange not in exchanges:
            exchanges[source.exchange] = _load(source.exchange, exchange_of)
        found |= _entries(venue, exchanges[source.exchange], today, report)
    if not found:
        raise LobError(f"{', '.join(venues)}: no active market was listed; the file is left as it was")
    mine = {name for name in before if name.partition(".")[0] in venues}
    report.gone = sorted(mine - found.keys())
    report.markets = len(found)
    _compare(before, found, report)
    _write(home, {**before, **found})
    return report


def _load(name: str, exchange_of: Callable[[str], Any]) -> list[dict[str, Any]]:
    exchange = exchange_of(name)
    if exchange.precisionMode != _TICK_SIZE:
        raise LobError(f"ccxt's {name} counts precision in digits, not steps: this version cannot be used")
    try:
        markets = exchange.load_markets()
    except Exception as error:
        if not _is_the_venues(error):
            raise
        raise LobError(f"{name} did not answer ({type(error).__name__}: {error}): try again later") from error
    return list(markets.values())


def _is_the_venues(error: Exception) -> bool:
    """Whether an error tells of the network or the venue, not of a defect here (ccxt's own errors share one base)."""
    bases = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
    return ("ccxt", "BaseError") in bases or isinstance(error, OSError)


def _entries(venue: str, markets: list[dict[str, Any]], today: str, report: Refreshed) -> dict[str, dict[str, Any]]:
    source, out = SOURCES[venue], {}
    for market in markets:
        if market.get("active") is False or not source.takes(market):
            continue
        name = f"{venue}.{source.symbol(market)}"
        try:
            parsed = parse_market(name)
        except BadInputError:
            report.skipped[name] = "its symbol is no market name here"
            continue
        entry = _entry(parsed, market, today)
        if entry is None:
            report.skipped[name] = "no tick or lot was listed"
        else:
            out[name] = entry
    return out


def _entry(name: Market, market: dict[str, Any], today: str) -> dict[str, Any] | None:
    """Return the settings of a unified market, None where it names no step."""
    tick, amount = (_decimal(market.get("precision", {}).get(k)) for k in ("price", "amount"))
    if not tick or not amount:
        return None
    contract = "spot" if market.get("spot") else ("inverse" if market.get("inverse") else "linear")
    size = _decimal(market.get("contractSize")) or Decimal(1)
    # Sizes of a linear derivative are counted in base units: a lot of contracts times what one is worth.
    lot = amount * size if contract == "linear" else amount
    entry: dict[str, Any] = {"tick": _text(tick), "lot": _text(lot)}
    known = settings(name)
    if contract != known["contract"]:
        entry["contract"] = contract
    if contract != "spot" and _text(size) != known["contract_value"]:
        entry["contract_value"] = _text(size)
    fees = {f"{kind}_fee_bps": _decimal(market.get(kind)) for kind in ("maker", "taker")}
    if all(fee is not None for fee in fees.values()):
        entry |= {key: float(fee * _BPS) for key, fee in fees.items() if fee is not None}
        entry["fees_as_of"] = today
    return entry


def _decimal(value: object) -> Decimal | None:
    """Return a number as its shortest decimal, None for what is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _text(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _compare(before: dict[str, Any], found: dict[str, dict[str, Any]], report: Refreshed) -> None:
    """Enter into the report what is new against what was built in or fetched, the date of the fees left out."""
    for name, entry in found.items():
        known = settings(parse_market(name)) | before.get(name, {})
        if not known.get("tick"):
            report.added.append(name)
            continue
        changes = {k: (known.get(k), v) for k, v in entry.items() if k != "fees_as_of" and known.get(k) != v}
        if changes:
            report.changed[name] = changes


def _write(home: Home, refreshed: dict[str, dict[str, Any]]) -> None:
    path = home.markets
    text = file_text(owners_part(path), refreshed)
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with part.open("w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            read_market_file(part)  # what cannot be read again is never put in place
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        fsync_directory(path.parent)

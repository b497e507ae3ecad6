"""A Binance recording as a market without end: the chain of update ids, trades and best prices go on pass after pass.

The loop begins behind the first delta that bridges a recorded REST snapshot, so the book is known at every message; it
closes with one delta of our own that leads back to that state. Every id grows by the same span a pass, so quotes keep
naming the updates that they belong to. What the REST snapshot did not show is unknown until a delta names it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.feed import BOOK, OTHER, TRADES, Levels, Message, apply_levels, now_ms, rest_text
from lob_pipeline.sim.loop_book import Changes, LoopBook
from lob_pipeline.sim.recorded import frames
from lob_pipeline.venues.detect import FileInfo

_PATCHED = re.compile(rb'"(E|T|U|u|pu|t|a|f|l)":\s?\d+')
_STREAMS = {"depthUpdate": ("depth", BOOK), "trade": ("trade", TRADES), "aggTrade": ("aggTrade", TRADES)}
_TRADE_IDS = ("t", "a")


@dataclass(frozen=True)
class BinanceTemplate:
    """One message of the loop. ``pattern`` takes its clocks and ids, which are ``ids`` + the shift of the pass."""

    topic: str
    kind: int
    symbol: str
    pattern: bytes
    ids: dict[bytes, int]
    trade_ids: dict[bytes, int]


@dataclass
class _Market:
    """One symbol while its loop is being made, and how its ids grow a pass."""

    book: LoopBook | None = None
    waiting: list[dict[str, Any]] = field(default_factory=list)
    snapshot: dict[str, Any] | None = None
    first_id: int = 0
    span: int = 0
    first_trade: dict[bytes, int] = field(default_factory=dict)
    last_trade: dict[bytes, int] = field(default_factory=dict)


class BinanceLoop:
    """Files of Binance recordings, endless. ``clock``: the machine's time in ns.

    Raises ``BadInputError`` when no REST snapshot of the files bridges into their deltas, or the chain breaks.
    """

    family = "binance"
    endless = True
    by_topic = True

    def __init__(self, infos: list[FileInfo], clock: Callable[[], int] = time.time_ns) -> None:
        if any(info.family != "binance" for info in infos):
            raise BadInputError(f"{infos[0].path} is {infos[0].format}: only Bybit's and Binance's can be looped")
        self._clock, self._step_ms = clock, 0
        self._markets: dict[str, _Market] = {}
        self.templates: list[BinanceTemplate] = []
        self._index, self._passes = -1, 0
        default = infos[0].symbols[0] if len(infos[0].symbols) == 1 else ""
        for frame in frames(infos):
            self._build(json.loads(frame.payload), default)
        self._close(infos)
        self._topics = frozenset(template.topic for template in self.templates)

    def _build(self, said: dict[str, Any], default: str) -> None:
        symbol = str(said.get("symbol", default))
        said = said["data"] if isinstance(said.get("data"), dict) else said
        symbol = str(said.get("s") or symbol)
        market = self._markets.setdefault(symbol, _Market())
        if "lastUpdateId" in said:
            market.snapshot = said if market.book is None else None
            self._bridge(market)
        elif said.get("e") == "depthUpdate" and market.book is None:
            market.waiting.append(said)
            self._bridge(market)
        elif market.book is not None and ("e" in said or "A" in said):
            self._add(said, symbol, market)

    def _bridge(self, market: _Market) -> None:
        """Begin the loop where a delta covers the snapshot's id; deltas behind it were made before anything is sent."""
        if market.snapshot is None:
            return
        last_id = market.snapshot["lastUpdateId"]
        behind = [delta for delta in market.waiting if delta["u"] >= last_id]
        if not behind or behind[0]["U"] > last_id + 1:
            return
        bids, asks = dict(market.snapshot["bids"]), dict(market.snapshot["asks"])
        for delta in behind:
            apply_levels(bids, delta["b"])
            apply_levels(asks, delta["a"])
        market.book = LoopBook(bids, asks, behind[-1]["u"])
        market.first_id = behind[-1]["u"]
        market.waiting.clear()

    def _add(self, said: dict[str, Any], symbol: str, market: _Market) -> None:
        event = str(said.get("e", "bookTicker"))
        name, kind = _STREAMS.get(event, (event, OTHER))
        book = market.book
        assert book is not None
        if kind == BOOK:
            if said.get("pu", said["U"] - 1) != book.update_id:
                raise BadInputError(
                    f"the recording of {symbol} has a gap behind update {book.update_id}: give one without"
                )
            book.update_id = said["u"]
            book.add(len(self.templates), said["b"], said["a"])
        elif kind == OTHER and said.get("u", 0) <= market.first_id:
            return  # of a book before the loop's first, or no market data at all
        trade_ids = {n.encode(): int(said[n]) for n in ("t", "a", "f", "l") if kind == TRADES and n in said}
        for key in (key.encode() for key in _TRADE_IDS):
            if key in trade_ids:
                market.first_trade.setdefault(key, trade_ids[key])
                market.last_trade[key] = trade_ids[key]
        ids = {n.encode(): int(said[n]) for n in ("U", "u", "pu") if kind != TRADES and n in said}
        text = json.dumps(said, separators=(",", ":")).encode()
        topic = f"{symbol.lower()}@{name}"
        self.templates.append(BinanceTemplate(topic, kind, symbol, _pattern(text, ids, trade_ids), ids, trade_ids))

    def _close(self, infos: list[FileInfo]) -> None:
        self._markets = {symbol: market for symbol, market in self._markets.items() if market.book is not None}
        if not self._markets:
            raise BadInputError(f"{infos[0].path}: no REST snapshot bridges into its deltas: its book is unknown")
        for symbol, market in self._markets.items():
            book = market.book
            assert book is not None
            last: Changes
            bids, last = book.way_back()
            said: dict[str, Any] = {"e": "depthUpdate", "E": 0, "T": 0, "s": symbol}
            said |= {"U": book.update_id + 1, "u": book.update_id + 1 + len(bids) + len(last), "pu": book.update_id}
            self._add({**said, "b": bids, "a": last}, symbol, market)
            market.span = book.update_id - market.first_id
            book.update_id = market.first_id

    def next_ns(self) -> int | None:
        """Return 0: a loop has no times of its own."""
        return 0

    def take(self) -> Message:
        """Return the next message, stamped now."""
        self._index += 1
        if self._index == len(self.templates):
            self._index, self._passes = 0, self._passes + 1
        template = self.templates[self._index]
        market = self._markets[template.symbol]
        shift = self._passes * market.span
        now_ns = self._clock()
        ms = now_ms(now_ns) + self._step_ms
        values = {b"E": ms, b"T": ms - 1, **{name: number + shift for name, number in template.ids.items()}}
        for name, number in template.trade_ids.items():
            key = b"a" if name == b"a" else b"t" if b"t" in template.trade_ids else b"f"
            values[name] = number + self._passes * self._trade_span(market, key)
        update_id = -1
        if template.kind == BOOK and market.book is not None:
            market.book.update_id = update_id = values[b"u"]
        return Message(template.topic, template.kind, update_id, -1, template.pattern % values, now_ns, self._index)

    def _trade_span(self, market: _Market, key: bytes) -> int:
        if key in market.first_trade:
            return market.last_trade[key] - market.first_trade[key] + 1
        return 1 << 20  # first and last trade of an aggregate: only that they rise

    def books(self) -> list[str]:
        """Return the topics of the books."""
        return [f"{symbol.lower()}@depth" for symbol in self._markets]

    def canonical(self, topic: str) -> str:
        """Return the stream without its speed: ``btcusdt@depth@100ms`` is ``btcusdt@depth`` here."""
        return "@".join(topic.split("@")[:2])

    def offers(self, topic: str) -> bool:
        """Return whether the recording has the stream."""
        return self.canonical(topic) in self._topics

    def snapshot(self, topic: str) -> bytes:
        """Return nothing: Binance's book is asked for over REST."""
        return b""

    def book_at(self, symbol: str, index: int) -> tuple[Levels, Levels]:
        """Return (bids, asks) after template ``index`` of any pass; −1: before the first."""
        book = self._markets[symbol].book
        assert book is not None
        return book.at(index)

    def rest(self, symbol: str, limit: int) -> bytes:
        """Return the REST answer for the book as it stands after the last message; empty for another symbol."""
        market = self._markets.get(symbol)
        if market is None or market.book is None:
            return b""
        ms = now_ms(self._clock()) + self._step_ms
        bids, asks = market.book.at(self._index)
        return rest_text(market.book.update_id, {"E": ms, "T": ms - 1}, bids, asks, limit)

    def restart(self, topic: str) -> None:
        """Do nothing: Binance's ids do not begin again."""

    def as_snapshot(self, message: Message) -> Message:
        """Return ``message``: Binance sends no snapshots."""
        return message

    def step_clock(self, ms: int) -> None:
        """Move the exchange's clock by ``ms`` from the next message on."""
        self._step_ms += ms


def _pattern(text: bytes, ids: dict[bytes, int], trade_ids: dict[bytes, int]) -> bytes:
    """Return the message as a format string of its clocks and ids."""

    def name(found: re.Match[bytes]) -> bytes:
        known = found[1] in (b"E", b"T") or found[1] in ids or found[1] in trade_ids
        return b'"%b":%%(%b)d' % (found[1], found[1]) if known else found[0]

    return _PATCHED.sub(name, text.replace(b"%", b"%%"))

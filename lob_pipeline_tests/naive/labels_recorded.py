"""Days of the real recordings as the naive labels take them, parsed with json and decimal only."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.units import NS_PER_DAY, day_start_ns
from lob_pipeline_tests.naive.book import Message as BookMessage
from lob_pipeline_tests.naive.labels_naive import Market, Message, Settings, Trade
from lob_pipeline_tests.naive.recordings import Recording, binance, bybit

MS = 1_000_000


@dataclass
class RecordedDay:
    """One UTC day of a market: applied messages, trades, and from when to when the stream can be trusted."""

    name: str
    instrument: Instrument
    date: str
    clock: str
    messages: list[Message]
    trades: list[Trade]
    whole_ns: int
    last_ns: int

    def market(self, settings: Settings) -> Market:
        """Replay the day for one set of settings; fees are the instrument's."""
        settings.maker_bps = float(self.instrument.maker_fee_bps or 0)
        settings.taker_bps = float(self.instrument.taker_fee_bps or 0)
        settings.step_ns = {"t100ms": 100 * MS, "t1s": 1000 * MS}[self.clock]
        settings.whole_ns, settings.last_ns = self.whole_ns, self.last_ns
        return Market(self.messages, self.trades, settings)


def _binance_trades(recording: Recording, paths: list[Path], spot: bool) -> list[Trade]:
    trades = []
    for path in paths:
        with gzip.open(path, "rt") as handle:
            for line in handle:
                data = json.loads(line.partition(" ")[2])
                d = data.get("data", data)
                if d.get("e") == "trade":
                    flags = 0 if d.get("X", "MARKET") == "MARKET" else 4
                    ts, side = d["E" if spot else "T"] * MS, -1 if d["m"] else 1
                    trades.append(Trade(ts, -1, side, recording.ticks(d["p"]), recording.lots(d["q"]), flags))
    return trades


def _bybit_trades(recording: Recording, path: Path) -> list[Trade]:
    return [
        Trade(d["T"] * MS, d["seq"], 1 if d["S"] == "Buy" else -1, recording.ticks(d["p"]), recording.lots(d["v"]))
        for line in path.read_text().splitlines()
        for d in json.loads(line)["data"]
    ]


def _day(
    name: str,
    recording: Recording,
    date: str,
    clock: str,
    found: list[BookMessage],
    seqs: list[int],
    trades: list[Trade],
) -> RecordedDay:
    """Keep what is applied: from the first snapshot or carried book on, without audits and marks."""
    first = next(i for i, m in enumerate(found) if m.kind in (1, 4))
    running = max(m.ts for m in found[: first + 1])
    whole = running
    for m in found[first + 1 :]:
        if found[first].kind != 1 or not 0 < m.recv <= found[first].recv:
            break
        running = max(running, m.ts)
        whole = running
    messages = [
        Message(m.ts, seq, m.kind != 2, m.levels)
        for m, seq in zip(found[first:], seqs[first:], strict=True)
        if m.kind != 3 and m.levels
    ]
    start = day_start_ns(date)
    own = [t for t in trades if start < t.time_ns <= start + NS_PER_DAY]
    last = max(m.ts for m in found if m.kind != 3)
    return RecordedDay(name, recording.instrument, date, clock, messages, own, whole, last)


def _binance_days(root: Path, name: str, market: str, files: list[str], clock: str = "t100ms") -> list[RecordedDay]:
    recording = binance(root, market, files)
    spot = "spot" in market
    folder = root / ("binance_spot" if spot else "binance_usdm")
    trades = _binance_trades(recording, [folder / f for f in files], spot)
    return [
        _day(name, recording, date, clock, found, [-1] * len(found), trades) for date, found in recording.days().items()
    ]


def _bybit_day(root: Path, symbol: str) -> RecordedDay:
    recording = bybit(root, symbol)
    folder = root / "bybit_linear_ws"
    seqs = [
        json.loads(line)["data"]["seq"] for line in (folder / f"orderbook.200.{symbol}.ndjson").read_text().splitlines()
    ]
    trades = _bybit_trades(recording, folder / f"publicTrade.{symbol}.ndjson")
    ((date, found),) = recording.days().items()
    return _day(f"bybit-{symbol[:3].lower()}", recording, date, "t100ms", found, seqs, trades)


USDM_2023 = ("binance-usdm.BTCUSDT", ["btcusdt_20230404.gz", "btcusdt_20230405.gz"])
USDM_2024 = ("binance-usdm.BTCUSDT", ["btcusdt_20240808.gz"])
SPOT_BTC = ("binance-spot.BTCUSDT", ["btcusdt_20240808.gz", "btcusdt_20240809.gz"])
SPOT_NEXO = ("binance-spot.NEXOUSDT", ["nexousdt_20240723.gz", "nexousdt_20240724.gz"])


def usdm_2023(root: Path) -> list[RecordedDay]:
    """The pair that crosses midnight and holds the insurance fund's print."""
    return _binance_days(root, "usdm-2023", *USDM_2023)


def usdm_2024(root: Path) -> list[RecordedDay]:
    """The busy one."""
    return _binance_days(root, "usdm-2024", *USDM_2024)


def spot_btc(root: Path) -> list[RecordedDay]:
    """Spot BTCUSDT over midnight."""
    return _binance_days(root, "spot-btc", *SPOT_BTC)


def spot_nexo(root: Path) -> list[RecordedDay]:
    """24 hours of a thin market at one second."""
    return _binance_days(root, "spot-nexo", *SPOT_NEXO, clock="t1s")


def bybit_days(root: Path) -> list[RecordedDay]:
    """Both websocket recordings, where ``seq`` decides the order."""
    return [_bybit_day(root, "BTCUSDT"), _bybit_day(root, "SOLUSDT")]

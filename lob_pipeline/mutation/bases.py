"""The clean recordings that mutants are made from, cut to what the trials need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from lob_pipeline.mutation.cuts import DAY_MS, cut, random_spans
from lob_pipeline.mutation.derived import derived
from lob_pipeline.mutation.frames import BOOK_KINDS, DELTA, TRADE, Frame, Recording
from lob_pipeline.mutation.mutant import DEPTHS
from lob_pipeline.mutation.recordings import SPOT, USDM, binance, bybit_ws, checked
from lob_pipeline.mutation.wire import wire_of
from lob_pipeline.mutation.wrapped import restamped

MIDNIGHT_2023_MS = 1_680_652_800_000
MANY_TRADES = 20
INSURANCE_2023_MS = 1_680_652_874_400
MIDNIGHT_SPOT_MS = 1_723_161_600_000


@dataclass(frozen=True)
class Base:
    """A clean recording for mutants. ``has``: what it has that some defects or doses need
    (``midnight``, ``depths``).

    ``moved``: another base with its times moved, for the defects that need what it has and for no other.
    """

    recording: Recording
    has: tuple[str, ...] = ()
    moved: bool = False

    def fits(self, needs: str) -> bool:
        """Return whether a defect with these needs can be put here."""
        return needs in self.has if needs else not self.moved

    @property
    def many_trades(self) -> bool:
        """Return whether there are trades enough for the checks that judge them."""
        wire = wire_of(self.recording.venue)
        return sum(len(wire.trades(self.recording.frames[i])) for i in self.recording.where(TRADE)) >= MANY_TRADES


@dataclass(frozen=True)
class Venue:
    """A venue of the score and how its clean recordings are made from those on disk."""

    bases: Callable[[Path, np.random.Generator], list[Base]]


def around(recording: Recording, at_ms: int, before_s: float, after_s: float) -> Recording:
    """Return the cut from ``before_s`` before to ``after_s`` after an instant, by the engine's time of deltas."""
    wire = wire_of(recording.venue)
    deltas = recording.where(DELTA)
    times = np.array([wire.engine_ms(recording.frames[i]) for i in deltas])
    lo, hi = np.searchsorted(times, [at_ms - 1000 * before_s, at_ms + 1000 * after_s])
    return cut(recording, [(deltas[int(lo)], deltas[min(int(hi), len(deltas) - 1)])])[0]


def usdm_2023(root: Path) -> Recording:
    """Return USDT-M BTCUSDT from 2023-04-04 23:58 to 00:01:40."""
    names = ("btcusdt_20230404.gz", "btcusdt_20230405.gz")
    return binance(root, USDM, "binance-usdm.BTCUSDT", names, until="1680652900")


def usdm_midnight(whole: Recording, before_s: float = 25, after_s: float = 35) -> Recording:
    """Return the cut around midnight."""
    return replace(around(whole, MIDNIGHT_2023_MS, before_s, after_s), name="usdm-2023-midnight")


def bybit(root: Path, rng: np.random.Generator) -> list[Base]:
    """Bybit: two websocket recordings, USDT-M minutes in its websocket and archive form, and in two depths at once."""
    source = usdm_midnight(usdm_2023(root))
    return [
        Base(bybit_ws(root, "BTCUSDT")),
        Base(derived(source, "websocket", 200), ("midnight",)),
        Base(bybit_ws(root, "SOLUSDT")),
        Base(derived(source, "archive", 500), ("midnight",)),
        Base(derived(source, "websocket", 500, witness=200), ("midnight", DEPTHS)),
    ]


def usdm(root: Path, rng: np.random.Generator) -> list[Base]:
    """Binance USDT-M: over midnight in 2023, around that year's insurance-fund print, half a minute of 2024."""
    whole = usdm_2023(root)
    print_2023 = replace(around(whole, INSURANCE_2023_MS, 15, 15), name="usdm-2023-insurance")
    year = binance(root, USDM, "binance-usdm.BTCUSDT", ("btcusdt_20240808.gz",), until="1723161435")
    minute = cut(year, random_spans(year, rng, 1, 600))[0]
    return [
        Base(usdm_midnight(whole), ("midnight",)),
        Base(replace(minute, name="usdm-2024")),
        Base(print_2023, ("insurance",)),
    ]


def spot(root: Path, rng: np.random.Generator) -> list[Base]:
    """Binance spot: BTCUSDT over midnight, part of the thin NEXOUSDT."""
    names = ("btcusdt_20240808.gz", "btcusdt_20240809.gz")
    btc = binance(root, SPOT, "binance-spot.BTCUSDT", names, until="1723161660")
    nexo = binance(root, SPOT, "binance-spot.NEXOUSDT", ("nexousdt_20240723.gz",))
    return [
        Base(replace(around(btc, MIDNIGHT_SPOT_MS, 40, 40), name="spot-btc-midnight"), ("midnight",)),
        Base(replace(nexo, name="spot-nexo")),
    ]


def over_midnight(recording: Recording) -> Recording:
    """Return the recording with all its times moved so that a midnight lies in its middle."""
    wire = wire_of(recording.venue)
    times = [wire.engine_ms(recording.frames[i]) for i in recording.where(DELTA)]
    middle = (min(times) + max(times)) // 2
    by_ms = (middle // DAY_MS + 1) * DAY_MS - middle

    def move(frame: Frame) -> Frame:
        if frame.kind not in (*BOOK_KINDS, TRADE):
            return frame
        out = frame.edited()
        for box, key in wire.times(out):
            value = Decimal(str(box[key])) + (Decimal(by_ms) / 1000 if "." in str(box[key]) else by_ms)
            box[key] = str(value) if isinstance(box[key], str) else int(value)
        return replace(out, prefix=restamped(frame.prefix, by_ms) if frame.quoted else frame.prefix)

    frames = tuple(move(frame) for frame in recording.frames)
    return replace(recording, name=f"{recording.name}-midnight", frames=frames)


def okx(root: Path, rng: np.random.Generator) -> list[Base]:
    """OKX: spot and an inverse swap, and the spot moved over a midnight."""
    spot_book = checked(root, "OKX", "okx.BTC-USDT")
    return [
        Base(spot_book),
        Base(over_midnight(spot_book), ("midnight",), moved=True),
        Base(checked(root, "OKX", "okx.UNI-USD-SWAP")),
    ]


def kraken(root: Path, rng: np.random.Generator) -> list[Base]:
    """Kraken: the two busiest pairs, one of them also moved over a midnight."""
    pair = checked(root, "KRAKEN", "kraken.XMR-USD")
    return [
        Base(pair),
        Base(over_midnight(pair), ("midnight",), moved=True),
        Base(checked(root, "KRAKEN", "kraken.SC-EUR")),
    ]


BASES: dict[str, Venue] = {
    "bybit": Venue(bybit),
    "binance-usdm": Venue(usdm),
    "binance-spot": Venue(spot),
    "okx": Venue(okx),
    "kraken": Venue(kraken),
}
"""The venues of the score."""

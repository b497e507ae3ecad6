"""Simulate a market: one archive zip and one trades file a day, the instrument's data, and the truth about it all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.units import parse_date
from lob_pipeline.sim.archive import GzipFile, ZipMember, write_whole
from lob_pipeline.sim.config import SimConfig, session_start_us
from lob_pipeline.sim.day import new_session, run_day
from lob_pipeline.sim.earned import Earned, Floats, together, told
from lob_pipeline.sim.injected import inject
from lob_pipeline.sim.oracle_tape import OracleTape
from lob_pipeline.sim.own_ledger import OwnLedger
from lob_pipeline.sim.plan import draw_plan
from lob_pipeline.sim.planted import day_signals, drift_bps, signals_to_json
from lob_pipeline.sim.probe_day import ProbeDay
from lob_pipeline.sim.quotes import QuoteTape
from lob_pipeline.sim.session import Session
from lob_pipeline.sim.stats import MarketSeries, describe
from lob_pipeline.sim.wire import TRADES_HEADER, Wire, new_trade_state
from lob_pipeline.stages.probes import probes_file, write_probes

Progress = Callable[[float, str], None]
INSTRUMENTS_FILE = "instruments-info.json"
TRUTH_FILE = "truth.json"


@dataclass(frozen=True)
class SimulatedDay:
    """The archive files of one day (relative names with SHA-256) and what its market looked like.

    ``minute_mid``: mid in ticks at every whole minute of the session, float64, NaN before the first message.
    """

    date: str
    book: str
    trades: str
    sha256: dict[str, str]
    statistics: dict[str, Any]
    signals: list[dict[str, Any]]
    oracle: dict[str, Earned]
    probes: dict[str, Any] | None = None
    own_orders: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    minute_mid: Floats = field(default_factory=lambda: np.empty(0), repr=False)


@dataclass(frozen=True)
class SimReport:
    """What a run wrote. ``truth`` is the content of ``truth.json``."""

    folder: Path
    days: list[SimulatedDay]
    truth: dict[str, Any]

    @property
    def files(self) -> list[Path]:
        """Return the archive files in the order of their days, books before trades."""
        return [self.folder / name for day in self.days for name in (day.book, day.trades)]

    @property
    def truth_path(self) -> Path:
        """Return where the truth is written."""
        return self.folder / TRUTH_FILE

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "files": [str(path) for path in self.files],
            "instruments": str(self.folder / INSTRUMENTS_FILE),
            "truth_path": str(self.truth_path),
            "truth": self.truth,
        }


def _instruments_info(config: SimConfig) -> dict[str, Any]:
    """Return the venue's REST answer about the instrument, as a recording keeps it beside the data."""
    made = config.instrument
    tick, lot, symbol = f"{made.tick:f}", f"{made.lot:f}", made.market.symbol
    listed = {
        "symbol": symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": symbol.removesuffix("USDT"),
        "quoteCoin": "USDT",
        "priceScale": str(Wire.of(made, config.depth).decimals.shown),
        "priceFilter": {"tickSize": tick},
        "lotSizeFilter": {"qtyStep": lot, "minOrderQty": lot},
        "fundingInterval": made.funding_interval_hours * 60,
    }
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [listed]}}


def _json_bytes(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True)
class Extras:
    """What a run adds to a market. ``probes``: random instants a day; ``faults``: kinds put into the written files."""

    probes: int = 0
    faults: tuple[str, ...] = ()


def _write_day(
    out: Path, config: SimConfig, date: str, session: Session, progress: Callable[[float], None], extras: Extras
) -> SimulatedDay:
    symbol, day = config.instrument.market.symbol, parse_date(date).toordinal()
    member = f"{date}_{symbol}_ob{config.depth}.data"
    book, trades = out / f"{member}.zip", out / f"{symbol}{date}.csv.gz"
    wire, ids = Wire.of(config.instrument, config.depth), new_trade_state(config.market_seed, day)
    series, tape, signals = MarketSeries(), OracleTape(), day_signals(config, date)
    plan, quotes = draw_plan(config, date), QuoteTape()
    own = OwnLedger(plan.own)
    probes = ProbeDay(config, date, extras.probes) if extras.probes else None
    start_us, length_us = session_start_us(config, date), config.minutes * 60_000_000
    with ZipMember(book, member) as book_file, GzipFile(trades) as trades_file:
        trades_file.write(TRADES_HEADER)
        for chunk in run_day(config, date, session, plan):
            series.add(chunk.messages, chunk.trades)
            quotes.add(chunk.messages)
            own.add(chunk.trades)
            if len(signals.start_us):
                tape.add(chunk.messages, chunk.trades)
            if probes is not None:
                probes.add(chunk)
            book_file.write(wire.book_bytes(chunk.messages))
            trades_file.write(wire.trade_bytes(chunk.trades, ids))
            progress(min(1.0, (chunk.until_us - start_us) / length_us))
    faults = inject(book, trades, extras.faults, config.market_seed, day)
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (book, trades)}
    oracle = tape.judge(config, signals)
    planted = signals_to_json(signals, config)
    fates = None if probes is None else write_probes(out / probes_file(date, symbol), probes.truth())
    minutes_ns = (start_us + np.arange(config.minutes + 1) * 60_000_000) * 1000
    return SimulatedDay(
        date,
        book.name,
        trades.name,
        hashes,
        describe(series),
        planted,
        oracle,
        fates,
        own.rows(),
        [fault.to_json() for fault in faults],
        quotes.done().mid(minutes_ns),
    )


def simulate(
    out_dir: Path,
    config: SimConfig,
    progress: Progress | None = None,
    probes: int = 0,
    faults: tuple[str, ...] = (),
) -> SimReport:
    """Write the market of ``config`` into ``out_dir`` and return what was written.

    A day is ``DATE_SYMBOL_ob200.data.zip`` and ``SYMBOLDATE.csv.gz``; beside them stand ``instruments-info.json`` and
    ``truth.json`` (seed, parameters, planted edge, hashes, realised statistics, and with an edge every signal and what
    the oracles earned). The same config gives the same bytes under one version of numba and numpy.
    ``probes``: random instants a day whose orders' true fates go into ``DATE_SYMBOL_probes.parquet`` (both sides of
    each; ``sim/probe_table.py``); they change nothing else. ``faults``: kinds of ``sim/injected.py`` to put into the
    written files, one of each a day; the truth says where, and its statistics are of the market before.
    ``progress(fraction, text)`` is called every ten simulated minutes.
    Raises ``BadInputError`` when the folder cannot be made or the edge not planted, ``LobError`` when the folder cannot
    be written to the end.
    """
    out = Path(out_dir)
    drift_bps(config.edge_bps, config.horizon_s, config.preset)  # what cannot be planted is refused before any work
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{out}: cannot make this folder ({error.strerror}); choose another with --out") from error
    config = replace(config, order_log=config.order_log or probes > 0)
    days: list[SimulatedDay] = []
    session: Session | None = None
    try:
        for i, date in enumerate(config.dates):
            if session is None or not config.continuous:
                session = new_session(config, date)

            def update(share: float, done: int = i, date: str = date) -> None:
                if progress is not None:
                    progress((done + share) / config.days, date)

            days.append(_write_day(out, config, date, session, update, Extras(probes, faults)))
        truth = {
            "market": config.market,
            "seed": config.seed,
            "edge_bps": config.edge_bps,
            "config": config.to_json(),
            "versions": {"numba": numba.__version__, "numpy": np.__version__},
            "days": {
                d.date: {
                    "sha256": d.sha256,
                    "statistics": d.statistics,
                    "signals": d.signals,
                    "probes": d.probes,
                    "own_orders": d.own_orders,
                    "faults": d.faults,
                    "oracle": told(d.oracle) if config.edge_bps else None,
                }
                for d in days
            },
            "oracle": told(together(d.oracle for d in days)) if config.edge_bps else None,
        }
        write_whole(out / INSTRUMENTS_FILE, _json_bytes(_instruments_info(config)))
        write_whole(out / TRUTH_FILE, _json_bytes(truth))
    except OSError as error:
        raise LobError(
            f"{out}: writing stopped ({error.strerror or error}); free some space or choose another folder"
        ) from error
    return SimReport(out, days, truth)

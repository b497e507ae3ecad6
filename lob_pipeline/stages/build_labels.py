"""Stage ``labels``: the fate of a simulated maker order for every decision row and side of a day."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, TRADES
from lob_pipeline.labels.day import decision_rows, label_columns, make_tape, run_day
from lob_pipeline.labels.overlap import trade_id_gaps
from lob_pipeline.labels.spec import LABELS_TABLE, LabelConfig, fees_of
from lob_pipeline.labels.states import Int64s
from lob_pipeline.labels.stream import NEEDED
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, must_follow, open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.label_gates import BaseRates, LabelGates, decision_prices
from lob_pipeline.quality.schemas import SchemaGate
from lob_pipeline.stages.result import StageResult, stage_result

EVENT_ROWS = 1 << 18
BOOK_ROWS = 1 << 16
DECISION = ["ts_ns", "close_ns", "valid", "decidable", "bid_ticks_1", "ask_ticks_1"]
TAPE = ["ts_event_ns", "seq", "side", "price_ticks", "size_lots", "flags"]


def build_labels(
    home: Home, market: Market, date: str, clock_id: str | None = None, config: LabelConfig | None = None
) -> StageResult:
    """Simulate both maker orders of every decision row of a day under three queue models; publish what became of them.

    Inputs: ``book_snapshots`` at the clock, ``l2_events`` and ``trades`` of the day, all of them usable, and the books
    made from these very events (``RefusedError`` otherwise); nothing of the day after is read. ``config`` changes the
    simulated order; the default is the table's definition. Gates: ``schema``, ``ordering_law``, ``null_rule``,
    ``fill_rule``, ``decision_prices``, ``valid_rows`` (not judged where no span is whole). The manifest's ``extra``
    holds settings, fees and base rates.
    Raises ``BadInputError`` for a market without fees.
    """
    instrument = partition_instrument(home, market, date)
    clock = parse_clock(clock_id or instrument.clock)
    config, fees = config or LabelConfig(), fees_of(instrument)
    schema, gates, rates = SchemaGate(LABELS_TABLE), LabelGates(), BaseRates()
    key = PartitionKey("labels", market, date, clock.id)
    books = PartitionKey("book_snapshots", market, date, clock.id)
    with (
        open_partition(home, books, BOOK_SNAPSHOTS) as book,
        open_partition(home, PartitionKey("l2_events", market, date), L2_EVENTS) as events,
        open_partition(home, PartitionKey("trades", market, date), TRADES) as trades,
        PartitionWriter(home, key, LABELS_TABLE) as writer,
    ):
        must_follow(book, events)
        rows = decision_rows(book.chunks(BOOK_ROWS, DECISION))
        chunks: Iterator[Columns] = events.chunks(EVENT_ROWS, list(NEEDED))
        gaps = missing_trades(trades, instrument)
        day = run_day(rows, chunks, make_tape(trades.read(TAPE)), config, instrument.sequence, clock.step_ns, gaps)
        for columns in label_columns(day, fees):
            schema.add(columns)
            gates.add(columns)
            rates.add(columns)
            writer.write(columns)
        manifest = writer.commit(
            code_fingerprint=code_fingerprint("labels", instrument),
            inputs={
                f"book_snapshots/{date}": book.manifest.content_sha256,
                f"l2_events/{date}": events.manifest.content_sha256,
                f"trades/{date}": trades.manifest.content_sha256,
            },
            outcomes=[schema.outcome(), *gates.outcomes(), decision_prices(day)],
            extra={
                "config": config.to_json(),
                "fees_bps": {"maker": fees.maker_bps, "taker": fees.taker_bps, "as_of": instrument.fees_as_of},
                "trade_id_gaps": len(gaps),
                "base_rates": rates.to_json(day),
            },
        )
        return stage_result(key, manifest, writer.path)


def missing_trades(trades: Partition, instrument: Instrument) -> Int64s:
    """Return the closed intervals (k, 2) in ns in which a trade is missing: where ids count up by one (Binance)."""
    if not instrument.market.venue.startswith("binance-"):
        return np.empty((0, 2), np.int64)
    ids = np.asarray(trades.strings("trade_id").cast("int64").to_numpy(zero_copy_only=False), np.int64)
    return trade_id_gaps(ids, np.asarray(trades.read(["ts_event_ns"])["ts_event_ns"], np.int64))

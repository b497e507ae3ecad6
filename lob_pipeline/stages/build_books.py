"""Stage ``books``: a day's events become the book at every instant of the clock, with its certificate."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from lob_pipeline.book.certificate import Certificate
from lob_pipeline.book.invariants import RowGates, certificate_outcomes
from lob_pipeline.book.replay import COLUMNS, WATCHED, RowMap, replay
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, QUOTES, TRADES, Table
from lob_pipeline.core.units import shift_date
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, content_or_absent, open_partition, open_standing
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.quality.schemas import SchemaGate
from lob_pipeline.stages.result import StageResult, stage_result

EVENT_ROWS = 1 << 18
BATCH_ROWS = 1 << 14
_TRADES = ["ts_event_ns", "ts_recv_ns", "seq", "side", "price_ticks", "size_lots", "flags"]
_QUOTES = ["update_id", "ts_event_ns", "ts_recv_ns", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots"]


def build_books(
    home: Home, market: Market, date: str, clock_id: str | None = None, *, row_map: RowMap | None = None
) -> StageResult:
    """Replay a day's ``l2_events``, publish its rows and their certificate.

    Inputs: ``l2_events`` (required, usable), ``trades`` and ``quotes`` (for the certificate, where they stand), and
    what the manifest of the day before says of its closing book. Memory is bounded by the chunks, not by the day.
    ``row_map`` replaces batches of rows before they are judged and written: tests inject a defect with it. Gates:
    ``schema``, those of ``book.invariants``; refused books are quarantined and returned with ``refused``.
    Raises ``RefusedError`` when the events are absent or refused, or trades or quotes were refused: without them a
    check would be dropped in silence.
    """
    instrument = partition_instrument(home, market, date)
    clock = parse_clock(clock_id or instrument.clock)
    key = PartitionKey("book_snapshots", market, date, clock.id)
    schema, gates = SchemaGate(BOOK_SNAPSHOTS), RowGates(clock, date)
    with ExitStack() as stack:
        events = stack.enter_context(open_partition(home, PartitionKey("l2_events", market, date), L2_EVENTS))
        trades = _standing(stack, home, PartitionKey("trades", market, date), TRADES)
        quotes = _standing(stack, home, PartitionKey("quotes", market, date), QUOTES)
        before_key = PartitionKey("book_snapshots", market, shift_date(date, -1), clock.id)
        before = _optional(stack, home, before_key, BOOK_SNAPSHOTS)
        writer = stack.enter_context(PartitionWriter(home, key, BOOK_SNAPSHOTS))
        names = None if trades is None else trades.strings("trade_id")
        certificate = Certificate(
            instrument,
            clock,
            date,
            trades=None if trades is None else trades.read(_TRADES),
            trade_ids=None if names is None else numeric_ids(names),
            trade_id_counts=None if names is None else (len(names), len(names.unique())),
            quotes=None if quotes is None else quotes.chunks(EVENT_ROWS, _QUOTES),
            quotes_again=None if quotes is None else quotes.chunks(EVENT_ROWS, _QUOTES),
            events_extra=events.manifest.extra,
            closing_before=None if before is None else before.manifest.extra.get("closing_books"),
        )
        chunks = events.chunks(EVENT_ROWS, [*COLUMNS, *WATCHED, "first_in_message"])
        for rows in replay(
            chunks, instrument, clock, date, watcher=certificate, row_map=row_map, batch_rows=BATCH_ROWS
        ):
            columns = row_columns(rows)
            gates.add(rows)
            schema.add(columns)
            writer.write(columns)
        inputs = {f"l2_events/{date}": events.manifest.content_sha256}
        for name, partition in ((f"trades/{date}", trades), (f"quotes/{date}", quotes)):
            inputs[name] = partition.manifest.content_sha256 if partition else ABSENT
        certificate.also = [schema.outcome(), *gates.outcomes()]
        inputs[f"book_snapshots/{before_key.date}"] = before.manifest.content_sha256 if before else ABSENT
        manifest = writer.commit(
            code_fingerprint=code_fingerprint("books", instrument),
            inputs=inputs,
            outcomes=certificate_outcomes(certificate),
            certificate=certificate.to_json(),
            extra={
                "closing_books": certificate.closing,
                "dropped_messages": certificate.dropped,
                "off_grid_lots": events.manifest.extra.get("off_grid_lots", 0),
            },
        )
        return stage_result(key, manifest, writer.path)


def row_columns(rows: Int64Array) -> Columns:
    """Return the columns of ``book_snapshots`` for rows int64 (n, ROW_WIDTH)."""
    by_column = np.ascontiguousarray(rows.T)
    return {
        c.name: by_column[i].astype(np.bool_) if c.dtype == "bool" else by_column[i]
        for i, c in enumerate(BOOK_SNAPSHOTS.columns)
    }


def numeric_ids(ids: pa.StringArray) -> Int64Array | None:
    """Return trade ids as int64, None where one of them is no such number (Bybit's are UUIDs)."""
    try:
        return np.asarray(ids.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
    except pa.ArrowInvalid:
        return None


def _standing(stack: ExitStack, home: Home, key: PartitionKey, table: Table) -> Partition | None:
    """Open trades or quotes: None where none were ever made; ``RefusedError`` where they may not be used."""
    partition = open_standing(home, key, table)
    return None if partition is None else stack.enter_context(partition)


def _optional(stack: ExitStack, home: Home, key: PartitionKey, table: Table) -> Partition | None:
    """Open a partition that need not stand: None where it is absent or not usable."""
    if content_or_absent(home, key) == ABSENT:
        return None
    return stack.enter_context(open_partition(home, key, table))

"""From decoded blocks to the reference's tuples, so that both can be compared whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.venues.block import DecodedBlock
from lob_pipeline.venues.decode import decode_file
from lob_pipeline.venues.detect import FileInfo
from lob_pipeline.venues.forms import form_of
from lob_pipeline.venues.source import BLOCK_BYTES
from lob_pipeline_tests.naive.decode import NaiveDecoder, NaiveRows
from lob_pipeline_tests.venues.samples import Sample


def market(name: str, tick: str | None = None, lot: str | None = None) -> Instrument:
    """The instrument of ``name``, with another grid where one is given."""
    return instrument(parse_market(name), tick, lot)


def rows_of(blocks: Iterable[DecodedBlock]) -> NaiveRows:
    """Return the rows of ``blocks`` in the reference's form; checks the block's own bookkeeping on the way."""
    out = NaiveRows()
    line = 0
    for block in blocks:
        assert block.first_line == line
        line += block.lines
        b, t, q = block.book, block.trades, block.quotes
        assert len(b.level_start) == len(b) + 1
        levels = list(zip(b.side.tolist(), b.price_ticks.tolist(), b.size_lots.tolist(), strict=True))
        starts = b.level_start.tolist()
        ids = (b.line, b.ts_event_ns, b.ts_recv_ns, b.update_id, b.first_update_id, b.prev_update_id, b.seq, b.kind)
        for k, head in enumerate(zip(*(c.tolist() for c in ids), strict=True)):
            out.messages.append((*head, tuple(levels[starts[k] : starts[k + 1]])))
        columns = (t.line, t.ts_event_ns, t.ts_recv_ns, t.seq, t.trade_id, t.side, t.price_ticks, t.size_lots, t.flags)
        out.trades += zip(*(c.tolist() for c in columns), strict=True)
        best = (q.bid_ticks, q.bid_lots, q.ask_ticks, q.ask_lots)
        columns = (q.line, q.ts_event_ns, q.ts_recv_ns, q.update_id, *best)
        out.quotes += zip(*(c.tolist() for c in columns), strict=True)
        out.rounded += block.off_grid_lots
        for why, count in block.skipped.items():
            out.skipped[why] = out.skipped.get(why, 0) + count
    return out


def decoded(path: Path, market: Instrument) -> NaiveRows:
    """Return the rows that the decoder finds in a file."""
    return rows_of(decode_file(path, market))


def info_of(sample: Sample, path: Path) -> FileInfo:
    """What ``detect_file`` says of a sample: for bytes whose beginning may be damaged on purpose."""
    return FileInfo(path, "plain", sample.format, form_of(sample.format).family, (), (), several_symbols=True)


def decode_bytes(sample: Sample, block_bytes: int = BLOCK_BYTES) -> NaiveRows:
    """Return the rows that the decoder finds in a sample's bytes, read from a file in blocks of ``block_bytes``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(sample.data)
        with mock.patch("lob_pipeline.venues.decode.BLOCK_BYTES", block_bytes):
            return rows_of(decode_file(path, market(sample.market), info=info_of(sample, path)))


def reference(sample: Sample) -> NaiveRows:
    """Return the rows that the reference finds in a sample's bytes."""
    instrument = market(sample.market)
    naive = NaiveDecoder(
        instrument.market.symbol, str(instrument.tick), str(instrument.lot), spot=sample.spot, floor=sample.spot
    )
    read = {"bybit_messages": naive.bybit, "bybit_trades_csv": naive.bybit_csv, "binance_raw": naive.binance}
    return read[sample.format](sample.data)

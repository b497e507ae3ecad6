"""One venue's ingested days in another venue's form: a bridged market's events as Bybit's archive and websocket files.

Everything written is *derived*: real dynamics of the recording, another venue's bytes. Message for message the shown
part of the book is the recording's; ids, pushes and receive order follow the rules of the form. ``seq`` is the
recording's own update id, so the venue's quotes of the recording are the known top of book at equal ``seq``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lob_pipeline.book.sequence import FOLLOWS, GAP, MODES, REPLACES, UNBRIDGED, judge_message
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import KIND_AUDIT, KIND_CARRIED, KIND_DELTA, L2_EVENTS, QUOTES, TRADES, Table
from lob_pipeline.core.units import NS_PER_MS, day_start_ns, shift_date
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition, read_manifest
from lob_pipeline.sim.archive import write_whole
from lob_pipeline.sim.shown_book import Levels, ShownBook
from lob_pipeline.sim.transcode_bytes import DerivedTrade, Writer, write_archive_day, write_websocket

FIRST_ID = 1_000
"""``u`` of the first message of a derived topic: any number but 1, which says that the service was restarted."""

MARK = "DERIVED.json"
"""The file beside derived ones that says what they are derived from."""

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Derived:
    """What was written. ``market``: the one to ingest it as. ``books``: depth -> files in stream order.

    ``tops``: the recording's own best bid and ask: columns ``seq``, ``bid_ticks``, ``bid_lots``, ``ask_ticks``,
    ``ask_lots``, one row a quote whose update id is the ``seq`` of a message of the recording.
    """

    market: Market
    books: dict[int, list[Path]]
    trades: list[Path]
    tops: Columns

    def paths(self, depth: int) -> list[Path]:
        """Return the files that one ``lob ingest`` takes: the books of ``depth`` and the trades."""
        return [*self.books[depth], *self.trades]


@dataclass(frozen=True)
class DerivedMessage:
    """One book message of a topic: kind, times, ids, levels."""

    snapshot: bool
    cts_ms: int
    recv_ns: int
    update_id: int
    seq: int
    levels: dict[int, Levels]


def transcode(
    home: Home,
    market: Market,
    dates: list[str],
    folder: Path,
    *,
    form: str = "archive",
    depths: tuple[int, ...] = (500,),
) -> Derived:
    """Write the days ``dates`` (ascending) of an ingested market into ``folder``, in Bybit's form.

    ``form``: ``archive`` (``DATE_SYMBOL_obDEPTH.data.zip`` and ``SYMBOLDATE.csv.gz``, a day each; a day that the next
    one goes on from ends with a closing snapshot) or ``websocket`` (``orderbook.DEPTH.SYMBOL.ndjson`` and
    ``publicTrade.SYMBOL.ndjson`` over all days, receive times beside them). ``depths``: a topic each; equal ``seq``
    means the same instant. ``DERIVED.json`` beside the files says what they come from.
    Raises ``BadInputError`` for another form, ``RefusedError`` where a day is not usable.
    """
    if form not in ("archive", "websocket"):
        raise BadInputError(f"form {form!r} is unknown: expected archive or websocket")
    folder.mkdir(parents=True, exist_ok=True)
    grid = _grid_of(home, market, dates[0])
    venue = "bybit-spot" if grid.contract == "spot" else "bybit-linear"
    target = instrument(Market(venue, market.symbol), str(grid.tick), str(grid.lot))
    writer = Writer.of(target)
    write_whole(folder / "instruments-info.json", json.dumps(writer.instruments_info()).encode())
    write_whole(folder / MARK, json.dumps(_origin(home, market, dates, form), indent=1).encode())
    days = [_read(home, market, date, L2_EVENTS) for date in dates]
    topics: dict[int, list[list[DerivedMessage]]] = {depth: [] for depth in depths}
    for depth in depths:
        stream = _Stream(grid.sequence, depth)
        for k, events in enumerate(days):
            follows = k + 1 < len(dates) and dates[k + 1] == shift_date(dates[k], 1) and _carried(days[k + 1])
            topics[depth].append(list(stream.day(events, opens=form == "archive" and k > 0)))
            if form == "archive" and follows:
                topics[depth][-1].append(stream.closing(dates[k + 1]))
    trades = [list(_trades(home, market, date, events)) for date, events in zip(dates, days, strict=True)]
    if form == "archive":
        books = {d: _archive(folder, writer, d, dates, topics[d]) for d in depths}
        tapes = [writer.trades_csv(folder, date, day) for date, day in zip(dates, trades, strict=True)]
    else:
        books = {d: [write_websocket(folder, writer, d, [m for day in topics[d] for m in day])] for d in depths}
        tapes = [writer.trades_ndjson(folder, [t for day in trades for t in day])]
    return Derived(target.market, books, tapes, _tops(home, market, dates, days))


def _archive(
    folder: Path, writer: Writer, depth: int, dates: list[str], days: list[list[DerivedMessage]]
) -> list[Path]:
    return [write_archive_day(folder, writer, date, depth, day) for date, day in zip(dates, days, strict=True)]


def _origin(home: Home, market: Market, dates: list[str], form: str) -> dict[str, object]:
    events = {d: read_manifest(PartitionKey("l2_events", market, d).path(home)).content_sha256 for d in dates}
    about = "derived from another venue's recording: real dynamics, not what this venue sent"
    return {"about": about, "from": str(market), "l2_events": events, "form": f"bybit {form}"}


def _grid_of(home: Home, market: Market, date: str) -> Instrument:
    with open_partition(home, PartitionKey("l2_events", market, date), L2_EVENTS) as partition:
        extra = partition.manifest.extra
    return instrument(market, str(extra["tick"]), str(extra["lot"]))


def _read(home: Home, market: Market, date: str, table: Table) -> Columns:
    with open_partition(home, PartitionKey(table.name, market, date), table) as partition:
        return partition.read()


def _carried(events: Columns) -> bool:
    return bool(events["kind"].shape[0]) and int(events["kind"][0]) == KIND_CARRIED


class _Stream:
    """One topic of a derived recording: the ids go on from day to day."""

    def __init__(self, sequence: str, depth: int) -> None:
        self._mode = MODES[sequence]
        self._book = ShownBook(depth)
        self._chain = [0, 0, 0, 0]  # whole, unbridged, last id, last time
        self._next_id = FIRST_ID
        self._seq = self._recv_ns = 0
        self._reopen = True

    def day(self, events: Columns, opens: bool) -> Iterator[DerivedMessage]:
        """Yield the messages of a day; ``opens``: it begins with a snapshot even where the chain goes on."""
        starts = np.flatnonzero(events["first_in_message"])
        ends = np.append(starts[1:], events["kind"].shape[0]).tolist()
        names = ("kind", "ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id")
        heads = np.stack([events[n][starts].astype(np.int64) for n in names], axis=1).tolist()
        rows = np.stack([events[n].astype(np.int64) for n in ("side", "price_ticks", "size_lots")], axis=1)
        for (kind, ts_ns, recv_ns, update_id, prev_id), lo, hi in zip(heads, starts.tolist(), ends, strict=True):
            if kind == KIND_AUDIT or (kind == KIND_CARRIED and not opens):
                continue
            if kind == KIND_CARRIED:
                yield self._message(True, max(ts_ns, self._chain[3]) + NS_PER_MS, self._recv_ns)
                continue
            if not self._applies(kind, update_id, prev_id, ts_ns):
                continue
            if kind != KIND_DELTA:
                self._book.clear()
            self._book.apply(map(tuple, rows[lo:hi].tolist()))  # type: ignore[arg-type]
            self._seq, self._recv_ns = update_id, recv_ns
            message = self._message(kind != KIND_DELTA or self._reopen, ts_ns, recv_ns)
            if message.snapshot or any(message.levels.values()):
                yield message
                continue
            self._next_id -= 1  # nothing of it is shown at this depth: the venue would not have sent it

    def _applies(self, kind: int, update_id: int, prev_id: int, ts_ns: int) -> bool:
        whole, unbridged, last_id, last_ns = self._chain
        verdict = judge_message(self._mode, whole, unbridged, last_id, last_ns, kind, update_id, prev_id, ts_ns)
        if verdict in (GAP, UNBRIDGED):
            self._chain[0] = 0
            self._next_id += 1
        if verdict not in (FOLLOWS, REPLACES):
            return False
        self._chain = [1, int(kind != KIND_DELTA), update_id, max(self._chain[3], ts_ns)]
        return True

    def _message(self, snapshot: bool, ts_ns: int, recv_ns: int) -> DerivedMessage:
        levels = self._book.snapshot() if snapshot else self._book.changes()
        self._reopen = False
        self._next_id += 1
        return DerivedMessage(snapshot, ts_ns // NS_PER_MS, recv_ns, self._next_id - 1, self._seq, levels)

    def closing(self, next_date: str) -> DerivedMessage:
        """Return the snapshot that closes a day: the message that opens the next one."""
        message = self._message(True, day_start_ns(next_date) + NS_PER_MS, self._recv_ns)
        self._next_id -= 1
        return message


def _trades(home: Home, market: Market, date: str, events: Columns) -> Iterator[DerivedTrade]:
    """Yield a day's trades; ``seq``: that of the first book message at or after them, which shows what they did."""
    with open_partition(home, PartitionKey("trades", market, date), TRADES) as partition:
        rows, ids = partition.read(), partition.strings("trade_id").to_pylist()
    book = events["first_in_message"] & (events["kind"] != KIND_AUDIT)
    times, seqs = np.maximum.accumulate(events["ts_event_ns"][book]), events["update_id"][book]
    at = np.searchsorted(times, rows["ts_event_ns"], side="left")
    last = int(seqs[-1]) + 1 if seqs.shape[0] else 0
    seq = np.where(at < seqs.shape[0], seqs[np.minimum(at, seqs.shape[0] - 1)], last)
    names = ("ts_event_ns", "ts_recv_ns", "side", "price_ticks", "size_lots", "flags")
    for row in zip(*(rows[n].tolist() for n in names), seq.tolist(), ids, strict=True):
        yield DerivedTrade._make(row)


def _tops(home: Home, market: Market, dates: list[str], days: list[Columns]) -> Columns:
    quotes = [_read(home, market, date, QUOTES) for date in dates]
    ids = np.concatenate([events["update_id"] for events in days])
    joined = {n: np.concatenate([q[n] for q in quotes]) for n in QUOTES.names}
    known = np.isin(joined["update_id"], ids)
    names = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    return {"seq": joined["update_id"][known], **{n: joined[n][known] for n in names}}

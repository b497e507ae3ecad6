"""Reads the rows of a training set into memory: only the columns asked for, one row group at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Array, Columns
from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, Table
from lob_pipeline.datasets.instants import SUFFIXES, Float32s, Instants, Int64s, Mask, Orders, empty_orders, segments
from lob_pipeline.features.registry import FEATURES_TABLE, INDEX
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, open_partition
from lob_pipeline.stages.training_set_days import UsedDay

CHUNK_ROWS = 1 << 16
# Few columns at a time: a whole row group of all of them is as much again as what is kept of a day.
_FEATURES_AT_ONCE = 12
_OF_ROW = ("t_arrive_ns", "t_end_ns", "mid_return_bps", "valid", "mfe_bps", "mae_bps")
_NUMBERS = ("edge_bps", "adverse", "markout_5s_bps", "exit_maker_ratio")
# Bytes that a row holds beside its features (orders of both sides, three queue models), and room to work with them.
_BYTES_A_ROW = 420
_OF_MODEL = ("filled", "fill_delay_ns", "fill_kind", "entry", *_NUMBERS)


@dataclass(frozen=True)
class Place:
    """Market, clock and walk-forward block of the rows."""

    market: Market
    clock_id: str
    block_ns: int


def read_instants(home: Home, place: Place, days: Sequence[UsedDay], names: tuple[str, ...]) -> Instants:
    """Return the rows of ``days`` (ascending) with the features ``names``.

    Without a name there are none, (n, 0), and a row is usable where the day says that no book feature of it is NaN.
    Raises ``BadInputError`` for a name that is no feature, ``LobError`` where the rows would not fit into memory,
    ``RefusedError`` naming the day where a partition is not the one that the training set lists, or feature rows and
    book rows of a day are not the same.
    """
    unknown = [name for name in names if name not in INDEX]
    if unknown:
        raise BadInputError(f"features {', '.join(unknown)} are unknown: see `lob features-list`")
    counts = [_rows_of(home, place, day) for day in days]
    n = sum(counts)
    must_fit(bytes_of(n, len(names)), available_bytes())
    step_ns = parse_clock(place.clock_id).step_ns
    features = np.empty((n, len(names)), np.float32)
    ts_ns, usable = np.empty(n, np.int64), np.empty(n, np.bool_)
    arrive, end, mid = np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, np.nan)
    orders = empty_orders(n)
    first = 0
    for day, count in zip(days, counts, strict=True):
        part = slice(first, first + count)
        _read_features(home, place, day, names, ts_ns[part], usable[part], features[part])
        _read_prices(home, place, day, ts_ns[part], orders.price_ticks[part])
        _read_labels(home, place, day, first, ts_ns[part], arrive, end, mid, orders)
        first += count
    orders.price_ticks[~orders.valid] = 0
    return Instants(
        market=str(place.market),
        clock_id=place.clock_id,
        step_ns=step_ns,
        block_ns=place.block_ns,
        names=tuple(names),
        features=features,
        ts_ns=ts_ns,
        segment=segments(ts_ns, usable, step_ns),
        t_arrive_ns=arrive,
        t_end_ns=end,
        mid_return_bps=mid,
        orders=orders,
        dates=tuple(day.date for day in days),
    )


def available_bytes() -> int:
    """Return the memory that can be had without swapping: Linux's own estimate, elsewhere all there is."""
    try:
        with open("/proc/meminfo", encoding="ascii") as handle:
            for line in handle:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass  # no Linux: the next estimate
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def bytes_of(rows: int, features: int) -> int:
    """Return the memory that so many rows take."""
    return rows * (_BYTES_A_ROW + 4 * features)


def must_fit(needed: int, available: int) -> None:
    """Raise ``LobError`` where ``needed`` bytes are more than ``available``: the system would kill the process."""
    if needed > available:
        raise LobError(
            f"the rows of the window need {needed / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB can be had: "
            "choose a shorter window (--from, --to) or a coarser clock"
        )


def _open(home: Home, place: Place, day: UsedDay, table: Table) -> Partition:
    partition = open_partition(home, PartitionKey(table.name, place.market, day.date, place.clock_id), table)
    if partition.manifest.content_sha256 != day.sha256(table.name):
        partition.close()
        raise RefusedError(
            f"{table.name} of {place.market} on {day.date} changed since the training set was chosen: choose it again"
        )
    return partition


def _rows_of(home: Home, place: Place, day: UsedDay) -> int:
    with _open(home, place, day, FEATURES_TABLE) as partition:
        return partition.rows


def _read_features(
    home: Home, place: Place, day: UsedDay, names: tuple[str, ...], ts_ns: Int64s, usable: Mask, out: Float32s
) -> None:
    at = 0
    with _open(home, place, day, FEATURES_TABLE) as partition:
        for chunk in partition.chunks(CHUNK_ROWS, ["ts_ns", "valid"]):
            part = slice(at, at + len(chunk["ts_ns"]))
            ts_ns[part] = chunk["ts_ns"]
            usable[part] = chunk["valid"] if not names else True
            at = part.stop
        for start in range(0, len(names), _FEATURES_AT_ONCE):
            batch = names[start : start + _FEATURES_AT_ONCE]
            at = 0
            for chunk in partition.chunks(CHUNK_ROWS, list(batch)):
                part = slice(at, at + len(chunk[batch[0]]))
                for j, name in enumerate(batch, start):
                    usable[part] &= ~np.isnan(chunk[name])
                    out[part, j] = chunk[name]
                at = part.stop


def _read_prices(home: Home, place: Place, day: UsedDay, ts_ns: Int64s, price_ticks: Int64s) -> None:
    at = 0
    with _open(home, place, day, BOOK_SNAPSHOTS) as partition:
        for chunk in partition.chunks(CHUNK_ROWS, ["ts_ns", "bid_ticks_1", "ask_ticks_1"]):
            part = slice(at, at + len(chunk["ts_ns"]))
            if part.stop > len(ts_ns) or not np.array_equal(ts_ns[part], chunk["ts_ns"]):
                break
            price_ticks[part, 0], price_ticks[part, 1] = chunk["bid_ticks_1"], chunk["ask_ticks_1"]
            at = part.stop
    if at != len(ts_ns):
        raise RefusedError(
            f"features and book_snapshots of {place.market} on {day.date} do not have the same rows: "
            f"run `lob features {place.market} {day.date}`"
        )


def _read_labels(
    home: Home,
    place: Place,
    day: UsedDay,
    first: int,
    ts_ns: Int64s,
    arrive: Int64s,
    end: Int64s,
    mid: npt.NDArray[np.float64],
    orders: Orders,
) -> None:
    with _open(home, place, day, LABELS_TABLE) as partition:
        for at, chunk in _located(partition, day, ts_ns, first, list(_OF_ROW)):
            row = at[0]
            arrive[row], end[row] = chunk["t_arrive_ns"], chunk["t_end_ns"]
            mid[row] = _number(chunk["mid_return_bps"])
            orders.valid[at] = chunk["valid"]
            orders.mfe_bps[at], orders.mae_bps[at] = _number(chunk["mfe_bps"]), _number(chunk["mae_bps"])
        for s in SUFFIXES:
            for at, chunk in _located(partition, day, ts_ns, first, [f"{name}{s}" for name in _OF_MODEL]):
                _keep_model(chunk, s, at, orders)


def _located(
    partition: Partition, day: UsedDay, ts_ns: Int64s, first: int, columns: list[str]
) -> Iterator[tuple[tuple[Int64s, Int64s], Columns]]:
    """Yield ((row, side index) of each label row, columns) of the chunks of a day whose rows begin at ``first``."""
    for chunk in partition.chunks(CHUNK_ROWS, ["ts_ns", "side", *columns]):
        label_ns = np.asarray(chunk["ts_ns"], np.int64)
        row = np.searchsorted(ts_ns, label_ns)
        if len(label_ns) and (row[-1] >= len(ts_ns) or not np.array_equal(ts_ns[row], label_ns)):
            raise RefusedError(
                f"labels of {partition.key.market} on {day.date} have rows that its features have not: "
                f"run `lob labels {partition.key.market} {day.date}`"
            )
        yield (row + first, (1 - np.asarray(chunk["side"], np.int64)) >> 1), chunk


def _keep_model(chunk: Columns, s: str, at: tuple[Int64s, Int64s], orders: Orders) -> None:
    filled = _flag(chunk[f"filled{s}"])
    orders.filled[s][at] = filled
    orders.fill_delay_ns[s][at] = np.ma.filled(chunk[f"fill_delay_ns{s}"], 0)
    orders.fill_kind[s][at] = np.ma.filled(chunk[f"fill_kind{s}"], 0)
    for name in _NUMBERS:
        getattr(orders, name)[s][at] = _number(chunk[f"{name}{s}"])
    entry = _number(chunk[f"entry{s}"])
    entry[filled & np.isnan(chunk[f"edge_bps{s}"])] = np.nan  # false where the edge is null, and left out of the head
    orders.entry[s][at] = entry


def _flag(values: Array) -> Mask:
    return np.asarray(np.ma.filled(np.ma.asarray(values), False), np.bool_)


def _number(values: Array) -> npt.NDArray[np.float64]:
    """Return a column as float64, NaN where it is null."""
    found: npt.NDArray[Any] = np.array(np.ma.getdata(values), np.float64)
    found[np.ma.getmaskarray(values)] = np.nan
    return found

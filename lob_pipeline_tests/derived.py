"""Real dynamics in other forms: the USDT-M recordings of 2023, ingested and transcoded to Bybit's and Tardis's."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import KIND_AUDIT, KIND_DELTA, L2_EVENTS, TRADES, Table
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.transcode import Derived, transcode
from lob_pipeline.stages.ingest import ingest

USDM = parse_market("binance-usdm.BTCUSDT")
DATES = ["2023-04-04", "2023-04-05"]


def original(real_data: Path, root: Path) -> Home:
    """Return a home under ``root`` that holds the USDT-M recordings of 2023."""
    home = Home(root)
    names = ["btcusdt_20230404.gz", "btcusdt_20230405.gz"]
    ingest(home, USDM, [real_data / "binance_usdm" / name for name in names])
    return home


def archive(home: Home, folder: Path) -> Derived:
    """Write them in Bybit's archive form: ob500, a closing snapshot at midnight, trades as csv.gz."""
    return transcode(home, USDM, DATES, folder, form="archive")


def websocket(home: Home, folder: Path, depths: tuple[int, ...] = (500, 200)) -> Derived:
    """Write them in Bybit's websocket form: a file a depth with equal ``seq``, trades, receive times."""
    return transcode(home, USDM, DATES, folder, form="websocket", depths=depths)


def _decimal(units: int, step: Decimal) -> str:
    return f"{(units * step).normalize():f}"


def tardis(home: Home, folder: Path) -> list[Path]:
    """Write them as Tardis would: a file of book rows and one of trades a day, each day opening with a snapshot.

    Tardis cannot mark the insurance trade of 2023-04-05, so it is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = instrument(USDM)
    out = []
    for date in DATES:
        events, trades = _rows(home, L2_EVENTS, date), _rows(home, TRADES, date)
        lines = ["exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"]
        names = ("kind", "ts_event_ns", "ts_recv_ns", "side", "price_ticks", "size_lots")
        for kind, ts, recv, side, price, size in zip(*(events[n].tolist() for n in names), strict=True):
            if kind == KIND_AUDIT:
                continue
            cells = (ts // 1000, (recv or ts) // 1000, str(kind != KIND_DELTA).lower(), "bid" if side > 0 else "ask")
            levels = (_decimal(price, grid.tick), _decimal(size, grid.lot))
            lines.append(",".join(map(str, ("binance-futures", "BTCUSDT", *cells, *levels))))
        tape = ["exchange,symbol,timestamp,local_timestamp,id,side,price,amount"]
        names = ("flags", "ts_event_ns", "ts_recv_ns", "side", "price_ticks", "size_lots")
        columns = [trades[n].tolist() for n in names]
        for number, (flags, ts, recv, side, price, size) in enumerate(zip(*columns, strict=True)):
            if flags:
                continue
            cells = (ts // 1000, recv // 1000, f"{date}-{number}", "buy" if side > 0 else "sell")
            levels = (_decimal(price, grid.tick), _decimal(size, grid.lot))
            tape.append(",".join(map(str, ("binance-futures", "BTCUSDT", *cells, *levels))))
        for kind, text in (("incremental_book_L2", lines), ("trades", tape)):
            path = folder / f"binance-futures_{kind}_{date}_BTCUSDT.csv.gz"
            path.write_bytes(gzip.compress("".join(line + "\n" for line in text).encode(), 1))
            out.append(path)
    return out


def _rows(home: Home, table: Table, date: str) -> Columns:
    with open_partition(home, PartitionKey(table.name, USDM, date), table) as partition:
        return partition.read()

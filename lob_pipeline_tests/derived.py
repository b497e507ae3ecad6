"""Real dynamics in Bybit's form: the USDT-M recordings of 2023, ingested and transcoded."""

from __future__ import annotations

from pathlib import Path

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.lake.home import Home
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

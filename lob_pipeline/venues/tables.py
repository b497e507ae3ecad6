"""Plain tables of level changes and of trades, CSV or Parquet; any venue's. Columns: docs/adding_a_venue.md."""

from __future__ import annotations

from functools import partial

from lob_pipeline.core.instrument import VENUES
from lob_pipeline.venues import table_csv, table_parquet
from lob_pipeline.venues.form import Decoder, Form, no_line
from lob_pipeline.venues.table_blocks import csv_levels
from lob_pipeline.venues.table_kernel import scan_block

LEVELS_CSV = Form(
    name="level_table",
    family="table",
    sniff=partial(table_csv.sniff, kind="levels", tardis=False),
    likely=lambda symbols, spot: (),
    accepts=lambda venue, spot: venue in VENUES,
    blocks=csv_levels,
)
TRADES_CSV = Form(
    name="trade_table",
    family="table",
    sniff=partial(table_csv.sniff, kind="trades", tardis=False),
    likely=lambda symbols, spot: (),
    accepts=lambda venue, spot: venue in VENUES,
    decoder=Decoder(scan_block, table_csv.read_line),
)
PARQUET = Form(
    name="parquet_table",
    family="table",
    sniff=no_line,
    sniff_file=table_parquet.sniff_file,
    likely=lambda symbols, spot: (),
    accepts=lambda venue, spot: venue in VENUES,
    blocks=table_parquet.blocks,
)

"""Tardis CSV files: ``incremental_book_L2`` (rows of one message share their times) and ``trades``; any venue's."""

from __future__ import annotations

from functools import partial

from lob_pipeline.core.instrument import VENUES
from lob_pipeline.venues import table_csv
from lob_pipeline.venues.form import Decoder, Form
from lob_pipeline.venues.table_blocks import csv_levels
from lob_pipeline.venues.table_kernel import scan_block

BOOK = Form(
    name="tardis_l2",
    family="tardis",
    sniff=partial(table_csv.sniff, kind="levels", tardis=True),
    likely=lambda symbols, spot: (),
    accepts=lambda venue, spot: venue in VENUES,
    blocks=csv_levels,
)
TRADES = Form(
    name="tardis_trades",
    family="tardis",
    sniff=partial(table_csv.sniff, kind="trades", tardis=True),
    likely=lambda symbols, spot: (),
    accepts=lambda venue, spot: venue in VENUES,
    decoder=Decoder(scan_block, table_csv.read_line),
)

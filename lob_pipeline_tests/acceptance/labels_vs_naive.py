"""Labels from the lake against the slow reference on the real recordings, order by order and column by column.

Run: ``python -m lob_pipeline_tests.acceptance.labels_vs_naive [--only NAME…] [--every N] [--lots Q]``. Every recording
is ingested into a scratch home, books and labels are built by the stages, and each decision row of each day is labelled
again from the raw bytes, one order at a time. Prints fill kinds by queue model and every mismatch; exit 1 on a
mismatch, a broken ordering law, or (for the whole comparison) a kind of fill seen fewer than 50 times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lob_pipeline.core.tables import BOOK_SNAPSHOTS
from lob_pipeline.labels.spec import FILL_KINDS, LABELS_TABLE, LabelConfig
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.build_labels import build_labels
from lob_pipeline.stages.ingest import ingest
from lob_pipeline_tests.labels.streams import differences, row_at
from lob_pipeline_tests.naive import labels_recorded as recorded
from lob_pipeline_tests.naive.labels_naive import Settings
from lob_pipeline_tests.real_data import real_data_root

MODELS = {"optimistic": "_opt", "proportional": "", "pessimistic": "_pess"}
MINIMUM = 50
_NEVER = 1 << 62


@dataclass(frozen=True)
class Source:
    """A recording: its files, and how the reference reads them."""

    files: tuple[str, ...]
    days: Callable[[Path], list[recorded.RecordedDay]]


SOURCES = {
    "usdm-2023": Source(tuple(f"binance_usdm/{n}" for n in recorded.USDM_2023[1]), recorded.usdm_2023),
    "usdm-2024": Source(tuple(f"binance_usdm/{n}" for n in recorded.USDM_2024[1]), recorded.usdm_2024),
    "spot-btc": Source(tuple(f"binance_spot/{n}" for n in recorded.SPOT_BTC[1]), recorded.spot_btc),
    "spot-nexo": Source(tuple(f"binance_spot/{n}" for n in recorded.SPOT_NEXO[1]), recorded.spot_nexo),
    "bybit": Source((), recorded.bybit_days),
}


@dataclass
class Tally:
    """What was compared."""

    orders: Counter[str] = field(default_factory=Counter)
    valid: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, int]] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)
    unlawful: int = 0


def build(home: Home, root: Path, name: str, day: recorded.RecordedDay, config: LabelConfig) -> None:
    """Ingest the recording of ``day`` (a no-op the second time) and build its books and labels."""
    market = day.instrument.market
    files = SOURCES[name].files or tuple(
        f"bybit_linear_ws/{topic}.{market.symbol}.ndjson" for topic in ("orderbook.200", "publicTrade")
    )
    ingest(home, market, [root / f for f in files])
    for result in (
        build_books(home, market, day.date, day.clock),
        build_labels(home, market, day.date, day.clock, config),
    ):
        if result.refused:
            raise SystemExit(f"{result.table} of {day.name} {day.date} was refused: {result.reason}")


def compare(home: Home, day: recorded.RecordedDay, own: Settings, every: int, tally: Tally) -> None:
    """Compare each ``every``-th decision row of a day, both sides."""
    market = day.instrument.market
    with open_partition(home, PartitionKey("book_snapshots", market, day.date, day.clock), BOOK_SNAPSHOTS) as books:
        rows = books.read(["ts_ns", "close_ns", "valid", "decidable", "bid_ticks_1", "ask_ticks_1"])
    with open_partition(home, PartitionKey("labels", market, day.date, day.clock), LABELS_TABLE) as partition:
        labels = partition.read()
    decides = np.flatnonzero(np.asarray(rows["valid"]) & np.asarray(rows["decidable"]))
    naive = day.market(own)
    if len(labels["ts_ns"]) != 2 * len(decides):
        tally.mismatches.append(f"{day.name} {day.date}: {len(labels['ts_ns'])} rows for {len(decides)} decisions")
        return
    for at in range(0, len(decides), every):
        t, close, bid, ask = (int(rows[n][decides[at]]) for n in ("ts_ns", "close_ns", "bid_ticks_1", "ask_ticks_1"))
        for place, side in enumerate((-1, 1)):
            expected = naive.label(t, close, bid, ask, side)
            found = row_at(labels, 2 * at + place)
            wrong = differences(found, expected)
            if wrong:
                tally.mismatches.append(f"{day.name} {day.date} ts_ns={t} side={side}: {'; '.join(wrong[:5])}")
            tally.orders[day.name] += 1
            if not found["valid"]:
                continue
            tally.valid[day.name] += 1
            delays = [_NEVER if (d := found["fill_delay_ns" + s]) < 0 else d for s in ("_opt", "", "_pess")]
            tally.unlawful += delays != sorted(delays)
            for model, suffix in MODELS.items():
                tally.kinds[model, found["fill_kind" + suffix]] += 1


def show(tally: Tally) -> None:
    """Print the tables."""
    print(f"\n{'recording':12} {'orders':>9} {'valid':>9}")
    for name, orders in tally.orders.items():
        print(f"{name:12} {orders:9,} {tally.valid[name]:9,}")
    print(f"{'all':12} {sum(tally.orders.values()):9,} {sum(tally.valid.values()):9,}")
    print(f"\n{'fill kind':32}" + "".join(f"{model:>14}" for model in MODELS))
    for kind, words in FILL_KINDS.items():
        print(f"{kind} {words:30}" + "".join(f"{tally.kinds[model, kind]:14,}" for model in MODELS))
    print(f"\nt_fill(opt) <= t_fill(prop) <= t_fill(pess) broken {tally.unlawful} times")
    print(f"{len(tally.mismatches)} rows differ")
    for line in tally.mismatches[:20]:
        print(" ", line)


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="*", choices=list(SOURCES), default=list(SOURCES), help="recordings")
    parser.add_argument("--every", type=int, default=1, help="compare each N-th decision row")
    parser.add_argument("--lots", type=int, default=1, help="size of the simulated order")
    options = parser.parse_args(arguments)
    root = real_data_root()
    if root is None:
        print("the real recordings are not at ../shared/data (or LOB_REAL_DATA)", file=sys.stderr)
        return 2
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        for name in options.only:
            for day in SOURCES[name].days(root):
                started = time.monotonic()
                build(home, root, name, day, LabelConfig(q_lots=options.lots))
                compare(home, day, Settings(q=options.lots), options.every, tally)
                print(f"{day.name} {day.date} compared in {time.monotonic() - started:.0f} s", flush=True)
    show(tally)
    whole = options.every == 1 and set(options.only) == set(SOURCES)
    rare = [k for k in tally.kinds if whole and tally.kinds[k] < MINIMUM]
    return 1 if tally.mismatches or tally.unlawful or rare else 0


if __name__ == "__main__":
    raise SystemExit(main())

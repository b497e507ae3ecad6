"""Random book streams for property tests, and the columns of ``l2_events`` for a list of naive messages."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import strategies as st

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.units import day_start_ns
from lob_pipeline_tests.naive.book import Message

DATE = "2024-08-08"
STEP = 1_000_000_000
START = day_start_ns(DATE)


def make_instrument(sequence: str, depth_limit: int = 12, market: str = "sim.BTCUSDT") -> Instrument:
    """Return a market with the given sequence rule and a small depth limit."""
    return Instrument(
        market=parse_market(market),
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        contract="linear",
        contract_value=Decimal(1),
        sequence=sequence,  # type: ignore[arg-type]
        maker_fee_bps=2.0,
        taker_fee_bps=5.0,
        fees_as_of="2026-11-01",
        funding_interval_hours=8,
        depth_limit=depth_limit,
        clock="t1s",
        block_ns=4 * 3600 * 10**9,
    )


def to_columns(messages: list[Message]) -> Columns:
    """Return ``l2_events`` columns (those a book reads) of messages that all have levels."""
    table = np.array(
        [
            (m.ts, m.recv, m.update_id, m.prev_id, m.kind, side, price, size, k == 0)
            for m in messages
            for k, (side, price, size) in enumerate(m.levels)
        ],
        np.int64,
    ).reshape(-1, 9)
    names = ("ts_event_ns", "ts_recv_ns", "update_id", "prev_update_id", "kind", "side", "price_ticks", "size_lots")
    columns: Columns = {name: table[:, k].copy() for k, name in enumerate(names)}
    columns["kind"] = columns["kind"].astype(np.int8)
    columns["side"] = columns["side"].astype(np.int8)
    columns["first_in_message"] = table[:, 8].astype(np.bool_)
    return columns


def in_chunks(columns: Columns, sizes: list[int]) -> list[Columns]:
    """Cut columns into chunks of the given sizes (repeated)."""
    n, at, out, k = len(columns["kind"]), 0, [], 0
    while at < n:
        take = sizes[k % len(sizes)]
        out.append({name: a[at : at + take] for name, a in columns.items()})
        at, k = at + take, k + 1
    return out


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[Message]]:
    """Draw (sequence rule, messages): gaps, duplicates, resets, late and buffered messages, sparse prices."""
    sequence = draw(st.sampled_from(("plus_one", "bridge", "none")))
    spread = draw(st.sampled_from((1, 1, 40, 4000)))
    ts, last_id = START + draw(st.integers(-2, 3)) * STEP, 1000
    messages: list[Message] = []
    levels = st.lists(
        st.tuples(
            st.sampled_from((1, -1)),
            st.integers(-14, 14).map(lambda k: 500_000 + spread * k),
            st.sampled_from((0, 0, 1, 2, 3, 50)),
        ).map(lambda r: (r[0], r[1] - r[0] * draw_gap, r[2])),
        min_size=1,
        max_size=12,
    )
    draw_gap = draw(st.sampled_from((0, 12, 15))) * spread  # how far the sides lie apart: overlapping books cross
    for i in range(draw(st.integers(1, 30))):
        ts += draw(st.sampled_from((0, 1, STEP // 3, STEP, STEP, 5 * STEP // 2, 7 * STEP, -STEP)))
        what = draw(st.sampled_from((*("delta",) * 8, "snapshot", "gap", "duplicate", "audit", "carried", "equal")))
        what = "snapshot" if i == 0 and draw(st.booleans()) else what
        recv = draw(st.sampled_from((0, 100 + 10 * i, 100 + 10 * i, 95 + 10 * i, 60 + 10 * i)))
        rows = draw(levels)
        if what in ("snapshot", "carried", "audit"):
            last_id += draw(st.sampled_from((0, 0, 3)))
            kind = {"snapshot": 1, "carried": 4, "audit": 3}[what]
            messages.append(Message(ts, recv, last_id, -1, kind, rows))
        elif what == "equal" and messages:
            repeat = draw(st.sampled_from(messages))
            messages.append(repeat._replace(ts=ts, kind=1, update_id=last_id, prev_id=-1, recv=recv))
        elif what == "duplicate" and messages:
            messages.append(draw(st.sampled_from(messages))._replace(kind=2))
        else:
            skipped = 5 if what == "gap" else 0
            back = draw(st.sampled_from((0, 0, 0, 2))) if sequence == "bridge" else 0
            messages.append(Message(ts, recv, last_id + skipped + 1, last_id + skipped - back, 2, rows))
            last_id += skipped + 1
    return sequence, messages

"""Replay messages under a certificate and the row gates, as the stage does, but without a lake."""

from __future__ import annotations

import numpy as np

from lob_pipeline.book.certificate import Certificate
from lob_pipeline.book.invariants import RowGates, certificate_outcomes
from lob_pipeline.book.replay import RowMap, replay
from lob_pipeline.core.clock import Clock
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline_tests.book.streams import in_chunks, to_columns
from lob_pipeline_tests.naive.book import Message


def watched(
    messages: list[Message],
    instrument: Instrument,
    clock: Clock,
    date: str,
    *,
    trades: list[tuple[int, int, int, int]] = (),
    quotes: list[tuple[int, int, int, int, int]] | None = None,
    closing_before: list[dict] | None = None,
    row_map: RowMap | None = None,
    seq: list[int] | None = None,
    extra: dict | None = None,
    chunk: int = 20_000,
) -> tuple[Certificate, dict[str, CheckOutcome]]:
    """Return the certificate and every outcome by name. ``trades`` are (ts, side, price, id), ids -1 unknown.

    ``seq``: the venue's sequence, one a message. ``extra``: what the manifest of the events adds.
    """
    t = np.array(trades, np.int64).reshape(-1, 4)
    q = np.array(quotes or [], np.int64).reshape(-1, 5)
    names = ("update_id", "bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    certificate = Certificate(
        instrument,
        clock,
        date,
        trades={
            "ts_event_ns": t[:, 0],
            "side": t[:, 1].astype(np.int8),
            "price_ticks": t[:, 2],
            "flags": np.zeros(len(t), np.int8),
        },
        trade_ids=t[:, 3] if (t[:, 3] >= 0).all() else None,
        quotes=None
        if quotes is None
        else iter([dict(zip(names, q[i : i + 997].T, strict=True)) for i in range(0, len(q), 997)]),
        closing_before=closing_before,
        events_extra=extra,
    )
    gates = RowGates(clock, date)
    columns = to_columns(messages)
    if seq is not None:
        columns["seq"] = np.repeat(np.array(seq, np.int64), [len(m.levels) for m in messages])
    chunks = in_chunks(columns, [chunk])
    for rows in replay(chunks, instrument, clock, date, watcher=certificate, row_map=row_map, batch_rows=512):
        gates.add(rows)
    certificate.also = gates.outcomes()
    outcomes = certificate_outcomes(certificate)
    return certificate, {o.name: o for o in outcomes}


def refused(outcomes: dict[str, CheckOutcome]) -> set[str]:
    """Return the names of the checks that refuse."""
    return {name for name, o in outcomes.items() if o.refuses}

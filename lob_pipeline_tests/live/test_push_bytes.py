"""The quick way of a message gives the bits of the long way: rows, features, flags, and the state that stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lob_pipeline.book.advance import Events
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.features.tape_rows import new_tape
from lob_pipeline.live.engine import LiveEngine, trades_of
from lob_pipeline.sim.recorded import frames, recorded_files
from lob_pipeline.venues import job as card
from lob_pipeline.venues.decode import LiveDecoder
from lob_pipeline.venues.job import Job
from lob_pipeline_tests.live.conftest import SimDay

CLOCK = parse_clock("t100ms")


def long_way(engine: LiveEngine, job: Job) -> tuple[np.ndarray, ...]:
    """Push a decoded message as ``Events`` of whole columns, as a replay does."""
    n = int(job.card[card.N_LEVELS])
    head = job.messages[0].tolist()
    ones = np.ones(n, np.int64)
    ids = (head[k] * ones for k in (card.EVENT_NS, card.RECV_NS, card.UPDATE_ID, card.PREV_ID))
    ts_ns, recv_ns, update_id, prev_id = ids
    kind = np.full(n, head[card.KIND], np.int8)
    rows = (job.sides[:n].copy(), job.prices[:n].copy(), job.sizes[:n].copy())
    return engine.push_events(Events(ts_ns, recv_ns, update_id, prev_id, kind, *rows))


def compare(market: Instrument, lines: Iterator[bytes], stop_every: int) -> tuple[int, int]:
    """Feed both ways; return (rows, valid rows) compared. The quick engine is saved and restored now and then."""
    quick, slow = (LiveEngine(market, CLOCK, waiting=new_tape()) for _ in range(2))
    one, two = (LiveDecoder(market, "bybit_messages") for _ in range(2))
    rows = warm = 0
    for i, line in enumerate(lines):
        got = quick.push_bytes(one, line, 7)
        job = two.decode(line, 7)
        if job.card[card.N_TRADES]:
            slow.push_trades(trades_of(job))
        expected = long_way(slow, job) if job.card[card.N_MESSAGES] else tuple(part[:0] for part in got)
        assert [part.tobytes() for part in got] == [part.tobytes() for part in expected], f"message {i}"
        rows += len(got[0])
        warm += int(got[2].sum())
        if i % stop_every == stop_every - 1:
            quick = LiveEngine.from_bytes(quick.to_bytes(), market, CLOCK)
    assert quick.to_bytes() == slow.to_bytes()
    return rows, warm


def test_a_simulated_day_with_a_silence_and_a_gap(sim_day: SimDay) -> None:
    """A hole of a hundred seconds closes more rows at once than there is room for, and breaks the chain."""
    lines = [frame.payload for frame in frames(recorded_files(list(sim_day.case.paths)))]
    kept = [*lines[:3_600], *lines[4_000:]]
    rows, warm = compare(instrument(parse_market("sim.BTCUSDT")), iter(kept), stop_every=1_000)
    assert rows > 4_000
    assert warm > 100


@pytest.mark.real
@pytest.mark.parametrize("symbol", ["BTCUSDT", "SOLUSDT"])
def test_recorded_books_and_trades(real_data: Path, symbol: str) -> None:
    folder = real_data / "bybit_linear_ws"
    paths = [folder / f"{topic}.{symbol}.ndjson" for topic in ("orderbook.200", "publicTrade")]
    lines = (frame.payload for frame in frames(recorded_files(paths)))
    rows, _ = compare(instrument(parse_market(f"bybit-linear.{symbol}")), lines, stop_every=50)
    assert rows > 300


def test_a_book_that_must_grow_takes_the_long_way() -> None:
    market = instrument(parse_market("bybit-linear.BTCUSDT"))

    def line(u: int, kind: str, levels: list[tuple[str, str]]) -> bytes:
        bids = ",".join(f'["{price}","{size}"]' for price, size in levels)
        ts = 1_700_000_000_000 + 100 * u
        text = (
            f'{{"topic":"orderbook.200.BTCUSDT","type":"{kind}","ts":{ts},"data":{{"s":"BTCUSDT","b":[{bids}],'
            f'"a":[["90000.10","1.000"]],"u":{u},"seq":{u}}},"cts":{ts}}}'
        )
        return text.encode()

    far = [(f"{price}.00", "1.000") for price in range(10_000, 90_000, 200)]  # a page of the ladder each
    near, gone = [("90000.00", "1.000")], [("90000.00", "0")]
    lines = [line(1, "snapshot", near), line(2, "delta", far), line(3, "delta", gone), line(4, "delta", near)]
    rows, _ = compare(market, iter(lines), stop_every=10)
    assert rows == 2

"""Kernels: the book, features of a row, passive orders, one live message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from lob_pipeline.book.kernel import apply_delta, replace_book
from lob_pipeline.book.pool import reserve
from lob_pipeline.book.replay import replay
from lob_pipeline.book.state import BookState, Int8Array, Int64Array, new_book
from lob_pipeline.core.borrow import borrowed
from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.jit import njit
from lob_pipeline.core.tables import KIND_SNAPSHOT
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.features.batch import batch
from lob_pipeline.features.registry import N_BUILT
from lob_pipeline.features.state import new_state
from lob_pipeline.features.tape_rows import TAPE_WIDTH
from lob_pipeline.labels.day import Day, DecisionRows, decision_rows, label_columns, make_tape, run_day
from lob_pipeline.labels.spec import PESSIMISTIC, LabelConfig, fees_of
from lob_pipeline_tests.bench.environment import Peers
from lob_pipeline_tests.bench.timing import Contender, Figure, interleave, timed
from lob_pipeline_tests.bench.workload import Workload

CHUNK = 1 << 20
CLOCK = parse_clock("t100ms")
_OBJECT_MESSAGES = 10_000


def events_of(load: Workload) -> Columns:
    """Return the workload as columns of ``l2_events``."""
    data = load.arrays()
    n = len(data["b_ts"])
    first = data["b_first"]
    previous = np.where(data["b_kind"] == KIND_SNAPSHOT, -1, data["b_id"] - 1)
    return {
        "ts_event_ns": data["b_ts"], "ts_recv_ns": np.zeros(n, np.int64), "update_id": data["b_id"],
        "prev_update_id": previous, "seq": np.full(n, -1, np.int64), "kind": data["b_kind"], "side": data["b_side"],
        "price_ticks": data["b_price"], "size_lots": data["b_size"], "first_in_message": first,
    }  # fmt: skip


def trades_of(load: Workload) -> Columns:
    """Return the workload's trades as columns of ``trades``."""
    data = load.arrays()
    return {
        "ts_event_ns": data["t_ts"], "seq": np.full(len(data["t_ts"]), -1, np.int64), "side": data["t_side"],
        "price_ticks": data["t_price"], "size_lots": data["t_size"], "flags": np.zeros(len(data["t_ts"]), np.int8),
    }  # fmt: skip


def chunks(events: Columns) -> Iterator[Columns]:
    """Yield the events in chunks, as a stage reads them."""
    for first in range(0, len(events["kind"]), CHUNK):
        yield {name: column[first : first + CHUNK] for name, column in events.items()}


@njit(cache=False)
def _apply_all(
    book: BookState, kind: Int8Array, side: Int8Array, price: Int64Array, size: Int64Array, starts: Int64Array
) -> int:
    """Apply every message and read the ten best levels of both sides after it; count crossed books."""
    book, side, price, size = borrowed(book), borrowed(side), borrowed(price), borrowed(size)
    top = book.top
    crossed = 0
    seen = 0
    for i in range(starts.shape[0] - 1):
        if kind[starts[i]] == KIND_SNAPSHOT:
            replace_book(book, side, price, size, starts[i], starts[i + 1])
        else:
            apply_delta(book, side, price, size, starts[i], starts[i + 1])
        for k in range(10):
            seen += top[0, 1, k] + top[1, 1, k]
        crossed += (top[0, 0, 0] ^ book.meta[10]) >= top[1, 0, 0]
    return crossed if seen > 0 else -1


def book_pass(load: Workload) -> Contender:
    """Return what ``book`` times of ours: every message applied, ten levels a side read after each."""
    events = events_of(load)
    kind, side, price, size = (events[n] for n in ("kind", "side", "price_ticks", "size_lots"))
    starts = np.append(np.flatnonzero(events["first_in_message"]), len(kind)).astype(np.int64)
    return timed(lambda: _apply_all(reserve(new_book(), side, price, size), kind, side, price, size, starts))


def book(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Apply every message and read ten levels a side after each: per level row, validation on."""
    events = events_of(load)
    kind, side, price, size = (events[n] for n in ("kind", "side", "price_ticks", "size_lots"))
    starts = np.append(np.flatnonzero(events["first_in_message"]), len(kind)).astype(np.int64)

    def apply(prices: Int64Array) -> Callable[[], object]:
        def run() -> int:
            state = reserve(new_book(), side, prices, size)
            return int(_apply_all(state, kind, side, prices, size, starts))

        return run

    folder, some = str(load.folder.resolve()), min(load.messages, _OBJECT_MESSAGES)
    rows_some = int(starts[some])
    found = interleave(
        {
            "ours": timed(apply(price)),
            "sparse": timed(apply(price * 100)),
            "rows": timed(lambda: sum(len(r) for r in replay(chunks(events), load.instrument, CLOCK, load.date))),
            "roivec": lambda: peers.seconds("hft_book", folder=folder, step_ns=CLOCK.step_ns, depth="roivec"),
            "hashmap": lambda: peers.seconds("hft_book", folder=folder, step_ns=CLOCK.step_ns, depth="hashmap"),
            "nautilus": lambda: peers.seconds("nautilus", folder=folder, messages=some),
            "sorted_dict": lambda: peers.seconds("sorted_dict", folder=folder, messages=some),
        }
    )

    def per_row(name: str, rows: int) -> str:
        return f"{found.median(name) / rows * 1e9:.1f} ns a level row"

    ours = per_row("ours", load.level_rows)
    for name, words, bar, rows in (
        ("roivec", "hftbacktest ROIVectorMarketDepth", 2.5, load.level_rows),
        ("hashmap", "hftbacktest HashMapMarketDepth", None, load.level_rows),
        ("nautilus", "nautilus_trader OrderBook, best prices only", 15.0, rows_some),
        ("sorted_dict", "two SortedDicts", 60.0, rows_some),
    ):
        ratio = found.ratio(name, "ours") * load.level_rows / rows
        yield Figure("book", f"apply + top 10, {words}", ratio, bar, False, ours, per_row(name, rows))
    yield Figure(
        "book", "price grid 100 times sparser", found.ratio("sparse", "ours"), 1.5, True,
        per_row("sparse", load.level_rows), ours,
    )  # fmt: skip
    yield Figure(
        "book", "whole grid rows (20 levels, flow, verdicts) against ROIVector", found.ratio("roivec", "rows"), None,
        False, per_row("rows", load.level_rows), per_row("roivec", load.level_rows),
    )  # fmt: skip


def features(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Events to book rows to features, a grid row, against hftbacktest advancing its feed by one grid step."""
    events = events_of(load)
    counted = [0]

    def run() -> None:
        state = new_state(CLOCK, load.instrument)
        counted[0] = 0
        for rows in replay(chunks(events), load.instrument, CLOCK, load.date):
            out, valid = np.empty((len(rows), N_BUILT), np.float32), np.empty(len(rows), np.bool_)
            batch(state, rows, np.zeros((len(rows), TAPE_WIDTH), np.int64), out, valid)
            counted[0] += len(rows)

    steps = [0]

    def advance() -> float:
        answer = peers.ask("hft_advance", folder=str(load.folder.resolve()), step_ns=CLOCK.step_ns)
        steps[0] = answer["steps"]
        return float(answer["seconds"])

    found = interleave({"ours": timed(run), "advance": advance})
    ratio = found.ratio("ours", "advance") * steps[0] / counted[0]
    yield Figure(
        "features", f"book + {N_BUILT} features a row, against hftbacktest's advance", ratio, 1.0, True,
        f"{found.median('ours') / counted[0] * 1e9:,.0f} ns a row",
        f"{found.median('advance') / steps[0] * 1e9:,.0f} ns a step",
    )  # fmt: skip


def _decisions(load: Workload, events: Columns) -> DecisionRows:
    from lob_pipeline.core.tables import BOOK_SNAPSHOTS

    def columns() -> Iterator[Columns]:
        for rows in replay(chunks(events), load.instrument, CLOCK, load.date):
            yield {
                n: rows[:, BOOK_SNAPSHOTS.index[n]]
                for n in ("ts_ns", "close_ns", "valid", "decidable", "bid_ticks_1", "ask_ticks_1")
            }

    return decision_rows(columns())


def labels(load: Workload, peers: Peers) -> Iterator[Figure]:
    """Two passive orders a grid row: one queue model without outcomes, then all three with all outcomes."""
    events, tape = events_of(load), make_tape(trades_of(load))
    rows = _decisions(load, events)
    one = LabelConfig(models=(PESSIMISTIC,), outcomes=False)
    last: list[Day] = []

    def fills() -> None:
        last[:] = [run_day(rows, chunks(events), tape, one, load.instrument.sequence, CLOCK.step_ns)]

    def whole() -> None:
        day = run_day(rows, chunks(events), tape, LabelConfig(), load.instrument.sequence, CLOCK.step_ns)
        for _ in label_columns(day, fees_of(load.instrument)):
            pass

    theirs: dict[str, int] = {}

    def orders() -> float:
        theirs.update(
            peers.ask("hft_orders", folder=str(load.folder.resolve()), step_ns=CLOCK.step_ns, life_ns=one.order_life_ns)
        )
        return float(theirs["seconds"])

    found = interleave({"fills": timed(fills), "whole": timed(whole), "hft": orders})
    n, m = 2 * len(rows.ts_ns), theirs["orders"]

    def rate(name: str, count: int) -> str:
        return f"{count / found.median(name) / 1e6:.2f} M orders/s"

    yield Figure(
        "labels", "one queue model, no outcomes, against hftbacktest", found.ratio("hft", "fills") * n / m, 6.0, False,
        rate("fills", n), rate("hft", m),
    )  # fmt: skip
    yield Figure(
        "labels", "three queue models, all outcomes", found.ratio("hft", "whole") * n / m, 2.0, False,
        rate("whole", n), rate("hft", m),
    )  # fmt: skip
    ours = int((last[0].fates.fill_ns[0] >= 0).sum())
    yield Figure(
        "labels", "share of orders filled, ours over theirs (rules differ at the edges)",
        (ours / n) / (theirs["filled"] / m), None, False, f"{ours / n:.2%}", f"{theirs['filled'] / m:.2%}",
    )  # fmt: skip


def timed_ns(work: Callable[[], object]) -> int:
    """Return the nanoseconds of one call."""
    started = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - started


assert NS_PER_S == 1_000_000_000

"""``lob explain``: one instant, from the raw bytes through book and features to both simulated orders, event by event.

Everything is read from the lake and the raw store; the fate of each order is told again, one order at a time, and must
end as its stored label says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, L2_EVENTS, LEVELS, TRADES, Table
from lob_pipeline.core.units import format_ns, row_day_of_ns
from lob_pipeline.evaluation.trace import Order, Trace, trace_order
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE
from lob_pipeline.labels.day import make_tape
from lob_pipeline.labels.spec import FILL_KINDS, LABELS_TABLE, MODEL_NAME, PROPORTIONAL, LabelConfig
from lob_pipeline.labels.states import Tape
from lob_pipeline.labels.stream import NEEDED
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition, read_manifest
from lob_pipeline.stages.explain_lines import explain_lines
from lob_pipeline.stages.explain_raw import MessageKey, level_rows, raw_message
from lob_pipeline.stages.explain_span import Span, read_span

__all__ = ["explain", "explain_lines"]

_CHUNK_ROWS = 1 << 16
_EVENT_ROWS = 1 << 19
_FLOW = BOOK_SNAPSHOTS.names[BOOK_SNAPSHOTS.index["messages"] :]
_TRADE_COLUMNS = ["ts_event_ns", "seq", "side", "price_ticks", "size_lots", "flags"]


def explain(home: Home, market: Market, ts_ns: int, clock: str | None = None) -> dict[str, Any]:
    """Return everything that led to the row of an instant and followed from it, as plain JSON types.

    The row is that of the latest grid instant at or before ``ts_ns``. Features and labels are left out, with a note,
    where they are not in the lake. Raises ``RefusedError`` when the book of the day is absent or not usable,
    ``BadInputError`` when it has no such row, ``LobError`` when an order told again ends otherwise than its label.
    """
    date = row_day_of_ns(ts_ns)
    instrument = partition_instrument(home, market, date)
    step = parse_clock(clock or instrument.clock)
    row_ns = ts_ns // step.step_ns * step.step_ns
    date = row_day_of_ns(row_ns)
    row = _book_row(home, market, date, step.id, row_ns)
    label_key = PartitionKey("labels", market, date, step.id)
    labels, missing = _labels(home, label_key, row_ns)
    config = _label_config(home, label_key)
    close_ns = int(row["close_ns"])
    arrive_ns = int(labels[0]["t_arrive_ns"]) if labels else close_ns + config.latency_ns
    tape = _tape(home, market, date)
    with open_partition(home, PartitionKey("l2_events", market, date), L2_EVENTS) as events:
        until_ns = arrive_ns + config.order_life_ns
        span = read_span(events.chunks(_EVENT_ROWS, list(NEEDED)), tape, instrument.sequence, row_ns, until_ns)
    orders = []
    if row["valid"] and row["decidable"]:
        orders = [_order(span, tape, row, side, arrive_ns, config, labels) for side in (1, -1)]
    else:
        missing.append("the row is not valid and decidable, so no order starts from it")
    features, absent = _features(home, PartitionKey("features", market, date, step.id), row_ns)
    return {
        "market": str(market),
        "clock": step.id,
        "date": date,
        "asked": format_ns(ts_ns),
        "ts_ns": row_ns,
        "instant": format_ns(row_ns),
        "tick": str(instrument.tick),
        "lot": str(instrument.lot),
        "messages": _messages(home, instrument, date, span, row_ns),
        "row": row,
        "features": features,
        "orders": orders,
        "notes": [*absent, *missing],
    }


def _at(home: Home, key: PartitionKey, table: Table, ts_ns: int) -> list[dict[str, Any]]:
    """Return the rows of one instant as plain values, None for a null."""
    with open_partition(home, key, table) as partition:
        for chunk in partition.chunks(_CHUNK_ROWS):
            ts = np.asarray(chunk["ts_ns"], np.int64)
            if len(ts) and ts[-1] >= ts_ns:
                return [_plain(chunk, int(i)) for i in np.flatnonzero(ts == ts_ns)]
    return []


def _plain(chunk: Columns, i: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, values in chunk.items():
        value = None if np.ma.getmaskarray(values)[i] else np.ma.getdata(values)[i].item()
        out[name] = None if isinstance(value, float) and np.isnan(value) else value
    return out


def _book_row(home: Home, market: Market, date: str, clock: str, row_ns: int) -> dict[str, Any]:
    key = PartitionKey("book_snapshots", market, date, clock)
    found = _at(home, key, BOOK_SNAPSHOTS, row_ns)
    if not found:
        with open_partition(home, key, BOOK_SNAPSHOTS) as partition:
            coverage = partition.manifest.coverage
        span = f"its rows go from {format_ns(coverage[0])} to {format_ns(coverage[1])}" if coverage else "it has no row"
        raise BadInputError(f"{key} has no row at {format_ns(row_ns)}: {span}")
    stored = found[0]
    ladder = [
        {
            "level": k,
            **{f"{s}_{w}": stored[f"{s}_{w}_{k}"] for s in ("bid", "ask") for w in ("ticks", "lots")},
        }
        for k in range(1, LEVELS + 1)
    ]
    facts = {name: stored[name] for name in ("ts_ns", "close_ns", "valid", "decidable")}
    return {**facts, "levels": ladder, "flow": {name: stored[name] for name in _FLOW}}


def _features(home: Home, key: PartitionKey, row_ns: int) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        found = _at(home, key, FEATURES_TABLE, row_ns)
    except RefusedError as error:
        return [], [str(error)]
    if not found:
        return [], [f"{key} has no row at {format_ns(row_ns)}"]
    values = [{"name": f.name, "value": found[0][f.name], "unit": f.unit, "formula": f.formula} for f in BUILT]
    return values, [] if found[0]["valid"] else ["the feature row is not valid: at least one window is not full yet"]


def _labels(home: Home, key: PartitionKey, row_ns: int) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        found = _at(home, key, LABELS_TABLE, row_ns)
    except RefusedError as error:
        return [], [str(error)]
    return found, [] if found else [f"{key} has no order at {format_ns(row_ns)}"]


def _label_config(home: Home, key: PartitionKey) -> LabelConfig:
    """Return the settings that the stored labels were made with, the defaults where there are none."""
    try:
        stored = read_manifest(key.path(home)).extra.get("config")
    except FileNotFoundError:
        stored = None
    if not stored:
        return LabelConfig()
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return LabelConfig(**settings)


def _tape(home: Home, market: Market, date: str) -> Tape:
    with open_partition(home, PartitionKey("trades", market, date), TRADES) as trades:
        return make_tape(trades.read(_TRADE_COLUMNS))


def _messages(home: Home, instrument: Instrument, date: str, span: Span, row_ns: int) -> list[dict[str, Any]]:
    """Return the last message at or before the row and the one after it, which closed it, with their raw bytes."""
    found = []
    times = span.messages.time_ns
    after = int(np.searchsorted(times, row_ns, side="right"))
    for i, what in ((after - 1, "the last message the row holds"), (after, "the message that closed the row")):
        if not 0 <= i < len(times):
            continue
        lo, hi = int(span.messages.start[i]), int(span.messages.start[i + 1])
        key = MessageKey(int(span.update_id[i]), int(span.event_ns[i]), int(span.kind[i]))
        found.append(
            {
                "what": what,
                **key._asdict(),
                "instant": format_ns(key.ts_event_ns),
                **level_rows(span.messages.side[lo:hi], span.messages.price[lo:hi], span.messages.size[lo:hi]),
                "raw": raw_message(home, instrument, date, key),
            }
        )
    return found


def _order(
    span: Span,
    tape: Tape,
    row: dict[str, Any],
    side: int,
    arrive_ns: int,
    config: LabelConfig,
    labels: list[dict[str, Any]],
) -> dict[str, Any]:
    """Tell one order of the row under the proportional model; its end must be that of its stored label."""
    limit = row["levels"][0]["bid_ticks" if side > 0 else "ask_ticks"]
    order = Order(side, limit, arrive_ns, arrive_ns + config.order_life_ns, config.q_lots, PROPORTIONAL)
    told = trace_order(span.book, span.messages, span.met, tape, order)
    stored = next((label for label in labels if label["side"] == side), None)
    if stored is not None and stored["valid"]:
        _require_equal(told, stored)
    return {
        "side": side,
        "model": MODEL_NAME[PROPORTIONAL],
        "t_decide_ns": row["close_ns"],
        **{k: v for k, v in told.to_json().items() if k != "order"},
        "fill": FILL_KINDS[told.fill_kind],
        "limit_ticks": limit,
        "q_lots": config.q_lots,
        "t_arrive_ns": arrive_ns,
        "t_expire_ns": order.t_expire_ns,
        "label": stored,
        "agrees_with_label": None if stored is None or not stored["valid"] else True,
    }


def _require_equal(told: Trace, stored: dict[str, Any]) -> None:
    delay = -1 if told.fill_ns < 0 else told.fill_ns - told.order.t_arrive_ns
    ours = (told.fill_kind, delay, told.filled_lots)
    theirs = (stored["fill_kind"], stored["fill_delay_ns"], stored["filled_lots"])
    if ours != theirs:
        raise LobError(
            f"the order of side {told.order.side:+d} told event by event ends with (kind, delay ns, lots) {ours}, its "
            f"label says {theirs}: the labels were made from other events; rebuild them with `lob labels`"
        )

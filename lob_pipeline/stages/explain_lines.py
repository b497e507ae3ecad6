"""``lob explain`` for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_LEVELS_SHOWN = 10
_EVENTS_SHOWN = 60
_OUTCOMES = ("markout_5s_bps", "edge_bps", "edge_mid_bps", "edge_cross_bps", "mfe_bps", "mae_bps", "adverse", "entry")


def explain_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what ``explain`` returned as lines."""
    yield f"{found['market']}  {found['instant']}  ({found['clock']} grid, tick {found['tick']}, lot {found['lot']})"
    if found["asked"] != found["instant"]:
        yield f"asked for {found['asked']}: the row of the latest grid instant at or before it"
    for note in found["notes"]:
        yield f"note: {note}"
    yield ""
    yield "Bytes"
    for message in found["messages"]:
        yield from _message_lines(message)
    yield ""
    yield "Book row"
    yield from _row_lines(found["row"])
    if found["features"]:
        yield ""
        yield "Features"
        for f in found["features"]:
            value = "nan" if f["value"] is None else f"{f['value']:.6g}"
            yield f"  {f['name']:38} {value:>14}  {f['formula']}"
    for order in found["orders"]:
        yield ""
        yield from _order_lines(order)


def _message_lines(message: dict[str, Any]) -> Iterator[str]:
    yield (
        f"  {message['what']}: update {message['update_id']} of {message['instant']}, "
        f"{message['level_rows']} level rows"
    )
    raw = message["raw"]
    if "note" in raw:
        yield f"    {raw['note']}"
    else:
        yield f"    {raw['file']}, byte {raw['byte_offset']:,} of the inflated data, line {raw['line']:,}"
        yield f"    kept as {raw['stored']}"
        yield f"    {raw['text']}"
    for level in message["shown"]:
        side = "bid" if level["side"] > 0 else "ask"
        yield f"      {side}  {level['price_ticks']:>10} ticks  {level['size_lots']:>12,} lots"
    if message["level_rows"] > len(message["shown"]):
        yield f"      … and {message['level_rows'] - len(message['shown'])} more"


def _row_lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"  valid {row['valid']}, decidable {row['decidable']}, closed at {row['close_ns']} ns"
    yield f"  {'bid lots':>14} {'bid ticks':>10}   {'ask ticks':<10} {'ask lots':<14}"
    for level in row["levels"][:_LEVELS_SHOWN]:
        bid, ask = (str(level[f"{side}_ticks"]) if level[f"{side}_ticks"] >= 0 else "" for side in ("bid", "ask"))
        yield f"  {level['bid_lots']:>14,} {bid:>10}   {ask:<10} {level['ask_lots']:<14,}"
    flow = row["flow"]
    yield "  " + ", ".join(f"{name} {value}" for name, value in flow.items() if not name.endswith("worse_ns"))


def _order_lines(order: dict[str, Any]) -> Iterator[str]:
    what = "Buy at the bid" if order["side"] > 0 else "Sell at the ask"
    yield f"{what}: {order['q_lots']} lot at {order['limit_ticks']} ticks, {order['model']} queue model"
    latency_ms = (order["t_arrive_ns"] - order["t_decide_ns"]) / 1e6
    yield f"  decided at {order['t_decide_ns']} ns, arrives {latency_ms:g} ms later"
    if order["fill_kind"] == 4:
        yield "  rejected: the opposite best stood at or through our price"
    else:
        yield f"  rests behind {order['queue_ahead_lots']:,} lots"
    events = order["events"]
    for event in events[:_EVENTS_SHOWN]:
        yield (
            f"  {event['after_arrival_ms']:>12,.3f} ms  {event['text']}; ahead {event['ahead_lots']:,.1f}, "
            f"displayed {event['displayed_lots']:,}"
        )
    if len(events) > _EVENTS_SHOWN:
        yield f"  … {len(events) - _EVENTS_SHOWN - 1} more; the last:"
        yield f"  {events[-1]['after_arrival_ms']:>12,.3f} ms  {events[-1]['text']}"
    yield f"  outcome: {order['fill']}"
    label = order["label"]
    if label is None:
        yield "  no label is stored for this order"
        return
    if not label["valid"]:
        yield "  its label is not valid: book, tape or recording do not cover the whole span"
        return
    yield "  the stored label agrees: " + ", ".join(f"{n} {_value(label[n])}" for n in _OUTCOMES)
    for suffix, model in (("_opt", "optimistic"), ("_pess", "pessimistic")):
        filled = label[f"filled{suffix}"]
        fate = f"filled after {label[f'fill_delay_ns{suffix}'] / 1e6:,.3f} ms" if filled else "not filled"
        yield f"  {model}: {fate}, edge_bps {_value(label[f'edge_bps{suffix}'])}"


def _value(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:+.3f}" if isinstance(value, float) else str(value)

"""Gates of a day's labels, fed chunk by chunk while they are computed, and the base rates that go into the manifest.

Schema and hard ranges are ``schemas.SchemaGate``'s; nothing is judged twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.labels.day import Day
from lob_pipeline.labels.overlap import effective_n
from lob_pipeline.labels.spec import (
    ALWAYS,
    FILL_KINDS,
    KIND_REJECTED,
    KIND_UNFILLED,
    LABELS_TABLE,
    MODEL_NAME,
    MODEL_SUFFIX,
)

Mask = npt.NDArray[np.bool_]

_NEVER = np.int64(1 << 62)
_OF_FILL = ("markout", "edge", "exit", "mfe", "mae", "adverse")  # null unless filled


def _null(values: npt.NDArray[Any]) -> Mask:
    if values.dtype.kind == "f":
        return np.isnan(np.ma.getdata(values)) | np.ma.getmaskarray(values)
    return np.asarray(np.ma.getmaskarray(values))


def _flag(columns: Columns, name: str) -> Mask:
    return np.asarray(np.ma.filled(np.ma.asarray(columns[name]), False), np.bool_)


def _delays(columns: Columns, suffix: str) -> npt.NDArray[np.int64]:
    """Fill delays, a late instant where not filled."""
    delay = np.ma.getdata(columns[f"fill_delay_ns{suffix}"]).astype(np.int64)
    return np.where(delay < 0, _NEVER, delay)


class LabelGates:
    """Judges label columns.

    >>> gates = LabelGates()
    >>> gates.add(columns)                                  # each chunk, in order
    >>> outcomes = [*gates.outcomes(), decision_prices(day)]
    """

    def __init__(self) -> None:
        self._rows = self._valid = 0
        self._order = self._nulls = self._fills = ""

    def add(self, columns: Columns) -> None:
        """Examine one chunk of ``LABELS_TABLE`` columns."""
        valid = np.asarray(columns["valid"], np.bool_)
        self._judge_order(columns, valid)
        self._judge_nulls(columns, valid)
        self._judge_fills(columns, valid)
        self._rows += len(valid)
        self._valid += int(valid.sum())

    def _first(self, columns: Columns, bad: Mask, what: str) -> str:
        if not bad.any():
            return ""
        i = int(np.argmax(bad))
        return (
            f"row ts_ns={int(columns['ts_ns'][i])} side={int(columns['side'][i])}: {what} ({int(bad.sum())} such rows)"
        )

    def _judge_order(self, columns: Columns, valid: Mask) -> None:
        """A more optimistic queue model never fills later."""
        opt, prop, pess = (_delays(columns, s) for s in ("_opt", "", "_pess"))
        self._order = self._order or self._first(
            columns, valid & ((opt > prop) | (prop > pess)), "a more optimistic queue model fills later"
        )

    def _judge_nulls(self, columns: Columns, valid: Mask) -> None:
        """All is null where a row is not valid; what needs a fill is null where there is none."""
        for column in LABELS_TABLE.columns:
            if column.name in ALWAYS or self._nulls:
                continue
            null = _null(columns[column.name])
            self._nulls = self._first(columns, ~valid & ~null, f"{column.name} is not null though the row is not valid")
            suffix = next((s for s in MODEL_SUFFIX.values() if s and column.name.endswith(s)), "")
            unfilled = valid & ~_flag(columns, f"filled{suffix}")
            if column.name.startswith(_OF_FILL):
                bad, what = unfilled & ~null, "is not null though the order was not filled"
            elif column.name.startswith(("filled", "fill_", "entry")):
                bad, what = valid & null, "is null though the row is valid"
            else:
                continue
            self._nulls = self._nulls or self._first(columns, bad, f"{column.name} {what}")

    def _judge_fills(self, columns: Columns, valid: Mask) -> None:
        """Kind, delay and flags of one order agree; arrival does not depend on the queue model."""
        rejected = np.ma.getdata(columns["fill_kind"]) == KIND_REJECTED
        for suffix in MODEL_SUFFIX.values():
            filled = _flag(columns, f"filled{suffix}")
            kind = np.ma.getdata(columns[f"fill_kind{suffix}"])
            unfilled_kind = (kind == KIND_UNFILLED) | (kind == KIND_REJECTED)
            delay = np.ma.getdata(columns[f"fill_delay_ns{suffix}"]).astype(np.int64)
            bad = (filled == unfilled_kind) | (filled != (delay > 0)) | (~filled & (delay != -1))
            bad |= ((kind == KIND_REJECTED) != rejected) | (_flag(columns, f"entry{suffix}") & ~filled)
            self._fills = self._fills or self._first(
                columns, valid & bad, f"fill columns{suffix} contradict each other"
            )

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``ordering_law``, ``null_rule``, ``fill_rule`` and ``valid_rows`` (not judged without a valid row)."""
        return [
            judge("ordering_law", not self._order, message=self._order, examined=self._rows, judged=self._valid),
            judge("null_rule", not self._nulls, examined=self._rows, judged=self._rows, message=self._nulls),
            judge("fill_rule", not self._fills, message=self._fills, examined=self._rows, judged=self._valid),
            judge(
                "valid_rows",
                True,
                message="no row has a whole span" if not self._valid else "",
                examined=self._rows,
                judged=self._valid,
            ),
        ]


def decision_prices(day: Day) -> CheckOutcome:
    """Gate ``decision_prices``: the row's best prices are those of the book that the truth clock kept at its instant.

    The two come from different passes over the events (the grid's and the labels'), so a row that was shifted, stale or
    read from another depth is caught.
    """
    states, used = day.states, day.used_states
    at = np.searchsorted(states.time_ns[:used], day.rows.ts_ns, side="right") - 1
    known = at >= 0
    same = known.copy()
    same[known] = (states.bid[at[known]] == day.rows.bid_ticks[known]) & (
        states.ask[at[known]] == day.rows.ask_ticks[known]
    )
    bad = np.flatnonzero(~same)
    message = ""
    if len(bad):
        i = int(bad[0])
        message = (
            f"row ts_ns={int(day.rows.ts_ns[i])} has best {int(day.rows.bid_ticks[i])} / {int(day.rows.ask_ticks[i])} "
            f"ticks, the book at that instant has not ({len(bad)} such rows)"
        )
    n = len(same)
    return judge("decision_prices", not len(bad), examined=n, judged=n, message=message)


class BaseRates:
    """Counts what the labels say of each queue model, chunk by chunk."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, float]] = {s: {} for s in MODEL_SUFFIX.values()}
        self._valid = 0

    def add(self, columns: Columns) -> None:
        """Count one chunk of ``LABELS_TABLE`` columns."""
        valid = np.asarray(columns["valid"], np.bool_)
        self._valid += int(valid.sum())
        for suffix, sums in self._sums.items():
            kind = np.ma.getdata(columns[f"fill_kind{suffix}"])[valid]
            edge = columns[f"edge_bps{suffix}"]
            found = {
                "filled": float(_flag(columns, f"filled{suffix}").sum()),
                "adverse": float(_flag(columns, f"adverse{suffix}").sum()),
                "entry": float(_flag(columns, f"entry{suffix}").sum()),
                "edges": float((~np.isnan(edge)).sum()),
                "edge_sum_bps": float(np.nansum(edge)),
            } | {f"kind_{k}": float((kind == k).sum()) for k in FILL_KINDS}
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value

    def to_json(self, day: Day) -> dict[str, Any]:
        """Return rows, valid rows and, a queue model: fills, effective n, rates and the mean edge."""
        models: dict[str, Any] = {}
        for m, model in enumerate(day.config.models):
            sums = self._sums[MODEL_SUFFIX[model]]
            filled, edges = sums.get("filled", 0.0), sums.get("edges", 0.0)
            models[MODEL_NAME[model]] = {
                "filled": int(filled),
                "effective_n": _distinct_fills(day, m),
                "fill_rate": filled / self._valid if self._valid else None,
                "entry_rate": sums.get("entry", 0.0) / self._valid if self._valid else None,
                "adverse_rate": sums.get("adverse", 0.0) / filled if filled else None,
                "mean_edge_bps": sums["edge_sum_bps"] / edges if edges else None,
                "fill_kinds": {str(k): int(sums.get(f"kind_{k}", 0.0)) for k in FILL_KINDS},
            }
        span_s = float((day.rows.ts_ns[-1] - day.rows.ts_ns[0]) / NS_PER_S) if len(day.rows.ts_ns) else 0.0
        return {"orders": 2 * len(day.rows.ts_ns), "valid_orders": self._valid, "span_s": span_s, "models": models}


def _distinct_fills(day: Day, m: int) -> int:
    """Effective n of the valid fills of one queue model: distinct (t_fill, side, P)."""
    rows = len(day.rows.ts_ns)
    fill_ns = day.fates.fill_ns[m]
    counted = np.flatnonzero((fill_ns >= 0) & np.tile(day.valid, 2))
    side = np.where(counted < rows, 1, -1).astype(np.int8)
    price = np.where(
        counted < rows, day.rows.bid_ticks[counted % max(rows, 1)], day.rows.ask_ticks[counted % max(rows, 1)]
    )
    return effective_n(fill_ns[counted], side, price)

"""Spread, depth and coverage through time: what the first page draws, gathered in one pass over the book rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.evaluation.feasibility import MidSeries

Int = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

_INTEGERS = ("ts_ns", "bid_ticks_1", "ask_ticks_1", "bid_depth_2bps_lots", "ask_depth_2bps_lots", "messages")
OVERVIEW_COLUMNS: tuple[str, ...] = (*_INTEGERS, "valid", "truncated")
BINS = 600
_SPREAD_TAIL = 0.995


@dataclass
class Overview:
    """Gathers the few columns of every row that the page needs: about 50 bytes a row."""

    instrument: Instrument
    step_ns: int
    _parts: dict[str, list[npt.NDArray[np.generic]]] = field(default_factory=dict)

    def add(self, rows: Columns) -> None:
        """Add a chunk of ``book_snapshots`` (``OVERVIEW_COLUMNS``), in time order."""
        for name in OVERVIEW_COLUMNS:
            dtype = np.int64 if name in _INTEGERS else np.bool_
            self._parts.setdefault(name, []).append(np.asarray(rows[name], dtype))

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return one gathered column (n,)."""
        parts = self._parts.get(name)
        if parts is None:
            return np.empty(0, np.int64 if name in _INTEGERS else np.bool_)
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]

    def series(self) -> MidSeries:
        """Return the best prices as feasibility reads them."""
        valid = self.column("valid")
        return MidSeries(
            self.column("ts_ns"), self.column("bid_ticks_1"), self.column("ask_ticks_1"), valid, self.step_ns
        )

    def limit_prices(self, ts_ns: Int, side: Int) -> Int:
        """Return the best price of ``side`` in the row of each instant: an order's limit; −1 where there is no row."""
        known = self.column("ts_ns")
        if known.size == 0:
            return np.full(ts_ns.shape, -1, np.int64)
        at = np.minimum(np.searchsorted(known, ts_ns), known.size - 1)
        price = np.where(side > 0, self.column("bid_ticks_1")[at], self.column("ask_ticks_1")[at])
        return np.asarray(np.where(known[at] == ts_ns, price, -1), np.int64)

    def summary(self) -> dict[str, Any]:
        """Return ``rows``, ``valid_rows``, ``coverage``, ``span_ns``, ``bins``, ``spread_ticks``, ``invalid_spans``."""
        ts, valid = self.column("ts_ns"), self.column("valid")
        judged = self.column("truncated")[valid]
        return {
            "rows": int(ts.size),
            "valid_rows": int(valid.sum()),
            "coverage": float(valid.mean()) if ts.size else None,
            "first_ns": int(ts[0]) if ts.size else None,
            "last_ns": int(ts[-1]) if ts.size else None,
            "truncated_4bps_share": float(judged.mean()) if judged.size else None,
            "bins": self._bins(),
            "spread_ticks": self._spread_ticks(),
            "invalid_spans": invalid_spans(ts, valid, self.step_ns),
        }

    def _bins(self) -> list[dict[str, Any]]:
        ts, valid = self.column("ts_ns"), self.column("valid")
        if ts.size == 0:
            return []
        # the width divides the time that was recorded, not the pauses between recordings
        width = -(-ts.size // BINS) * self.step_ns
        edges = np.arange(int(ts[0]), int(ts[-1]) + width + 1, width)
        cut = np.searchsorted(ts, edges)
        spread = self.series().spread_bps()
        m2 = self.series().m2
        bid, ask = self.column("bid_depth_2bps_lots"), self.column("ask_depth_2bps_lots")
        found: list[dict[str, Any]] = []
        for first, last, edge in zip(cut[:-1], cut[1:], edges[:-1], strict=True):
            if first == last and found and not found[-1]["rows"]:
                continue  # one empty entry is enough to break a line
            entry: dict[str, Any] = {"ts_ns": int(edge) + width // 2, "rows": int(last - first)}
            keep = np.flatnonzero(valid[first:last]) + first
            if keep.size:
                mid = m2[keep] * (float(self.instrument.tick) / 2.0)
                entry |= {
                    "mid_quote": float(np.median(mid)),
                    "spread_bps_p50": float(np.median(spread[keep])),
                    "spread_bps_p95": float(np.quantile(spread[keep], 0.95)),
                    "bid_depth_quote": float(np.median(bid[keep] * self._lot_value(m2[keep]))),
                    "ask_depth_quote": float(np.median(ask[keep] * self._lot_value(m2[keep]))),
                    "messages_hz": float(self.column("messages")[first:last].sum())
                    / ((last - first) * self.step_ns / 1e9),
                }
            found.append(entry)
        return found

    def _lot_value(self, m2: Int) -> Float:
        if self.instrument.contract == "inverse":
            return np.full(m2.shape, float(self.instrument.contract_value))
        num, den = self.instrument.lots_scale
        return np.asarray(m2 * (num / (2.0 * den)), np.float64)

    def _spread_ticks(self) -> list[dict[str, Any]]:
        """Return the share of valid rows by spread in ticks; the rarest are one last entry, ``more``."""
        valid = self.column("valid")
        spread = (self.column("ask_ticks_1") - self.column("bid_ticks_1"))[valid]
        if spread.size == 0:
            return []
        ticks, counts = np.unique(spread, return_counts=True)
        shares = counts / spread.size
        cut = min(max(int(np.searchsorted(np.cumsum(shares), _SPREAD_TAIL)) + 1, 5), 40)
        table = [{"ticks": int(t), "share": float(s), "more": False} for t, s in zip(ticks, shares, strict=True)][:cut]
        if cut < ticks.size:
            table.append({"ticks": int(ticks[cut]), "share": float(shares[cut:].sum()), "more": True})
        return table


def invalid_spans(ts_ns: Int, valid: npt.NDArray[np.bool_], step_ns: int, limit: int = 50) -> list[dict[str, int]]:
    """Return the longest stretches without a valid row: ``from_ns``, ``to_ns`` (first valid row after), ``rows``.

    Missing rows inside the series count like invalid ones. At most ``limit``, in time order.
    """
    if ts_ns.size == 0:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([True], valid, [True])).astype(np.int8)))
    spans = [
        (int(ts_ns[a]), int(ts_ns[b]) if b < ts_ns.size else int(ts_ns[-1]) + step_ns, int(b - a))
        for a, b in zip(edges[0::2], edges[1::2], strict=True)
    ]
    holes = np.flatnonzero(np.diff(ts_ns) > step_ns)
    spans += [(int(ts_ns[i]) + step_ns, int(ts_ns[i + 1]), 0) for i in holes]
    spans = sorted(sorted(spans, key=lambda s: s[0] - s[1])[:limit])
    return [{"from_ns": a, "to_ns": b, "rows": n} for a, b, n in spans]

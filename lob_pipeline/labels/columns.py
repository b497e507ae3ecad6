"""From fates to the columns of the labels table, a slice of decision rows at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Array, Columns
from lob_pipeline.labels.fates import T_FILL, Fates
from lob_pipeline.labels.outcomes import (
    EDGE,
    EDGE_CROSS,
    EDGE_MID,
    MAE,
    MARKOUTS,
    MFE,
    event_facts,
    instant_outcomes,
    new_facts,
    order_outcomes,
)
from lob_pipeline.labels.spec import (
    ADVERSE_NS,
    ALL_MODELS,
    ALWAYS,
    LABELS_TABLE,
    MARKOUT_NS,
    MODEL_SUFFIX,
    PROPORTIONAL,
    TAKER_NS,
    Fees,
    LabelConfig,
)
from lob_pipeline.labels.states import Int64s, States

Float64s = npt.NDArray[np.float64]
_ADVERSE_ROW = MARKOUTS + list(MARKOUT_NS.values()).index(ADVERSE_NS)


class LabelColumns:
    """Builds the columns of any slice of rows from what the truth clock found. Needs all three models and outcomes."""

    def __init__(
        self,
        fates: Fates,
        states: States,
        used: int,
        events: int,
        clock: Int64s,
        config: LabelConfig,
        fees: Fees,
    ) -> None:
        if config.models != ALL_MODELS or not config.outcomes:
            raise ValueError("the labels table holds all three queue models with their outcomes")
        self._fates, self._states, self._used, self._clock = fates, states, used, clock
        self._config, self._fees = config, fees
        horizons = np.array([*MARKOUT_NS.values(), config.horizon_ns], np.int64)
        self._facts = new_facts(events, len(horizons))
        by_time = np.argsort(fates.events[:events, T_FILL], kind="stable")
        event_facts(fates, clock, states, used, horizons, by_time, self._facts)
        self._taker_ns = np.array(list(TAKER_NS.values()), np.int64)
        self._hints = np.full(2 + len(self._taker_ns), -1, np.int64)

    def chunk(
        self, part: slice, ts_ns: Int64s, close_ns: Int64s, t_end_ns: Int64s, valid: npt.NDArray[np.bool_]
    ) -> Columns:
        """Return the label columns of the decision rows ``part``, two rows an instant; slices in ascending order."""
        n = part.stop - part.start
        out = {
            c.name: np.empty(2 * n, np.dtype(c.dtype))
            for c in LABELS_TABLE.columns
            if not c.nullable or c.dtype == "float64"
        }
        null = np.repeat(~valid[part], 2)
        arrive = self._fates.arrive_ns[part]
        times = {"ts_ns": ts_ns[part], "t_decide_ns": close_ns[part], "t_arrive_ns": arrive, "t_end_ns": t_end_ns[part]}
        for name, values in {**times, "valid": valid[part]}.items():
            out[name][:] = np.repeat(values, 2)
        masked: dict[str, tuple[Array, npt.NDArray[np.bool_]]] = {}
        self._instants(arrive, out, masked)
        for m, model in enumerate(self._config.models):
            self._orders(m, model, part, t_end_ns[part], out, masked)
        for place, side in enumerate((-1, 1)):
            out["side"][place::2] = side
        for name, (values, missing) in masked.items():
            out[name] = np.ma.MaskedArray(values, mask=missing | null)
        for column in LABELS_TABLE.columns:
            if column.dtype == "float64" and column.name not in ALWAYS:
                out[column.name][null] = np.nan
        return {c.name: out[c.name] for c in LABELS_TABLE.columns}

    def _instants(
        self, arrive_ns: Int64s, out: Columns, masked: dict[str, tuple[Array, npt.NDArray[np.bool_]]]
    ) -> None:
        n = len(arrive_ns)
        mid_return = np.empty(n)
        direction = np.empty(n, np.int8)
        taker = np.empty((2, len(self._taker_ns), n))
        instant_outcomes(
            self._states,
            self._used,
            self._hints,
            arrive_ns,
            self._config.horizon_ns,
            self._taker_ns,
            self._fees.taker_bps,
            mid_return,
            direction,
            taker,
        )
        out["mid_return_bps"][:] = np.repeat(mid_return, 2)
        unknown = direction == -2
        masked["direction"] = (np.repeat(np.where(unknown, np.int8(0), direction), 2), np.repeat(unknown, 2))
        for h, name in enumerate(TAKER_NS):
            for si in (0, 1):
                out[f"taker_edge_{name}_bps"][1 - si :: 2] = taker[si, h]

    def _orders(
        self,
        m: int,
        model: int,
        part: slice,
        t_end_ns: Int64s,
        out: Columns,
        masked: dict[str, tuple[Array, npt.NDArray[np.bool_]]],
    ) -> None:
        n = part.stop - part.start
        rows = len(self._fates.arrive_ns)
        suffix = MODEL_SUFFIX[model]
        whole = model == PROPORTIONAL
        block = np.empty((2, MARKOUTS + len(MARKOUT_NS) + 1, n))
        for si in (0, 1):
            order_outcomes(
                self._fates,
                self._clock,
                self._facts,
                m,
                si,
                part.start,
                t_end_ns,
                self._fees.maker_bps,
                self._fees.taker_bps,
                whole,
                block[si],
            )
        both = [slice(si * rows + part.start, si * rows + part.stop) for si in (1, 0)]

        def interleave(parts: list[Array]) -> Array:
            return np.stack(parts, axis=1).reshape(-1)

        floats = {"edge_bps": EDGE, "markout_5s_bps": _ADVERSE_ROW}
        if whole:
            floats |= {"edge_mid_bps": EDGE_MID, "edge_cross_bps": EDGE_CROSS, "mfe_bps": MFE, "mae_bps": MAE}
            floats |= {f"markout_{name}_bps": MARKOUTS + h for h, name in enumerate(MARKOUT_NS)}
        for name, row in floats.items():
            out[name + suffix][:] = interleave([block[1, row], block[0, row]])
        fill_ns = interleave([self._fates.fill_ns[m, b] for b in both])
        filled = fill_ns >= 0
        never = np.zeros(2 * n, np.bool_)
        markout, edge = out[f"markout_5s_bps{suffix}"], out[f"edge_bps{suffix}"]
        adverse = filled & (markout < self._config.adverse_below_bps)
        known = filled & ~np.isnan(markout)
        masked[f"filled{suffix}"] = (filled, never)
        masked[f"fill_delay_ns{suffix}"] = (np.where(filled, fill_ns - out["t_arrive_ns"], -1), never)
        masked[f"fill_kind{suffix}"] = (interleave([self._fates.fill_kind[m, b] for b in both]), never)
        masked[f"adverse{suffix}"] = (adverse, ~known)
        masked[f"entry{suffix}"] = (known & ~adverse & (edge > self._config.entry_floor_bps), never)
        if whole:
            masked["filled_lots"] = (interleave([self._fates.lots[m, b] for b in both]), never)

"""From fates to the columns of the labels table, a slice of decision rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.labels.fates import (
    DONE_LOTS,
    FILL_NS,
    N_EVENTS,
    T_FILL,
    Fates,
)
from lob_pipeline.labels.instants import instant_outcomes
from lob_pipeline.labels.outcomes import (
    EDGE,
    EDGE_CROSS,
    EDGE_MID,
    EXIT_MAKER,
    MAE,
    MARKOUTS,
    MFE,
    event_facts,
    new_facts,
    order_outcomes,
)
from lob_pipeline.labels.spec import (
    ALL_MODELS,
    LABELS_TABLE,
    MARKOUT_NS,
    MODEL_SUFFIX,
    PROPORTIONAL,
    TAKER_NS,
    Fees,
    LabelConfig,
)
from lob_pipeline.labels.states import Int64s, States

Mask = npt.NDArray[np.bool_]

_FLOATS = tuple(c.name for c in LABELS_TABLE.columns if c.dtype == "float64")
_FLOAT_ROW = {name: i for i, name in enumerate(_FLOATS)}
_TAKER = slice(_FLOAT_ROW[f"taker_edge_{next(iter(TAKER_NS))}_bps"], None)


def _where(model: int) -> Int64s:
    """Return the float column of each outcome of a model, -1 where the table holds none."""
    names = {EDGE: "edge_bps", EDGE_MID: "edge_mid_bps", EDGE_CROSS: "edge_cross_bps", MFE: "mfe_bps", MAE: "mae_bps"}
    names[EXIT_MAKER] = "exit_maker_ratio"
    names |= {MARKOUTS + h: f"markout_{name}_bps" for h, name in enumerate(MARKOUT_NS)}
    found = [_FLOAT_ROW.get(names[i] + MODEL_SUFFIX[model], -1) for i in range(len(names))]
    return np.array([*found, -1], np.int64)  # H itself is no column


class LabelColumns:
    """Builds the columns of any slice of rows from what the truth clock found. Needs all three models and outcomes."""

    def __init__(self, fates: Fates, states: States, clock: Int64s, config: LabelConfig, fees: Fees) -> None:
        if config.models != ALL_MODELS or not config.outcomes:
            raise ValueError("the labels table holds all three queue models with their outcomes")
        self._fates, self._states, self._clock, self._config = fates, states, clock, config
        self._fees = np.array([fees.maker_bps, fees.taker_bps])
        horizons = np.array([*MARKOUT_NS.values(), config.horizon_ns], np.int64)
        events = fates.events[: clock[N_EVENTS]]
        self._facts = new_facts(len(events), len(horizons))
        event_facts(events, clock, states, horizons, np.argsort(events[:, T_FILL], kind="stable"), self._facts)
        self._taker_ns = np.array(list(TAKER_NS.values()), np.int64)
        self._hints = np.full(2 + len(self._taker_ns), -1, np.int64)

    def chunk(self, part: slice, ts_ns: Int64s, close_ns: Int64s, t_end_ns: Int64s, valid: Mask) -> Columns:
        """Return the label columns of the decision rows ``part``, two rows an instant; slices in ascending order."""
        n = part.stop - part.start
        arrive = np.ascontiguousarray(self._fates.arrive_ns[part])
        out: dict[str, npt.NDArray[Any]] = {
            "ts_ns": np.repeat(ts_ns[part], 2),
            "side": np.tile(np.array([-1, 1], np.int8), n),
            "valid": np.repeat(valid[part], 2),
            "t_decide_ns": np.repeat(close_ns[part], 2),
            "t_arrive_ns": np.repeat(arrive, 2),
            "t_end_ns": np.repeat(t_end_ns[part], 2),
        }
        floats = np.full((len(_FLOATS), 2 * n), np.nan)
        nulls: dict[str, Mask] = {}
        direction = np.empty(2 * n, np.int8)
        mid_return = floats[_FLOAT_ROW["mid_return_bps"]]
        taker = floats[_TAKER][: len(TAKER_NS)]
        instant_outcomes(
            self._states, self._clock, self._hints, arrive, self._taker_ns, self._fees[1], mid_return, direction, taker
        )
        nulls["direction"] = direction == -2
        out["direction"] = direction
        direction[nulls["direction"]] = 0
        for m, model in enumerate(self._config.models):
            for si in (0, 1):
                order_outcomes(
                    self._fates,
                    self._clock,
                    self._facts,
                    m,
                    si,
                    part.start,
                    t_end_ns[part],
                    self._fees,
                    _where(model),
                    floats,
                )
            out |= self._fate_columns(m, MODEL_SUFFIX[model], part, out["t_arrive_ns"], floats, nulls)
        if not valid[part].all():
            floats[:, ~out["valid"]] = np.nan
        out |= {name: floats[i] for i, name in enumerate(_FLOATS)}
        return self._masked(out, nulls)

    def _fate_columns(
        self,
        m: int,
        suffix: str,
        part: slice,
        arrive_ns: Int64s,
        floats: npt.NDArray[np.float64],
        nulls: dict[str, Mask],
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of one model that are no floats; note where ``adverse`` is null."""
        rows = len(self._fates.rows)
        pair = [slice(si * rows + part.start, si * rows + part.stop) for si in (1, 0)]
        fill_ns, lots = (
            np.stack([self._fates.fill[m, p, c] for p in pair], axis=1).reshape(-1) for c in (FILL_NS, DONE_LOTS)
        )
        filled = fill_ns >= 0
        markout, edge = floats[_FLOAT_ROW[f"markout_5s_bps{suffix}"]], floats[_FLOAT_ROW[f"edge_bps{suffix}"]]
        known = ~np.isnan(markout)
        adverse = markout < self._config.adverse_below_bps
        nulls[f"adverse{suffix}"] = ~known
        found = {
            f"filled{suffix}": filled,
            f"fill_delay_ns{suffix}": np.where(filled, fill_ns - arrive_ns, -1),
            f"fill_kind{suffix}": np.stack([self._fates.kind[m, p] for p in pair], axis=1).reshape(-1),
            f"adverse{suffix}": adverse,
            f"entry{suffix}": known & ~adverse & (edge > self._config.entry_floor_bps),
        }
        if suffix == MODEL_SUFFIX[PROPORTIONAL]:
            found["filled_lots"] = lots
        return found

    def _masked(self, out: dict[str, npt.NDArray[Any]], nulls: dict[str, Mask]) -> Columns:
        """Return the columns in schema order; nullable integers and flags masked where they or the row are null."""
        invalid = ~out["valid"]
        columns: Columns = {}
        for column in LABELS_TABLE.columns:
            values = out[column.name]
            if column.nullable and column.dtype != "float64":
                own = nulls.get(column.name)
                values = np.ma.MaskedArray(values, mask=invalid if own is None else invalid | own)
            columns[column.name] = values
        return columns

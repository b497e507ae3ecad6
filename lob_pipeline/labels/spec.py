"""The label columns, declared once, and the settings of the simulated order with their defaults (LABELS.md).

Column order is registry order. Parquet and pandera schemas, ``lob labels-list`` and docs/labels.md derive from it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument
from lob_pipeline.core.tables import Column, DType, Table
from lob_pipeline.core.units import NS_PER_MS, NS_PER_S

PESSIMISTIC = 0
PROPORTIONAL = 1
OPTIMISTIC = 2
MODEL_SUFFIX = {PROPORTIONAL: "", PESSIMISTIC: "_pess", OPTIMISTIC: "_opt"}
MODEL_NAME = {PROPORTIONAL: "proportional", PESSIMISTIC: "pessimistic", OPTIMISTIC: "optimistic"}
ALL_MODELS = (PESSIMISTIC, PROPORTIONAL, OPTIMISTIC)

KIND_UNFILLED = 0
KIND_THROUGH = 1
KIND_QUEUE = 2
KIND_CROSSED = 3
KIND_REJECTED = 4
FILL_KINDS = {
    KIND_UNFILLED: "rested, not completely filled",
    KIND_THROUGH: "traded through",
    KIND_QUEUE: "queue traded away",
    KIND_CROSSED: "met by an opposite quote",
    KIND_REJECTED: "rejected at arrival",
}

MARKOUT_NS = {
    "100ms": 100 * NS_PER_MS,
    "1s": NS_PER_S,
    "5s": 5 * NS_PER_S,
    "30s": 30 * NS_PER_S,
    "60s": 60 * NS_PER_S,
}
TAKER_NS = {"1s": NS_PER_S, "5s": 5 * NS_PER_S, "30s": 30 * NS_PER_S, "60s": 60 * NS_PER_S}
ADVERSE_NS = 5 * NS_PER_S


@dataclass(frozen=True)
class LabelConfig:
    """The simulated order. Times in ns, sizes in lots; the defaults are the stored table's definition.

    ``latency_sample_ns``: a measured latency distribution (a sample, at least one value). Where it is given each row
    draws its latency from it (``overlap.draw_latency``) and ``latency_ns`` is not used.
    ``models``: the queue models to run. ``outcomes``: False computes the fills alone.
    """

    latency_ns: int = 50 * NS_PER_MS
    latency_sample_ns: tuple[int, ...] = ()
    latency_seed: int = 0
    order_life_ns: int = 30 * NS_PER_S
    horizon_ns: int = 30 * NS_PER_S
    q_lots: int = 1
    adverse_below_bps: float = -1.0
    entry_floor_bps: float = 0.0
    models: tuple[int, ...] = ALL_MODELS
    outcomes: bool = True

    def __post_init__(self) -> None:
        shortest = min((self.latency_ns, *self.latency_sample_ns))
        if self.q_lots < 1 or self.order_life_ns < 1 or self.horizon_ns < 1 or shortest < 0:
            raise BadInputError(
                f"label settings q_lots={self.q_lots}, order_life_ns={self.order_life_ns}, "
                f"horizon_ns={self.horizon_ns}, shortest latency {shortest} ns: "
                "expected at least 1 lot, 1 ns, 1 ns and no negative latency"
            )
        if not self.models or set(self.models) - set(ALL_MODELS) or list(self.models) != sorted(set(self.models)):
            raise BadInputError(f"queue models {self.models} are not an ascending selection of {ALL_MODELS}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Fees:
    """Fees of one market in bps of the traded value."""

    maker_bps: float
    taker_bps: float


def fees_of(instrument: Instrument) -> Fees:
    """Return the fees the outcomes subtract. Raises ``BadInputError`` for a market without fees."""
    maker, taker = instrument.maker_fee_bps, instrument.taker_fee_bps
    if maker is None or taker is None or not (math.isfinite(maker) and math.isfinite(taker)):
        raise BadInputError(
            f"market {instrument.market} has no fees: write maker_fee_bps and taker_fee_bps into markets.toml, "
            "labels subtract them from every edge"
        )
    return Fees(maker, taker)


@dataclass(frozen=True)
class Label:
    """One stored label column. ``head``: the model head that learns it, "" where none does."""

    name: str
    dtype: DType
    unit: str
    formula: str
    head: str = ""
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    suffix: str = field(default="")

    @property
    def column(self) -> Column:
        """Return the declaration of the stored column."""
        return Column(self.name + self.suffix, self.dtype, self.formula, self.nullable, self.minimum, self.maximum)


_KEY = (
    Label("ts_ns", "int64", "ns", "grid instant t of the decision row", nullable=False, minimum=0),
    Label("side", "int8", "side", "s: +1 buy at the bid, -1 sell at the ask", nullable=False, minimum=-1, maximum=1),
    Label("valid", "bool", "flag", "book valid on [t - step, t_end], a later message, no trade-id gap", nullable=False),
    Label("t_decide_ns", "int64", "ns", "close_ns of the row", nullable=False, minimum=0),
    Label("t_arrive_ns", "int64", "ns", "t_decide + latency", nullable=False, minimum=0),
    Label(
        "t_end_ns", "int64", "ns", "t_arrive + T_order + max(60 s, H + latency + T_order)", nullable=False, minimum=0
    ),
    Label("mid_return_bps", "float64", "bps", "1e4·ln(mid(t_arrive + H)/mid(t_arrive))", "direction"),
    Label("direction", "int8", "sign", "sign of M2(t_arrive + H) - M2(t_arrive)", "direction", minimum=-1, maximum=1),
)
_FILL = (
    Label("filled", "bool", "flag", "whole order filled by t_arrive + T_order", "fill"),
    Label("filled_lots", "int64", "lots", "lots filled by t_arrive + T_order", minimum=0),
    Label("fill_delay_ns", "int64", "ns", "t_fill - t_arrive, -1 where not filled", minimum=-1),
    Label("fill_kind", "int8", "kind", "; ".join(f"{k} {v}" for k, v in FILL_KINDS.items()), minimum=0, maximum=4),
)
_MARKOUTS = tuple(
    Label(f"markout_{h}_bps", "float64", "bps", f"1e4·s·(mid(t_fill + {h}) - P)/P; null unless filled")
    for h in MARKOUT_NS
)
_EDGE = Label(
    "edge_bps", "float64", "bps", "passive exit after H at the best, crossing what is left, net of fees", "edge"
)
_EXIT_MAKER = Label(
    "exit_maker_ratio",
    "float64",
    "ratio",
    "share of q that left by the resting exit order; edge at a maker fee f: edge_bps + (fee_maker - f)·(1 + it)",
    minimum=0,
    maximum=1,
)
_EDGES = (
    _EDGE,
    _EXIT_MAKER,
    Label("edge_mid_bps", "float64", "bps", "markout_H - 2·fee_maker: upper bound nobody can trade"),
    Label("edge_cross_bps", "float64", "bps", "1e4·s·(VWAP of leaving at t_fill + H + latency - P)/P - both fees"),
    Label("mfe_bps", "float64", "bps", "max over states in (t_fill, t_fill + H] of 1e4·s·(x - P)/P", "mfe"),
    Label("mae_bps", "float64", "bps", "min over states in (t_fill, t_fill + H] of 1e4·s·(x - P)/P", "mae"),
)
_ADVERSE = Label("adverse", "bool", "flag", "markout_5s_bps < -1; null unless filled", "adverse")
_ENTRY = Label("entry", "bool", "flag", "filled and not adverse and edge_bps > 0", "entry")
_TAKER = tuple(
    Label(f"taker_edge_{h}_bps", "float64", "bps", f"1e4·s·ln(leave/enter) - 2·fee_taker, enter at t_arrive, {h} later")
    for h in TAKER_NS
)


def _for_model(label: Label, model: int) -> Label:
    return Label(**{**asdict(label), "suffix": MODEL_SUFFIX[model]})


_BRACKET = (_FILL[0], _FILL[2], _FILL[3], _MARKOUTS[2], _EDGE, _EXIT_MAKER, _ADVERSE, _ENTRY)
LABELS: tuple[Label, ...] = (
    *_KEY,
    *_FILL,
    *_MARKOUTS,
    *_EDGES,
    _ADVERSE,
    _ENTRY,
    *_TAKER,
    *(_for_model(label, PESSIMISTIC) for label in _BRACKET),
    *(_for_model(label, OPTIMISTIC) for label in _BRACKET),
)
"""Every label column in schema order."""

ALWAYS = tuple(label.name for label in LABELS if not label.nullable)
"""Columns that never hold a null: they are known of a row whatever happened after it."""

LABELS_TABLE = Table(
    "labels",
    2,
    clocked=True,
    key=("ts_ns", "side"),
    columns=tuple(label.column for label in LABELS),
    doc="one simulated maker order: a decision row and a side; null after t_end_ns where not valid",
)


def labels_json() -> list[dict[str, Any]]:
    """Return the registry as plain JSON types: name, dtype, unit, formula, head, nullable, model."""
    model_of = {suffix: MODEL_NAME[m] for m, suffix in MODEL_SUFFIX.items()}
    own = {label.name for label in (*_FILL, *_MARKOUTS, *_EDGES, _ADVERSE, _ENTRY)}
    return [
        {
            "name": label.name + label.suffix,
            "dtype": label.dtype,
            "unit": label.unit,
            "formula": label.formula,
            "head": label.head,
            "nullable": label.nullable,
            "model": model_of[label.suffix] if label.name in own else "",
        }
        for label in LABELS
    ]

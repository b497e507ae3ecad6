"""The one declaration of the fixed tables. Parquet, pandera and dbt schemas derive from it.

Features and labels are declared by their registries (``features/registry.py``, ``labels/spec.py``) in the same type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DType = Literal["int64", "int32", "int8", "bool", "float32", "float64", "string"]

LEVELS = 20


@dataclass(frozen=True)
class Column:
    """One stored column. ``minimum``/``maximum`` are hard bounds of a stored value, None where open."""

    name: str
    dtype: DType = "int64"
    doc: str = ""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Table:
    """A table of the lake. ``key``: columns by which it is sorted and unique. ``clocked``: partitioned by clock too."""

    name: str
    version: int
    clocked: bool
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    doc: str = ""
    index: dict[str, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {c.name: i for i, c in enumerate(self.columns)})

    @property
    def names(self) -> tuple[str, ...]:
        """Return the column names in schema order."""
        return tuple(c.name for c in self.columns)


_ORDER = Column("order", doc="position in the merged input of the market's streams", minimum=0)
_EVENT_NS = Column("ts_event_ns", doc="matching-engine time", minimum=0)
_RECV_NS = Column("ts_recv_ns", doc="our receive time, 0 unknown", minimum=0)
_SIDE = Column("side", "int8", "+1 bid, -1 ask", minimum=-1, maximum=1)

KIND_SNAPSHOT = 1
KIND_DELTA = 2
KIND_AUDIT = 3
KIND_CARRIED = 4

L2_EVENTS = Table(
    "l2_events",
    1,
    clocked=False,
    key=(),
    doc="one level row of a message as sent, in stream order",
    columns=(
        _ORDER,
        _EVENT_NS,
        _RECV_NS,
        Column("update_id", doc="the venue's id of the message"),
        Column("prev_update_id", doc="what the message claims to follow, -1 on a snapshot or where there is none"),
        Column("seq", doc="cross-stream sequence, -1 unknown"),
        Column("conn", "int32", "connection the message came over", minimum=0),
        Column(
            "kind", "int8", "1 snapshot, 2 delta, 3 audit (never applied), 4 carried opening book", minimum=1, maximum=4
        ),
        _SIDE,
        Column("price_ticks", minimum=0),
        Column("size_lots", doc="absolute size, 0 deletes", minimum=0),
        Column("first_in_message", "bool", "first level row of its message"),
    ),
)

FLAG_RPI = 1
FLAG_BLOCK = 2
FLAG_NOT_MARKET = 4

TRADES = Table(
    "trades",
    1,
    clocked=False,
    key=(),
    doc="one public trade, in stream order",
    columns=(
        _ORDER,
        _EVENT_NS,
        _RECV_NS,
        Column("seq", doc="cross-stream sequence, -1 unknown"),
        Column("trade_id", "string"),
        Column("side", "int8", "+1 taker bought, -1 taker sold", minimum=-1, maximum=1),
        Column("price_ticks", minimum=1),
        Column("size_lots", minimum=0),
        Column("flags", "int8", "bit 0 RPI, 1 block, 2 not a market trade", minimum=0, maximum=7),
    ),
)

QUOTES = Table(
    "quotes",
    1,
    clocked=False,
    key=(),
    doc="one best bid/ask that the venue itself published; certificate only",
    columns=(
        _ORDER,
        Column("ts_event_ns", doc="matching-engine time, 0 none", minimum=0),
        _RECV_NS,
        Column("update_id"),
        Column("bid_ticks", minimum=0),
        Column("bid_lots", minimum=0),
        Column("ask_ticks", minimum=0),
        Column("ask_lots", minimum=0),
    ),
)


def _levels(side: str, what: str, minimum: int) -> tuple[Column, ...]:
    return tuple(
        Column(f"{side}_{what}_{k}", doc=f"level {k}, best first", minimum=minimum) for k in range(1, LEVELS + 1)
    )


BPS_DEPTHS = (1, 2, 4)

BOOK_SNAPSHOTS = Table(
    "book_snapshots",
    1,
    clocked=True,
    key=("ts_ns",),
    doc="the book at one instant of the clock",
    columns=(
        Column("ts_ns", doc="grid instant", minimum=0),
        Column("close_ns", doc="event time of the message that closed the row", minimum=0),
        Column("valid", "bool", "book whole, both sides present, best bid < best ask"),
        Column("decidable", "bool", "the last of the rows closed by that message"),
        *_levels("bid", "ticks", -1),
        *_levels("bid", "lots", 0),
        *_levels("ask", "ticks", -1),
        *_levels("ask", "lots", 0),
        Column("messages", doc="delta messages in (t - step, t]", minimum=0),
        Column("level_changes", doc="level rows those messages carried", minimum=0),
        Column("ofi_l1_lots"),
        Column("ofi_l5_lots"),
        Column("ofi_l10_lots"),
        Column("bid_add_lots", minimum=0),
        Column("bid_remove_lots", minimum=0),
        Column("ask_add_lots", minimum=0),
        Column("ask_remove_lots", minimum=0),
        Column("mid_up_moves", minimum=0),
        Column("mid_down_moves", minimum=0),
        Column("bid_worse_ns", doc="last message after which the best bid was lower", minimum=0),
        Column("ask_worse_ns", doc="last message after which the best ask was higher", minimum=0),
        *(Column(f"bid_depth_{n}bps_lots", minimum=0) for n in BPS_DEPTHS),
        *(Column(f"ask_depth_{n}bps_lots", minimum=0) for n in BPS_DEPTHS),
        Column("truncated", "bool", "the last known level of a side lies inside its 4 bps window"),
        Column("run_start", "bool", "first row after a snapshot that differs from the book it replaced"),
    ),
)

# The kernels carry a book row as one int64 vector in this column order (booleans as 0/1):
# the grid writes it, features read it, live hands over one at a time.
ROW_WIDTH = len(BOOK_SNAPSHOTS.columns)
ROW = BOOK_SNAPSHOTS.index

PROFILE_DAYS = 28
"""Days before a day that its profile looks at."""

SEASONAL_PROFILE = Table(
    "seasonal_profile",
    1,
    clocked=True,
    key=("cell",),
    doc="what the 28 days before a day tell of one cell: a quarter-hour of the UTC day, or a state of the micro-price",
    columns=(
        Column("cell", doc="0 … 95: quarter-hour; 96 + 3·decile + spread state: micro-price state", minimum=0),
        Column("days", doc="days that count in it", minimum=0, maximum=PROFILE_DAYS),
        Column("spread_ticks", "float64", "median over days of the mean spread", nullable=True, minimum=0.0),
        Column("messages_60s", "float64", "median over days of the messages in 60 s", nullable=True, minimum=0.0),
        Column("microprice_ticks", "float64", "offset of the micro-price from the mid, G*", nullable=True),
    ),
)

PREDICTIONS = Table(
    "predictions",
    1,
    clocked=True,
    key=("ts_ns", "side"),
    doc="what one bundle said of one instant and side; every feature row has its two rows",
    columns=(
        Column("prediction_id", "string", "<bundle, 12 hex>-<market>-<clock>-<ts_ns>-<b|s>"),
        Column("bundle_sha256", "string", "SHA-256 of the bundle's MANIFEST.json"),
        Column("input_sha256", "string", "SHA-256 over the digests of the rows that the forecast can depend on"),
        Column("ts_ns", doc="grid instant", minimum=0),
        Column("side", "int8", "+1 buy, -1 sell", minimum=-1, maximum=1),
        Column("valid", "bool", "the feature row is valid and the model has seen a whole window of valid rows"),
        Column("ts_recv_ns", doc="when the message that closed the row was received, 0 in batch", minimum=0),
        Column("model_name", "string"),
        Column("model_version", "string", "SemVer of the bundle"),
        Column("alias", "string", "champion or challenger, empty for a bundle named by its folder"),
        Column("p_entry", "float64", "null where not valid or the head is masked", True, 0.0, 1.0),
        Column("p_up", "float64", nullable=True, minimum=0.0, maximum=1.0),
        Column("p_flat", "float64", nullable=True, minimum=0.0, maximum=1.0),
        Column("p_down", "float64", nullable=True, minimum=0.0, maximum=1.0),
        Column("edge_bps", "float64", "given a fill", True),
        Column("mfe_bps", "float64", "given a fill", True),
        Column("mae_bps", "float64", "given a fill", True),
        Column("p_adverse", "float64", "given a fill", True, 0.0, 1.0),
        Column("p_fill", "float64", nullable=True, minimum=0.0, maximum=1.0),
        Column("features_fingerprint", "string", "of the registry that the bundle was made for"),
        Column("latency_us", "float64", "receipt of the closing message to the forecast; null in batch", True, 0.0),
    ),
)

FIXED_TABLES = {t.name: t for t in (L2_EVENTS, TRADES, QUOTES, BOOK_SNAPSHOTS, SEASONAL_PROFILE)}
"""The tables that a market's own days are made of; ``PREDICTIONS`` has a bundle and an origin in its key too."""

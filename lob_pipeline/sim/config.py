"""What a simulated market is made of: the run (seed, days, minutes) and the flow (who trades how, how often)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Instrument, parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.units import day_start_ns, parse_date, shift_date
from lob_pipeline.sim.parts import Parts

MINUTES_PER_DAY = 1440
DAY_US = 86_400_000_000
BOOK_DEPTHS = (200, 500)
MAX_EDGE_BPS = 30.0
OPENING_SHARE = {"ETHUSDT": 1.0 / 16.0}  # opening price as a part of BTCUSDT's, for the other symbols

_RATES_OF = {
    "background": (
        "touch_rate",
        "deep_rate",
        "improve_rate",
        "noise_rate",
        "noise_same_side",
        "noise_other_side",
        "burst_noise_heat",
    ),
    "makers": ("maker_rate", "maker_urgent_rate"),
    "metaorders": ("meta_rate",),
    "informed": ("informed_share",),
    "arbitrage": ("pull_rate", "arbitrage_rate"),
    "season": ("season_strength",),
    "bursts": ("burst_rate",),
}  # what is at 0 where a part is off


class FlowParams(NamedTuple):
    """The agents. Rates are per second at activity 1, distances in ticks, sizes in lots; every field is a float64.

    ``touch``: limit orders that join the best queue; ``deep``: those behind it; ``improve``: those that narrow a wide
    spread; ``noise``: market orders that know nothing; ``value``: jumps of the latent value that the quick agents
    follow (stale quotes are pulled, or hit by arbitrage, until the touch is back around it); ``maker``: their ladders;
    ``meta``: large orders worked in children (``sim/metaorders.py``); ``informed``: traders who know jumps of the value
    ahead of time (``sim/informed.py``); ``regime``, ``season``, ``burst``: how activity varies. A ``share`` is a
    probability or a part of what is shown. ``heat_flow``: how much excitement of any kind speeds up the limit orders
    and their cancels; ``young_cancel_share``: cancels that take the younger of two orders drawn at random.
    """

    touch_rate: float = 16.0
    touch_reference_lots: float = 4000.0
    mood_rate: float = 0.5
    mood_strength: float = 0.8
    deep_rate: float = 26.0
    deep_near_share: float = 0.35
    deep_near_ticks: float = 12.0
    deep_far_ticks: float = 300.0
    deep_remote_share: float = 0.15
    deep_remote_ticks: float = 1500.0
    deep_quick_share: float = 0.3
    improve_rate: float = 120.0
    improve_inward_share: float = 0.7
    heat_flow: float = 0.0
    fast_cancel_rate: float = 0.4
    slow_cancel_rate: float = 0.025
    young_cancel_share: float = 0.0
    small_order_share: float = 0.55
    small_order_lots: float = 20.0
    small_order_log_sigma: float = 1.5
    large_order_lots: float = 150.0
    large_order_log_sigma: float = 1.3
    noise_rate: float = 0.2
    noise_decay: float = 1.2
    noise_same_side: float = 0.7
    noise_other_side: float = 0.15
    noise_lots: float = 15.0
    noise_log_sigma: float = 2.0
    noise_fit_share: float = 0.7
    noise_reach_ticks: float = 20.0
    noise_imbalance: float = 1.0
    impact_ticks: float = 0.6
    value_rate: float = 0.06
    value_decay: float = 0.5
    value_excitation: float = 0.2
    value_small_share: float = 0.65
    value_small_ticks: float = 4.0
    value_large_ticks: float = 70.0
    value_cap_ticks: float = 300.0
    value_imbalance: float = 2.5
    stale_ticks: float = 0.5
    pull_rate: float = 45.0
    arbitrage_rate: float = 16.0
    arbitrage_least_share: float = 0.05
    arbitrage_spread_share: float = 0.6
    maker_rate: float = 1.5
    maker_urgent_rate: float = 25.0
    maker_urgent_ticks: float = 2.0
    maker_lots: float = 645.0
    maker_inventory_lots: float = 20000.0
    maker_skew_ticks: float = 3.0
    maker_spacing: float = 1.0
    meta_rate: float = 1.0 / 90.0
    meta_smallest_lots: float = 2000.0
    meta_largest_lots: float = 400_000.0
    meta_size_exponent: float = 1.5
    meta_child_s: float = 2.0
    meta_participation: float = 0.08
    meta_market_share: float = 0.5
    meta_patience_s: float = 1800.0
    informed_share: float = 0.8
    informed_lead_s: float = 12.0
    informed_rate: float = 3.0
    informed_take_share: float = 0.9
    informed_queue_share: float = 0.9
    informed_margin_ticks: float = 1.0
    regime_seconds: float = 900.0
    regime_sigma: float = 0.4
    season_strength: float = 1.0
    burst_rate: float = 1.0 / 1500.0
    burst_value_heat: float = 4.0
    burst_noise_heat: float = 3.0


class SignalParams(NamedTuple):
    """How a planted signal looks; every field is a float64.

    ``wait_s``: mean pause between two signals; ``lead_s``: shown, the price ordinary; ``move_s``: the value drifts (the
    run's ``horizon_s`` overrides it); ``fade_s``: the orders are withdrawn; ``step_s``: how often the agent acts.
    Shown are ``orders`` orders of about ``order_lots`` lots, 1 to ``reach_ticks`` ticks behind the best.
    ``drift_bps``: how far the value drifts; 0: as far as the planted edge asks for (``sim/planted.py``).
    """

    wait_s: float = 50.0
    lead_s: float = 20.0
    move_s: float = 20.0
    fade_s: float = 2.0
    step_s: float = 0.2
    orders: float = 40.0
    entered_a_step: float = 4.0
    order_lots: float = 1400.0
    order_log_sigma: float = 0.5
    reach_ticks: float = 40.0
    drift_bps: float = 0.0


class OwnParams(NamedTuple):
    """One's own orders, drawn, and how they travel (``sim/own_orders.py``); every field is a float64.

    ``every_s``: mean pause between two decisions, 0 for no own orders; ``lots`` each; ``market_share`` of them take,
    half of the others are post-only; ``life_s``: how long one rests before it is called back. ``latency_ms`` with its
    log standard deviation: the ordinary delay; ``spike_share``, ``refusal_share``: probabilities at ordinary load,
    times the load to the power ``load_power``; ``spike_ms``: mean of what a spike adds.
    """

    every_s: float = 0.0
    lots: float = 1000.0
    market_share: float = 0.4
    life_s: float = 10.0
    latency_ms: float = 20.0
    latency_log_sigma: float = 0.3
    spike_share: float = 0.01
    spike_ms: float = 400.0
    refusal_share: float = 0.005
    load_power: float = 2.0


@dataclass(frozen=True)
class SimConfig:
    """One run of the simulator.

    ``minutes``: how long each UTC day is active; the session ends at midnight, where the archive's closing snapshot
    stands (480: 16:00 to 24:00). 1440 is the whole day, and then the days form one unbroken market; shorter sessions
    are independent of each other, so a day generated alone equals the same day of a longer run.
    ``edge_bps``: the planted edge: what a taker who knows every signal earns a trade, net of the spread, before fees
    (``sim/taker.py`` has the definition); 0 is a market without signals. ``horizon_s``: how long a drift takes.
    ``preset``: the name under which ``sim/presets.py`` keeps the parameters; it chooses nothing.
    ``depth``: levels a side that the archive shows. ``message_ms``: time between book messages.
    ``parts``: which parts of the market act (``sim/parts.py``). ``order_log``: whether chunks carry every change of
    every order (``sim/order_log.py``).
    ``opening_price_quote``: about where a session opens (each day draws within about 1 % of it); what BTCUSDT's is,
    another symbol's is in the proportion of ``OPENING_SHARE``. ``common_share``: the part of the value's jumps that
    every symbol of this seed shares (``sim/common.py``). ``own``: orders of one's own (``sim/own_orders.py``).
    Raises ``BadInputError`` for values that cannot be simulated.
    """

    seed: int = 1
    days: int = 3
    first_day: str = "2026-01-05"
    minutes: int = 480
    edge_bps: float = 0.0
    horizon_s: float = 20.0
    market: str = "sim.BTCUSDT"
    preset: str = "by-hand"
    depth: int = 200
    message_ms: int = 100
    opening_price_quote: int = 60_000
    warm_up_s: int = 120
    order_log: bool = False
    flow: FlowParams = field(default_factory=FlowParams)
    shape: SignalParams = field(default_factory=SignalParams)
    parts: Parts = field(default_factory=Parts)
    common_share: float = 0.0
    own: OwnParams = field(default_factory=OwnParams)

    def __post_init__(self) -> None:
        parse_date(self.first_day)
        if not 0 <= self.edge_bps <= MAX_EDGE_BPS:
            raise BadInputError(
                f"--edge-bps {self.edge_bps:g}: expected 0 (a market without signals) to {MAX_EDGE_BPS:g}"
            )
        if not 10 <= self.horizon_s <= 60:
            raise BadInputError(f"--horizon-s {self.horizon_s:g}: expected 10 to 60, the seconds of a signal's drift")
        if not 0 <= self.seed < 2**63:
            raise BadInputError(f"--seed {self.seed}: expected a whole number from 0 to 2^63 - 1")
        if not 1 <= self.minutes <= MINUTES_PER_DAY:
            raise BadInputError(
                f"--minutes {self.minutes}: expected 1 to {MINUTES_PER_DAY}, the active minutes of a day"
            )
        if not 1 <= self.days <= 366:
            raise BadInputError(f"--days {self.days}: expected 1 to 366")
        if self.depth not in BOOK_DEPTHS:
            raise BadInputError(f"--depth {self.depth}: expected one of {BOOK_DEPTHS}, the archive's depths")
        if not 10 <= self.message_ms <= 1000 or 60_000 % self.message_ms:
            raise BadInputError(f"--message-ms {self.message_ms}: expected 10 to 1000 and a divisor of a minute")
        if self.own.every_s != 0 and not 0.1 <= self.own.every_s <= 86_400:
            raise BadInputError(
                f"--own-every-s {self.own.every_s:g}: expected 0 (no orders of one's own) or 0.1 to 86400 seconds"
            )
        if not 1 <= self.own.lots <= 1e9 or self.own.lots % 1:
            raise BadInputError(f"--own-lots {self.own.lots:g}: expected a whole number of lots from 1 to 10^9")
        if any(not value >= 0 for value in (*self.flow, *self.shape, *self.own)):
            raise BadInputError("the flow parameters must be numbers of at least 0")
        if not 0 <= self.common_share <= 1:
            raise BadInputError(f"--common-share {self.common_share:g}: expected 0 to 1, a part of the value's jumps")
        if parse_market(self.market).venue != "sim":
            raise BadInputError(
                f"market {self.market!r} is not simulated: expected sim.SYMBOL, for example sim.BTCUSDT"
            )
        self.instrument  # noqa: B018 - an unknown symbol is refused here, not after minutes of work

    @classmethod
    def busy_day(cls, seed: int = 1, minutes: int = MINUTES_PER_DAY) -> SimConfig:
        """Return one day of 16 to 19 level changes a message, by seed (864 k messages when whole), for benchmarks."""
        return cls(seed=seed, days=1, minutes=minutes, flow=FlowParams(deep_rate=41.5, slow_cancel_rate=0.0415))

    @property
    def acting(self) -> FlowParams:
        """Return ``flow`` with the rates of the parts that are off at 0."""
        rest: dict[str, float] = {}
        for part, names in _RATES_OF.items():
            if not getattr(self.parts, part):
                rest |= dict.fromkeys(names, 0.0)
        own = 1.0 - self.common_share
        flow = self.flow._replace(
            value_rate=own * self.flow.value_rate, burst_value_heat=own * self.flow.burst_value_heat
        )
        return flow._replace(**rest)

    @property
    def market_seed(self) -> int:
        """Return what keys the symbol's own streams: the seed for BTCUSDT, else a hash of the seed and the symbol."""
        if self.market == "sim.BTCUSDT":
            return self.seed
        named = f"{self.seed}/{self.market}".encode()
        return int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "little") >> 1

    def to_json(self) -> dict[str, Any]:
        """Return every field as plain JSON types, parameters by name."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value._asdict() if hasattr(value, "_asdict") else value for name, value in held.items()}

    @property
    def instrument(self) -> Instrument:
        """Return the simulated instrument (tick, lot)."""
        return instrument(parse_market(self.market))

    @property
    def continuous(self) -> bool:
        """Whether the days join without a pause: then a day continues the book of the one before."""
        return self.minutes == MINUTES_PER_DAY

    @property
    def dates(self) -> list[str]:
        """Return the days to generate, ascending, as ``YYYY-MM-DD``."""
        return [shift_date(self.first_day, i) for i in range(self.days)]


def day_start_us(date: str) -> int:
    """Return the microsecond of 00:00:00 UTC of ``date``."""
    return day_start_ns(date) // 1000


def session_start_us(config: SimConfig, date: str) -> int:
    """Return the microsecond at which the session of ``date`` opens; it ends at midnight."""
    return day_start_us(date) + (MINUTES_PER_DAY - config.minutes) * 60_000_000

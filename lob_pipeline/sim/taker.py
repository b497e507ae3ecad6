"""What a taker who knows every signal earns net of spread: the figure that a planted edge is the name of.

He knows when each move starts, which way it goes and how long it takes, and nothing of the price. At the first
decision row at or after the start of the move he sends an order that crosses; it reaches the market after the labels'
latency and pays the price of one lot there. One horizon later he leaves the same way. That is ``taker_edge_h_bps`` of
the labels (h the horizon) without its fees, and a test holds the two against each other.
"""

from __future__ import annotations

import numpy as np

from lob_pipeline.labels.spec import LabelConfig
from lob_pipeline.sim.earned import Earned
from lob_pipeline.sim.quotes import Quotes
from lob_pipeline.sim.signals import Signals


def taker_trades(quotes: Quotes, signals: Signals, lead_s: float, horizon_s: float) -> Earned:
    """Return what the taker earns on each signal whose trade ends before the last message, the spread paid twice.

    Per signal: 1e4·s·ln(leave / enter), enter = the opposite best at t_arrive = close of the decision row + latency,
    leave = the best of his own side at t_arrive + ``horizon_s``; and the same of the opposite direction.
    """
    _, closing, decides = quotes.decisions(signals.start_us + round(lead_s * 1e6))
    arrive_ns = quotes.time_ns[closing] + LabelConfig().latency_ns
    leave_ns = arrive_ns + round(horizon_s * 1e9)
    known = decides & (leave_ns < quotes.time_ns[-1])
    enter, leave = quotes.at(arrive_ns[known]), quotes.at(leave_ns[known])
    bought = 1e4 * np.log(quotes.bid[leave] / quotes.ask[enter])
    sold = 1e4 * np.log(quotes.bid[enter] / quotes.ask[leave])
    up = signals.direction[known] > 0
    return Earned(np.where(up, bought, sold), np.where(up, sold, bought))

"""The fifteen numbers of a forecast: their order, their heads, and which of them a masked head takes away.

A *forecast* is a float32 array (n, 15) in the order of ``OUTPUTS``: probabilities after temperature for entry,
direction, adverse and fill; basis points for edge, MFE and MAE, which are means given a fill. NaN is "no answer".
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

OUTPUTS = (
    "entry_buy",
    "entry_sell",
    "down",
    "flat",
    "up",
    "edge_buy",
    "edge_sell",
    "mfe_buy",
    "mfe_sell",
    "mae_buy",
    "mae_sell",
    "adverse_buy",
    "adverse_sell",
    "fill_buy",
    "fill_sell",
)
N_OUTPUTS = len(OUTPUTS)
COLUMN = {name: column for column, name in enumerate(OUTPUTS)}

# head → its columns; the order is that of the loss report
HEADS: dict[str, tuple[int, ...]] = {
    "entry": (0, 1),
    "direction": (2, 3, 4),
    "edge": (5, 6),
    "mfe": (7, 8),
    "mae": (9, 10),
    "adverse": (11, 12),
    "fill": (13, 14),
}
SIGMOID_HEADS = ("entry", "adverse", "fill")
BPS_HEADS = ("edge", "mfe", "mae")
CUT = 10.0  # standardised bps targets lie within ±CUT in training, so no answer may lie beyond
TEMPERATURE_HEADS = ("entry", "direction", "adverse", "fill")


def masked_columns(masked_heads: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return which of the 15 columns are masked: bool (15,).

    A name is a head (``"direction"``, ``"edge"``: all its columns) or one column (``"entry_buy"``). One masked class
    of direction masks the head: three probabilities that sum to one cannot lose one. Raises ``KeyError`` for others.
    """
    out = np.zeros(N_OUTPUTS, np.bool_)
    for name in masked_heads:
        columns = HEADS[name] if name in HEADS else (COLUMN[name],)
        if any(c in HEADS["direction"] for c in columns):
            columns = HEADS["direction"]
        out[list(columns)] = True
    return out

"""Does the streaming step make the forecasts that training made? A bundle carries the rows to ask it with."""

from __future__ import annotations

import numpy as np

from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.models.outputs import BPS_HEADS, HEADS, N_OUTPUTS, OUTPUTS, masked_columns
from lob_pipeline.registry.bundle import Bundle, stream_model

PROBABILITY_TOLERANCE = 1e-4
"""Largest difference of a probability. Float32 sums in another order differ by about 1e-6 a layer."""
BPS_TOLERANCE = 1e-2
"""Largest difference of edge, MFE and MAE in bps: a hundredth of the smallest fee difference between tiers."""
MINIMUM_ROWS = 64


def judge_parity(bundle: Bundle) -> CheckOutcome:
    """Run the bundle's check rows through its streaming step and compare with the forecasts stored beside them.

    Compared are the rows where both answer: valid, and the stream's context full. A gate: refused where a number
    differs by more than its tolerance, where one side answers and the other does not, or where the sample is missing.
    """
    check = bundle.group("check")
    if sorted(check) != ["features", "forecast", "valid"]:
        return judge("parity", False, examined=0, judged=0, message="the bundle carries no check rows: train it again")
    features, valid, stored = check["features"], check["valid"].astype(np.bool_), check["forecast"]
    rows = len(valid)
    if features.shape != (rows, len(bundle.features)) or stored.shape != (rows, N_OUTPUTS):
        return judge(
            "parity",
            False,
            examined=rows,
            judged=0,
            message=f"check rows have shapes {features.shape} and {stored.shape}: expected one row of inputs and of "
            f"{N_OUTPUTS} forecasts each for {rows} rows",
        )
    model = stream_model(bundle)
    forecast, ready = model.run(model.new_state(), features, valid)
    return _compare(forecast[ready], stored[ready], rows, masked_columns(bundle.masked_heads))


def _compare(ours: np.ndarray, stored: np.ndarray, rows: int, masked: np.ndarray) -> CheckOutcome:
    tolerance = np.full(N_OUTPUTS, PROBABILITY_TOLERANCE)
    for head in BPS_HEADS:
        tolerance[list(HEADS[head])] = BPS_TOLERANCE
    answered = ~masked
    one_sided = (np.isnan(ours) != np.isnan(stored)) & answered
    difference = np.abs(ours.astype(np.float64) - stored)
    worst = np.where(np.isnan(difference), 0.0, difference).max(axis=0, initial=0.0)
    over = (worst > tolerance) | one_sided.any(axis=0)
    compared = int((~np.isnan(difference[:, answered])).all(axis=1).sum())
    column = int(np.argmax(np.where(over, worst / tolerance + 1.0, 0.0)))
    return judge(
        "parity",
        not over.any(),
        examined=rows,
        judged=compared,
        minimum=MINIMUM_ROWS,
        message=""
        if not over.any()
        else f"the streaming step and training differ in {OUTPUTS[column]} by {worst[column]:.3g} "
        f"(at most {tolerance[column]:g})",
        facts={"largest_difference": {name: float(worst[i]) for i, name in enumerate(OUTPUTS)}},
    )

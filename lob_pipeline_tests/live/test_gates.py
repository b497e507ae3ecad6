"""Each gate of the predictions kills the defect it names, and passes on nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.instrument import Market
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.features.registry import BUILT
from lob_pipeline.live.forecast import Forecasts, Identity
from lob_pipeline.live.gates import MINIMUM_VALID, PredictionGates
from lob_pipeline.live.rows import prediction_rows
from lob_pipeline.models.outputs import COLUMN, N_OUTPUTS

WINDOW = 8
IDENTITY = Identity(
    Market("sim", "BTCUSDT"), "t100ms", 100_000_000, "a" * 64, "lob-moe", "1.0.0", "", "f" * 64,
    (BUILT[0].name,), WINDOW, WINDOW,
)  # fmt: skip
ROWS = WINDOW - 1 + 2 * MINIMUM_VALID


def forecasts(rows: int = ROWS) -> Forecasts:
    """Return sound forecasts: the first ``WINDOW - 1`` rows are not ready."""
    seen = np.arange(1, rows + 1, dtype=np.int64)
    valid = seen >= WINDOW
    numbers = np.full((rows, N_OUTPUTS), 0.25, np.float32)
    numbers[:, 3] = 0.5  # 0.25 + 0.5 + 0.25
    numbers[~valid] = np.nan
    return Forecasts(
        100_000_000 * np.arange(1, rows + 1, dtype=np.int64), valid, numbers, seen, np.zeros((rows, 32), np.uint8)
    )


def outcomes(found: Forecasts, spoil: Callable[[dict[str, Any]], None] | None = None) -> dict[str, CheckOutcome]:
    gates = PredictionGates(IDENTITY)
    columns, strings = prediction_rows(IDENTITY, found)
    if spoil:
        spoil(columns)
    gates.add(found, columns, strings)
    return {o.name: o for o in gates.outcomes()}


def test_sound_predictions_pass_every_gate() -> None:
    assert {o.status for o in outcomes(forecasts()).values()} == {"passed"}


def test_few_valid_instants_are_not_judged_and_not_refused() -> None:
    found = outcomes(forecasts(WINDOW - 1 + MINIMUM_VALID - 1))
    assert found["valid_predictions"].status == "not_judged"
    assert found["probabilities"].status == "not_judged"
    assert not any(o.refuses for o in found.values())


def test_no_rows_pass_no_gate() -> None:
    assert not [o for o in PredictionGates(IDENTITY).outcomes() if o.status == "passed"]


def _set(name: str, value: float, at: int = -1) -> Callable[[dict[str, Any]], None]:
    def spoil(columns: dict[str, Any]) -> None:
        columns[name][at] = value

    return spoil


@pytest.mark.parametrize(
    ("gate", "spoil"),
    [
        ("schema", _set("p_fill", 1.5)),
        ("schema", _set("p_entry", -0.1)),
        ("schema", _set("side", 1, -2)),
        ("probabilities", _set("p_up", 0.75, -2)),
        ("probabilities", _set("edge_bps", 1.0, 0)),
    ],
    ids=["a probability above 1", "one below 0", "two rows of one side", "direction above 1", "a number too early"],
)
def test_a_spoilt_column_is_refused(gate: str, spoil: Callable[[dict[str, Any]], None]) -> None:
    assert outcomes(forecasts(), spoil)[gate].refuses


def test_a_head_that_answers_only_some_valid_instants_is_refused_a_masked_one_is_not() -> None:
    masked = forecasts()
    masked.numbers[:, COLUMN["entry_buy"]] = np.nan
    assert {o.status for o in outcomes(masked).values()} == {"passed"}
    for name in ("entry_buy", "fill_sell", "up", "edge_buy"):
        found = forecasts()
        found.numbers[-1, COLUMN[name]] = np.nan
        assert outcomes(found)["probabilities"].refuses, name


def test_an_infinite_number_is_refused() -> None:
    found = forecasts()
    found.numbers[-1, COLUMN["mae_sell"]] = np.inf
    assert "1 with an infinite one" in outcomes(found)["probabilities"].message


@pytest.mark.parametrize("at", [WINDOW - 2, WINDOW + 5])
def test_ready_too_early_or_too_late_is_refused(at: int) -> None:
    found = forecasts()
    found.valid[at] = not found.valid[at]
    found.numbers[at] = np.nan
    assert outcomes(found)["ready_rule"].refuses

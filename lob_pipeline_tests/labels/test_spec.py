"""The declared columns and the settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.labels.spec import LABELS, LABELS_TABLE, LabelConfig, fees_of, labels_json

_EDGE = ("edge_bps", "exit_maker_ratio")
_BRACKET = ("filled", "fill_delay_ns", "fill_kind", "markout_5s_bps", *_EDGE, "adverse", "entry")
CONTRACT = (
    *("ts_ns", "side", "valid", "t_decide_ns", "t_arrive_ns", "t_end_ns", "mid_return_bps", "direction"),
    *("filled", "filled_lots", "fill_delay_ns", "fill_kind"),
    *(f"markout_{h}_bps" for h in ("100ms", "1s", "5s", "30s", "60s")),
    *("edge_bps", "exit_maker_ratio", "edge_mid_bps", "edge_cross_bps", "mfe_bps", "mae_bps", "adverse", "entry"),
    *(f"taker_edge_{h}_bps" for h in ("1s", "5s", "30s", "60s")),
    *(f"{n}_pess" for n in _BRACKET),
    *(f"{n}_opt" for n in _BRACKET),
)


def test_columns_are_the_contracts() -> None:
    assert LABELS_TABLE.names == CONTRACT
    assert LABELS_TABLE.key == ("ts_ns", "side")
    types = {c.name: c.dtype for c in LABELS_TABLE.columns}
    assert all(t == "float64" for n, t in types.items() if n.endswith("_bps") or "_bps_" in n)
    assert (types["direction"], types["fill_kind"], types["filled"], types["ts_ns"]) == (
        "int8",
        "int8",
        "bool",
        "int64",
    )


def test_what_is_known_of_every_row_is_never_null() -> None:
    assert [c.name for c in LABELS_TABLE.columns if not c.nullable] == list(CONTRACT[:6])


def test_the_registry_describes_every_column_and_all_seven_heads() -> None:
    listed = labels_json()
    assert [entry["name"] for entry in listed] == list(CONTRACT)
    assert all(entry["unit"] and entry["formula"] for entry in listed)
    assert {entry["head"] for entry in listed} - {""} == {
        *("direction", "entry", "edge", "mfe", "mae", "adverse", "fill"),
    }
    assert {entry["model"] for entry in listed} == {"", "proportional", "pessimistic", "optimistic"}
    assert len(LABELS) == len({label.name + label.suffix for label in LABELS})


def test_defaults_are_the_definitions() -> None:
    config = LabelConfig()
    assert (config.latency_ns, config.order_life_ns, config.horizon_ns) == (50_000_000, 30_000_000_000, 30_000_000_000)
    assert (config.q_lots, config.adverse_below_bps, config.entry_floor_bps) == (1, -1.0, 0.0)


@pytest.mark.parametrize(
    "change", [{"q_lots": 0}, {"latency_ns": -1}, {"order_life_ns": 0}, {"models": ()}, {"models": (2, 0)}]
)
def test_impossible_settings_are_bad_input(change: dict[str, object]) -> None:
    with pytest.raises(BadInputError):
        LabelConfig(**change)  # type: ignore[arg-type]


def test_a_market_without_fees_has_no_labels() -> None:
    market = instrument(parse_market("sim.BTCUSDT"))
    assert fees_of(market).maker_bps == 2.0
    with pytest.raises(BadInputError, match="has no fees") as error:
        fees_of(replace(market, taker_fee_bps=None))
    assert error.value.exit_code == 2

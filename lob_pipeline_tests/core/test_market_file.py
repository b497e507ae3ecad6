"""A home's own markets.toml: who wins over whom, and what is wrong is said."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.market_file import MARKER, file_text, owners_part, read_market_file
from lob_pipeline.core.markets import instrument
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument

BTC = parse_market("bybit-linear.BTCUSDT")
NEW = parse_market("bybit-linear.NEWUSDT")


def test_what_was_fetched_wins_over_the_built_in_and_the_owner_over_both(tmp_path: Path) -> None:
    path = tmp_path / "markets.toml"
    built_in = instrument(BTC, user=path)
    assert built_in == instrument(BTC)
    refreshed = {"bybit-linear.BTCUSDT": {"tick": "0.5", "maker_fee_bps": 1.0, "fees_as_of": "2026-11-20"}}
    path.write_text(file_text("", refreshed))
    fetched = instrument(BTC, user=path)
    assert (fetched.tick, fetched.maker_fee_bps, fetched.fees_as_of) == (Decimal("0.5"), 1.0, "2026-11-20")
    assert fetched.lot == built_in.lot
    own = '[venue.bybit-linear]\nmaker_fee_bps = -0.5\n[pattern]\n"*.BTC*" = { clock = "t1s" }\n'
    path.write_text(file_text(own, refreshed))
    mine = instrument(BTC, user=path)
    assert (mine.maker_fee_bps, mine.clock, mine.tick) == (-0.5, "t1s", Decimal("0.5"))
    path.write_text(file_text(own + '[market]\n"bybit-linear.BTCUSDT" = { tick = "0.25" }\n', refreshed))
    assert instrument(BTC, user=path).tick == Decimal("0.25")
    assert instrument(BTC, "0.1", user=path).tick == Decimal("0.1")
    assert instrument(BTC) == built_in


def test_a_market_that_only_the_home_knows(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(BadInputError, match=r"tick and lot of .* are unknown: .*lob markets refresh"):
        partition_instrument(home, NEW, "2026-11-20")
    home.markets.write_text(file_text("", {"bybit-linear.NEWUSDT": {"tick": "0.001", "lot": "10"}}))
    assert partition_instrument(home, NEW, "2026-11-20").lot == 10


def test_the_owner_s_part_is_what_stands_above_the_marker(tmp_path: Path) -> None:
    path = tmp_path / "markets.toml"
    assert owners_part(path) == ""
    assert read_market_file(path) == {}
    own = "# mine\n[venue.okx]\ntaker_fee_bps = 3.0  # VIP\n"
    for _ in range(3):
        path.write_text(file_text(owners_part(path) or own, {"okx.BTC-USDT": {"tick": "0.1", "lot": "1"}}))
    assert owners_part(path) == own
    assert path.read_text().count(MARKER) == 1
    assert read_market_file(path)["venue"]["okx"]["taker_fee_bps"] == 3.0


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[market\n", "is no TOML"),
        ("[markets]\n", "section 'markets' is unknown: expected venue, pattern, market, refreshed"),
        ("market = 3\n", "section 'market' is unknown"),
        ("[market]\nx = 3\n", r"\[market\] \"x\": expected a table of settings"),
        ('[market]\n"a.B" = { tik = "0.1" }\n', "'tik' is unknown: expected tick, lot"),
        ('[market]\n"a.B" = { tick = 0.1 }\n', "tick = 0.1: expected a positive decimal as text"),
        ('[market]\n"a.B" = { tick = "0" }\n', "tick = '0': expected a positive decimal"),
        ('[market]\n"a.B" = { lot = "x" }\n', "lot = 'x': expected a positive decimal"),
        ('[venue.okx]\nmaker_fee_bps = "2"\n', "maker_fee_bps = '2': expected a fee in bps"),
        ("[venue.okx]\nmaker_fee_bps = true\n", "expected a fee in bps"),
        ('[venue.okx]\ncontract = "quanto"\n', "expected one of linear, inverse, spot"),
        ("[venue.okx]\ndepth_limit = -1\n", "expected a whole number"),
        ('[venue.okx]\nenabled = "yes"\n', "expected true or false"),
        ("[venue.okx]\nclock = 3\n", "expected a text"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "markets.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=match) as error:
        instrument(BTC, user=path)
    assert str(path) in str(error.value)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "markets.toml"
    for tick in ("0.5", "0.25", "0.125"):
        path.write_text(file_text("", {str(BTC): {"tick": tick}}))
        assert instrument(BTC, user=path).tick == Decimal(tick)

"""What cannot be simulated is refused with one sentence, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.sim.archive import GzipFile, ZipMember
from lob_pipeline.sim.config import FlowParams, OwnParams, SimConfig
from lob_pipeline.sim.day import opening_ticks
from lob_pipeline.stages.simulate import simulate


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"edge_bps": 30.5}, "--edge-bps"),
        ({"edge_bps": -0.1}, "--edge-bps"),
        ({"edge_bps": float("nan")}, "--edge-bps"),
        ({"horizon_s": 9.0}, "--horizon-s"),
        ({"horizon_s": float("nan")}, "--horizon-s"),
        ({"seed": -1}, "--seed"),
        ({"minutes": 0}, "--minutes"),
        ({"minutes": 1441}, "--minutes"),
        ({"days": 0}, "--days"),
        ({"depth": 7}, "--depth"),
        ({"message_ms": 7}, "--message-ms"),
        ({"first_day": "2026-02-30"}, "YYYY-MM-DD"),
        ({"market": "bybit-linear.BTCUSDT"}, "expected sim.SYMBOL"),
        ({"market": "sim.NOSUCH"}, "unknown"),
        ({"own": OwnParams(every_s=0.01)}, "--own-every-s"),
        ({"own": OwnParams(every_s=float("inf"))}, "--own-every-s"),
        ({"own": OwnParams(every_s=float("nan"))}, "--own-every-s"),
        ({"own": OwnParams(lots=0.0)}, "--own-lots"),
        ({"own": OwnParams(lots=1.5)}, "--own-lots"),
        ({"own": OwnParams(lots=float("inf"))}, "--own-lots"),
        ({"own": OwnParams(lots=float("nan"))}, "--own-lots"),
        ({"flow": FlowParams(touch_rate=-1.0)}, "at least 0"),
        ({"flow": FlowParams(touch_rate=float("nan"))}, "at least 0"),
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        SimConfig(**wrong)  # type: ignore[arg-type]


def test_opening_prices_depend_on_seed_and_day_only() -> None:
    together = SimConfig(seed=3, days=5)
    opened = [opening_ticks(together, date) for date in together.dates]
    assert opened == [opening_ticks(SimConfig(seed=3, days=1, first_day=d), d) for d in together.dates]
    assert len(set(opened)) == 5
    assert all(abs(ticks / 600_000 - 1) < 0.05 for ticks in opened)


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInputError, match="choose another with --out"):
        simulate(tmp_path / "file" / "out", SimConfig(days=1, minutes=1))


@pytest.mark.parametrize("kind", ["zip", "gzip"])
def test_an_interrupted_file_leaves_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "archive"
    writer = ZipMember(path, "member") if kind == "zip" else GzipFile(path)
    with pytest.raises(TypeError), writer:
        writer.write("text is no bytes, and stands for any failure on the way")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_member_beyond_a_plain_zips_limit_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lob_pipeline.sim.archive._LIMIT", 10)
    with pytest.raises(LobError, match="4 GiB"), ZipMember(tmp_path / "a.zip", "member") as writer:
        writer.write(b"more than ten bytes")
    assert list(tmp_path.iterdir()) == []

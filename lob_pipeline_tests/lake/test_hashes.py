"""What makes two partitions equal, and what makes one stale."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.tables import QUOTES, Column, Table
from lob_pipeline.lake import fingerprint
from lob_pipeline.lake.columns import ContentHash
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline_tests.lake.helpers import KEY, passed, publish, quotes

TABLE = Table(
    "labels",
    1,
    clocked=False,
    key=(),
    columns=(
        Column("ts_ns"),
        Column("edge_bps", "float64", nullable=True),
        Column("adverse", "bool", nullable=True),
        Column("trade_id", "string"),
    ),
)
ROWS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.one_of(st.none(), st.floats(allow_nan=False)),
        st.one_of(st.none(), st.booleans()),
        st.text(max_size=4),
    ),
    max_size=30,
)


def _hash(rows: list[tuple[int, float | None, bool | None, str]], cuts: list[int], payload: int) -> str:
    """Hash ``rows`` cut at ``cuts``, with ``payload`` lying under the nulls."""
    total = ContentHash(TABLE)
    edges = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
    for start, end in pairwise(edges):
        part = rows[start:end]
        null = [r[2] is None for r in part]
        adverse = np.ma.MaskedArray(
            np.array([bool(payload if n else r[2]) for n, r in zip(null, part, strict=True)], dtype=bool), mask=null
        )
        columns = {
            "ts_ns": np.array([r[0] for r in part], dtype=np.int64),
            "edge_bps": np.array([np.nan if r[1] is None else r[1] for r in part], dtype=np.float64),
            "adverse": adverse,
        }
        padded = pa.array(["pad"] * (payload % 3) + [r[3] for r in part], pa.string())
        total.add(columns, {"trade_id": padded.slice(payload % 3)})
    return total.hexdigest()


@settings(max_examples=150, deadline=None)
@given(ROWS, st.lists(st.integers(0, 29), max_size=6), st.integers(0, 9))
def test_the_hash_knows_neither_chunks_nor_what_lies_under_a_null(rows: list, cuts: list[int], payload: int) -> None:
    assert _hash(rows, cuts, payload) == _hash(rows, [], 0)


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS)
def test_other_values_have_another_hash(one: list, two: list) -> None:
    plain = [[(r[0], None if r[1] is None else np.float64(r[1]).tobytes(), r[2], r[3]) for r in x] for x in (one, two)]
    assert (_hash(one, [], 0) == _hash(two, [], 0)) == (plain[0] == plain[1])


def test_strings_that_concatenate_alike_differ() -> None:
    assert _hash([(1, None, None, "ab"), (1, None, None, "c")], [], 0) != _hash(
        [(1, None, None, "a"), (1, None, None, "bc")], [], 0
    )


def test_the_stored_hash_is_of_the_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = publish(Home(tmp_path / "a"), rows=500)[0]
    monkeypatch.setattr("lob_pipeline.lake.writer.group_rows", lambda table: 61)
    with PartitionWriter(Home(tmp_path / "b"), KEY, QUOTES) as writer:
        for start in range(0, 500, 33):
            writer.write({n: v[start : start + 33] for n, v in quotes(500).items()})
        cut = writer.commit(
            code_fingerprint="other", inputs={}, outcomes=passed(), certificate={"holds": True}, extra={"x": 1}
        )
    assert cut.content_sha256 == whole.content_sha256
    assert publish(Home(tmp_path / "a"), rows=501)[0].content_sha256 != whole.content_sha256


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's sources, to be edited."""
    target = tmp_path / "lob_pipeline"
    shutil.copytree(fingerprint.PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("book", "features", "labels", "venues"):
        (target / room).mkdir(exist_ok=True)
        (target / room / "sample.py").write_text(
            '"""Sample."""\n\nX = 1\n\n\ndef f() -> int:\n    """Doc."""\n    return X + 2\n'
        )
    return target


def _digests(package: Path) -> dict[str, str]:
    return {stage: fingerprint.source_digest(stage, package) for stage in fingerprint.STAGES}


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("features/sample.py", {"features"}),
        ("features/profile.py", {"profile", "features"}),
        ("labels/sample.py", {"labels"}),
        ("book/sample.py", {"books"}),
        ("venues/sample.py", {"events"}),
        ("core/units.py", {"events", "books", "profile", "features", "labels"}),
        ("lake/home.py", set()),
    ],
)
def test_a_change_of_code_makes_only_its_own_stage_stale(package: Path, edited: str, stale: set[str]) -> None:
    before = _digests(package)
    path = package / edited
    path.write_text(path.read_text() + "\nY = 3\n")
    after = _digests(package)
    assert {s for s in before if before[s] != after[s]} == stale


def test_comments_docstrings_and_layout_change_nothing(package: Path) -> None:
    before = _digests(package)
    (package / "features/sample.py").write_text(
        '"""Another."""\n\n# a comment\nX = 1\n\n\ndef f() -> int:\n    """Other."""\n\n    return (X + 2)  # why\n'
    )
    assert _digests(package) == before


def test_settings_of_the_instrument_enter_where_they_matter() -> None:
    one = instrument(parse_market("sim.BTCUSDT"))
    changed = {
        "maker_fee_bps": {"labels"},
        "lot": {"events", "features", "labels"},
        "depth_limit": {"books", "features"},
        "clock": set(),
    }
    for name, stale in changed.items():
        value = {"maker_fee_bps": 9.0, "lot": Decimal("0.5"), "depth_limit": 7, "clock": "t1s"}[name]
        other = replace(one, **{name: value})
        found = {
            s
            for s in fingerprint.STAGES
            if fingerprint.code_fingerprint(s, one) != fingerprint.code_fingerprint(s, other)
        }
        assert found == stale, name


def test_every_stage_has_sources() -> None:
    for stage, code in fingerprint.STAGES.items():
        for glob in code.modules:
            if glob.startswith("core/"):
                assert list(fingerprint.PACKAGE.glob(glob)), (stage, glob)

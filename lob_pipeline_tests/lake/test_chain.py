"""The hash chain: every kind of tampering is found and named, appends are whole, and many can append at once."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import LobError
from lob_pipeline.lake import chain


def filled(path: Path, count: int = 5) -> list[bytes]:
    for i in range(count):
        chain.append(path, {"n": i, "text": "naïve \n line"})
    return path.read_bytes().splitlines(keepends=True)


def test_every_line_carries_the_hash_of_the_line_before_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trials.jsonl"
    assert chain.verify(path) == chain.Chain((), chain.GENESIS)
    lines = filled(path)
    assert len(lines) == 5
    previous = chain.GENESIS
    for i, line in enumerate(lines):
        record = json.loads(line)
        assert record["previous"] == previous
        own = record.pop("sha256")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        assert own == hashlib.sha256(text.encode()).hexdigest()
        assert record["n"] == i
        previous = own
    found = chain.verify(path)
    assert found.head == previous
    assert [r["n"] for r in found.records] == [0, 1, 2, 3, 4]
    assert set(found.records[0]) == {"n", "text"}


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("changed", 3), ("removed", 3), ("swapped", 2), ("doubled", 4), ("garbage", 3), ("relinked", 4), ("spaced", 3),
        ("first removed", 1), ("last changed", 5),
    ],
)  # fmt: skip
def test_tampering_is_named_and_stops_the_ledger(tmp_path: Path, name: str, broken: int) -> None:
    path = tmp_path / "ledger.jsonl"
    lines = filled(path)
    if name == "changed":
        lines[2] = lines[2].replace(b'"n":2', b'"n":7')
    elif name == "removed":
        del lines[2]
    elif name == "swapped":
        lines[1], lines[2] = lines[2], lines[1]
    elif name == "doubled":
        lines.insert(3, lines[2])
    elif name == "garbage":
        lines[2] = b"not json\n"
    elif name == "relinked":  # a forger who also mends the line's own hash is found at the next line
        record = json.loads(lines[2])
        del record["sha256"]
        record["n"] = 7
        own = hashlib.sha256(json.dumps(record, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        lines[2] = (json.dumps({**record, "sha256": own}, sort_keys=True, separators=(",", ":")) + "\n").encode()
    elif name == "spaced":
        lines[2] = lines[2].replace(b'{"n"', b'{ "n"')
    elif name == "first removed":
        del lines[0]
    elif name == "last changed":
        lines[4] = lines[4].replace(b'"n":4', b'"n":9')
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(LobError, match=rf"line {broken} .*chain is broken.*restore it from a copy"):
        chain.verify(path)
    with pytest.raises(LobError, match=f"line {broken} "):
        chain.append(path, {"n": 99})
    assert path.read_bytes() == before


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_one_changed_byte_never_passes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("chain") / "ledger.jsonl"
    whole = b"".join(filled(path, 3))
    at = data.draw(st.integers(0, len(whole) - 2))  # without its last newline a file ends in an unfinished append
    other = data.draw(st.integers(0, 255).filter(lambda b: b != whole[at]))
    path.write_bytes(whole[:at] + bytes([other]) + whole[at + 1 :])
    with pytest.raises(LobError, match="chain is broken"):
        chain.verify(path)


def test_an_append_cut_short_is_dropped_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    lines = filled(path, 3)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    assert [r["n"] for r in chain.verify(path).records] == [0, 1]
    found = chain.append(path, {"n": 2})
    assert chain.verify(path) == found
    assert [r["n"] for r in found.records] == [0, 1, 2]


def test_a_failed_write_leaves_the_ledger_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.jsonl"
    filled(path, 2)
    before = path.read_bytes()

    def no_room(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(LobError, match="disk is full"):
        chain.append(path, {"n": 2})
    assert path.read_bytes() == before


def test_the_fields_of_the_chain_are_its_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="belong to the chain"):
        chain.append(tmp_path / "ledger.jsonl", {"previous": "x"})
    with pytest.raises(ValueError, match=r"not JSON compliant|Out of range"):
        chain.append(tmp_path / "ledger.jsonl", {"x": float("nan")})
    assert chain.verify(tmp_path / "ledger.jsonl").records == ()


def _append_some(path: str, who: int) -> None:
    for i in range(10):
        chain.append(Path(path), {"who": who, "i": i})
        chain.append(Path(path), {"once": i}, unless=lambda seen, i=i: {"once": i} in seen)  # type: ignore[misc]


def test_concurrent_appenders_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        list(pool.map(_append_some, [str(path)] * 3, range(3)))
    records = chain.verify(path).records
    assert sorted((r["who"], r["i"]) for r in records if "who" in r) == [(w, i) for w in range(3) for i in range(10)]
    assert sorted(r["once"] for r in records if "once" in r) == list(range(10))

"""Files as blocks of whole lines, whatever they are packed in; and everything that is refused, with its reason."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.memory import PADDING
from lob_pipeline.venues import source
from lob_pipeline.venues.source import container_of, open_source


def _zip(data: bytes, name: str = "2024-12-01_X_ob500.data", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, data)
    return out.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip of two members": lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    "gzip with zero padding": lambda data: gzip.compress(data) + b"\0" * 100,
    "zip": _zip,
    "zip stored": lambda data: _zip(data, method=zipfile.ZIP_STORED),
    "zstd": zstandard.compress,
    "zstd of two frames": lambda data: zstandard.compress(data[:5]) + zstandard.compress(data[5:]),
}
LINES = b"".join(b"%d " % k + b"x" * (k % 97) + b"\n" for k in range(4000))


def _read(path: Path, block_bytes: int = 1 << 12) -> bytes:
    parts = []
    for data, size, offset in open_source(path, block_bytes):
        assert offset == sum(map(len, parts))
        assert data[size - 1 : size] == b"\n"
        assert len(data) - size >= PADDING
        parts.append(bytes(data[:size]))
    return b"".join(parts)


@pytest.mark.parametrize("packer", PACKERS)
def test_content_is_what_was_packed(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "file"  # no extension on purpose
    path.write_bytes(PACKERS[packer](LINES))
    assert container_of(path) == packer.split()[0]
    assert _read(path) == LINES
    assert _read(path, 1 << 30) == LINES


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), min_size=1), st.integers(1, 64))
def test_any_lines_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    data = b"\n".join(lines)
    if not data:
        return
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(zstandard.compress(data))
    with mock.patch.object(source, "_ZSTD_READ_BYTES", 7):
        assert _read(path, size) == (data if data.endswith(b"\n") else data + b"\n")


def _refusal(path: Path) -> str:
    with pytest.raises(BadInputError) as caught:
        for _ in open_source(path):
            pass
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("packer", [p for p in PACKERS if p != "plain" and "padding" not in p])
def test_every_truncation_is_refused(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "file"
    whole = PACKERS[packer](LINES)
    middle = {"gzip of two members": len(gzip.compress(LINES[: len(LINES) // 2]))}.get(packer)
    if packer == "zstd of two frames":
        middle = len(zstandard.compress(LINES[:5]))
    for cut in {*range(4, len(whole), max(1, len(whole) // 60)), len(whole) - 1, len(whole) - 5} - {middle}:
        path.write_bytes(whole[:cut])
        words = _refusal(path)
        assert "truncated" in words or "damaged" in words, words
        assert any(c.isdigit() for c in words)


@pytest.mark.parametrize("packer", ["gzip", "zip", "zstd"])
def test_damage_never_passes_as_data(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "file"
    whole = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(LINES) if packer == "zstd" else PACKERS[packer](LINES)
    )
    for at in range(12, len(whole), max(1, len(whole) // 80)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with contextlib.suppress(BadInputError):
            assert _read(path) == LINES  # a byte of a name or a time says nothing of the content


def test_empty_and_absent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert "cannot be read" in _refusal(path)
    path.write_bytes(b"")
    assert "is empty (0 bytes)" in _refusal(path)
    for packer in (gzip.compress, _zip, zstandard.compress):
        path.write_bytes(packer(b""))
        assert "no data" in _refusal(path)


@pytest.mark.parametrize("name", ["../2024.data", "/etc/2024.data", "a/b.data", "C:\\x.data", "..", "a\\b"])
def test_member_with_a_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.zip"
    path.write_bytes(_zip(LINES, name))
    assert "no plain file name" in _refusal(path)


def test_several_members_or_none(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", LINES)
        archive.writestr("b", LINES)
    assert "holds 2 members" in _refusal(path)
    with zipfile.ZipFile(path, "w"):
        pass
    assert "holds 0 members" in _refusal(path)


def test_encrypted_and_other_methods(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    whole = bytearray(_zip(LINES))
    central = whole.index(b"PK\x01\x02")
    whole[central + 8] |= 1
    path.write_bytes(whole)
    assert "encrypted" in _refusal(path)
    path.write_bytes(_zip(LINES, method=zipfile.ZIP_LZMA))
    assert "compression method 14" in _refusal(path)


@pytest.mark.parametrize("packer", ["zip", "gzip", "zstd"])
def test_a_bomb_is_refused_in_bounded_memory(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "bomb"
    bomb = b"0" * (1 << 20) + b"\n"
    path.write_bytes(PACKERS[packer](bomb * 96))
    with mock.patch.object(source, "RATIO_FLOOR_BYTES", 4 << 20):
        tracemalloc.start()
        words = _refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "bomb" in words
    assert peak < 40 << 20


def test_total_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(LINES))
    with mock.patch.object(source, "MAX_INFLATED_BYTES", 1000):
        assert "bomb" in _refusal(path)


def test_a_member_that_lies_about_its_size(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    whole = bytearray(_zip(LINES))
    central = whole.index(b"PK\x01\x02")
    whole[central + 24 : central + 28] = struct.pack("<I", len(LINES) - 7)
    path.write_bytes(whole)
    assert f"expected {len(LINES) - 7} bytes" in _refusal(path)


def test_a_line_without_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    with (
        mock.patch.object(source, "MAX_LINE_BYTES", 50_000),
        mock.patch.object(source, "_READ_BYTES", 1_000),
        pytest.raises(BadInputError, match="no line end"),
    ):
        list(open_source(path, 10_000))

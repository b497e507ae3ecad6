"""Defects planted into the decoders, to show that the fuzzing would find them."""

from __future__ import annotations

from typing import Any


def _lose_a_line() -> None:
    """A trade message of the kind that only mutated input brings vanishes without a count."""
    from lob_pipeline.venues import bybit

    real = bybit._read_trades

    def losing(reader: Any, found: Any, offset: int, job: Any) -> None:
        if len(found.get("data", ())) == 2:
            return
        real(reader, found, offset, job)

    bybit._read_trades = losing


def _read_beyond() -> None:
    """A scanner of digits forgets its limit and runs over the end of its buffer."""
    from lob_pipeline.core import memory
    from lob_pipeline.venues import table_kernel

    def running_on(p: int) -> int:
        while memory.byte_at(p) != 44:
            p += 1
        return p

    table_kernel._cell_end = running_on


def _crash() -> None:
    """A reader trusts a cell to be a number."""
    from lob_pipeline.venues import table_csv

    table_csv._id = lambda _reader, text: int(text or -1)


def _hang() -> None:
    """A reader waits for a byte that never comes."""
    from lob_pipeline.venues import lines

    real = lines.parse_object

    def waiting(line: bytes, start: int = 0) -> Any:
        while b"\\u0000" in line:
            pass
        return real(line, start)

    lines.parse_object = waiting
    from lob_pipeline.venues import bybit

    bybit.parse_object = waiting


PLANTED = {"lose a line": _lose_a_line, "read beyond": _read_beyond, "crash": _crash, "hang": _hang}


def plant(name: str) -> None:
    """Put a defect in place."""
    PLANTED[name]()

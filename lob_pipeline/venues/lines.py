"""The complete way to read a line: plain Python, for the lines that a scanner does not understand.

Slow and obvious on purpose. It decodes what is rare (escapes, exponents, control messages) to the rows the scanner
would have written, and for everything else it says what was expected and what was found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from lob_pipeline.venues import job as card
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.scan import MAX_DIGITS

_DECIMAL = re.compile(r"(\d{1,400})(?:\.(\d{1,400}))?(?:[eE]([+-]?\d{1,2}))?\Z", re.ASCII)
_LARGEST = 10**MAX_DIGITS

Level = tuple[int, int, int]
"""Side, price in ticks, size in lots."""


class UnreadableError(Exception):
    """A line is no message of its format. ``at``: the byte of the line where that shows."""

    def __init__(self, expected: str, found: str, at: int = 0) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.at = at


def shown(value: object) -> str:
    """Return ``value`` as an error may show it: short, on one line."""
    text = str(value) if isinstance(value, str | Decimal) else repr(value)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 60 else text[:57] + "..."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError("each key once in an object", "a repeated key")
    return found


def _refuse_constant(text: str) -> Any:
    raise UnreadableError("a JSON value", text)


def parse_object(line: bytes, start: int = 0) -> dict[str, Any]:
    """Return the JSON object in ``line[start:]``; numbers with a fraction or exponent as exact ``Decimal``."""
    try:
        text = line[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError("UTF-8 text", "other bytes", start + error.start) from error
    try:
        found = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode())
        raise UnreadableError(
            "one JSON message", shown(text[error.pos : error.pos + 40]) or "the line's end", start + at
        ) from error
    except (RecursionError, ValueError, ArithmeticError) as error:  # absurd nesting, thousands of digits, exponents
        raise UnreadableError("one JSON message", shown(str(error)), start) from error
    if not isinstance(found, dict):
        raise UnreadableError("a JSON object", shown(text), start)
    return found


def locate(line: bytes, value: object) -> int:
    """Return where in ``line`` the value stands, as written or as a string, 0 when that cannot be told."""
    text = str(value).encode("utf-8", "replace")
    return max(0, line.find(b'"' + text + b'"'), line.find(text))


class Reader:
    """Takes values out of one line's objects, and says where and what when they are not as they must be."""

    def __init__(self, line: bytes, job: Job) -> None:
        self.line = line
        self.card = job.card
        self.rounded = 0

    def wrong(self, expected: str, value: object) -> UnreadableError:
        """Return the error for ``value`` where ``expected`` had to stand."""
        return UnreadableError(expected, shown(value), locate(self.line, value))

    def member(self, found: dict[str, Any], key: str) -> Any:
        """Return the member ``key``, which must be there."""
        if key not in found:
            raise UnreadableError(f'a member "{key}"', "none in " + shown(", ".join(found)))
        return found[key]

    def text(self, found: dict[str, Any], key: str, allowed: Iterable[str] = ()) -> str:
        """Return a non-empty string member, one of ``allowed`` where given."""
        value = self.member(found, key)
        names = tuple(allowed)
        if not isinstance(value, str) or not value or (names and value not in names):
            raise self.wrong(f'"{key}" ' + (" or ".join(names) or "to be a string"), value)
        return value

    def whole(self, found: dict[str, Any], key: str) -> int:
        """Return a non-negative integer member."""
        value = self.member(found, key)
        if type(value) is not int or not 0 <= value < _LARGEST:
            raise self.wrong(f'"{key}" to be a non-negative integer', value)
        return value

    def flag(self, found: dict[str, Any], key: str) -> bool:
        """Return a boolean member."""
        value = self.member(found, key)
        if type(value) is not bool:
            raise self.wrong(f'"{key}" to be true or false', value)
        return value

    def ms(self, found: dict[str, Any], key: str, or_us: bool = False) -> int:
        """Return a time member in nanoseconds: 13 digits of milliseconds, or 16 of microseconds where allowed."""
        value = self.whole(found, key)
        digits = len(str(value)) if str(value)[0] != "9" else 0  # from 2255 on an int64 would overflow
        if digits == 13:
            return value * 1_000_000
        if digits == 16 and or_us:
            return value * 1_000
        raise self.wrong(f'"{key}" to be a time in milliseconds (13 digits)', value)

    def _units(self, text: object, scale: int, step: int) -> tuple[int, bool]:
        parts = _DECIMAL.match(text) if isinstance(text, str) else None
        if parts is None:
            raise self.wrong("a decimal string", text)
        whole, fraction, exponent = parts[1], parts[2] or "", int(parts[3] or 0)
        shift = scale + exponent - len(fraction)
        value = int(whole + fraction)
        units, rest = divmod(value * 10 ** max(0, shift), step * 10 ** max(0, -shift))
        if units >= _LARGEST:
            raise self.wrong(f"a number below {_LARGEST} units", text)
        return units, rest == 0

    def ticks(self, text: object, zero: bool = False) -> int:
        """Return a price in ticks. It must be on the grid, and above zero unless ``zero`` is allowed."""
        scale, step = int(self.card[card.PRICE_SCALE]), int(self.card[card.PRICE_STEP])
        units, exact = self._units(text, scale, step)
        if not exact:
            raise self.wrong(f"a price that is a multiple of the tick {Decimal(step).scaleb(-scale)}", text)
        if units == 0 and not zero:
            raise self.wrong("a price above zero", text)
        return units

    def lots(self, text: object) -> int:
        """Return a size in lots, rounded down and counted where the instrument allows it."""
        scale, step = int(self.card[card.LOT_SCALE]), int(self.card[card.LOT_STEP])
        units, exact = self._units(text, scale, step)
        if not exact:
            if not self.card[card.ROUND_OFF]:
                raise self.wrong(f"a size that is a multiple of the lot {Decimal(step).scaleb(-scale)}", text)
            self.rounded += 1
        return units

    def levels(self, found: dict[str, Any], names: dict[str, int]) -> list[Level]:
        """Return the level rows of the members ``names`` (member -> side), in the order in which they were sent."""
        for name in names:
            if not isinstance(self.member(found, name), list):
                raise self.wrong(f'"{name}" to be a list of levels', found[name])
        out: list[Level] = []
        for name, rows in found.items():
            if name in names:
                for row in rows:
                    if not isinstance(row, list) or len(row) != 2:
                        raise self.wrong('a level ["price","size"]', row)
                    out.append((names[name], self.ticks(row[0]), self.lots(row[1])))
        return out


def _row(job: Job, table: np.ndarray, counter: int, values: list[int]) -> None:
    table[job.card[counter]] = values
    job.card[counter] += 1


def add_message(
    job: Job, offset: int, recv_ns: int, ts_ns: int, ids: tuple[int, int, int, int], kind: int, levels: list[Level]
) -> None:
    """Append a book message to the job's rows. ``ids``: update, first, previous, seq."""
    start = int(job.card[card.N_LEVELS])
    values = [int(job.card[card.N_LINES]), offset, ts_ns, recv_ns, *ids, kind, start]
    _row(job, job.messages, card.N_MESSAGES, values)
    end = start + len(levels)
    columns: tuple[np.ndarray, ...] = (job.sides, job.prices, job.sizes)
    for column, rows in zip(columns, zip(*levels, strict=True), strict=False):  # no levels: nothing to zip
        column[start:end] = rows
    job.card[card.N_LEVELS] = end


def add_trade(
    job: Job,
    offset: int,
    recv_ns: int,
    ts_ns: int,
    seq: int,
    trade_id: str,
    side: int,
    ticks: int,
    lots: int,
    flags: int,
) -> None:
    """Append a trade to the job's rows; its id goes to the job's extra bytes."""
    data = trade_id.encode("utf-8")
    at = ~len(job.extra)
    job.extra += data
    values = [int(job.card[card.N_LINES]), offset, ts_ns, recv_ns, seq, at, len(data), side, ticks, lots, flags]
    _row(job, job.trades, card.N_TRADES, values)


def add_quote(
    job: Job, offset: int, recv_ns: int, ts_ns: int, update_id: int, values: tuple[int, int, int, int]
) -> None:
    """Append a quote to the job's rows. ``values``: bid ticks, bid lots, ask ticks, ask lots."""
    _row(job, job.quotes, card.N_QUOTES, [int(job.card[card.N_LINES]), offset, ts_ns, recv_ns, update_id, *values])

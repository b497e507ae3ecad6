"""Time, price and size units. Whole numbers everywhere: nanoseconds UTC, ticks, lots."""

from __future__ import annotations

import datetime as dt
import re
from typing import NewType

from lob_pipeline.core.errors import BadInputError

Nanos = NewType("Nanos", int)
Ticks = NewType("Ticks", int)
Lots = NewType("Lots", int)
Bps = NewType("Bps", float)

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S

BID = 1
ASK = -1

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z?\Z")


def parse_date(text: str) -> dt.date:
    """Return the UTC day that ``YYYY-MM-DD`` names. Raises ``BadInputError`` for anything else."""
    if _DATE.match(text):
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            pass  # falls through to the one message below: 2024-02-31 has the form but is no day
    raise BadInputError(f"date {text!r} is not a day: expected YYYY-MM-DD, for example 2024-08-08")


def parse_dates(text: str) -> list[str]:
    """Return every day of ``DATE`` or ``FROM..TO`` (both included), as ``YYYY-MM-DD``, ascending."""
    first, dots, last = text.partition("..")
    start = parse_date(first)
    end = parse_date(last) if dots else start
    if end < start:
        raise BadInputError(f"date range {text!r} ends before it starts: write the earlier day first")
    return [(start + dt.timedelta(days=i)).isoformat() for i in range((end - start).days + 1)]


def day_start_ns(date: str) -> int:
    """Return the nanosecond of 00:00:00 UTC of ``YYYY-MM-DD``."""
    return (parse_date(date) - dt.date(1970, 1, 1)).days * NS_PER_DAY


def day_of_ns(t_ns: int) -> str:
    """Return the UTC day that holds the instant ``t_ns`` (00:00:00.000 opens its day)."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=t_ns // NS_PER_DAY)).isoformat()


def row_day_of_ns(t_ns: int) -> str:
    """Return the day a row or message of time ``t_ns`` belongs to: the day of ``t_ns - 1``.

    The row of 24:00:00.000 closes its day; it does not open the next one.
    """
    return day_of_ns(t_ns - 1)


def shift_date(date: str, days: int) -> str:
    """Return the day ``days`` after ``date`` (before it when negative)."""
    return (parse_date(date) + dt.timedelta(days=days)).isoformat()


def parse_instant(text: str) -> int:
    """Return the nanosecond that ``text`` names: a whole number of ns, or ``2024-08-08T23:56:00[.fraction]Z``.

    Raises ``BadInputError`` for anything else.
    """
    if text.isascii() and text.isdigit() and len(text) <= 19:
        return int(text)
    found = _INSTANT.match(text)
    if found:
        clock = [int(part) for part in found[2].split(":")]
        if clock[0] < 24 and clock[1] < 60 and clock[2] < 60:
            seconds = clock[0] * 3600 + clock[1] * 60 + clock[2]
            return day_start_ns(found[1]) + seconds * NS_PER_S + int((found[3] or "").ljust(9, "0"))
    raise BadInputError(
        f"instant {text!r} is unknown: expected nanoseconds or a UTC time such as 2024-08-08T23:56:00.1Z"
    )


def format_ns(t_ns: int) -> str:
    """Return ``2024-08-08T23:54:16.501000000Z`` for an instant, exact to the nanosecond."""
    seconds, rest = divmod(int(t_ns), NS_PER_S)
    stamp = dt.datetime.fromtimestamp(seconds, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest:09d}Z"

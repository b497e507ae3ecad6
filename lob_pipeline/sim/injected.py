"""Faults put into written archive files at places that are known: what a recording suffers, with a list of where.

One fault of each kind that is asked for, each in a stretch of the day of its own, its place drawn from the stream of
(seed, day). Lines are edited as bytes; nothing else of a file changes. ``lob mutation-score`` has the whole catalogue
of defects on real recordings; this is the small set for a market whose truth is known to the last order.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.archive import GzipFile, ZipMember

_STREAM = 5 << 40
_LOST, _FROZEN, _STALE_MESSAGES, _BACK_MS = 5, 100, 100, 5_000
_LF, _UPDATE = b"\n", re.compile(rb'"u":(\d+)')
Lines = list[bytes]


@dataclass(frozen=True)
class Fault:
    """What was done where: ``line`` counts the lines of the undamaged ``file`` from 0, ``lines`` how many it touches.

    ``at_ns``: engine time of the first; ``update_id``: its id in the book's chain, −1 in a file of trades.
    """

    kind: str
    file: str
    line: int
    lines: int
    at_ns: int
    update_id: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def _edited(line: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    body = json.loads(line)
    change(body)
    return json.dumps(body, separators=(",", ":")).encode() + b"\r\n"


def _exchange(body: dict[str, Any]) -> None:
    data = body["data"]
    data["b"], data["a"] = data["a"], data["b"]


def _no_asks(body: dict[str, Any]) -> None:
    body["data"]["a"] = []


def _step_back(body: dict[str, Any]) -> None:
    body["cts"] -= _BACK_MS
    body["ts"] -= _BACK_MS


def _book_before(lines: Lines, end: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return (bids, asks), price to size as written, after the first ``end`` lines."""
    book: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for line in lines[:end]:
        body = json.loads(line)
        for levels, rows in zip(book, (body["data"]["b"], body["data"]["a"]), strict=True):
            if body["type"] == "snapshot":
                levels.clear()
            for price, size in rows:
                levels[price] = size
                if float(size) == 0.0:
                    del levels[price]
    return book


def _stale_snapshot(lines: Lines, at: int) -> Lines:
    """A snapshot of the book of a while ago takes the place of a message; its id and times are in order."""
    bids, asks = _book_before(lines, max(1, at - _STALE_MESSAGES))

    def change(body: dict[str, Any]) -> None:
        body["type"] = "snapshot"
        body["data"]["b"] = [[p, bids[p]] for p in sorted(bids, key=float, reverse=True)]
        body["data"]["a"] = [[p, asks[p]] for p in sorted(asks, key=float)]

    return [_edited(lines[at], change)]


def _closed_up(lines: Lines, first: int, less: int) -> Lines:
    return [_UPDATE.sub(lambda m: b'"u":%d' % (int(m[1]) - less), line, count=1) for line in lines[first:]]


def _turned(line: bytes) -> bytes:
    return line.replace(b",Buy,", b",?,").replace(b",Sell,", b",Buy,").replace(b",?,", b",Sell,")


# kind -> (lines of a book file and a place) -> (how many lines are replaced, by which)
_BOOK: dict[str, Callable[[Lines, int], tuple[int, Lines]]] = {
    "lost": lambda lines, at: (_LOST, []),
    "lost_renumbered": lambda lines, at: (len(lines) - at, _closed_up(lines, at + _LOST, _LOST)),
    "repeated": lambda lines, at: (1, [lines[at], lines[at]]),
    "reordered": lambda lines, at: (2, [lines[at + 1], lines[at]]),
    "sides_exchanged": lambda lines, at: (1, [_edited(lines[at], _exchange)]),
    "asks_frozen": lambda lines, at: (_FROZEN, [_edited(line, _no_asks) for line in lines[at : at + _FROZEN]]),
    "stale_snapshot": lambda lines, at: (1, _stale_snapshot(lines, at)),
    "clock_back": lambda lines, at: (1, [_edited(lines[at], _step_back)]),
}
_TRADES: dict[str, Callable[[Lines, int], tuple[int, Lines]]] = {
    "trades_turned": lambda lines, at: (len(lines) // 4, [_turned(line) for line in lines[at : at + len(lines) // 4]]),
    "trades_repeated": lambda lines, at: (_LOST, [line for line in lines[at : at + _LOST] for _ in range(2)]),
}
KINDS = (*_BOOK, *_TRADES)
_SPANS = {"lost": _LOST, "lost_renumbered": _LOST, "reordered": 2, "asks_frozen": _FROZEN, "trades_repeated": _LOST}


def parse_faults(text: str) -> tuple[str, ...]:
    """Return the kinds of a comma list, ``all`` for every one. Raises ``BadInputError`` for an unknown or double."""
    kinds = KINDS if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in kinds if name not in KINDS]
    if unknown or len(set(kinds)) != len(kinds):
        raise BadInputError(f"--faults {text}: expected some of {', '.join(KINDS)}, each once, or all")
    return kinds


def _read(path: Path) -> Lines:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.read(archive.namelist()[0]).splitlines(keepends=True)
    return isal_zlib.decompress(path.read_bytes(), 31).splitlines(keepends=True)


def _about(line: bytes, trades: bool) -> tuple[int, int]:
    """Return (engine time in ns, update id) of a line."""
    if trades:
        whole, _, part = line.split(b",", 1)[0].partition(b".")
        return int(whole) * 10**9 + int(part.ljust(9, b"0")), -1
    body = json.loads(line)
    return int(body["cts"]) * 10**6, int(body["data"]["u"])


def inject(book: Path, trades: Path, kinds: tuple[str, ...], seed: int, day: int) -> list[Fault]:
    """Rewrite the two files of one day with a fault of each of ``kinds`` and return where they are, by file and line.

    Opening and closing snapshot stay as they are. Raises ``BadInputError`` for a file too short to hold them.
    """
    found: list[Fault] = []
    for path, makers in ((book, _BOOK), (trades, _TRADES)):
        wanted = [name for name in kinds if name in makers]
        if wanted:
            found += _inject(path, wanted, makers, np.random.Philox(key=np.array([seed, _STREAM + day], np.uint64)))
    return found


def _inject(
    path: Path,
    kinds: list[str],
    makers: dict[str, Callable[[Lines, int], tuple[int, Lines]]],
    stream: np.random.Philox,
) -> list[Fault]:
    rng, lines, trades = np.random.Generator(stream), _read(path), path.suffix == ".gz"
    room = (len(lines) - 2) // len(kinds)
    if room < 4 * max(_SPANS.get(name, 1) for name in kinds):
        raise BadInputError(f"{path.name} has {len(lines)} lines, too few for {', '.join(kinds)}: simulate longer")
    drawn = [1 + i * room + int(rng.integers(room // 8, room // 2)) for i in range(len(kinds))]
    order = [*rng.permutation([k for k in kinds if k != "lost_renumbered"])]
    order += ["lost_renumbered"] if "lost_renumbered" in kinds else []  # it changes every line behind it
    found, out, done = list[Fault](), Lines(), 0
    for name, at in zip(order, drawn, strict=True):
        gone, put = makers[name](lines, at)
        touched = len(lines) // 4 if name == "trades_turned" else _SPANS.get(name, 1)
        found.append(Fault(str(name), path.name, at, touched, *_about(lines[at], trades)))
        out += lines[done:at] + put
        done = at + gone
    out += lines[done:]
    if trades:
        with GzipFile(path) as gz:
            gz.write(b"".join(out))
    else:
        with ZipMember(path, path.name.removesuffix(".zip")) as member:
            member.write(b"".join(out))
    return found

"""Made streams of OKX and Kraken with right checksums, in every recorded form, and the recordings of both."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from lob_pipeline.core.instrument import Instrument
from lob_pipeline.venues.decode import decode_file
from lob_pipeline_tests.naive.checksums import TextBook, kraken_checksum, okx_checksum, received
from lob_pipeline_tests.naive.decode import NaiveRows
from lob_pipeline_tests.venues.compare import rows_of

OKX_SYMBOLS = ("BTC-USDT", "BTC-USD-220527", "UNI-USD-SWAP")
KRAKEN_PAIRS = (
    "ADA/XBT", "XBT/CHF", "OMG/USD", "OCEAN/XBT", "ETH/CHF", "SC/EUR", "GRT/ETH", "KSM/XBT", "XMR/USD", "WAVES/EUR",
)  # fmt: skip
START_MS = 1_652_459_225_000
Change = tuple[int, str, str]


def recorded(real_data: Path, name: str) -> list[Any]:
    """Return the venue's messages of ``OKX`` or ``KRAKEN``."""
    with (real_data / "checksum_venues" / f"{name}.jsonl.zst").open("rb") as file:
        return list(received(zstandard.ZstdDecompressor().stream_reader(file).read().decode()))


def changes(seed: int, messages: int, depth: int = 12, quiet_top: bool = False) -> list[list[Change]]:
    """Return a snapshot of ``depth`` levels a side and random updates of one to four levels, strings as venues send.

    Prices 100.0 to 112.7; bids stay below asks. ``quiet_top``: updates only beyond the tenth level.
    """
    rng = random.Random(seed)

    def size() -> str:
        return f"{rng.randint(1, 99)}.{rng.randint(0, 999):03d}"

    def price(side: int, away: int) -> str:
        return f"{(1060 - away) / 10:.1f}" if side == 1 else f"{(1061 + away) / 10:.1f}"

    out = [[(side, price(side, k), size()) for side in (1, -1) for k in range(depth)]]
    for _ in range(messages):
        least = 11 if quiet_top else 0
        picks = [(rng.choice((1, -1)), rng.randint(least, depth + 3)) for _ in range(rng.randint(1, 4))]
        out.append([(side, price(side, k), "0" if rng.random() < 0.3 and k else size()) for side, k in picks])
    return out


def okx_messages(
    stream: list[list[Change]], symbol: str = "BTC-USDT", seq: int | None = None, crc: bool = True
) -> list[Any]:
    """Return OKX's messages of a stream; ``seq``: the first sequence id, None where there are none."""
    book, out = TextBook(), []
    for k, levels in enumerate(stream):
        for level in levels:
            book.put(*level)
        data: dict[str, Any] = {}
        for name, sign in (("asks", -1), ("bids", 1)):
            data[name] = [[p, s, "0", "1"] for side, p, s in levels if side == sign]
        data |= {"ts": str(START_MS + 100 * k), "checksum": okx_checksum(book) if crc else 0}
        if seq is not None:
            data |= {"seqId": seq + 3 * k, "prevSeqId": seq + 3 * (k - 1) if k else -1}
        arg = {"channel": "books", "instId": symbol}
        out.append({"arg": arg, "action": "update" if k else "snapshot", "data": [data]})
    return out


def kraken_messages(stream: list[list[Change]], pair: str = "XBT/USD", depth: int = 1000) -> list[Any]:
    """Return Kraken's messages of a stream, the book kept at ``depth`` levels."""
    book, out = TextBook(), []
    for k, levels in enumerate(stream):
        parts: list[dict[str, Any]] = []
        time = f"{START_MS // 1000 + k // 10}.{k % 10}00000"
        for sign, name in ((-1, "a"), (1, "b")):
            rows = [[p, f"{float(s):.8f}", time] for side, p, s in levels if side == sign]
            if rows and k:
                parts.append({name: rows})
            elif k == 0:
                parts = [{**(parts[0] if parts else {}), name + "s": rows}]
            for p, s, _ in rows:
                book.put(sign, p, s)
        book.keep(depth)
        if k:
            parts[-1]["c"] = str(kraken_checksum(book))
        out.append([7, *parts, f"book-{depth}", pair])
    return out


def kraken_v2_lines(stream: list[list[Change]], pair: str = "BTC/USD", depth: int = 1000) -> list[str]:
    """Return the messages of Kraken's version 2, numbers with all their digits, the acknowledgement first."""
    result = {"channel": "book", "depth": depth, "snapshot": True, "symbol": pair}
    book, out = TextBook(), [json.dumps({"method": "subscribe", "result": result, "success": True})]
    for k, levels in enumerate(stream):
        sides: dict[int, list[str]] = {1: [], -1: []}
        for side, price, size in levels:
            size = f"{float(size):.8f}"
            book.put(side, price, size)
            sides[side].append(f'{{"price":{price},"qty":{size}}}')
        book.keep(depth)
        head = f'{{"symbol":"{pair}","bids":[{",".join(sides[1])}],"asks":[{",".join(sides[-1])}]'
        time = f"2022-05-13T16:27:{5 + k // 10:02d}.{k % 10}00000Z"
        body = f'{head},"checksum":{kraken_checksum(book)},"timestamp":"{time}"}}'
        kind = "update" if k else "snapshot"
        out.append(f'{{"channel":"book","type":"{kind}","data":[{body}]}}')
    return out


def as_plain(messages: list[Any]) -> bytes:
    """Return a line a message."""
    return b"".join(json.dumps(m, separators=(",", ":")).encode() + b"\n" for m in messages)


def as_stamped(messages: list[Any]) -> bytes:
    """Return a line a message with a receive stamp of 19 digits."""
    lines = as_plain(messages).splitlines()
    return b"".join(b"%d %s\n" % ((START_MS + 100 * k) * 10**6 + 7, line) for k, line in enumerate(lines))


def as_wrapped(messages: list[Any], venue: str) -> bytes:
    """Return the lines of the recorder that wraps messages."""
    lines = [{"t": "header", "format": 2, "exchange": venue, "config": {}}]
    for k, message in enumerate(messages):
        seconds = f"{(START_MS + 100 * k) / 1000:.3f}"
        text = json.dumps(message, separators=(",", ":"))
        lines.append({"t": "recv", "conn": f"{venue}.ws.1", "ts": float(seconds), "data": text})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def told(path: Path, data: bytes, instrument: Instrument) -> tuple[NaiveRows, tuple[int, int] | None]:
    """Write ``data`` to ``path`` and return its rows and the sums of its checksums."""
    path.write_bytes(data)
    blocks = list(decode_file(path, instrument))
    counts = [b.checksums for b in blocks if b.checksums is not None]
    return rows_of(blocks), (sum(c for c, _ in counts), sum(e for _, e in counts)) if counts else None


def chain(rows: NaiveRows) -> list[tuple[int, int]]:
    """Return (update id, the id it follows) of the messages."""
    return [(m[3], m[5]) for m in rows.messages]


def breaks(rows: NaiveRows) -> list[int]:
    """Return the messages that do not follow the one before them."""
    ids = chain(rows)
    return [k for k in range(1, len(ids)) if ids[k][1] not in (-1, ids[k - 1][0])]


FORMS: dict[str, Callable[[list[Any], str], bytes]] = {
    "plain": lambda messages, _venue: as_plain(messages),
    "stamped": lambda messages, _venue: as_stamped(messages),
    "wrapped": as_wrapped,
}

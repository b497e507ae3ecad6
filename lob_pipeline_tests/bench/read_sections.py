"""Reading: JSON to integer rows, inflating, the stored bytes and reading them back."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import msgspec
import numpy as np
from isal import isal_zlib

from lob_pipeline.venues.decode import decode_file
from lob_pipeline.venues.source import open_source
from lob_pipeline_tests.bench.environment import Peers
from lob_pipeline_tests.bench.timing import Figure, interleave, timed
from lob_pipeline_tests.bench.workload import Workload


class _Data(msgspec.Struct):
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]
    u: int
    seq: int


class _Message(msgspec.Struct):
    topic: str
    type: str
    ts: int
    cts: int
    data: _Data


def _ours(load: Workload) -> int:
    return sum(block.book.level_rows for block in decode_file(load.ndjson, load.instrument))


def _duckdb(load: Workload, numbers: bool) -> Callable[[], object]:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    kind = "DOUBLE[][]" if numbers else "VARCHAR[][]"
    columns = f"columns = {{'cts': 'BIGINT', 'data': 'STRUCT(b {kind}, a {kind}, u BIGINT, seq BIGINT)'}}"
    source = f"read_json('{load.ndjson}', format = 'newline_delimited', {columns})"
    if numbers:
        query = (
            f"CREATE OR REPLACE TABLE levels AS SELECT cts, l[1] AS price, l[2] AS size "
            f"FROM (SELECT cts, unnest(list_concat(data.b, data.a)) AS l FROM {source})"
        )
    else:
        query = f"SELECT sum(len(data.b) + len(data.a)) FROM {source}"
    return lambda: connection.execute(query).fetchall()


def _msgspec(load: Workload, rows: bool) -> Callable[[], object]:
    """``rows``: make level rows, as the other contenders do; else drop each message once it is an object."""
    decoder = msgspec.json.Decoder(_Message, strict=False)

    def drop() -> int:
        count = 0
        for line in load.ndjson.read_bytes().splitlines():
            data = decoder.decode(line).data
            count += len(data.b) + len(data.a)
        return count

    def table() -> int:
        prices: list[float] = []
        sizes: list[float] = []
        for line in load.ndjson.read_bytes().splitlines():
            data = decoder.decode(line).data
            for side in (data.b, data.a):
                for price, size in side:
                    prices.append(price)
                    sizes.append(size)
        return len(np.array(prices)) + len(np.array(sizes))

    return table if rows else drop


def _json(load: Workload, lines: int) -> Callable[[], object]:
    text = load.ndjson.read_bytes().splitlines()[:lines]

    def run() -> int:
        prices: list[float] = []
        for line in text:
            data = json.loads(line)["data"]
            for side in (data["b"], data["a"]):
                for price, size in side:
                    prices.append(float(price))
                    prices.append(float(size))
        return len(prices)

    return run


def decode(load: Workload, peers: Peers) -> Iterator[Figure]:
    """JSON bytes to integer level rows, against duckdb, msgspec, orjson and json."""
    some = min(load.messages, 5_000)
    found = interleave(
        {
            "ours": timed(lambda: _ours(load)),
            "duckdb": timed(_duckdb(load, numbers=False)),
            "duckdb_table": timed(_duckdb(load, numbers=True)),
            "msgspec_table": timed(_msgspec(load, rows=True)),
            "msgspec": timed(_msgspec(load, rows=False)),
            "orjson": lambda: peers.seconds("orjson", folder=str(load.folder.resolve())),
            "json": timed(_json(load, some)),
        }
    )
    rate = load.level_rows / found.median("ours") / 1e6
    ours = f"{rate:.1f} M rows/s"
    for peer, words, bar in (
        ("duckdb_table", "duckdb read_json, numbers in a table", 4.0),
        ("duckdb", "duckdb read_json, lists of strings left unread", None),
        ("msgspec_table", "msgspec typed, floats, numbers in two arrays", None),
        ("msgspec", "msgspec typed, floats, objects dropped", 8.0),
        ("orjson", "orjson and float()", None),
    ):
        theirs = f"{load.level_rows / found.median(peer) / 1e6:.1f} M rows/s"
        yield Figure("decode", f"JSON → level rows, {words}", found.ratio(peer, "ours"), bar, False, ours, theirs)
    share = load.messages / some
    theirs = f"{load.level_rows / share / found.median('json') / 1e6:.1f} M rows/s"
    yield Figure(
        "decode", "JSON → level rows, json and float()", found.ratio("json", "ours") * share, None, False, ours, theirs
    )


def _raw_deflate(archive: Path) -> tuple[bytes, int]:
    with zipfile.ZipFile(archive) as packed:
        member = packed.infolist()[0]
    data = archive.read_bytes()
    names = int.from_bytes(data[member.header_offset + 26 : member.header_offset + 28], "little")
    extra = int.from_bytes(data[member.header_offset + 28 : member.header_offset + 30], "little")
    start = member.header_offset + 30 + names + extra
    return data[start : start + member.compress_size], member.file_size


def inflate(load: Workload, peers: Peers) -> Iterator[Figure]:
    """A zip member as blocks of whole lines, checksum verified, against isal alone and zipfile."""
    packed, size = _raw_deflate(load.archive)

    def isal() -> int:
        stream, done, rest = isal_zlib.decompressobj(wbits=-15), 0, packed
        while rest:
            done += len(stream.decompress(rest, 4 << 20))
            rest = stream.unconsumed_tail
        return done

    def blocks() -> int:
        with zipfile.ZipFile(load.archive) as archive, archive.open(archive.namelist()[0]) as member:
            return sum(len(block) for block in iter(lambda: member.read(8 << 20), b""))

    def lines() -> int:
        with zipfile.ZipFile(load.archive) as archive, archive.open(archive.namelist()[0]) as member:
            return sum(len(line) for line in member)

    def ours() -> int:
        return sum(block.size for block in open_source(load.archive))

    found = interleave({"ours": timed(ours), "isal": timed(isal), "blocks": timed(blocks), "lines": timed(lines)})
    speed = {name: f"{size / found.median(name) / 1e6:,.0f} MB/s" for name in found.seconds}
    yield Figure(
        "inflate", "time against isal alone", found.ratio("ours", "isal"), 1.2, True, speed["ours"], speed["isal"]
    )
    for name, words in (("blocks", "zipfile blocks"), ("lines", "zipfile lines")):
        yield Figure("inflate", words, found.ratio(name, "ours"), None, False, speed["ours"], speed[name])

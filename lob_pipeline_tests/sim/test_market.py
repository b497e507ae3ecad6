"""A simulated market read back with json, csv and a dictionary: it is what a venue's archive would be."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lob_pipeline.core.units import day_start_ns
from lob_pipeline.sim.config import FlowParams, SimConfig, day_start_us, session_start_us
from lob_pipeline.sim.day import new_session
from lob_pipeline.sim.publish import new_messages
from lob_pipeline.sim.records import as_record
from lob_pipeline.sim.session import PUBLISH_US, run
from lob_pipeline.sim.state import CAPACITY, new_tape
from lob_pipeline.sim.wire import Wire
from lob_pipeline.stages.simulate import SimReport, simulate

CONFIG = SimConfig(seed=5, days=2, minutes=4)
Book = tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimReport:
    return simulate(tmp_path_factory.mktemp("sim"), CONFIG)


def lines(path: Path) -> list[bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [path.name.removesuffix(".zip")]
        whole = archive.read(archive.namelist()[0])
    assert whole.endswith(b"}\r\n")
    return whole.split(b"\r\n")[:-1]


def trades(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))


def apply(book: Book, message: dict[str, Any]) -> None:
    for levels, rows in zip(book, (message["data"]["b"], message["data"]["a"]), strict=True):
        if message["type"] == "snapshot":
            levels.clear()
        for price, size in rows:
            if size == "0":
                del levels[price]  # the venue deletes only what it has shown
            else:
                levels[price] = size


def replay(path: Path) -> Iterator[tuple[dict[str, Any], Book]]:
    book: Book = ({}, {})
    for line in lines(path):
        message = json.loads(line)
        apply(book, message)
        yield message, book


def test_messages_chain_and_keep_the_venues_clock(made: SimReport) -> None:
    for day in made.days:
        messages = [json.loads(line) for line in lines(made.folder / day.book)]
        midnight_ms = day_start_ns(day.date) // 10**6 + 86_400_000
        assert [m["type"] for m in messages] == ["snapshot"] + ["delta"] * (len(messages) - 2) + ["snapshot"]
        assert len(messages) == pytest.approx(4 * 600, abs=5)
        assert {m["topic"] for m in messages} == {"orderbook.200.BTCUSDT"}
        assert {m["data"]["s"] for m in messages} == {"BTCUSDT"}
        assert all(b["data"]["u"] == a["data"]["u"] + 1 for a, b in pairwise(messages))
        assert all(b["data"]["seq"] > a["data"]["seq"] for a, b in pairwise(messages[:-1]))
        assert all(b["cts"] > a["cts"] for a, b in pairwise(messages))
        assert all(1 <= m["ts"] - m["cts"] <= 4 for m in messages)
        assert 0 < messages[0]["cts"] - (midnight_ms - 4 * 60_000) <= 5
        assert messages[-2]["cts"] < midnight_ms < messages[-1]["cts"] <= midnight_ms + 5


def test_book_is_whole_uncrossed_and_ends_as_the_closing_snapshot_says(made: SimReport) -> None:
    for day in made.days:
        last: Book = ({}, {})
        for message, (bids, asks) in replay(made.folder / day.book):
            best_bid, best_ask = max(map(Decimal, bids)), min(map(Decimal, asks))
            assert best_bid < best_ask
            assert len(bids) == len(asks) == CONFIG.depth
            if message["type"] == "snapshot" and last[0]:
                assert (bids, asks) == last
            last = (dict(bids), dict(asks))


def test_numbers_are_written_as_the_venue_writes_them(made: SimReport) -> None:
    for line in lines(made.folder / made.days[0].book)[:300]:
        data = json.loads(line)["data"]
        for rows, falling in ((data["b"], True), (data["a"], False)):
            prices = [Decimal(price) for price, _ in rows]
            assert prices == sorted(prices, reverse=falling)
            assert all(price.as_tuple().exponent == -2 and price % Decimal("0.1") == 0 for price in prices)
            assert all(size == "0" or Decimal(size).as_tuple().exponent == -3 for _, size in rows)
            assert all(size == "0" or Decimal(size) > 0 for _, size in rows)


def test_trades_have_the_archives_columns_and_exact_values(made: SimReport) -> None:
    ids: set[str] = set()
    for day in made.days:
        rows = trades(made.folder / day.trades)
        assert len(rows) == day.statistics["trades"] > 300
        start = Decimal(day_start_ns(day.date)) / 10**9
        stamps = [Decimal(row["timestamp"]) for row in rows]
        assert stamps == sorted(stamps)
        assert start + 86_400 - 240 < stamps[0]
        assert stamps[-1] <= start + 86_400
        direction = "PlusTick"
        for before, row in pairwise([rows[0], *rows]):
            price, size = Decimal(row["price"]), Decimal(row["size"])
            move = price - Decimal(before["price"])
            up = move > 0 or (move == 0 and direction.endswith("PlusTick"))
            direction = ("" if move else "Zero") + ("PlusTick" if up else "MinusTick")
            assert row is rows[0] or row["tickDirection"] == direction
            assert row["symbol"] == "BTCUSDT"
            assert row["side"] in ("Buy", "Sell")
            assert size > 0
            assert size % Decimal("0.001") == price % Decimal("0.1") == 0
            assert Decimal(row["homeNotional"]) == size
            assert Decimal(row["foreignNotional"]) == size * price
            assert Decimal(row["grossValue"]) == size * price * 10**8
        ids |= {row["trdMatchID"] for row in rows}
    assert len(ids) == sum(day.statistics["trades"] for day in made.days)


def test_first_trade_after_a_message_is_at_or_through_its_touch(made: SimReport) -> None:
    day = made.days[0]
    rows = trades(made.folder / day.trades)
    judged = agree = at = 0
    for message, (bids, asks) in replay(made.folder / day.book):
        cts = Decimal(message["cts"]) / 1000
        while at < len(rows) and Decimal(rows[at]["timestamp"]) <= cts:
            at += 1
        if at < len(rows) and Decimal(rows[at]["timestamp"]) <= cts + Decimal("0.1"):
            price, buys = Decimal(rows[at]["price"]), rows[at]["side"] == "Buy"
            judged += 1
            agree += price >= min(map(Decimal, asks)) if buys else price <= max(map(Decimal, bids))
    assert judged > 200
    assert agree / judged > 0.97


def test_published_book_is_the_engines_own_at_every_instant() -> None:
    config = SimConfig(seed=11, days=1, minutes=2, depth=200)
    session, wire = new_session(config, config.first_day), Wire.of(config.instrument, config.depth)
    engine, tape = session.engine, new_tape(2 * CAPACITY)
    book: Book = ({}, {})
    for _ in range(400):
        out = new_messages(4, 8 * config.depth)
        tape.n[0] = 0
        assert run(session, tape, out, as_record(config.acting), int(session.clock[PUBLISH_US]) + 1)
        for line in wire.book_bytes(out).tobytes().split(b"\r\n")[:-1]:
            apply(book, json.loads(line))
        live = np.flatnonzero(engine.order_id >= 0)
        for side, sign in ((0, -1), (1, 1)):
            sizes: dict[int, int] = {}
            for slot in live[engine.order_side[live] == side].tolist():
                price = int(engine.order_price[slot])
                sizes[price] = sizes.get(price, 0) + int(engine.order_lots[slot])
            wanted = sorted(sizes.items(), key=lambda level: sign * level[0])[: config.depth]
            assert {round(Decimal(p) * 10): int(Decimal(s) * 1000) for p, s in book[side].items()} == dict(wanted)


def test_same_seed_same_bytes_and_days_do_not_need_each_other(made: SimReport, tmp_path: Path) -> None:
    alone = simulate(tmp_path / "alone", SimConfig(seed=5, days=1, minutes=4, first_day=made.days[1].date))
    other = simulate(tmp_path / "other", SimConfig(seed=6, days=1, minutes=4, first_day=made.days[1].date))
    assert alone.days[0].sha256 == made.days[1].sha256
    assert alone.days[0].statistics == made.days[1].statistics
    assert not set(other.days[0].sha256.values()) & set(made.days[1].sha256.values())


def test_truth_names_seed_parameters_edge_and_hashes(made: SimReport) -> None:
    truth = json.loads(made.truth_path.read_text())
    assert truth == made.to_json()["truth"]
    assert (truth["seed"], truth["edge_bps"], truth["market"]) == (5, 0, "sim.BTCUSDT")
    assert truth["config"]["flow"] == CONFIG.flow._asdict()
    for day in made.days:
        for name, digest in truth["days"][day.date]["sha256"].items():
            assert hashlib.sha256((made.folder / name).read_bytes()).hexdigest() == digest
    listed = json.loads((made.folder / "instruments-info.json").read_text())["result"]["list"][0]
    assert (listed["priceFilter"]["tickSize"], listed["lotSizeFilter"]["qtyStep"]) == ("0.1", "0.001")
    assert sorted(p.name for p in made.folder.iterdir()) == sorted(
        [*(p.name for p in made.files), "instruments-info.json", "truth.json"]
    )


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_accepts_the_archive(made: SimReport) -> None:
    done = subprocess.run(["unzip", "-t", str(made.files[0])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_whole_days_join_without_a_seam(tmp_path: Path) -> None:
    slow = {
        name: value / 30
        for name, value in FlowParams()._asdict().items()
        if name.endswith("_rate") and name not in ("noise_rate", "value_rate")
    }
    quiet = FlowParams(noise_rate=0.005, value_rate=0.005, noise_same_side=0.1, value_excitation=0.1, **slow)
    config = SimConfig(seed=9, days=2, minutes=1440, message_ms=1000, flow=quiet)
    report = simulate(tmp_path, config)
    first, second = (lines(report.folder / day.book) for day in report.days)
    assert first[-1] == second[0]
    closing, after = json.loads(second[0]), json.loads(second[1])
    assert after["data"]["u"] == closing["data"]["u"] + 1
    assert closing["cts"] * 1000 - day_start_us(report.days[1].date) <= 5000
    assert json.loads(first[0])["cts"] * 1000 - session_start_us(config, config.first_day) <= 5000

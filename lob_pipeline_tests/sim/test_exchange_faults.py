"""The local exchange goes wrong exactly as its script says, and its log says so too."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.sim.exchange import Exchange, serving
from lob_pipeline.sim.faults import KINDS, Fault, parse_fault, random_script, read_script, to_json
from lob_pipeline.sim.feed import apply_levels
from lob_pipeline.sim.looped import LoopedFeed
from lob_pipeline.sim.recorded import recorded_files
from lob_pipeline.sim.sender_log import (
    DROPPED,
    DUPLICATED,
    HALF,
    MALFORMED,
    REORDERED,
    SENT,
    SILENCED,
    SNAPSHOT,
    WRONG_SYMBOL,
)
from lob_pipeline_tests.sim.exchange_client import (
    BOOK,
    TRADES,
    TS,
    Listener,
    after,
    fates,
    gaps,
    listen,
    market,
    recording,
    sent_log,
)


def test_dropped_messages_are_those_the_log_names(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "drop@100x3", "drop@0.3sx2"), after(1_200))
    assert gaps(listener.ids()) == fates(tmp_path, DROPPED)
    assert len(fates(tmp_path, DROPPED)) == 5
    assert not any(u == -1 for u in fates(tmp_path, DROPPED))


def test_duplicates_come_twice(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "duplicate@100x4"), after(400))
    ids = listener.ids()
    twice = [u for u in dict.fromkeys(ids) if ids.count(u) == 2]
    assert twice == fates(tmp_path, SENT, DUPLICATED)
    assert len(twice) == 4


def test_reordered_messages_come_in_reversed_order(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "reorder@100x3"), after(400))
    late = fates(tmp_path, SENT, REORDERED)
    ids = listener.ids()
    at = ids.index(late[-1])
    assert ids[at : at + 3] == late[::-1]
    assert sorted(ids) == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize(("kind", "fate"), [("malformed", MALFORMED), ("wrong_symbol", WRONG_SYMBOL)])
def test_damaged_messages(tmp_path: Path, kind: str, fate: int) -> None:
    listener = listen(market(tmp_path, f"{kind}@100x2"), after(400))
    assert gaps(listener.ids()) == fates(tmp_path, fate)
    broken = [f for f in listener.frames if f[-1:] != b"}"]
    others = [m for m in listener.messages if m.get("topic") not in (BOOK, TRADES, None)]
    assert (len(broken), len(others)) == ((2, 0) if kind == "malformed" else (0, 2))
    assert all(m["topic"] == "orderbook.50.OTHERUSDT" and m["data"]["s"] == "OTHERUSDT" for m in others)


def test_half_a_frame_and_the_connection_is_gone(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "half_frame@300"), lambda c: c.connections == 2 and after(400)(c))
    (lost,) = fates(tmp_path, HALF)
    fresh = [m["data"]["u"] for m in listener.books() if m["type"] == "snapshot"]
    assert len(fresh) == 2
    assert fresh[1] >= lost


def test_a_restart_counts_from_one_behind_a_snapshot(tmp_path: Path) -> None:
    feed = LoopedFeed(recorded_files([recording(tmp_path)]))
    listener = listen(market(tmp_path, "restart@200"), after(500))
    ids = listener.ids()
    at = ids.index(1)
    assert ids[at:] == list(range(1, len(ids) - at + 1))
    assert gaps(ids[:at]) == []
    assert [m["type"] for m in listener.books()[at : at + 2]] == ["snapshot", "delta"]
    seqs = [m["data"]["seq"] for m in listener.books()]
    assert seqs == sorted(set(seqs))
    assert fates(tmp_path, SENT, SNAPSHOT) == [1]
    assert feed.books() == [BOOK]


def test_a_snapshot_in_mid_stream_is_the_book(tmp_path: Path) -> None:
    feed = LoopedFeed(recorded_files([recording(tmp_path)]))
    listener = listen(market(tmp_path, "midstream_snapshot@200x2"), after(500))
    assert gaps(listener.ids()) == []
    whole = [m for m in listener.books() if m["type"] == "snapshot"][1:]
    assert [m["data"]["u"] for m in whole] == fates(tmp_path, SENT, SNAPSHOT)
    rows = sent_log(tmp_path).frames
    for said in whole:
        template = int(rows["template"][rows["update_id"] == said["data"]["u"]][0])
        assert (dict(said["data"]["b"]), dict(said["data"]["a"])) == feed.book_at(BOOK, template)


def test_one_topic_falls_silent(tmp_path: Path) -> None:
    exchange = market(tmp_path, f"silence@200x0.2s,topic={BOOK}")
    listener = listen(exchange, lambda c: len(c.frames) % 50 == 0 and bool(gaps(c.ids())))
    assert gaps(listener.ids()) == fates(tmp_path, SILENCED)
    assert len(fates(tmp_path, SILENCED)) > 50
    assert len(listener.books(TRADES)) > 0


def test_a_new_subscription_ends_the_silence(tmp_path: Path) -> None:
    exchange = market(tmp_path, f"silence@50x60s,topic={BOOK}")
    words = [{"op": "unsubscribe", "args": [BOOK]}, {"op": "subscribe", "args": [BOOK]}]
    heard: list[dict[str, Any]] = []

    async def talk(url: str) -> None:
        from websockets.asyncio.client import connect

        async with connect(url, compression=None, close_timeout=0.1) as socket:
            await socket.send(json.dumps({"op": "subscribe", "args": [BOOK, TRADES]}))
            while sum(m.get("topic") == TRADES for m in heard) < 20:
                heard.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))
            silent = len(heard)
            for word in words:
                await socket.send(json.dumps(word))
            while sum(m.get("topic") == BOOK for m in heard[silent:]) < 20:
                heard.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))

    with serving(exchange) as url:
        asyncio.run(talk(url))
    books = [m for m in heard if m.get("topic") == BOOK]
    assert [m["type"] for m in books].count("snapshot") == 2


@pytest.mark.parametrize("kind", ["abrupt_close", "refuse_connections"])
def test_connections_are_cut_and_refused(tmp_path: Path, kind: str) -> None:
    fault = f"{kind}@300x0.3s" if "refuse" in kind else f"{kind}@300"
    listener = listen(market(tmp_path, fault), lambda c: c.connections == 2 and after(500)(c))
    fresh = [i for i, m in enumerate(listener.books()) if m["type"] == "snapshot"]
    assert len(fresh) == 2
    assert listener.refused > 0 if kind == "refuse_connections" else listener.refused == 0
    ids = listener.ids()
    assert gaps(ids[: fresh[1]]) == gaps(ids[fresh[1] :]) == []


def test_a_slow_sender_keeps_everything(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "slow@100x0.2s"), after(800))
    assert gaps(listener.ids()) == []


def test_the_exchange_s_clock_steps(tmp_path: Path) -> None:
    listener = listen(market(tmp_path, "clock_step@200,ms=-5000"), after(500))
    stamps = [m["ts"] for m in listener.books()]
    steps = [two - one for one, two in pairwise(stamps)]
    assert min(steps) < -4_000
    assert sum(step < 0 for step in steps) == 1


def test_a_recording_once_may_go_wrong_too(tmp_path: Path) -> None:
    """Paced by its client, resumed after a cut with the book as it stands; a restart shifts the ids that follow."""
    script = [parse_fault(text) for text in ("drop@10", "abrupt_close@20", "restart@30", "clock_step@40,ms=1000")]
    last = TS + 20 * 40 + 1_000

    def done(client: Listener) -> bool:
        return client.messages[-1:] != [] and client.messages[-1].get("ts") == last

    listener = listen(Exchange([recording(tmp_path)], faults=script), done)
    ids = listener.ids()
    at = ids.index(1)
    assert gaps(ids[:at]) == [ids[0] + 8]
    assert listener.connections == 2
    books = listener.books()
    assert ids[at:] == list(range(1, len(ids) - at + 1))
    assert [m["type"] for m in books].count("snapshot") == 3
    bids: dict[str, str] = {}
    for said in books[at:]:
        bids = dict(said["data"]["b"]) if said["type"] == "snapshot" else bids
        apply_levels(bids, said["data"]["b"])
    feed = LoopedFeed(recorded_files([recording(tmp_path)]))
    assert bids == feed.book_at(BOOK, len(feed.templates) - 2)[0]


def test_every_kind_of_fault_is_in_a_random_script() -> None:
    script = random_script(7, 120.0)
    assert {fault.kind for fault in script} == set(KINDS)
    assert script == random_script(7, 120.0)
    assert script != random_script(8, 120.0)
    assert all(two.at > one.at for one, two in pairwise(script))
    assert all(fault.at < 120 for fault in script)


def test_scripts_are_read_as_they_are_written(tmp_path: Path) -> None:
    script = random_script(3, 60.0)
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([*to_json(script), "drop@1000x3", "silence@2.5sx4s,topic=a.b"]))
    read = read_script(path)
    assert read[:-2] == script
    assert read[-2] == Fault(1000, "drop", 3)
    assert read[-1] == Fault(2.5, "silence", 4, topic="a.b", timed=True)


@pytest.mark.parametrize("text", ["drop", "drop@", "drop@5x0", "nosuch@5", "drop@5x1.5", "clock_step@5", "drop@5,a=b"])
def test_a_fault_that_is_none_is_bad_input(text: str) -> None:
    with pytest.raises(BadInputError, match=r"fault"):
        parse_fault(text)


def test_a_script_that_is_none_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    for text in ("{", '[{"kind": "drop"}]', "[5]"):
        path.write_text(text)
        with pytest.raises(BadInputError):
            read_script(path)
    with pytest.raises(BadInputError, match="cannot be read"):
        read_script(tmp_path / "none.json")



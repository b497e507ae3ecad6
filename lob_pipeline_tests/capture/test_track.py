"""What the ledger says of a topic is what was missing: against a set of ids kept by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lob_pipeline.capture.track import Mark, Track
from lob_pipeline.venues.protocol import DELTA, SNAPSHOT, TRADES, Heard, Topic

BOOK = Topic("orderbook.200.X", b"orderbook.200.X", "X", "main", "book")
TAPE = Topic("x@trade", b"x@trade", "X", "main", "trades")


def following(topic: Topic = BOOK, **more: Any) -> tuple[Track, list[tuple[str, dict[str, Any]]]]:
    said: list[tuple[str, dict[str, Any]]] = []
    return Track(topic, "v.X", 1, lambda kind, **facts: said.append((kind, facts)), **more), said


def delta(update: int) -> Heard:
    return Heard(DELTA, BOOK.key, update, update - 1)


def snapshot(update: int) -> Heard:
    return Heard(SNAPSHOT, BOOK.key, update)


def lost(said: list[tuple[str, dict[str, Any]]]) -> set[int]:
    """Return the ids that the lines declare lost, as the ledger's docstring defines them."""
    ids: set[int] = set()
    for kind, facts in said:
        if kind == "gap":
            ids |= set(range(facts["expected"] + 1, facts["got"] + 1)) | ({facts["id"]} if facts["snapshot"] else set())
        elif kind == "replaced":
            ids.add(facts["id"])
        elif kind == "late":
            ids.discard(facts["id"])
    return ids


@given(st.sets(st.integers(2, 60)), st.permutations(range(4)), st.integers(0, 50))
def test_every_missing_id_is_named_and_no_other(dropped: set[int], order: list[int], at: int) -> None:
    """Some deltas are dropped, four neighbours arrive in another order."""
    stream = [i for i in range(1, 61) if i not in dropped]
    stream[at : at + 4] = [stream[at : at + 4][i] for i in order if i < len(stream[at : at + 4])]
    if stream[0] != 1:
        return  # what came before the first message was never asked for
    track, said = following()
    track.hear(snapshot(0), 1, 1)
    for wall, update in enumerate(stream, start=2):
        track.hear(delta(update), wall, wall)
    assert lost(said) == {i for i in dropped if i < max(stream)}


def test_a_gap_breaks_the_book_until_a_snapshot_comes() -> None:
    track, said = following()
    for heard in (snapshot(10), delta(11)):
        assert not track.hear(heard, 5, 5)
    assert track.hear(delta(14), 6, 6)
    assert track.broken
    assert said[-1][1] | {"market": "", "topic": "", "conn": 0} == {
        "market": "", "topic": "", "conn": 0, "expected": 11, "got": 13, "id": 14, "snapshot": False,
        "from_wall_ns": 5, "to_wall_ns": 6,
    }  # fmt: skip
    track.hear(snapshot(16), 7, 7)
    assert not track.broken
    assert lost(said) == {12, 13, 15, 16}


def test_repeats_restarts_and_replacements_have_their_own_words() -> None:
    track, said = following()
    for heard in (snapshot(10), delta(11), delta(11), snapshot(11), snapshot(12), snapshot(1), delta(2)):
        track.hear(heard, 1, 1)
    assert [kind for kind, _ in said] == ["duplicate", "replaced", "restart"]


def test_trades_with_contiguous_ids_are_counted_too() -> None:
    track, said = following(TAPE, contiguous_trades=True)
    for trade in (5, 6, 9, 7):
        track.hear(Heard(TRADES, TAPE.key, trade, -1, 0, trade), 1, 1)
    assert [kind for kind, _ in said] == ["gap", "late"]
    assert lost(said) == {8}


def test_the_first_message_says_what_lies_before_it() -> None:
    before = Mark(last_id=40, wall_ns=100, alive=False, cause="killed")
    track, said = following(before=before)
    track.hear(snapshot(50), 900, 1)
    assert [(kind, f["last_id"], f["next_id"], f["from_wall_ns"], f["to_wall_ns"], f["cause"]) for kind, f in said] == [
        ("unknown", 40, 50, 100, 900, "killed")
    ]
    alive, quiet = following(before=Mark(last_id=40, wall_ns=100, alive=True))
    alive.hear(snapshot(50), 900, 1)
    assert quiet == []

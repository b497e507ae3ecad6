"""The USDT-M recordings in Bybit's form: the same books at equal instants, and certificates that hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import BOOK_SNAPSHOTS, KIND_AUDIT, L2_EVENTS, TRADES
from lob_pipeline.core.units import ASK, BID
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import open_partition
from lob_pipeline.sim.shown_book import ShownBook
from lob_pipeline.sim.transcode import MARK, Derived, transcode
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.verify import verify
from lob_pipeline_tests import derived
from lob_pipeline_tests.stages.ingest_streams import rows

_level = st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 12), st.integers(0, 3))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(_level, max_size=6), max_size=12), st.integers(1, 4), st.integers(0, 12))
def test_changes_lead_from_view_to_view(messages: list[list[tuple[int, int, int]]], depth: int, cleared: int) -> None:
    book, shown = ShownBook(depth), {BID: {}, ASK: {}}
    whole: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
    for number, message in enumerate(messages):
        if number == cleared:
            book.clear()
            whole = {BID: {}, ASK: {}}
        book.apply(message)
        for side, price, lots in message:
            whole[side][price] = lots
        snapshot = number == 0
        for side, levels in (book.snapshot() if snapshot else book.changes()).items():
            assert [p for p, _ in levels] == sorted((p for p, _ in levels), key=lambda p, s=side: -s * p)
            for price, lots in levels:
                assert shown[side].get(price, 0) != lots, "a level that did not change was sent"
                shown[side][price] = lots
                if not lots:
                    del shown[side][price]
        for side in (BID, ASK):
            held = {p: v for p, v in whole[side].items() if v}
            best = sorted(held, key=lambda p, s=side: -s * p)[:depth]
            assert shown[side] == {p: held[p] for p in best}


@pytest.fixture(scope="module")
def source(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = derived.original(real_data, tmp_path_factory.mktemp("usdm"))
    for date in derived.DATES:
        build_books(home, derived.USDM, date)
    return home


@pytest.fixture(scope="module")
def websocket(source: Home, tmp_path_factory: pytest.TempPathFactory) -> Derived:
    return derived.websocket(source, tmp_path_factory.mktemp("websocket"))


def _books(home: Home, market: Market, date: str) -> Columns:
    with open_partition(home, PartitionKey("book_snapshots", market, date, "t100ms"), BOOK_SNAPSHOTS) as partition:
        return partition.read()


def _same_rows(source: Home, home: Home, market: Market) -> None:
    for date in derived.DATES:
        build_books(home, market, date)
        certificate = verify(home, market, date, None)
        assert certificate["holds"], certificate
        one, two = _books(source, derived.USDM, date), _books(home, market, date)
        shared, i, j = np.intersect1d(one["ts_ns"], two["ts_ns"], return_indices=True)
        assert shared.shape[0] >= one["ts_ns"].shape[0] - 1 > 900
        names = [n for n in BOOK_SNAPSHOTS.names if n[:4] in ("bid_", "ask_") and ("ticks_" in n or "lots_" in n)]
        names += ["valid", "mid_up_moves", "mid_down_moves", "ofi_l1_lots", "ofi_l10_lots", "bid_depth_4bps_lots"]
        assert len(names) >= 80
        for name in names:
            assert np.array_equal(one[name][i], two[name][j]), (date, name)


def test_the_archive_form_gives_the_same_rows(source: Home, tmp_path: Path) -> None:
    made = derived.archive(source, tmp_path / "files")
    home = Home(tmp_path / "home")
    mark = json.loads((tmp_path / "files" / MARK).read_text())
    assert (mark["from"], sorted(mark["l2_events"])) == (str(derived.USDM), derived.DATES)
    assert not any(r.refused for r in ingest(home, made.market, made.paths(500)).partitions)
    _same_rows(source, home, made.market)
    first = verify(home, made.market, derived.DATES[0], None)
    assert first["closing_snapshot_match"] is True
    assert verify(home, made.market, derived.DATES[1], None)["boundary_match"] is True
    flags = np.concatenate([rows(home, made.market, TRADES, date)["flags"] for date in derived.DATES])
    assert np.count_nonzero(flags) == 1, "the insurance trade is no market trade in the derived form either"


@pytest.mark.parametrize("depth", [500, 200])
def test_the_websocket_form_gives_the_same_rows(source: Home, websocket: Derived, tmp_path: Path, depth: int) -> None:
    home = Home(tmp_path)
    assert not any(r.refused for r in ingest(home, websocket.market, websocket.paths(depth)).partitions)
    _same_rows(source, home, websocket.market)
    for date in derived.DATES:
        mine, theirs = (rows(h, m, TRADES, date) for h, m in ((home, websocket.market), (source, derived.USDM)))
        assert all(np.array_equal(mine[n], theirs[n]) for n in ("ts_event_ns", "ts_recv_ns", "side", "price_ticks"))
        assert (mine["seq"] > 0).all()


def test_depths_agree_at_equal_seq_and_with_the_known_top(websocket: Derived, tmp_path: Path) -> None:
    views: dict[int, dict[int, list[tuple[int, ...]]]] = {}
    for depth in (500, 200):
        home = Home(tmp_path / str(depth))
        ingest(home, websocket.market, websocket.paths(depth))
        views[depth] = _best_by_seq(home, websocket.market)
    common = sorted(views[500].keys() & views[200].keys())
    assert len(common) > 15_000
    assert all(views[500][seq] == views[200][seq] for seq in common)
    tops = {seq: tuple(row) for seq, *row in zip(*(column.tolist() for column in websocket.tops.values()), strict=True)}
    judged = [seq for seq in tops if seq in views[500]]
    assert len(judged) > 1500
    for seq in judged:
        (bid, bid_lots), (ask, ask_lots) = views[500][seq]
        assert (bid, bid_lots, ask, ask_lots) == tops[seq]


def test_depths_side_by_side_agree_in_the_certificate(websocket: Derived, tmp_path: Path) -> None:
    home = Home(tmp_path)
    ingest(home, websocket.market, [*websocket.books[500], *websocket.books[200], *websocket.trades])
    compared = 0
    for date in derived.DATES:
        build_books(home, websocket.market, date)
        certificate = verify(home, websocket.market, date, None)
        assert certificate["holds"], certificate
        assert certificate["top_of_book_match"] is None
        compared += certificate["depth_agreement"]["compared"]
        assert certificate["depth_agreement"]["equal"] == certificate["depth_agreement"]["compared"]
    assert compared > 15_000


def _best_by_seq(home: Home, market: Market) -> dict[int, list[tuple[int, ...]]]:
    """Return seq -> best bid and ask (ticks, lots), from a plain reading of the events."""
    sizes: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
    best, found = {BID: 0, ASK: 0}, {}
    for date in derived.DATES:
        events = rows(home, market, L2_EVENTS, date)
        names = ("seq", "kind", "side", "price_ticks", "size_lots", "first_in_message")
        for seq, kind, side, price, lots, first in zip(*(events[n].tolist() for n in names), strict=True):
            if kind == KIND_AUDIT:
                continue
            if first and kind != 2:
                sizes, best = {BID: {}, ASK: {}}, {BID: 0, ASK: 0}
            held = sizes[side]
            held.pop(price, 0)
            if lots:
                held[price] = lots
                if not best[side] or (price - best[side]) * side > 0:
                    best[side] = price
            elif price == best[side]:
                best[side] = side * max((side * p for p in held), default=0)
            if seq > 0:
                found[seq] = [(best[s], sizes[s].get(best[s], 0)) for s in (BID, ASK)]
    return found


def test_an_unknown_form(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="form 'parquet' is unknown: expected archive or websocket"):
        transcode(Home(tmp_path), derived.USDM, ["2023-04-04"], tmp_path, form="parquet")

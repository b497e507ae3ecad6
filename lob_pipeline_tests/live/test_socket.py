"""A server that talks without ever saying a word that can be read does not keep ``lob live`` busy for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.markets import instrument
from lob_pipeline.live import socket
from lob_pipeline.live.socket import Listener, ResyncError, Talk, public_url, talk_of

ACK = '{"success":true,"op":"subscribe"}'


@contextmanager
def saying(*frames: str) -> Iterator[tuple[str, list[str]]]:
    """Serve the same frames to every client; yield the address and what clients said."""
    from websockets.asyncio.server import ServerConnection, serve

    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    heard: list[str] = []
    address: list[str] = []

    async def talk(connection: ServerConnection) -> None:
        heard.append(str(await connection.recv()))
        for frame in frames:
            await connection.send(frame)
        await connection.wait_closed()

    async def run() -> None:
        async with serve(talk, "127.0.0.1", 0, compression=None) as server:
            address.append(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield address[0], heard
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def make_listener(url: str, rows: dict[bytes, bool], retries: int) -> Listener:
    """Return a listener that reads only the frames in ``rows`` and takes those for rows that are marked so."""

    def handle(frame: bytes, _recv_ns: int) -> bool:
        if frame not in rows:
            raise ResyncError("a message cannot be read")
        return rows[frame]

    def silent(*_: str) -> None:
        """Say nothing."""

    return Listener(url, Talk(("hello",)), handle, silent, silent, silent, lambda: False, max_retries=retries)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(socket, "LONGEST_WAIT_S", 0.02)


def test_frames_that_never_parse_end_the_run() -> None:
    with saying(ACK, "{]") as (url, heard):
        listener = make_listener(url, {ACK.encode(): False}, retries=3)
        with pytest.raises(LobError, match="a message cannot be read; gave up after 3 attempts"):
            asyncio.run(listener.run())
        assert heard == ["hello"] * 4


def test_a_row_in_between_starts_the_count_anew() -> None:
    """Each connection brings a row before it goes wrong: none of them counts as a failure in a row."""
    with saying(ACK, "row", "{]") as (url, heard):
        rows = {ACK.encode(): False, b"row": True}
        listener = make_listener(url, rows, retries=1)
        listener.stop = lambda: len(heard) > 4
        asyncio.run(listener.run())
        assert len(heard) == 5


def test_what_is_said_is_the_protocols() -> None:
    linear = instrument(parse_market("bybit-linear.BTCUSDT"))
    assert talk_of(linear).ping == '{"op":"ping"}'
    assert '"orderbook.200.BTCUSDT", "publicTrade.BTCUSDT"' in talk_of(linear).hello[0]
    assert public_url(linear) == "wss://stream.bybit.com/v5/public/linear"
    usdm = instrument(parse_market("binance-usdm.BTCUSDT"))
    assert "btcusdt@bookTicker" in talk_of(usdm).hello[0]
    for market in ("binance-usdm.BTCUSDT", "sim.BTCUSDT"):
        with pytest.raises(BadInputError, match="no address that brings its own snapshots"):
            public_url(instrument(parse_market(market)))

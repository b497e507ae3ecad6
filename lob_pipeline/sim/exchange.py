"""A loopback exchange: a websocket server that serves a recording in its venue's protocol, at any speed.

``python -m lob_pipeline.sim.exchange PATH... [--port 0] [--speed 1]`` prints the address and serves until stopped.
Bybit's form waits for a subscription, acknowledges it and answers pings; Binance's begins to send at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.sim.recorded import Frame, frames, recorded_files

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

_FLUSH_EVERY = 256
"""Frames after which a server that does not wait for the clock lets its client breathe."""


class Exchange:
    """Serves one recording. ``speed``: times as fast as it was recorded, 0 as fast as the client takes it.

    ``drop_after``: cut the first connection after so many frames without a word; ``miss``: frames that the client then
    never gets. The next connection opens with a snapshot of the book as it stands, as Bybit's does.
    """

    def __init__(self, paths: list[Path], speed: float = 0.0, drop_after: int | None = None, miss: int = 0) -> None:
        self._infos = recorded_files(paths)
        self.bybit = self._infos[0].format == "bybit_messages"
        self._speed, self._drop_after, self._miss = speed, drop_after, miss
        self._served = 0
        self.connections = 0
        self.received: list[dict[str, Any]] = []

    async def handle(self, connection: ServerConnection) -> None:
        """Talk to one client until the recording or the connection ends."""
        from websockets.exceptions import ConnectionClosed

        self.connections += 1
        subscribed = asyncio.Event()
        if not self.bybit:
            subscribed.set()
        listener = asyncio.create_task(self._listen(connection, subscribed))
        try:
            await subscribed.wait()
            await self._send_all(connection)
            await connection.close()
        except ConnectionClosed:
            return  # the client went away: the next one goes on from here
        finally:
            listener.cancel()

    async def _listen(self, connection: ServerConnection, subscribed: asyncio.Event) -> None:
        async for text in connection:
            said = json.loads(text)
            self.received.append(said)
            if said.get("op") == "ping":
                await connection.send('{"success":true,"ret_msg":"pong","conn_id":"loopback","op":"ping"}')
            elif said.get("op") == "subscribe":
                await connection.send('{"success":true,"ret_msg":"","conn_id":"loopback","op":"subscribe"}')
                subscribed.set()
            elif said.get("method") == "SUBSCRIBE":
                await connection.send(json.dumps({"result": None, "id": said.get("id")}))

    async def _send_all(self, connection: ServerConnection) -> None:
        if self._served and self.bybit:
            await connection.send(snapshot_after(frames(self._infos), self._served))
        loop = asyncio.get_running_loop()
        started, first_ns = loop.time(), 0
        for number, frame in enumerate(islice(frames(self._infos), self._served, None), start=1):
            if self._speed > 0:
                first_ns = first_ns or frame.time_ns
                due = started + (frame.time_ns - first_ns) / NS_PER_S / self._speed
                await asyncio.sleep(max(0.0, due - loop.time()))
            elif number % _FLUSH_EVERY == 0:
                await asyncio.sleep(0)
            await connection.send(frame.payload.decode())
            self._served += 1
            if self._served == self._drop_after:
                self._served += self._miss
                connection.transport.abort()
                return


def snapshot_after(recording: Iterator[Frame], count: int) -> str:
    """Return Bybit's snapshot of the book after ``count`` frames: what a client gets that subscribes then."""
    sides: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    last: dict[str, Any] = {}
    for frame in islice(recording, count):
        said = json.loads(frame.payload)
        if not str(said.get("topic", "")).startswith("orderbook"):
            continue
        if said["type"] == "snapshot":
            sides = {"b": {}, "a": {}}
        for name, levels in sides.items():
            for price, size in said["data"][name]:
                levels[price] = size
                if float(size) == 0:
                    del levels[price]
        last = said
    data = {**last["data"], **{name: [list(level) for level in levels.items()] for name, levels in sides.items()}}
    return json.dumps({**last, "type": "snapshot", "data": data}, separators=(",", ":"))


@contextmanager
def serving(exchange: Exchange, port: int = 0) -> Iterator[str]:
    """Serve on loopback in a thread of its own while the context lasts; yield the address."""
    from websockets.asyncio.server import serve

    started: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(exchange.handle, "127.0.0.1", port, compression=None) as server:
            bound = next(iter(server.sockets)).getsockname()[1]
            started.append(f"ws://127.0.0.1:{bound}")
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        while not ready.wait(0.05):
            if not thread.is_alive():
                raise LobError(f"port {port} of 127.0.0.1 cannot be served: choose another with --port")
        yield started[0]
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
            thread.join()
        loop.close()


def main(arguments: list[str] | None = None) -> int:
    """Serve a recording until interrupted. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lob_pipeline.sim.exchange", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--speed", type=float, default=1.0, help="0: as fast as the client takes it")
    options = parser.parse_args(arguments)
    try:
        with serving(Exchange(options.paths, options.speed), options.port) as url:
            print(url, flush=True)
            threading.Event().wait()
    except LobError as error:
        print(f"exchange: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())

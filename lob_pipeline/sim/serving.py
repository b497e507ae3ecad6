"""A local exchange in a thread of its own, for as long as a context lasts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lob_pipeline.core.errors import LobError

if TYPE_CHECKING:
    from lob_pipeline.sim.exchange import Exchange


@contextmanager
def serving(exchange: Exchange, port: int = 0) -> Iterator[str]:
    """Serve on loopback in a thread of its own while the context lasts; yield the address.

    Raises ``LobError`` when the port is taken, and at the end what the recording turned out to be wrong with.
    """
    from websockets.asyncio.server import serve

    started: list[str] = []
    failures: list[BaseException] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(
            exchange.handle,
            "127.0.0.1",
            port,
            compression=None,
            close_timeout=1,
            process_request=exchange.answer,
        ) as server:
            bound = next(iter(server.sockets)).getsockname()[1]
            started.append(f"ws://127.0.0.1:{bound}")
            ready.set()
            market, stopped = asyncio.create_task(exchange.run()), asyncio.create_task(stop.wait())
            await asyncio.wait({market, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if market.done() and (error := market.exception()):
                failures.append(error)
            else:
                await stopped
            market.cancel()

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
        exchange.close()
    if failures:
        raise failures[0]

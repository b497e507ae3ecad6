"""Making a book whole again: a fresh snapshot, by subscribing anew or from REST, not more often than a venue bears."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from lob_pipeline.capture.rest import FetchError, fetch, in_thread
from lob_pipeline.capture.track import Track
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.venues.protocol_binance import snapshot_id

if TYPE_CHECKING:
    from lob_pipeline.capture.connection import Connection

_STALE_SNAPSHOTS = 10
_STALE_WAIT_S = 1.0


class Mender:
    """Asks for the snapshots of one connection's books."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def mend(self, track: Track, mono_ns: int) -> None:
        """Ask for a fresh snapshot of a book, not too often."""
        config = self._connection.desk.config
        if track.fetching:
            return
        if mono_ns - track.resynced_mono_ns < config.resync_s * NS_PER_S:
            return
        if track.resyncs >= config.most_resyncs:
            self._connection.start(self._connection.close(f"messages of {track.topic.name} stay missing", "reconnect"))
            return
        track.resyncs += 1
        track.resynced_mono_ns = mono_ns
        why = "messages are missing" if track.broken else "the book has no snapshot yet"
        self.resync(track, why)

    def resync(self, track: Track, why: str) -> None:
        """Fetch a book's snapshot, or subscribe to its topic anew where the stream brings one."""
        self._note("resync", track, topic=track.topic.name, why=why)
        if self._connection.line.protocol.snapshot_path is not None:
            self._connection.start(self._fetch(track))
        else:
            self.resubscribe(track)

    def resubscribe(self, track: Track) -> None:
        """Subscribe to a topic anew. Where the stream brings no snapshot, a gap that this leaves asks for one."""
        self._connection.start(self._resubscribe(track))

    def _note(self, kind: str, track: Track, **facts: str) -> None:
        self._connection.desk.note(kind, market=track.market, conn=self._connection.number, **facts)

    async def _resubscribe(self, track: Track) -> None:
        socket = self._connection.socket
        assert socket is not None
        names = [track.topic.name]
        for text in self._connection.line.protocol.unsubscribe(names, self._connection.next_request()):
            await socket.send(text)
        await self._connection.subscribe(names)

    async def _fetch(self, track: Track) -> None:
        """Fetch the REST snapshot that bridges to the deltas at hand; one that is too old is fetched again."""
        path = self._connection.line.protocol.snapshot_path
        assert path is not None
        url = self._connection.line.rest_url + path(track.topic.symbol)
        track.fetching = True
        for _ in range(_STALE_SNAPSHOTS):
            try:
                body = await in_thread(lambda: fetch(url))
            except FetchError as error:
                self._note("snapshot_failed", track, why=str(error))
            else:
                if self.write_snapshot(track, time.time_ns(), time.monotonic_ns(), body):
                    track.fetching = False
                    return
            await asyncio.sleep(_STALE_WAIT_S)
        await self._connection.close(f"no snapshot of {track.market} reaches its updates", "reconnect")

    def write_snapshot(
        self, track: Track, wall_ns: int, mono_ns: int, body: bytes, *, streamed: bool = False
    ) -> bool:
        """Write a REST snapshot down. Returns whether it reaches the deltas that were recorded.

        One that was fetched and is of no use is kept, but not as a message: no book could begin with it.
        """
        lane = self._connection.lane_of[track.topic.key]
        found = snapshot_id(body)
        reaches = found >= 0 <= track.chain_first_id <= found + 1
        lane.add(wall_ns, mono_ns, body, readable=found >= 0 and (reaches or streamed))
        if reaches:
            track.mended()
            self._connection.see_ready()
        else:
            why = "it holds no book" if found < 0 else f"its id {found} is older than update {track.chain_first_id}"
            self._note("snapshot_failed", track, why=why)
        return reaches

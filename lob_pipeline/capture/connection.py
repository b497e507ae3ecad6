"""One websocket connection: subscribes, writes every frame down as it came, watches, and asks for what is missing."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lob_pipeline.capture.config import MAX_FRAME_BYTES, QUEUE_FRAMES
from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.lane import LaneWriter
from lob_pipeline.capture.mend import Mender
from lob_pipeline.capture.track import Track
from lob_pipeline.capture.watch import ClockWatch, Watch
from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.venues.protocol import CONTROL, DELTA, SNAPSHOT, TRADES, UNREAD, Heard, Protocol
from lob_pipeline.venues.protocol_binance import SNAPSHOT_KEY

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_REFUSALS = (b'"success":false', b'"error"', b'"event":"error"', b'"errorMessage"')


@dataclass(frozen=True)
class Line:
    """What a connection is for: one address, one protocol, the markets that share it."""

    url: str
    rest_url: str
    protocol: Protocol
    instruments: tuple[Instrument, ...]

    @property
    def markets(self) -> list[str]:
        """The markets' names."""
        return [str(i.market) for i in self.instruments]


@dataclass
class Connection:
    """Run once with ``run``. ``ready``: its books have their snapshots. ``why``: how it ended, for people; ``cause``:
    for the ledger."""

    desk: Desk
    line: Line
    number: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    cause: str = "reconnect"
    frames: int = 0
    connected: bool = False
    heard_mono_ns: int = 0

    def __post_init__(self) -> None:
        self._hear = self.line.protocol.hear
        self.tracks: dict[bytes, Track] = {}
        self.lane_of: dict[bytes, LaneWriter] = {}
        self.lanes: list[LaneWriter] = []
        self._requests = 0
        self.mender = Mender(self)
        self.socket: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: Exception | None = None
        self.clock = ClockWatch(self.desk, self.line.url, self.number)
        fresh = self.line.protocol.fresh_start
        for instrument in self.line.instruments:
            market = instrument.market
            of_market: dict[str, LaneWriter] = {}
            for topic in self.line.protocol.topics(instrument):
                lane = of_market.get(topic.lane)
                if lane is None:
                    lane = LaneWriter(self.desk, market, topic.lane, self.number, fresh and topic.lane == "main")
                    of_market[topic.lane] = lane
                    self.lanes.append(lane)
                self.lane_of[topic.key] = lane
                self.tracks[topic.key] = self._track(market, topic)
        self.books = [t for t in self.tracks.values() if t.topic.kind == "book"]

    def _track(self, market: Market, topic: Any) -> Track:
        return Track(
            topic,
            str(market),
            self.number,
            self.desk.note,
            before=self.desk.before(str(market), topic.name),
            contiguous_trades=self.line.protocol.trade_ids_rise_by_one,
        )

    async def run(self) -> None:
        """Record until the connection ends. Raises ``BadInputError`` for no websocket address, ``OSError`` when the
        disk takes no more (what was written before stays whole)."""
        try:
            self.why = await self._record()
        finally:
            for task in self._tasks:
                task.cancel()

    async def _record(self) -> str:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

        config = self.desk.config
        try:
            socket = await connect(
                self.line.url,
                compression=None,
                max_size=MAX_FRAME_BYTES,
                max_queue=QUEUE_FRAMES,
                open_timeout=config.open_timeout_s,
                close_timeout=1,
                ping_interval=None,
            )
        except InvalidURI as error:
            raise BadInputError(
                f"{self.line.url!r} is no websocket address: expected ws://host:port or wss://host"
            ) from error
        except InvalidHandshake as error:
            return f"it answers, but not as a websocket server: {error}"
        except (OSError, TimeoutError, EOFError) as error:
            return str(getattr(error, "strerror", None) or error or type(error).__name__)
        self.socket = socket
        self.connected = True
        try:
            await self._subscribe_all()
            self.start(Watch(self).run())
            while True:
                self.take(await socket.recv(decode=False))
        except ConnectionClosed as error:
            if self._failed is not None:
                raise self._failed from error
            return self.why or (f"the connection broke ({error})" if error.rcvd is None else "the server closed it")
        finally:
            socket.transport.abort()

    async def _subscribe_all(self) -> None:
        """Ask for every topic: where one unknown topic makes a venue refuse all that are asked for with it, each market
        for itself and every extra topic alone; else together, for a venue may count requests."""
        topics = [track.topic for track in self.tracks.values()]
        if not self.line.protocol.refuses_whole:
            await self.subscribe([topic.name for topic in topics])
            return
        asked: dict[str, list[str]] = {}
        for topic in topics:
            asked.setdefault(topic.symbol if topic.lane == "main" else topic.name, []).append(topic.name)
        for names in asked.values():
            await self.subscribe(names)

    async def subscribe(self, names: list[str]) -> None:
        """Subscribe to topics."""
        assert self.socket is not None
        for text in self.line.protocol.subscribe(names, self.next_request()):
            await self.socket.send(text)

    def next_request(self) -> int:
        """Return the number of a new request."""
        self._requests += 1
        return self._requests

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the reading, for as long as the connection lasts."""
        task = asyncio.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what goes on beside the reading; what fails there ends the connection as if it had failed here."""
        from websockets.exceptions import ConnectionClosed

        try:
            await work
        except ConnectionClosed:
            return  # the reading side says so
        except Exception as error:
            self._failed = error
            await self.close("a task failed", "reconnect")

    async def close(self, why: str, cause: str) -> None:
        """End the connection in good order; ``run`` then returns."""
        if not self.why:
            self.why, self.cause = why, cause
        if self.socket is not None:
            await self.socket.close()

    def take(self, frame: bytes) -> None:
        """Write one frame down and follow its topic."""
        wall_ns, mono_ns = time.time_ns(), time.monotonic_ns()
        self.heard_mono_ns = mono_ns
        self.frames += 1
        stats = self.desk.stats
        stats.frames += 1
        stats.bytes += len(frame)
        heard = self._hear(frame)
        if heard.kind == CONTROL:
            self.lanes[0].add(wall_ns, mono_ns, frame)
            if any(word in frame for word in _REFUSALS):
                self.desk.note("refused", conn=self.number, text=frame[:500].decode("utf-8", "replace"))
            return
        track = self.tracks.get(heard.key)
        if track is None and heard.key == SNAPSHOT_KEY and len(self.books) == 1:
            self.mender.write_snapshot(self.books[0], wall_ns, mono_ns, frame, streamed=True)
            return
        if track is None or heard.kind == UNREAD:
            self._unread(track, heard, wall_ns, mono_ns, frame)
            return
        if heard.event_ms:
            self.clock.sample(wall_ns, heard.event_ms)
        lane = self.lane_of[heard.key]
        if heard.kind == SNAPSHOT:
            lane.turn_at_snapshot()
        segment = lane.add(wall_ns, mono_ns, frame)
        if track.frames == 0:
            self._begin(track)
        track.hear(heard, wall_ns, mono_ns)
        first_id = heard.first_id if heard.kind == TRADES else heard.last_id
        segment.saw(track.topic.name, first_id, heard.last_id, wall_ns)
        if heard.kind == SNAPSHOT:
            self.see_ready()
        elif heard.kind == DELTA and (track.broken or not track.snapshots):
            self.mender.mend(track, mono_ns)

    def _begin(self, track: Track) -> None:
        track.before = self.desk.before(track.market, track.topic.name)
        self.desk.tracks[track.market, track.topic.name] = track

    def _unread(self, track: Track | None, heard: Heard, wall_ns: int, mono_ns: int, frame: bytes) -> None:
        lane = self.lane_of[track.topic.key] if track else self.lanes[0]
        lane.add(wall_ns, mono_ns, frame, readable=False)
        why = heard.why or f"topic {heard.key.decode('ascii', 'replace')[:80]} was not subscribed to"
        self.desk.note(
            "unread",
            conn=self.number,
            market=track.market if track else None,
            why=why,
            bytes=len(frame),
            frame_sha256=hashlib.sha256(frame).hexdigest(),
            wall_ns=wall_ns,
        )

    def see_ready(self) -> None:
        """Say so once every book that was ever heard of has its snapshot here."""
        if self.ready.is_set():
            return
        heard_of = [t for t in self.books if (t.market, t.topic.name) in self.desk.tracks]
        if heard_of and all(t.snapshots for t in heard_of):
            self.ready.set()

    def flush(self, wall_ns: int) -> None:
        """Write what came; turn segments over that are full or whose hour is past."""
        for lane in self.lanes:
            if lane.tick(wall_ns):
                for track in self.books:
                    if track.market == str(lane.market):
                        self.mender.resync(track, "a new segment begins with a snapshot")

    def handles_to_sync(self) -> list[int]:
        """Return handles of segments that were written to since the last call; the caller closes them."""
        found = [lane.segment.duplicate_handle() for lane in self.lanes if lane.segment is not None]
        return [handle for handle in found if handle is not None]

    def let_go(self) -> None:
        """The connection is over: close its segments and say where its topics stand.

        Raises ``OSError`` or ``LobError`` when the disk takes no more, after every segment was closed as far as it was
        written.
        """
        failure: OSError | LobError | None = None
        for lane in self.lanes:
            try:
                lane.close(self.cause)
            except (OSError, LobError) as error:
                failure = failure or error
        if failure is not None:
            raise failure
        for track in self.tracks.values():
            track.mark.alive, track.mark.cause = False, self.cause
            later = self.desk.tracks.get((track.market, track.topic.name))
            if later is not None and later is not track and later.before is track.mark:
                _require_overlap(track, later)


def _require_overlap(old: Track, new: Track) -> None:
    """Say what lies between two connections of which the second began while the first was alive."""
    last, first = old.mark.last_id, new.first_id
    if isinstance(last, int) and isinstance(first, int) and old.frames and first > last + 1:
        new.say_unknown(old.mark, new.mark.wall_ns, old.mark.cause)

"""The order of book messages where REST snapshots bridge buffered deltas: one message at a time, in lists."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Arrived:
    """A book message as it arrived. ``at``: arrival number; ``ts`` 0: none of its own; ``levels``: how many."""

    at: int
    snapshot: bool
    update_id: int
    prev_id: int
    ts: int
    levels: int = 1


@dataclass(frozen=True)
class Stored:
    """A message as stored: 1 snapshot, 2 delta, 3 audit; ``applied`` to the book."""

    at: int
    kind: int
    prev_id: int
    ts: int
    applied: bool


def naive_bridge(messages: list[Arrived]) -> list[Stored]:
    """Return the messages that have levels, in stored order."""
    out: list[Stored] = []
    buffer: list[Arrived] = []  # arrived while no book was whole
    whole, unbridged, last_id, last_ts = False, False, 0, 0
    queue: list[tuple[Arrived, int]] = collapse(with_times(messages))
    while queue:
        m, shown = queue.pop(0)
        if whole:
            verdicts = [_verdict(p, unbridged, last_id, last_ts) for p in [(m, shown), *queue]]
            decides = next((v for v in verdicts if v in ("follows", "gap")), "follows")
            if m.snapshot and decides == "follows":
                out.append(Stored(m.at, 3, m.prev_id, shown, False))
            elif verdicts[0] == "follows":
                out.append(Stored(m.at, 2, m.prev_id, shown, True))
                unbridged, last_id, last_ts = False, m.update_id, max(last_ts, shown)
            elif verdicts[0] == "old":
                out.append(Stored(m.at, 2, m.prev_id, shown, False))
            else:
                whole = False
                queue.insert(0, (m, shown))
            continue
        buffer.append((m, shown))  # type: ignore[arg-type]
        found = _settle(buffer)
        if found is not None:
            before, snapshot, after = found
            out += [Stored(b.at, 1 if b.snapshot else 2, b.prev_id, t, False) for b, t in before]
            s, ts = snapshot
            out.append(Stored(s.at, 1, s.prev_id, ts, True))
            whole, unbridged, last_id, last_ts = True, True, s.update_id, ts
            queue = after + queue
            buffer = []
    pending = _waiting_snapshot(buffer)
    for k, (m, shown) in enumerate(buffer):
        out.append(Stored(m.at, 1 if m.snapshot else 2, m.prev_id, shown, k == pending))
    return out


def _verdict(message: tuple[Arrived, int], unbridged: bool, last_id: int, last_ts: int) -> str:
    """Return what a message is to a whole book: a snapshot, or a delta that follows, is old, or shows a gap."""
    m, shown = message
    if m.snapshot:
        return "snapshot"
    if unbridged:
        return "old" if m.update_id < last_id else ("follows" if m.prev_id <= last_id else "gap")
    if m.update_id <= last_id:
        return "old" if shown <= last_ts else "gap"
    return "follows" if m.prev_id == last_id else "gap"


def with_times(messages: list[Arrived]) -> list[tuple[Arrived, int]]:
    """Pair each message with its time, or with that of the next one that has a time."""
    latest = max((m.ts for m in messages), default=0)
    out = []
    for i, m in enumerate(messages):
        out.append((m, m.ts or next((n.ts for n in messages[i:] if n.ts), latest)))
    return out


def collapse(messages: list[tuple[Arrived, int]]) -> list[tuple[Arrived, int]]:
    """Leave messages without levels out: the delta that claims to follow one follows what that one followed."""
    out: list[tuple[Arrived, int]] = []
    empty: Arrived | None = None
    for m, shown in messages:
        if not m.snapshot:
            if empty is not None and m.prev_id == empty.update_id:
                m = replace(m, prev_id=empty.prev_id)
            empty = m if m.levels == 0 else None
        if m.levels:
            out.append((m, shown))
    return out


def _waiting_snapshot(buffer: list) -> int | None:
    """Return the snapshot that every delta so far is older than: later ones may still be bridged by it."""
    for k in range(len(buffer) - 1, -1, -1):
        m = buffer[k][0]
        if m.snapshot:
            newer = [b for b, _ in buffer if not b.snapshot and b.update_id >= m.update_id]
            return None if newer else k
    return None


def _settle(buffer: list) -> tuple[list, tuple[Arrived, int], list] | None:
    """Return (what goes before, the bridging snapshot, what follows it) once the last message settles it."""
    last, last_shown = buffer[-1]
    if last.snapshot:
        alive = [p for p in buffer if not p[0].snapshot and p[0].update_id >= last.update_id]
        if not alive or alive[0][0].prev_id > last.update_id:
            return None
        first = buffer.index(alive[0])
        moved = [p for p in buffer[first:] if not p[0].snapshot]
        stay = [p for p in buffer[:-1] if p not in moved]
        return stay, (last, last.ts or alive[0][1]), moved
    waiting = _waiting_snapshot(buffer[:-1])
    if waiting is None:
        return None
    s, _ = buffer[waiting]
    if last.update_id < s.update_id or last.prev_id > s.update_id:
        return None
    return buffer[:waiting], (s, s.ts or last_shown), buffer[waiting + 1 :]

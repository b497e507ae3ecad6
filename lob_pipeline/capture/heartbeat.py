"""``HOME/segments/recorder.json``: how the recorder is, replaced every second. A reader sees one state or the next."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lob_pipeline.capture.desk import Desk
from lob_pipeline.capture.link import Link
from lob_pipeline.core.units import NS_PER_MS
from lob_pipeline.lake.home import Home

STALE_S = 10.0
"""A heartbeat that is older than this is that of a recorder that stopped without a word."""


def heartbeat_path(home: Home) -> Path:
    """Return where the heartbeat is."""
    return home.root / "segments" / "recorder.json"


def read_heartbeat(home: Home) -> dict[str, Any] | None:
    """Return the last heartbeat with ``age_s`` and ``alive`` added, None when nothing ever recorded here."""
    try:
        beat: dict[str, Any] = json.loads(heartbeat_path(home).read_bytes())
    except FileNotFoundError:
        return None
    age_s = (time.time_ns() - beat["at_ns"]) / 1e9
    return {**beat, "age_s": round(age_s, 1), "alive": beat["state"] == "recording" and age_s < STALE_S}


@dataclass
class Heartbeat:
    """Writes the heartbeat of one session."""

    desk: Desk
    links: list[Link]
    started_ns: int = field(default_factory=time.time_ns)
    _frames: int = 0
    _beat_ns: int = field(default_factory=time.monotonic_ns)

    def beat(self, state: str = "recording") -> None:
        """Write the present state. Raises ``OSError`` when the disk takes no more."""
        now = time.monotonic_ns()
        stats, counts = self.desk.stats, self.desk.ledger.counts
        seconds = max((now - self._beat_ns) / 1e9, 1e-3)
        lag_ns, stats.lag_ns = stats.lag_ns, 0
        topics: dict[str, dict[str, Any]] = {}
        for (market, topic), track in self.desk.tracks.items():
            topics.setdefault(market, {})[topic] = {
                "frames": track.frames,
                "last_id": track.mark.last_id,
                "last_wall_ns": track.mark.wall_ns,
            }
        beat = {
            "state": state,
            "pid": os.getpid(),
            "session": self.desk.session,
            "started_ns": self.started_ns,
            "at_ns": time.time_ns(),
            "markets": sorted({m for link in self.links for m in link.line.markets}),
            "connections": sum(held.connection.connected for link in self.links for held in link.held),
            "frames": stats.frames,
            "frames_per_s": round((stats.frames - self._frames) / seconds, 1),
            "bytes": stats.bytes,
            "segments": stats.segments,
            "lag_ms": round(lag_ns / NS_PER_MS, 3),
            "gaps": counts.get("gap", 0) + counts.get("unknown", 0),
            "reconnects": counts.get("reconnect", 0),
            "silences": counts.get("silence", 0),
            "unread": counts.get("unread", 0),
            "rss_mib": round(rss_bytes() / (1 << 20), 1),
            "disk_free_mib": shutil.disk_usage(self.desk.root).free >> 20,
            "topics": topics,
        }
        self._frames, self._beat_ns = stats.frames, now
        target = heartbeat_path(self.desk.home)
        part = target.with_name(f".{target.name}.{os.getpid()}")
        part.write_text(json.dumps(beat))
        os.replace(part, target)


def rss_bytes() -> int:
    """Return the memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

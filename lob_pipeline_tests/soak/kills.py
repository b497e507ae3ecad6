"""What each ``kill -9`` of the recorder cost, by the sender's log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.sim.sender_log import SENT, Sent

Int64s = npt.NDArray[np.int64]
_LONGEST_NS = 60 * NS_PER_S
"""What was lost so long before a kill was lost by something else."""
_STALL_NS = 5 * NS_PER_S
"""How long before a kill the sender's own pauses are looked for."""


@dataclass(frozen=True)
class Recorded:
    """What stands in the lake of one topic: ``seq`` of its messages and when each was received, both int64."""

    seq: Int64s
    recv_ns: Int64s


@dataclass(frozen=True)
class KillLoss:
    """What one kill cost. ``lost_s``: no message that was received longer before the kill is missing.

    ``stall_s``: the sender's longest pause shortly before: the machine stood still, for the recorder too.
    """

    at_ns: int
    lost_messages: int
    lost_s: float
    stall_s: float = 0.0


def kill_losses(sent: Sent, recorded: dict[str, Recorded], kills_ns: list[int]) -> list[KillLoss]:
    """Return each kill's loss by receive time. ``recorded``: topic -> what was recorded.

    Lost are messages that were sent, before the kill, to the connection that it ended. A connection keeps the order:
    all of them would have been received after the last one that stands, and after the first of them was sent.
    """
    rows = sent.frames
    wall = rows["wall_ns"].astype(np.int64)
    here = np.zeros(len(rows), dtype=bool)
    for number, topic in enumerate(sent.topics):
        mine = rows["topic"] == number
        here[mine] = np.isin(rows["seq"][mine].astype(np.int64), recorded[topic].seq)
    received = np.sort(np.concatenate([one.recv_ns for one in recorded.values()]))
    losses = []
    for kill in kills_ns:
        joined = [e for e in sent.events if e["event"] in ("connected", "disconnected") and e["wall_ns"] < kill]
        if not joined or joined[-1]["event"] == "disconnected":
            losses.append(KillLoss(kill, 0, 0.0))
            continue
        lost = (rows["number"] > joined[-1]["after"]) & (wall <= kill) & (wall > kill - _LONGEST_NS)
        lost &= (rows["fate"] == SENT) & ~here & (rows["receivers"] > 0)
        walls = wall[lost]
        pauses = np.diff(wall[(wall > kill - _STALL_NS) & (wall <= kill)])
        stall_s = int(pauses.max(initial=0)) / NS_PER_S
        if not len(walls):
            losses.append(KillLoss(kill, 0, 0.0, stall_s))
            continue
        last = int(received[max(0, np.searchsorted(received, kill, side="right") - 1)])
        losses.append(KillLoss(kill, len(walls), (kill - max(last, int(walls.min()))) / NS_PER_S, stall_s))
    return losses

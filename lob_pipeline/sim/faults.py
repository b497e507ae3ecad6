"""What can be scripted to go wrong at a local exchange, and how a script says so.

A fault is ``KIND@AT[xCOUNT][,topic=TOPIC][,ms=N]``; AT is the number of a message (from 1, over all topics) or a time
since the first one (``2.5s``); COUNT a number of messages or, where the fault lasts, seconds (``x3s``).
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import BadInputError

LASTING = ("silence", "refuse_connections", "slow")
"""These last ``count`` seconds; ``silence`` ends earlier for a client that subscribes again."""
KINDS = {
    "drop": "COUNT book messages are never sent (with topic=: messages of that topic)",
    "duplicate": "COUNT book messages are sent twice",
    "reorder": "COUNT book messages of one topic (at least 2) are sent in reversed order",
    "half_frame": "half of a frame, then the connection is cut",
    "silence": "one topic (topic=, else the first book) says nothing for COUNT seconds",
    "restart": "the service restarts: the next book message is a snapshot with u = 1 (Bybit)",
    "midstream_snapshot": "COUNT book messages come as snapshots of the whole book (Bybit)",
    "abrupt_close": "every connection is reset without a word",
    "refuse_connections": "connections are reset and new ones answered 503 for COUNT seconds",
    "slow": "nothing is sent for COUNT seconds, then everything at once",
    "malformed": "COUNT book messages are sent with broken JSON",
    "wrong_symbol": "COUNT book messages are sent under the name of another market",
    "clock_step": "the exchange's clock moves by ms= milliseconds",
}
PER_MESSAGE = ("drop", "duplicate", "reorder", "malformed", "wrong_symbol", "half_frame", "restart")
_TEXT = re.compile(
    r"(?P<kind>[a-z_]+)@(?P<at>\d+(?:\.\d+)?)(?P<s>s?)(?:x(?P<count>\d+(?:\.\d+)?)s?)?(?P<more>(?:,.+)?)\Z"
)


@dataclass(frozen=True)
class Fault:
    """One scripted fault. ``at``: the number of a message, or seconds since the first one where ``timed``.

    ``count``: messages, or seconds for a kind of ``LASTING``. ``topic``: "" is any book. ``ms``: of a clock step.
    """

    at: float
    kind: str
    count: float = 1
    topic: str = ""
    ms: int = 0
    timed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInputError(f"fault {self.kind!r} is unknown: expected one of {', '.join(KINDS)}")
        if self.at < 0 or self.count <= 0 or (self.kind not in LASTING and self.count != int(self.count)):
            raise BadInputError(f"fault {self.kind}@{self.at:g}x{self.count:g}: expected AT >= 0 and a COUNT above 0")
        if self.kind == "clock_step" and not self.ms:
            raise BadInputError("fault clock_step: say by how much, for example clock_step@1000,ms=-2500")


def parse_fault(text: str) -> Fault:
    """Return the fault that ``drop@1000x3`` or ``silence@2.5sx4,topic=orderbook.200.BTCUSDT`` names.

    Raises ``BadInputError`` when it names none.
    """
    found = _TEXT.match(text)
    more = dict(part.partition("=")[::2] for part in found["more"].split(",")[1:]) if found else {}
    if found is None or set(more) - {"topic", "ms"} or not re.match(r"-?\d*\Z", more.get("ms", "")):
        raise BadInputError(
            f"fault {text!r} is not understood: expected KIND@AT[xCOUNT][,topic=TOPIC][,ms=N], for example drop@1000x3"
        )
    return Fault(
        at=float(found["at"]),
        kind=found["kind"],
        count=float(found["count"] or 1),
        topic=more.get("topic", ""),
        ms=int(more.get("ms") or 0),
        timed=found["s"] == "s",
    )


def read_script(path: Path) -> list[Fault]:
    """Return the faults of a JSON file: a list of ``drop@1000x3`` texts or of objects with ``Fault``'s fields.

    Raises ``BadInputError`` when it is none.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))
        return [parse_fault(e) if isinstance(e, str) else Fault(**e) for e in entries]
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror}): give a JSON list of faults") from error
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{path} is no list of faults ({error}): expected for example [\"drop@1000x3\"]") from error


def to_json(faults: list[Fault]) -> list[dict[str, Any]]:
    """Return the script as plain JSON types, as ``read_script`` reads it."""
    return [asdict(fault) for fault in faults]


def random_script(
    seed: int, seconds: float, *, first_s: float = 3.0, every_s: float = 4.0, topics: tuple[str, ...] = ("",)
) -> list[Fault]:
    """Return every kind of fault again and again, in random order, one each ``every_s`` seconds give or take a third.

    The gaps leave a client time to come back, so that each fault meets a stream that runs. ``topics``: of the books
    that may fall silent. Same arguments, same script.
    """
    chance = random.Random(seed)  # noqa: S311 - a script to repeat, not a secret
    faults: list[Fault] = []
    waiting: list[str] = []
    at = first_s
    while at < seconds:
        waiting = waiting or chance.sample(sorted(KINDS), len(KINDS))
        kind = waiting.pop()
        count = float(chance.randint(1, 5))
        if kind == "reorder":
            count = float(chance.randint(2, 5))
        elif kind in LASTING:
            count = round(chance.uniform(0.3, 1.5), 2)
        ms = chance.choice((-2500, -40, 40, 2500)) if kind == "clock_step" else 0
        topic = chance.choice(topics) if kind == "silence" else ""
        faults.append(Fault(round(at, 3), kind, count, topic, ms, timed=True))
        at += every_s * chance.uniform(2 / 3, 4 / 3)
    return faults

"""What a part of the certificate is shown of a replay, and what it says in the end."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from lob_pipeline.book.advance import M_ASK, M_BID, M_VERDICT, Events
from lob_pipeline.book.sequence import FOLLOWS, REPLACES
from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.outcome import CheckOutcome


class Seen(NamedTuple):
    """A chunk of messages after it was replayed: level rows, where messages begin, verdicts and touch, ``seq``."""

    events: Events
    starts: Int64Array
    marks: Int64Array
    seq: Int64Array

    @property
    def first(self) -> Int64Array:
        """Return the first level row of each message."""
        return self.starts[:-1]

    @property
    def verdict(self) -> Int64Array:
        """Return what became of each message (``sequence``)."""
        return self.marks[:, M_VERDICT]

    @property
    def applied(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which messages changed the book."""
        return np.isin(self.verdict, (FOLLOWS, REPLACES))

    @property
    def touch(self) -> Int64Array:
        """Return best bid and best ask after each message, int64 (messages, 2), -1 where there is none."""
        return self.marks[:, [M_BID, M_ASK]]


class Witness(Protocol):
    """A part of the certificate: sees chunks, then gives checks and facts."""

    def chunk(self, seen: Seen) -> None:
        """Look at the next messages."""

    def outcomes(self) -> list[CheckOutcome]:
        """Return the checks, each once, also where there was nothing to judge."""

    def facts(self) -> dict[str, Any]:
        """Return the keys that the certificate gets."""

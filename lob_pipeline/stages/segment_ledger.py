"""A day's segments held against the recorder's ledger: what it says was recorded is what the day is built from.

A day that begins late, or whose first segment holds other bytes than were written, keeps every law of a book. Only who
wrote it down knows better, and its ledger is a chain of hashes that is not rewritten with the files.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from lob_pipeline.capture.ledger import closed_segments, segment_ledger
from lob_pipeline.capture.segments import segments_root
from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.lake import chain
from lob_pipeline.lake.home import Home
from lob_pipeline.stages.ingest_sources import Registered
from lob_pipeline.stages.segments import segment_days

NAME = "segment_ledger_match"
_SHOWN = 3


def segment_ledger_match(home: Home, market: Market, date: str, known: Registered) -> list[CheckOutcome]:
    """Return the gate ``segment_ledger_match`` of a day; none where no segment is among its sources or none is listed.

    ``known``: what is registered, this call's files included. Refused: a segment that the home's ledger lists for the
    day was never registered and is gone or of another size, or its name came with other bytes; a ledger whose chain is
    broken. Segments that lie where they were written and merely wait keep the day unjudged: it is not whole yet. One
    without a message of any topic is not waited for.
    """
    own = [s for s in known.sources if s.segment and s.market == str(market)]
    if not any(s.segment for s in known.of_day(market, date)):
        return []
    try:
        lines = [line for line in _closed(home) if line["market"] == str(market) and line["lane"] == "main"]
    except LobError as error:
        return [judge(NAME, False, examined=0, judged=0, message=str(error))]
    paths = {line["path"] for line in lines if date in segment_days(line)}
    here = [line for line in lines if line["path"] in paths]  # a path that was written twice lost what it held first
    given, names = {s.sha256 for s in own}, {s.name for s in own}
    faults, waiting = [], 0
    for line in here:
        if line["content_sha256"] not in given:
            fault = _fault(segments_root(home) / line["path"], line, names)
            faults += [f"{line['path']} {fault}"] if fault else []
            waiting += not fault and bool(line["topics"])  # a connection's own talk alone has no rows to wait for
    if not here:
        return []
    text = (
        f"{len(faults)} of {len(here)} segments that the recorder's ledger lists are not what it wrote: "
        + "; ".join(faults[:_SHOWN])
        + ": put them back and ingest them with --replace"
        if faults
        else f"{waiting} of {len(here)} segments of the day wait to be ingested"
        if waiting
        else ""
    )
    facts = {"listed": len(here), "waiting": waiting, "not_as_listed": len(faults)}
    judged = len(here) - waiting
    return [judge(NAME, not faults, examined=len(here), judged=judged, minimum=len(here), message=text, facts=facts)]


def _fault(path: Path, line: dict[str, Any], names: set[str]) -> str:
    """Return what is wrong with a listed segment that was never registered, empty when it may merely wait."""
    if path.name in names:
        return f"came with other bytes than the {line['bytes']:,} that were recorded"
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "is gone"
    return "" if size == line["bytes"] else f"has {size:,} bytes, {line['bytes']:,} were recorded"


def _closed(home: Home) -> tuple[dict[str, Any], ...]:
    """Return the ``closed`` lines of segments that were not removed since; the chain is verified once a state."""
    path = segment_ledger(home)
    try:
        state = path.stat()
    except FileNotFoundError:
        return ()
    return _verified(path, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=4)
def _verified(path: Path, *_state: int) -> tuple[dict[str, Any], ...]:
    return tuple(closed_segments(list(chain.verify(path).records)))

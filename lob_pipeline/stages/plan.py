"""What is absent, stale, fresh, refused or blocked: read from the manifests, by content hash and code fingerprint.

A partition follows its sources transitively: what will be rebuilt makes what reads it stale, until the rebuilt
partition turns out to have the same content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.markets import instrument
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.core.units import parse_date, shift_date
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import ABSENT, Manifest, read_manifest
from lob_pipeline.lake.paths import PartitionKey, key_of_path, list_partitions
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.stages.days import event_inputs, ledger_days
from lob_pipeline.stages.layers import LAYERS, RAW, Layer, layer_of

State = Literal["fresh", "stale", "absent", "refused", "blocked"]


@dataclass(frozen=True)
class PlanStep:
    """One partition and what is to be done with it.

    ``stale`` and ``absent`` are to be built; ``refused`` was refused from these very inputs by this very code;
    ``blocked`` cannot be built because of ``why``. ``certain`` is false while a source is itself to be built.
    """

    table: str
    market: Market
    date: str
    clock: str | None
    state: State
    why: str = ""
    rows: int = 0
    certain: bool = True

    @property
    def todo(self) -> bool:
        """Whether the partition is to be built."""
        return self.state in ("stale", "absent")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**self.__dict__, "market": str(self.market)}


def default_clock(market: Market) -> str:
    """Return the clock of a market's partitions (``markets.toml``), also where that knows no tick and lot of it."""
    return instrument(market, tick="1", lot="1").clock


def known_days(home: Home) -> list[tuple[Market, str]]:
    """Return every (market, day) with a registered source, or with events in the lake or in quarantine, sorted."""
    found = set(ledger_days(home))
    found |= {(key.market, key.date) for key in list_partitions(home, "l2_events")}
    refused = home.quarantine / "l2_events"
    if refused.is_dir():
        for path in refused.rglob("part-0.parquet"):
            key = key_of_path(path, home.quarantine)
            if key is not None:
                found.add((key.market, key.date))
    return sorted(found, key=lambda pair: (str(pair[0]), pair[1]))


def source_versions(home: Home) -> dict[tuple[Market, str], str]:
    """Return, for every (market, day) of the raw ledger, one hash over the sources registered for it."""
    found = {}
    for market, date in ledger_days(home):
        text = json.dumps(event_inputs(home, market, date), sort_keys=True)
        found[market, date] = hashlib.sha256(text.encode()).hexdigest()
    return found


def choose_days(
    home: Home, market: Market | None = None, first: str | None = None, last: str | None = None
) -> list[tuple[Market, str]]:
    """Return the known days of ``market`` (all markets when None) in ``first``..``last``.

    Raises ``BadInputError`` when there is none, saying what is known.
    """
    known = known_days(home)
    for day in (first, last):
        if day is not None:
            parse_date(day)
    chosen = [
        (m, d)
        for m, d in known
        if market in (None, m) and (first is None or d >= first) and (last is None or d <= last)
    ]
    if chosen or (not known and market is None):
        return chosen
    days = [d for m, d in known if market in (None, m)]
    there = f"known are {len(days)} days from {days[0]} to {days[-1]}" if days else "none is known"
    raise BadInputError(
        f"{home.root} has no recorded day of {market or 'any market'} in the range asked for: {there}; "
        "run `lob ingest MARKET PATH...` first"
    )


def plan(
    home: Home, days: Iterable[tuple[Market, str]], given_up: Iterable[tuple[str, Market, str]] = ()
) -> list[PlanStep]:
    """Return the steps of these (market, day)s at each market's default clock, layer by layer, days ascending.

    ``given_up``: (table, market, day) that could not be built; nothing optional waits for them.
    """
    return Planner(home, given_up).steps(sorted(set(days), key=lambda pair: (str(pair[0]), pair[1])))


class Planner:
    """Judges partitions of one home; every footer is read once."""

    def __init__(self, home: Home, given_up: Iterable[tuple[str, Market, str]] = ()) -> None:
        self._home = home
        self._given_up = set(given_up)
        self._manifests: dict[PartitionKey, Manifest | None] = {}
        self._judged: dict[PartitionKey, PlanStep] = {}
        self._days: set[tuple[Market, str]] = set()

    def steps(self, days: list[tuple[Market, str]]) -> list[PlanStep]:
        """Return the steps of ``days`` (sorted)."""
        self._days = set(days)
        found = []
        for layer in LAYERS:
            for market, date in days:
                clock = default_clock(market) if layer.clocked else None
                found += [self.judge(PartitionKey(table, market, date, clock)) for table in layer.tables]
        return found

    def judge(self, key: PartitionKey) -> PlanStep:
        """Return the state of one partition."""
        if key not in self._judged:
            state, why, certain = self._state(key)
            manifest = self.manifest(key)
            rows = manifest.rows if manifest else 0
            self._judged[key] = PlanStep(key.table, key.market, key.date, key.clock, state, why, rows, certain)
        return self._judged[key]

    def manifest(self, key: PartitionKey) -> Manifest | None:
        """Return the manifest of the standing partition, else of its newest refusal."""
        if key not in self._manifests:
            self._manifests[key] = _read(key.path(self._home), key)
            if self._manifests[key] is None:
                refused = newest_refusal(self._home, key)
                self._manifests[key] = _read(refused, key) if refused else None
        return self._manifests[key]

    def _content(self, key: PartitionKey) -> str:
        manifest = self.manifest(key)
        return manifest.content_sha256 if manifest is not None and manifest.usable else ABSENT

    def _state(self, key: PartitionKey) -> tuple[State, str, bool]:
        layer = layer_of(key.table)
        blocked = self._blocked(key, layer)
        if blocked:
            return "blocked", blocked, True
        manifest = self.manifest(key)
        waits = self._waits(key, layer)
        # Days of one layer are built in ascending order, so a source of the same layer needs no waiting for.
        ready = all(source in layer.tables for source, _ in waits)
        if manifest is None:
            return "absent", "", ready
        why = self._changed(key, layer, manifest)
        if why:
            return "stale", why, ready
        if waits:
            return "stale", "follows " + ", ".join(f"{table} of {date}" for table, date in waits), False
        return ("fresh", "", True) if manifest.usable else ("refused", manifest.refusal, True)

    def _blocked(self, key: PartitionKey, layer: Layer) -> str:
        if layer is RAW:
            standing = self.manifest(key)
            registered = event_inputs(self._home, key.market, key.date)
            return "" if standing or registered else "no source is registered: run `lob ingest`"
        for source in layer.sources:
            if source.required:
                step = self.judge(self._source_key(key, source.table, source.days_back))
                if step.state in ("refused", "blocked"):
                    return f"{step.table} of {step.date} is {step.state}" + (f" ({step.why})" if step.why else "")
        return ""

    def _changed(self, key: PartitionKey, layer: Layer, manifest: Manifest) -> str:
        """Return what differs between the manifest and today's code and inputs, '' when nothing does."""
        fingerprint = code_fingerprint(layer.stage, self._instrument(key))
        now = self._inputs_now(key, layer, manifest)
        if manifest.fresh(fingerprint, now):
            return ""
        names = sorted(
            name for name in {*now, *manifest.inputs} if now.get(name, ABSENT) != manifest.inputs.get(name, ABSENT)
        )
        return f"changed: {', '.join(names[:3])}" if names else "code changed"

    def _inputs_now(self, key: PartitionKey, layer: Layer, manifest: Manifest) -> dict[str, str]:
        """Return today's hash of every input that the manifest recorded (raw: of those the ledger lists)."""
        if layer is RAW:
            return event_inputs(self._home, key.market, key.date) or manifest.inputs
        now = {}
        for name in manifest.inputs:
            table, _, date = name.partition("/")
            now[name] = self._content(PartitionKey(table, key.market, date, self._clock(table, key)))
        return now

    def _waits(self, key: PartitionKey, layer: Layer) -> list[tuple[str, str]]:
        """Return the (table, day) of the sources that are themselves to be built."""
        found = []
        for source in layer.sources:
            p = self._source_key(key, source.table, source.days_back)
            dropped = not source.required and (p.table, p.market, p.date) in self._given_up
            if not dropped and (p.market, p.date) in self._days and self.judge(p).todo:
                found.append((p.table, p.date))
        return found

    def _source_key(self, key: PartitionKey, table: str, days_back: int) -> PartitionKey:
        return PartitionKey(table, key.market, shift_date(key.date, -days_back), self._clock(table, key))

    def _clock(self, table: str, key: PartitionKey) -> str | None:
        return (key.clock or default_clock(key.market)) if layer_of(table).clocked else None

    def _instrument(self, key: PartitionKey) -> Instrument:
        return partition_instrument(self._home, key.market, key.date)


def recorded_outcomes(home: Home, table: str, market: Market, date: str) -> tuple[CheckOutcome, ...]:
    """Return the gate outcomes of the standing partition, else of its newest refusal; none where there is neither."""
    clock = default_clock(market) if layer_of(table).clocked else None
    manifest = Planner(home).manifest(PartitionKey(table, market, date, clock))
    return manifest.outcomes if manifest else ()


def status(home: Home) -> dict[str, Any]:
    """Return what is in the lake and what is to be done, of every clock that was built (``lob status``)."""
    planner = Planner(home)
    days = known_days(home)
    steps = {(s.table, s.market, s.date, s.clock): s for s in planner.steps(days)}
    for key in list_partitions(home):
        if key.table in {t for layer in LAYERS for t in layer.tables}:
            steps.setdefault((key.table, key.market, key.date, key.clock), planner.judge(key))
    return {"home": str(home.root), "partitions": [s.to_json() for s in steps.values()]}


def _read(path: Path, key: PartitionKey) -> Manifest | None:
    """Return the manifest of the partition in ``path``; a damaged file or one of another partition holds none."""
    try:
        manifest = read_manifest(path)
    except (FileNotFoundError, RefusedError):
        return None
    return manifest if manifest.is_of(key) else None

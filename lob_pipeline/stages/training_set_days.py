"""Which days may be trained on, and why each of the others may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import Manifest
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.lake.reader import content_or_absent, read_manifest

NO_PROFILE = "none"
READ = ("features", "labels", "book_snapshots")
"""The partitions that a training set reads, each with the gates that must have passed on it."""


@dataclass(frozen=True)
class UsedDay:
    """A day of the set and the content hashes of what is read of it."""

    date: str
    features_sha256: str
    labels_sha256: str
    books_sha256: str
    profiled: bool

    def sha256(self, table: str) -> str:
        """Return the content hash of ``features``, ``labels`` or ``book_snapshots``."""
        return {"features": self.features_sha256, "labels": self.labels_sha256, "book_snapshots": self.books_sha256}[
            table
        ]


@dataclass(frozen=True)
class LeftOutDay:
    """A day of the window that is not used, and why."""

    date: str
    reason: str


class DayJudge:
    """Judges the days of one home, market and clock; every footer is read once."""

    def __init__(self, home: Home, market: Market, clock_id: str) -> None:
        self._home, self._market, self._clock_id = home, market, clock_id
        self._content: dict[PartitionKey, str] = {}

    def judge(self, date: str) -> tuple[UsedDay, dict[str, Any]] | LeftOutDay:
        """Return the day with its settings, or why it cannot be trained on."""
        manifests: dict[str, Manifest] = {}
        for table in READ:
            key = PartitionKey(table, self._market, date, self._clock_id)
            found = self._manifest(key)
            reason = found if isinstance(found, str) else self._not_trainable(table, found)
            if reason or isinstance(found, str):
                return LeftOutDay(date, reason)
            manifests[table] = found
        profile = self._manifest(PartitionKey("seasonal_profile", self._market, date, self._clock_id))
        if isinstance(profile, Manifest):
            manifests["seasonal_profile"] = profile
        for table, manifest in manifests.items():
            reason = self._other_inputs(table, manifest)
            if reason:
                return LeftOutDay(date, reason)
        profiled = manifests["features"].extra.get("profile_version", NO_PROFILE) != NO_PROFILE
        features, labels, books = (manifests[table].content_sha256 for table in READ)
        return UsedDay(date, features, labels, books, profiled), self._settings(date, manifests)

    def _manifest(self, key: PartitionKey) -> Manifest | str:
        """Return the manifest of the standing partition, or why there is none to use."""
        try:
            manifest = read_manifest(key.path(self._home))
        except FileNotFoundError:
            refused = newest_refusal(self._home, key)
            return f"{key.table} refused: {read_manifest(refused).refusal}" if refused else f"{key.table} absent"
        except RefusedError as error:
            return f"{key.table} damaged: {error}"
        return manifest if manifest.is_of(key) else f"{key.table} is the file of another partition"

    def _not_trainable(self, table: str, manifest: Manifest) -> str:
        """Return which gate keeps a partition from being trained on, '' when none does."""
        if not manifest.usable:
            return f"{table} refused: {manifest.refusal}"
        if table == "book_snapshots" and manifest.certificate is None:
            return f"{table} carries no certificate: rebuild it"
        gates = {o.name: o for o in manifest.gates}
        unjudged = [o for o in gates.values() if o.status != "passed"]
        if unjudged:
            said = "; ".join(f"{o.name}: {o.message or f'{o.rows_judged} rows could be judged'}" for o in unjudged)
            return f"{table} not judged: {said}"
        return ""

    def _other_inputs(self, table: str, manifest: Manifest) -> str:
        """Return which recorded input is no longer what the lake holds, '' when all are."""
        for name, recorded in sorted(manifest.inputs.items()):
            source, _, date = name.partition("/")
            clocked = source in ("book_snapshots", "features", "labels", "seasonal_profile")
            key = PartitionKey(source, self._market, date, self._clock_id if clocked else None)
            if key not in self._content:
                self._content[key] = content_or_absent(self._home, key)
            if self._content[key] != recorded:
                return f"{table} other inputs: built from another {source} of {date} than the lake holds now"
        return ""

    def _settings(self, date: str, manifests: dict[str, Manifest]) -> dict[str, Any]:
        """Return what must not differ between the days of a set."""
        events = self._manifest(PartitionKey("l2_events", self._market, date))
        extra = {} if isinstance(events, str) else events.extra
        found: dict[str, Any] = {"l2_events tick and lot": [extra.get("tick"), extra.get("lot")]}
        found["features registry_sha256"] = manifests["features"].extra.get("registry_sha256")
        fees = dict(manifests["labels"].extra.get("fees_bps") or {})
        fees.pop("as_of", None)
        found["labels fees_bps"] = fees
        found["labels config"] = manifests["labels"].extra.get("config")
        return found


def choose_days(
    judged: list[tuple[UsedDay, dict[str, Any]] | LeftOutDay], minimum_days: int
) -> tuple[list[UsedDay], list[LeftOutDay]]:
    """Return (days used, days left out), both ascending, of the judged days of a window (ascending).

    All days of a set have the settings of the newest. Profiled days alone are used once there are ``minimum_days`` of
    them and no fewer than unprofiled ones, else unprofiled days alone (METHODS.md, Features).
    """
    left = [day for day in judged if isinstance(day, LeftOutDay)]
    usable = [day for day in judged if not isinstance(day, LeftOutDay)]
    same: list[UsedDay] = []
    for day, settings in usable:
        differs = [name for name, value in settings.items() if value != usable[-1][1][name]]
        if differs:
            left.append(LeftOutDay(day.date, f"other settings than {usable[-1][0].date}: {', '.join(differs)}"))
        else:
            same.append(day)
    profiled = sum(day.profiled for day in same)
    wanted = profiled >= max(minimum_days, len(same) - profiled, 1)
    for day in same:
        if day.profiled != wanted:
            word = "unprofiled, and enough profiled days are there" if wanted else "profiled, and too few such days"
            left.append(LeftOutDay(day.date, f"profile rule: {word}"))
    used = [day for day in same if day.profiled == wanted]
    return used, sorted(left, key=lambda day: day.date)

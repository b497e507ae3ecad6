"""The release ledger, HOME/ledgers/releases.jsonl: what was registered, promoted and rolled back, and why.

Append-only and hash-chained (``lake.chain``). It is the truth; MLflow's aliases are a cache repaired from it. Versions
count up per model, champion and challenger exist once a market: two markets do not push each other out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lob_pipeline.core.errors import BadInputError, LobError
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake import chain
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.locks import WriterLock

CHAMPION, CHALLENGER = "champion", "challenger"
ALIASES = (CHAMPION, CHALLENGER)
REGISTERED: Final = "registered"
PROMOTED: Final = "promoted"
ROLLED_BACK: Final = "rolled_back"
_FIELDS = ("version", "semver", "clock", "as_of", "verdict", "bundle_sha256", "at", "mlflow_run_id", "dagster_run_id")


@dataclass(frozen=True)
class Release:
    """One registered bundle, as its line of the ledger says. ``path`` is where the home keeps it."""

    name: str
    version: int
    semver: str
    market: str
    clock: str
    as_of: str
    verdict: str
    bundle_sha256: str
    at: str
    path: Path
    mlflow_run_id: str | None = None
    dagster_run_id: str | None = None
    outcomes: tuple[CheckOutcome, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def sha12(self) -> str:
        """Return the first twelve hex digits of the bundle's SHA-256."""
        return self.bundle_sha256[:12]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        outcomes = [outcome.to_json() for outcome in self.outcomes]
        return {
            **self.__dict__,
            "path": str(self.path),
            "bundle_sha12": self.sha12,
            "outcomes": outcomes,
            "aliases": list(self.aliases),
        }


@dataclass(frozen=True)
class Releases:
    """The ledger read as a whole. ``champions``: by (name, market), the SHA-256s of the champions, the present last."""

    releases: tuple[Release, ...]
    champions: dict[tuple[str, str], tuple[str, ...]]
    events: tuple[dict[str, Any], ...] = field(repr=False)

    def with_bundle(self, sha256: str) -> Release | None:
        """Return the release of a bundle, None when it was never registered."""
        return next((r for r in self.releases if r.bundle_sha256 == sha256), None)

    def newest(self, name: str, market: str) -> Release | None:
        """Return the release of a market that was registered last."""
        return next((r for r in reversed(self.releases) if (r.name, r.market) == (name, market)), None)

    def current(self, alias: str, market: str | None = None, name: str | None = None) -> Release | None:
        """Return who carries ``alias``; without ``market`` the one that was given it last, over all markets."""
        if alias not in ALIASES:
            raise BadInputError(f"alias {alias!r} is unknown: expected {' or '.join(ALIASES)}")
        for event in reversed(self.events):
            if event["market"] != (market or event["market"]) or event["name"] != (name or event["name"]):
                continue
            for release in self.releases:
                if release.market == event["market"] and release.name == event["name"] and alias in release.aliases:
                    return release
        return None

    def previous_champion(self, name: str, market: str) -> Release | None:
        """Return whom a rollback makes champion again, None when there was no other."""
        stack = self.champions.get((name, market), ())
        return self.with_bundle(stack[-2]) if len(stack) > 1 else None


def releases_ledger(home: Home) -> Path:
    """Return the ledger's file."""
    return home.ledgers / "releases.jsonl"


def bundles_folder(home: Home) -> Path:
    """Return the folder of the registered bundles."""
    return home.root / "bundles"


def read_releases(home: Home) -> Releases:
    """Return what the ledger says; nothing where it does not exist.

    Raises ``LobError`` naming the line that is broken, changed or speaks of a bundle that was never registered.
    """
    path = releases_ledger(home)
    records = chain.verify(path).records
    found: list[dict[str, Any]] = []
    champions: dict[tuple[str, str], tuple[str, ...]] = {}
    challengers: dict[tuple[str, str], str] = {}
    for number, record in enumerate(records, start=1):
        try:
            _apply(record, found, champions, challengers)
        except (KeyError, TypeError, ValueError) as error:
            raise LobError(
                f"{path} line {number} is no release event of this version ({error!r}): restore the ledger from a copy"
            ) from error
    releases = tuple(_release(home, record, champions, challengers) for record in found)
    return Releases(releases, champions, records)


def _apply(
    record: dict[str, Any],
    found: list[dict[str, Any]],
    champions: dict[tuple[str, str], tuple[str, ...]],
    challengers: dict[tuple[str, str], str],
) -> None:
    line = (record["name"], record["market"])
    known = {r["bundle_sha256"] for r in found if (r["name"], r["market"]) == line}
    stack = champions.get(line, ())
    if record["event"] == REGISTERED:
        missing = [key for key in _FIELDS if key not in record]
        if missing:
            raise KeyError(missing[0])
        if record["version"] in {r["version"] for r in found if r["name"] == record["name"]}:
            raise ValueError(f"version {record['version']} exists already")
        if record["bundle_sha256"] in known:
            raise ValueError(f"bundle {record['bundle_sha256'][:12]} is registered already")
        found.append(record)
        challengers[line] = record["bundle_sha256"]
        return
    if record["from"] != (stack[-1] if stack else None) or record["to"] not in known:
        raise ValueError("from or to is not what the lines before it say")
    if record["event"] == PROMOTED:
        champions[line] = (*stack, record["to"])
        if challengers.get(line) == record["to"]:
            del challengers[line]
    elif record["event"] == ROLLED_BACK:
        if stack[-2:-1] != (record["to"],):
            raise ValueError("it does not go back to the champion before")
        champions[line] = stack[:-1]
    else:
        raise ValueError(f"event {record['event']!r}")


def _release(
    home: Home,
    record: dict[str, Any],
    champions: dict[tuple[str, str], tuple[str, ...]],
    challengers: dict[tuple[str, str], str],
) -> Release:
    line, sha = (record["name"], record["market"]), record["bundle_sha256"]
    aliases = []
    if champions.get(line, ("",))[-1] == sha:
        aliases.append(CHAMPION)
    if challengers.get(line) == sha:
        aliases.append(CHALLENGER)
    return Release(
        name=record["name"],
        version=int(record["version"]),
        semver=record["semver"],
        market=record["market"],
        clock=record["clock"],
        as_of=record["as_of"],
        verdict=record["verdict"],
        bundle_sha256=sha,
        at=record["at"],
        path=bundles_folder(home) / sha[:12],
        mlflow_run_id=record["mlflow_run_id"],
        dagster_run_id=record["dagster_run_id"],
        outcomes=tuple(CheckOutcome.from_json(o) for o in record["outcomes"]),
        aliases=tuple(aliases),
    )


def current(home: Home, alias: str, market: str | None = None) -> Release | None:
    """Return who is ``champion`` or ``challenger`` (of a market, else the newest of all), None when nobody is."""
    return read_releases(home).current(alias, market)


def releasing(home: Home) -> WriterLock:
    """Return the lock under which one process registers, promotes or rolls back at a time."""
    return WriterLock(home, "releases", "the release ledger")


def record_registered(
    home: Home, info: dict[str, Any], sha256: str, version: int, why: str, outcomes: Iterable[CheckOutcome], **runs: Any
) -> Release:
    """Write that a bundle was registered as challenger. ``runs``: ``mlflow_run_id``, ``dagster_run_id``."""
    record = {
        "event": REGISTERED,
        "name": info["name"],
        "market": info["market"],
        "clock": info["clock"],
        "as_of": info["data"]["as_of"],
        "version": version,
        "semver": info["semver"],
        "bundle_sha256": sha256,
        "verdict": info["evaluation"]["verdict"],
        "mlflow_run_id": runs.get("mlflow_run_id"),
        "dagster_run_id": runs.get("dagster_run_id"),
    }
    _append(home, record, why, outcomes)
    release = read_releases(home).with_bundle(sha256)
    if release is None:
        raise LobError(f"the release ledger of {home.root} lost the line just written: restore it from a copy")
    return release


def record_promoted(
    home: Home, old: Release | None, new: Release, why: str, outcomes: Iterable[CheckOutcome], kind: str
) -> None:
    """Write that ``new`` is champion instead of ``old``. ``kind``: ``recipe`` or ``refresh``."""
    _append(home, {**_swap(PROMOTED, old, new), "kind": kind}, why, outcomes)


def record_rolled_back(home: Home, old: Release, new: Release, why: str, outcomes: Iterable[CheckOutcome]) -> None:
    """Write that ``new`` is champion again and ``old`` no longer."""
    _append(home, _swap(ROLLED_BACK, old, new), why, outcomes)


def _swap(event: str, old: Release | None, new: Release) -> dict[str, Any]:
    return {
        "event": event,
        "name": new.name,
        "market": new.market,
        "from": old.bundle_sha256 if old else None,
        "to": new.bundle_sha256,
        "from_semver": old.semver if old else None,
        "to_semver": new.semver,
    }


def _append(home: Home, record: dict[str, Any], why: str, outcomes: Iterable[CheckOutcome]) -> None:
    if not why.strip():
        raise BadInputError("a release needs a reason: say it with --why \"…\"; it is written into the ledger")
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    chain.append(releases_ledger(home), {**record, "why": why, "at": at, "outcomes": [o.to_json() for o in outcomes]})

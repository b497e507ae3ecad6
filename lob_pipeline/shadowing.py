"""What the sensors ask of the registry: which day champion and challenger have not seen, and who waits for promotion.

Answers come from the release ledger, footers and small documents, in milliseconds; nothing here imports dagster.
"""

from __future__ import annotations

from dataclasses import dataclass

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import read_manifest
from lob_pipeline.lake.paths import PART, PartitionKey
from lob_pipeline.registry.releases import CHALLENGER, CHAMPION, Release, Releases, read_releases

LOOK_BACK = 7  # partitions whose footer is read in search of a usable one


@dataclass(frozen=True)
class Unscored:
    """The newest usable day of a market's features, and the releases that have not predicted it."""

    market: Market
    date: str
    releases: tuple[Release, ...]

    @property
    def name(self) -> str:
        """Return what is to be scored, as one word: the day and the bundles."""
        return f"{self.date}|{self.market}|{'+'.join(r.sha12 for r in self.releases)}"


@dataclass(frozen=True)
class Candidate:
    """A challenger and the champion it would follow (None: the first)."""

    challenger: Release
    champion: Release | None


def unscored(home: Home) -> list[Unscored]:
    """Return, for each market with a champion or challenger, its newest usable day where one has not predicted it."""
    found = []
    for market, releases in sorted(_by_market(read_releases(home)).items()):
        name = parse_market(market)
        day = newest_usable(home, name, releases[0].clock)
        missing = tuple(r for r in releases if day and not _scored(home, name, day, r))
        if day and missing:
            found.append(Unscored(name, day, missing))
    return found


def newest_usable(home: Home, market: Market, clock: str) -> str | None:
    """Return the newest day whose features are usable; None where none of the newest few is."""
    folder = home.lake / PartitionKey("features", market, "2000-01-01", clock).folder.parent
    days = sorted((p.parent.name.removeprefix("date=") for p in folder.glob(f"date=*/{PART}")), reverse=True)
    for day in days[:LOOK_BACK]:
        key = PartitionKey("features", market, day, clock)
        try:
            manifest = read_manifest(key.path(home))
        except (FileNotFoundError, RefusedError):
            continue  # replaced meanwhile, or damaged: the day before is asked
        if manifest.usable and manifest.is_of(key):
            return day
    return None


def candidates(home: Home) -> list[Candidate]:
    """Return every market's challenger beside its champion."""
    found = []
    for _, releases in sorted(_by_market(read_releases(home)).items()):
        by_alias = {alias: r for r in releases for alias in r.aliases}
        if CHALLENGER in by_alias:
            found.append(Candidate(by_alias[CHALLENGER], by_alias.get(CHAMPION)))
    return found


def _by_market(known: Releases) -> dict[str, list[Release]]:
    found: dict[str, list[Release]] = {}
    for release in known.releases:
        if release.aliases:
            found.setdefault(release.market, []).append(release)
    return found


def _scored(home: Home, market: Market, day: str, release: Release) -> bool:
    key = PartitionKey("predictions", market, day, release.clock, bundle=release.sha12, origin="batch")
    return key.path(home).exists()

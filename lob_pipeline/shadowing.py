"""What the sensors ask of the registry: which day champion and challenger have not seen, and who waits for promotion.

Answers come from the release ledger, footers and small documents, in milliseconds; nothing here imports dagster.
"""

from __future__ import annotations

from dataclasses import dataclass

from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import ABSENT, read_manifest
from lob_pipeline.lake.paths import PART, PartitionKey
from lob_pipeline.lake.reader import content_or_absent
from lob_pipeline.registry.promotion import readiness
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
    """A challenger, the champion it would follow (None: the first), and what the ledger says of promoting it."""

    challenger: Release
    champion: Release | None
    outcomes: tuple[CheckOutcome, ...]

    @property
    def sentence(self) -> str:
        """Return who waits, and what stands in the way by the ledger alone."""
        new, old = self.challenger, self.champion
        beside = f"{old.semver} is champion" if old else "there is no champion"
        against = [o.message or o.name for o in self.outcomes if o.status != "passed"]
        said = f"{new.name} {new.semver} of {new.market} (as of {new.as_of}, verdict {new.verdict}) waits, {beside}"
        return f"{said}; against it: {'; '.join(against)}" if against else f"{said}; `lob promote` judges it anew"


def unscored(home: Home) -> list[Unscored]:
    """Return, for each market with a champion or challenger, its newest usable day where one has not predicted it."""
    found = []
    for market, releases in sorted(_by_market(read_releases(home)).items()):
        name = parse_market(market)
        day = newest_usable(home, name, releases[0].clock)
        missing = tuple(r for r in releases if day and not scored(home, name, day, r))
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


def scored(home: Home, market: Market, date: str, release: Release) -> bool:
    """Whether a release has usable predictions of a day, made from the features that the lake holds now."""
    key = PartitionKey("predictions", market, date, release.clock, bundle=release.sha12, origin="batch")
    try:
        manifest = read_manifest(key.path(home))
    except (FileNotFoundError, RefusedError):
        return False
    now = content_or_absent(home, PartitionKey("features", market, date, release.clock))
    return manifest.usable and manifest.is_of(key) and manifest.inputs.get(f"features/{date}") == now != ABSENT


def candidates(home: Home) -> list[Candidate]:
    """Return every market's challenger beside its champion."""
    found = []
    for _, releases in sorted(_by_market(read_releases(home)).items()):
        by_alias = {alias: r for r in releases for alias in r.aliases}
        if CHALLENGER in by_alias:
            new, old = by_alias[CHALLENGER], by_alias.get(CHAMPION)
            found.append(Candidate(new, old, tuple(readiness(new, old))))
    return found


def _by_market(known: Releases) -> dict[str, list[Release]]:
    found: dict[str, list[Release]] = {}
    for release in known.releases:
        if release.aliases:
            found.setdefault(release.market, []).append(release)
    return found



"""Promote, roll back, list and repair: the commands that change who is champion, and the ledger that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lob_pipeline.core.errors import BadInputError, LobError, RefusedError
from lob_pipeline.core.outcome import CheckOutcome
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.bundle import Bundle, load_bundle
from lob_pipeline.registry.parity import judge_parity
from lob_pipeline.registry.promotion import (
    judge_calibration,
    judge_incumbent,
    judge_paired,
    judge_same_recipe,
    judge_verdict_gate,
    refusal,
)
from lob_pipeline.registry.releases import (
    CHAMPION,
    Release,
    read_releases,
    record_promoted,
    record_rolled_back,
    releases_ledger,
    releasing,
)
from lob_pipeline.registry.select import find_release, only_market
from lob_pipeline.registry.store import open_store
from lob_pipeline.stages.fresh_days import compare_on_fresh_days

Say = Callable[[str], None]


def models(home: Home) -> dict[str, Any]:
    """Return every registered bundle, oldest first, from the ledger alone."""
    releases = read_releases(home)
    return {"ledger": str(releases_ledger(home)), "models": [release.to_json() for release in releases.releases]}


def repair(home: Home, say: Say | None = None) -> dict[str, Any]:
    """Make MLflow's store what the ledger says: missing database, versions, tags, aliases; say each repair."""
    with releasing(home):
        releases = read_releases(home)
        store = open_store(home, releases, say, create=True)
        said = store.restore(releases, lambda r: load_bundle(r.path, r.bundle_sha256, any_code=True))
        return {"repaired": [*said, *store.sync_aliases(releases)]}


def promote(
    home: Home,
    model: str,
    why: str,
    *,
    market: str | None = None,
    refresh: bool = False,
    say: Say | None = None,
) -> dict[str, Any]:
    """Make ``model`` (``NAME@challenger``, ``NAME@VERSION``) champion of its market if every gate passes.

    ``refresh``: the same recipe as the champion's on newer data, judged against the champion instead of by a verdict.
    Raises ``RefusedError`` with the reasons where a gate did not pass, ``BadInputError`` for a model that does not
    exist or no reason, ``LobError`` where ledger or store is broken; nothing is changed then.
    """
    _need_reason(why)
    with releasing(home):
        releases = read_releases(home)
        new = find_release(releases, model, market)
        old = releases.current(CHAMPION, new.market, new.name)
        if CHAMPION in new.aliases:
            return {"state": "champion already", "to": new.to_json(), "from": new.to_json(), "outcomes": [], "said": []}
        outcomes = _judge(home, old, new, refresh)
        refused = refusal(outcomes)
        if refused:
            raise RefusedError(f"{new.name} {new.semver} of {new.market} was not promoted: {refused}")
        store = open_store(home, releases, say)
        said = store.sync_aliases(releases)  # what drifted, before the change moves the aliases itself
        record_promoted(home, old, new, why, outcomes, "refresh" if refresh else "recipe")
        after = read_releases(home)
        store.sync_aliases(after)
        return _swapped("promoted", old, after.with_bundle(new.bundle_sha256), outcomes, said)


def _judge(home: Home, old: Release | None, new: Release, refresh: bool) -> list[CheckOutcome]:
    bundle = load_bundle(new.path, new.bundle_sha256)
    outcomes = [judge_parity(bundle), judge_calibration(bundle.info)]
    incumbent = load_bundle(old.path, old.bundle_sha256, any_code=True) if old is not None else None
    if refresh:
        return outcomes + _judge_refresh(home, incumbent, bundle)
    outcomes.append(judge_verdict_gate(bundle.info))
    paired = judge_paired(incumbent.info if incumbent else None, bundle.info)
    return [*outcomes, paired] if paired is not None else outcomes


def _judge_refresh(home: Home, incumbent: Bundle | None, bundle: Bundle) -> list[CheckOutcome]:
    if incumbent is None:
        raise BadInputError(
            f"{bundle.market} has no champion to refresh: a first model is promoted without --refresh, by its verdict"
        )
    same = judge_same_recipe(incumbent.info, bundle.info)
    if same.status != "passed":
        return [same]  # two recipes may not even read the same rows
    return [same, judge_incumbent(compare_on_fresh_days(home, bundle, incumbent))]


def rollback(home: Home, why: str, *, market: str | None = None, say: Say | None = None) -> dict[str, Any]:
    """Make the champion before the present one champion again: one command, no gate but that its bundle is intact.

    The ledger decides; where MLflow's store cannot be reached its alias is repaired later, and ``said`` says so: a way
    back must not depend on a database. Raises ``RefusedError`` where there is no champion before, or its bundle was
    changed.
    """
    _need_reason(why)
    with releasing(home):
        releases = read_releases(home)
        name, of_market = only_market(releases, market)
        old, new = releases.current(CHAMPION, of_market, name), releases.previous_champion(name, of_market)
        if old is None or new is None:
            raise RefusedError(f"{name} of {of_market} has had one champion only: there is nothing to go back to")
        load_bundle(new.path, new.bundle_sha256)
        record_rolled_back(home, old, new, why, ())
        after = read_releases(home)
        said = []
        try:
            open_store(home, after, say).sync_aliases(after)
        except LobError as error:
            said = [f"the aliases in MLflow still say otherwise ({error}); `lob models --repair` puts them right"]
        return _swapped("rolled back", old, after.with_bundle(new.bundle_sha256), [], said)


def _need_reason(why: str) -> None:
    if not why.strip():
        raise BadInputError('a release needs a reason: say it with --why "…"; it is written into the ledger')


def _swapped(
    state: str, old: Release | None, new: Release | None, outcomes: list[CheckOutcome], said: list[str]
) -> dict[str, Any]:
    return {
        "state": state,
        "from": old.to_json() if old else None,
        "to": new.to_json() if new else None,
        "outcomes": [outcome.to_json() for outcome in outcomes],
        "said": said,
    }

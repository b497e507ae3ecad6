"""Which release a user means: ``NAME@champion``, ``NAME@challenger``, ``NAME@3`` or ``NAME@1.2.0``. No mlflow."""

from __future__ import annotations

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.registry.releases import ALIASES, Release, Releases


def find_release(releases: Releases, words: str, market: str | None = None) -> Release:
    """Return the one release that ``words`` names, of ``market`` where it is given.

    Raises ``BadInputError`` when it names none, or more than one (two markets have a champion): say the market.
    """
    name, at, which = words.rpartition("@")
    if not at or not name or not which:
        raise BadInputError(f"model {words!r} is not NAME@ALIAS: expected for example lob-moe@challenger")
    of_name = [r for r in releases.releases if r.name == name and market in (None, r.market)]
    if not of_name:
        there = ", ".join(sorted({f"{r.name} of {r.market}" for r in releases.releases})) or "none"
        raise BadInputError(
            f"no model {name}{f' of {market}' if market else ''} is registered (known: {there}): see `lob models`"
        )
    found = [r for r in of_name if which in (*r.aliases, str(r.version), r.semver)]
    if not found:
        hint = "nobody is" if which in ALIASES else "there is no such version:"
        raise BadInputError(f"{words}: {hint} {which}; `lob models` lists versions and aliases")
    markets = sorted({r.market for r in found})
    if len(markets) > 1:
        raise BadInputError(f"{words} exists for {', '.join(markets)}: say which with --market")
    return found[-1]


def only_market(releases: Releases, market: str | None) -> tuple[str, str]:
    """Return (name, market) of the champion that a command without a model speaks of.

    Raises ``BadInputError`` when no market has a champion, or several have.
    """
    lines = sorted(line for line, stack in releases.champions.items() if stack and market in (None, line[1]))
    if not lines:
        raise BadInputError(f"there is no champion{f' of {market}' if market else ''}: see `lob models`")
    if len(lines) > 1:
        raise BadInputError(f"{', '.join(m for _, m in lines)} each have a champion: say which with --market")
    return lines[0]

"""Stage ``training_set``: the days that may be trained on up to a date, what they hold, and the folds they give."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.units import shift_date
from lob_pipeline.datasets.counts import fold_table, summary
from lob_pipeline.datasets.folds import walk_forward
from lob_pipeline.datasets.inputs import model_inputs
from lob_pipeline.datasets.instants import Instants
from lob_pipeline.features.spec import FULL89
from lob_pipeline.lake.fingerprint import PACKAGE, normalised
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.quarantine import newest_refusal
from lob_pipeline.stages.documents import read_json, training_folder, write_json
from lob_pipeline.stages.survey import clock_of
from lob_pipeline.stages.training_set_days import DayJudge, LeftOutDay, UsedDay, choose_days
from lob_pipeline.stages.training_set_rows import Place, read_instants

WINDOW_DAYS = 28
VERSION = 1
_CODE = ("core/units.py", "core/clock.py", "datasets/*.py", "stages/training_set*.py", "labels/overlap.py")


@dataclass(frozen=True)
class TrainingSet:
    """The days of a window that may be trained on, with the content of what is read of them.

    ``days`` and ``left_out`` ascending by date. ``data_sha256``: equal where market, clock and the content of all days
    are. ``summary``: rows, fills, effective n, class balance and base rates; ``folds``: one entry a walk-forward fold.
    ``fresh``: it stood like this already and nothing was written.
    """

    market: Market
    clock: str
    as_of: str
    window_days: int
    minimum_days: int
    block_ns: int
    days: tuple[UsedDay, ...]
    left_out: tuple[LeftOutDay, ...]
    data_sha256: str
    code_sha256: str
    summary: dict[str, Any]
    folds: tuple[dict[str, Any], ...]
    fresh: bool = False

    @property
    def dates(self) -> tuple[str, ...]:
        """Return the days used, ascending."""
        return tuple(day.date for day in self.days)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "version": VERSION,
            "market": str(self.market),
            "clock": self.clock,
            "as_of": self.as_of,
            "window_days": self.window_days,
            "minimum_days": self.minimum_days,
            "block_ns": self.block_ns,
            "days": [dict(day.__dict__) for day in self.days],
            "left_out": [dict(day.__dict__) for day in self.left_out],
            "data_sha256": self.data_sha256,
            "code_sha256": self.code_sha256,
            "summary": self.summary,
            "folds": list(self.folds),
            "fresh": self.fresh,
        }


def training_set(
    home: Home,
    market: Market,
    as_of: str,
    clock: str | None = None,
    *,
    window_days: int = WINDOW_DAYS,
    minimum_days: int = 1,
) -> TrainingSet:
    """Choose the usable days of the ``window_days`` days ending at ``as_of`` and write down what they hold.

    ``clock``: clock id, the market's own when None. Writes ``HOME/training/<market>/<clock>/<as_of>.json`` unless one
    stands with the same content and code (then ``fresh``). Raises ``BadInputError`` for an ``as_of`` that is no day, a
    window or minimum below 1, or a market without any feature in the lake; ``RefusedError`` where fewer than
    ``minimum_days`` days can be used, with the reason of each.
    """
    if window_days < 1 or minimum_days < 1 or minimum_days > window_days:
        raise BadInputError(
            f"a window of {window_days} days with at least {minimum_days} used: expected 1 <= minimum <= window"
        )
    dates = [shift_date(as_of, back) for back in range(1 - window_days, 1)]
    clock_id = clock_of(home, market, clock)
    _must_be_known(home, market, clock_id, dates)
    judge = DayJudge(home, market, clock_id)
    days, left_out = choose_days([judge.judge(date) for date in dates], minimum_days)
    if len(days) < minimum_days:
        raise RefusedError(_too_few(market, clock_id, dates, days, left_out, minimum_days))
    found = TrainingSet(
        market=market,
        clock=clock_id,
        as_of=as_of,
        window_days=window_days,
        minimum_days=minimum_days,
        block_ns=partition_instrument(home, market, days[-1].date).block_ns,
        days=tuple(days),
        left_out=tuple(left_out),
        data_sha256=_data_sha256(market, clock_id, days),
        code_sha256=_code_sha256(),
        summary={},
        folds=(),
    )
    path = training_set_path(home, market, clock_id, as_of)
    standing = read_json(path)
    if standing is not None and _same(standing, found.to_json()):
        return replace(found, summary=standing["summary"], folds=tuple(standing["folds"]), fresh=True)
    names, left = model_inputs(FULL89, parse_clock(clock_id))
    instants = read_instants(home, _place(found), days, ())
    found = replace(
        found,
        summary={**summary(instants), "inputs": len(names), "inputs_left_out": [list(pair) for pair in left]},
        folds=tuple(fold_table(instants, walk_forward(instants))),
    )
    write_json(path, found.to_json())
    return found


def load_instants(home: Home, chosen: TrainingSet, names: Sequence[str]) -> Instants:
    """Return the rows of a training set with the features ``names``, float32 (n, F).

    Raises ``RefusedError`` naming the day where a partition is no longer the one that the training set lists.
    """
    return read_instants(home, _place(chosen), chosen.days, tuple(names))


def training_set_path(home: Home, market: Market, clock_id: str, as_of: str) -> Path:
    """Return the file of a training set."""
    folder = training_folder(home, market, clock_id, as_of)
    return folder.with_name(f"{as_of}.json")


def _place(chosen: TrainingSet) -> Place:
    return Place(chosen.market, chosen.clock, chosen.block_ns)


def _same(standing: dict[str, Any], now: dict[str, Any]) -> bool:
    return all(standing.get(k) == v for k, v in now.items() if k not in ("summary", "folds", "fresh"))


def _must_be_known(home: Home, market: Market, clock_id: str, dates: list[str]) -> None:
    """Raise ``BadInputError`` for a market without features; where a gate refused them their reason is the answer."""
    if any(newest_refusal(home, PartitionKey("features", market, date, clock_id)) for date in dates):
        return
    known = {(str(k.market), k.clock) for k in list_partitions(home, "features")}
    if (str(market), clock_id) not in known:
        there = ", ".join(sorted(f"{m} at {c}" for m, c in known)) or "none"
        raise BadInputError(
            f"{home.root} has no features of {market} at {clock_id} (known: {there}): "
            f"run `lob ingest {market} PATH...`, then `lob run`"
        )


def _too_few(
    market: Market, clock_id: str, dates: list[str], days: list[UsedDay], left_out: list[LeftOutDay], minimum: int
) -> str:
    reasons = [f"{d.date} {d.reason}" for d in left_out if not d.reason.endswith("absent")] or ["all absent"]
    shown = "; ".join(reasons[-5:])
    return (
        f"{market} at {clock_id} has {len(days)} usable days in {dates[0]}..{dates[-1]}, {minimum} needed "
        f"({shown}): run `lob status` and `lob run`, or choose another window (--from, --to)"
    )


def _data_sha256(market: Market, clock_id: str, days: Sequence[UsedDay]) -> str:
    listing = [[d.date, d.features_sha256, d.labels_sha256, d.books_sha256] for d in days]
    return hashlib.sha256(json.dumps([str(market), clock_id, listing]).encode()).hexdigest()


@cache
def _code_sha256() -> str:
    """Return the SHA-256 of the code that chooses days, counts rows and cuts folds, comments aside."""
    total = hashlib.sha256()
    for path in sorted({p for glob in _CODE for p in PACKAGE.glob(glob)}):
        total.update(f"{path.relative_to(PACKAGE).as_posix()}\n{normalised(path.read_text('utf-8'))}\n".encode())
    return total.hexdigest()

"""Stage ``walk_forward``: every contender fitted in every fold, judged on the next block; report and verdict.

The gates' hash goes into a chained ledger before the first fit; folds run in processes of their own and are kept, so an
interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from lob_pipeline.core.errors import LobError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.evaluation.gates import Gates, load_gates
from lob_pipeline.evaluation.trials import scoring_sha256
from lob_pipeline.features.spec import TAPE
from lob_pipeline.lake import chain
from lob_pipeline.lake.fingerprint import PACKAGE, normalised
from lob_pipeline.lake.home import Home
from lob_pipeline.registry.origin import dependency_versions
from lob_pipeline.stages.documents import evaluation_folder, read_json, write_bytes, write_json
from lob_pipeline.stages.recipe import Recipe, default_recipe, digest
from lob_pipeline.stages.training_set import WINDOW_DAYS, TrainingSet, load_instants, training_set
from lob_pipeline.stages.training_set_rows import available_bytes, bytes_of
from lob_pipeline.stages.walk_fold import FoldJob, folds_of, inputs_read, run_fold
from lob_pipeline.stages.walk_summary import summarise

Say = Callable[[str], None]
_CODE = (
    *("datasets/*.py", "models/*.py", "evaluation/legs.py", "evaluation/ic.py"),
    *("labels/overlap.py", "labels/spec.py", "features/registry.py", "features/spec.py", "core/clock.py"),
    *("stages/walk_fold.py", "stages/walk_forward.py", "stages/recipe.py", "stages/training_set*.py"),
)
"""What decides a fold's numbers, beside the scoring modules of ``evaluation.trials``."""
_SUMMARY_CODE = ("evaluation/*.py", "stages/walk_summary.py")
"""What decides the rest of the document and its report once the folds are known: changed, no fold is redone."""
_PACKAGES = ("numpy", "numba", "torch", "pytorch-lightning", "scikit-learn")


@dataclass(frozen=True)
class WalkForward:
    """A finished walk-forward: its document (shape: ``evaluation.walk``), where it lies, and whether it was fresh."""

    document: dict[str, Any]
    path: Path
    report: Path
    fresh: bool

    def to_json(self) -> dict[str, Any]:
        """Return the document with the places of its files."""
        return {**self.document, "path": str(self.path), "report": str(self.report), "fresh": self.fresh}


def walk_forward(
    home: Home,
    market: Market,
    as_of: str,
    clock: str | None = None,
    *,
    recipe: Recipe | None = None,
    window_days: int = WINDOW_DAYS,
    workers: int | None = None,
    say: Say | None = None,
) -> WalkForward:
    """Judge a recipe and its company over the folds of the training set that ends at ``as_of``.

    Writes ``HOME/evaluation/<market>/<clock>/<as_of>/{walk_forward.json,report.html}``; a placebo beside them under
    ``placebo-<seed>/``. Nothing is redone where recipe, data, code and gates are those of the standing document.
    Raises ``RefusedError`` where no day is usable or the days give no fold, saying what is missing.
    """
    say = say or (lambda _: None)
    recipe, gates = recipe or default_recipe(market), load_gates()
    chosen = training_set(home, market, as_of, clock, window_days=window_days)
    folder = _folder(home, chosen, recipe)
    state, standing = standing_walk(home, chosen, recipe)
    if state == "fresh" and standing is not None:
        return standing
    run_sha = _run_sha256(chosen, recipe)
    path, report = folder / "walk_forward.json", folder / "report.html"
    if not chosen.folds:
        raise RefusedError(_no_fold(chosen))
    started = time.monotonic()
    numbers = _fold_numbers(home, chosen, recipe)
    if not numbers:
        raise RefusedError(_no_fold(chosen))
    _announce(home, market, chosen, recipe, gates, run_sha)
    jobs = _jobs(home, chosen, recipe, gates, numbers, folder / "folds" / run_sha[:12], window_days)
    documents = _run(jobs, min(len(jobs), _processes(chosen, workers)), say)
    document = summarise(home, chosen, recipe, gates, documents, jobs)
    document.update(run_sha256=run_sha, code_sha256=code_sha256(), summary_sha256=source_sha256(_SUMMARY_CODE))
    document["seconds"] = round(time.monotonic() - started, 1)
    from lob_pipeline.evaluation.walk_page import render

    write_bytes(report, render(document).encode())
    write_json(path, document)
    return WalkForward(document, path, report, fresh=False)


def standing_walk(home: Home, chosen: TrainingSet, recipe: Recipe | None = None) -> tuple[str, WalkForward | None]:
    """Return ``fresh``, ``stale`` or ``absent``, and what stands: the walk-forward of a training set."""
    recipe = recipe or default_recipe(chosen.market)
    folder = _folder(home, chosen, recipe)
    path, report = folder / "walk_forward.json", folder / "report.html"
    document = read_json(path)
    if document is None or not report.exists():
        return "absent", None
    now = {"run_sha256": _run_sha256(chosen, recipe), "summary_sha256": source_sha256(_SUMMARY_CODE)}
    fresh = all(document.get(key) == value for key, value in now.items())
    return "fresh" if fresh else "stale", WalkForward(document, path, report, fresh)


def _folder(home: Home, chosen: TrainingSet, recipe: Recipe) -> Path:
    folder = evaluation_folder(home, chosen.market, chosen.clock, chosen.as_of)
    return folder / f"placebo-{recipe.placebo_seed}" if recipe.placebo_seed >= 0 else folder


def _run_sha256(chosen: TrainingSet, recipe: Recipe) -> str:
    """Return the hash of all that the folds' numbers and the verdict depend on; folds are found again under it."""
    return digest([recipe.sha256(), chosen.data_sha256, chosen.block_ns, code_sha256(), load_gates().sha256])


def code_sha256() -> str:
    """Return the SHA-256 of what fits and scores: the code, comments aside, and the packages that compute."""
    versions = dependency_versions()
    return digest([scoring_sha256(), source_sha256(_CODE), {name: versions[name] for name in _PACKAGES}])


@cache
def source_sha256(globs: tuple[str, ...]) -> str:
    """Return the SHA-256 of the package's files that ``globs`` name, comments aside."""
    total = hashlib.sha256()
    for source in sorted({p for glob in globs for p in PACKAGE.glob(glob)}):
        total.update(f"{source.relative_to(PACKAGE).as_posix()}\n{normalised(source.read_text('utf-8'))}\n".encode())
    return total.hexdigest()


def evaluations_ledger(home: Home) -> Path:
    """Return the chained ledger of walk-forwards that were started, each with the hash of its gates."""
    return home.ledgers / "evaluations.jsonl"


def _announce(home: Home, market: Market, chosen: TrainingSet, recipe: Recipe, gates: Gates, run_sha: str) -> None:
    """Record, before anything is fitted, by which gates the result will be judged."""
    record = {
        "event": "started",
        "market": str(market),
        "clock": chosen.clock,
        "as_of": chosen.as_of,
        "run_sha256": run_sha,
        "recipe_sha256": recipe.sha256(),
        "data_sha256": chosen.data_sha256,
        "gates_sha256": gates.sha256,
    }
    chain.append(
        evaluations_ledger(home), record, unless=lambda seen: any(r.get("run_sha256") == run_sha for r in seen)
    )


def _fold_numbers(home: Home, chosen: TrainingSet, recipe: Recipe) -> list[int]:
    """Return the folds' numbers; those of the training set but where the recipe cuts or reads other rows."""
    if not recipe.rolling_blocks and recipe.feature_set != TAPE:
        return [int(fold["number"]) for fold in chosen.folds]
    return [fold.number for fold in folds_of(load_instants(home, chosen, inputs_read(recipe, chosen.clock)), recipe)]


def _jobs(
    home: Home,
    chosen: TrainingSet,
    recipe: Recipe,
    gates: Gates,
    numbers: list[int],
    folder: Path,
    window_days: int,
) -> list[FoldJob]:
    return [
        FoldJob(
            root=str(home.root),
            given=home.given,
            market=str(chosen.market),
            clock=chosen.clock,
            as_of=chosen.as_of,
            window_days=window_days,
            data_sha256=chosen.data_sha256,
            number=number,
            folder=str(folder),
            recipe=recipe.to_json(),
            gates_sha256=gates.sha256,
        )
        for number in numbers
    ]


def _processes(chosen: TrainingSet, wanted: int | None) -> int:
    """Return how many folds to run at a time: as many as there are cores, and as fit into memory.

    A fold holds its rows, their scaled copy and what is being fitted: about three times the rows.
    """
    a_fold = 3 * bytes_of(int(chosen.summary["rows"]), int(chosen.summary["inputs"]))
    fitting = max(1, available_bytes() // a_fold)
    return int(min(wanted or os.cpu_count() or 1, fitting))


def _run(jobs: list[FoldJob], count: int, say: Say) -> list[dict[str, Any]]:
    """Return the folds' documents in order, ``count`` processes at a time, the longest fold first."""
    models = len(jobs[0].recipe["contenders"])
    say(f"walk-forward     {len(jobs)} folds of {models} models, {count} at a time")
    found: dict[int, dict[str, Any]] = {}
    if count == 1:
        for job in jobs:
            found[job.number] = run_fold(job)
            say(_fold_line(found[job.number], len(jobs)))
        return [found[job.number] for job in jobs]
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=leave_with_parent) as pool:
        running = [pool.submit(run_fold, job) for job in sorted(jobs, key=lambda j: -j.number)]
        try:
            for done in as_completed(running):
                document = done.result()
                found[document["fold"]] = document
                say(_fold_line(document, len(jobs)))
        except LobError:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BrokenProcessPool:
            raise LobError(
                "a process that fitted a fold was ended from outside (out of memory?): run it again, finished folds "
                "are kept; a shorter window (--from, --to) needs less"
            ) from None
    return [found[job.number] for job in jobs]


def leave_with_parent() -> None:
    """End this process when the one that started it ends, however it ends: a killed run leaves no worker behind.

    What a fold has not finished is not written, so nothing is lost but the time.
    """
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _fold_line(document: dict[str, Any], folds: int) -> str:
    queue = document["models"]["moe"]["score"]["queues"]["pessimistic"]
    mean = "–" if queue["mean_bps"] is None else f"{queue['mean_bps']:+.2f} bps"
    return (
        f"  fold {document['fold']} of {folds}: {document['train_rows']:,} training rows, "
        f"{document['test_rows']:,} test rows; moe {mean} a trade, {queue['filled']} filled (pessimistic queue), "
        f"{document['seconds']:.0f} s"
    )


def _no_fold(chosen: TrainingSet) -> str:
    hours = chosen.block_ns / 3.6e12
    return (
        f"{chosen.market} has no fold in {chosen.dates[0]}..{chosen.dates[-1]}: a test block of {hours:g} h, half of "
        "it scored, needs another one before it; ingest more days (`lob ingest`, `lob run`)"
    )

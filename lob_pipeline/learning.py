"""From labels to the verdict in the Dagster instance: what is fresh is left alone, else one run of ``retrain``.

`make demo` calls it, and whoever wants the nightly's work done now.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.partitions import partition_key
from lob_pipeline.session import Say

if TYPE_CHECKING:
    from lob_pipeline.resources import Stages

STEPS = ("training_set", "walk_forward", "model", "registered", "predictions")


@dataclass(frozen=True)
class Learned:
    """What stands after learning: the documents of walk-forward, model and registration, and what was built."""

    walk: dict[str, Any]
    trained: dict[str, Any]
    release: dict[str, Any] | None
    states: dict[str, str]


def learn(home: Home, market: Market, as_of: str, *, say: Say = print, overrides: Stages | None = None) -> Learned:
    """Bring training set, evaluation, model, challenger and its predictions of ``as_of`` up to date.

    Runs the jobs ``retrain`` and ``shadow_score`` in the home's Dagster instance where something is absent or stale,
    nothing where all of it is fresh. ``say`` gets one line a stage. Raises ``LobError`` with the failed step's words.
    """
    states = learning_states(home, market, as_of)
    if any(states[step] != "fresh" for step in STEPS[:4]):
        _execute(home, market, as_of, "retrain", say, overrides)
        states = {**states, "predictions": "stale"}
    if states["predictions"] != "fresh":
        _execute(home, market, as_of, "shadow_score", say, overrides)
    for step in STEPS:
        say(f"{step:16} {'fresh' if states[step] == 'fresh' else 'built'}")
    return _standing(home, market, as_of, states)


def learning_states(home: Home, market: Market, as_of: str) -> dict[str, str]:
    """Return ``fresh``, ``stale`` or ``absent`` for each of ``STEPS``; reads documents and manifests only."""
    from lob_pipeline.shadowing import scored
    from lob_pipeline.stages.register import standing_release
    from lob_pipeline.stages.train import standing_model
    from lob_pipeline.stages.training_set import training_set
    from lob_pipeline.stages.walk_forward import standing_walk

    states = dict.fromkeys(STEPS, "absent")
    chosen = training_set(home, market, as_of)
    states["training_set"] = "fresh" if chosen.fresh else "stale"
    states["walk_forward"] = standing_walk(home, chosen)[0]
    states["model"] = standing_model(home, chosen)[0]
    release = standing_release(home, market, as_of) if states["model"] == "fresh" else None
    states["registered"] = "absent" if release is None else "fresh"
    if release is not None and scored(home, market, as_of, release):
        states["predictions"] = "fresh"
    return states


def _execute(home: Home, market: Market, as_of: str, job: str, say: Say, overrides: Stages | None) -> None:
    """Run one job of one as-of day in this process; what its stages say goes to ``say``."""
    from lob_pipeline.definitions import build_defs
    from lob_pipeline.jobs import QUIET
    from lob_pipeline.resources import default_stages, open_instance

    stages = _spoken(overrides or default_stages(), say)
    with open_instance(home) as instance:
        result = build_defs(stages, home).resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=partition_key(market, as_of),
            run_config=QUIET,
            raise_on_error=False,
        )
    failed = [
        (e.step_key, e.step_failure_data.user_failure_data, e.step_failure_data.error)
        for e in result.get_step_failure_events()
    ]
    if failed:
        step, told, error = failed[0]
        raise LobError(f"{step}: {told.description if told else _cause(error)}")


def _cause(error: Any) -> str:
    """Return what went wrong at the bottom of a step's error: what Dagster wraps it in says only which step it was."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "failed"


def _spoken(stages: Stages, say: Say) -> Stages:
    """Return the stages telling what they do and how long it took; those that can speak do."""
    speaking = {"walk_forward", "verdict", "train", "register_model"}
    names = (*speaking, "training_set", "feasibility", "predictions", "shadow_report")
    return replace(stages, **{name: _told(name, getattr(stages, name), name in speaking, say) for name in names})


def _told(name: str, stage: Any, speaks: bool, say: Say) -> Any:
    def told(*arguments: Any, **named: Any) -> Any:
        started = time.monotonic()
        result = (partial(stage, say=say) if speaks else stage)(*arguments, **named)
        say(f"{name:16} done  ({time.monotonic() - started:.1f} s)")
        return result

    return told


def _standing(home: Home, market: Market, as_of: str, states: dict[str, str]) -> Learned:
    from lob_pipeline.stages.register import standing_release
    from lob_pipeline.stages.train import standing_model
    from lob_pipeline.stages.training_set import training_set
    from lob_pipeline.stages.walk_forward import standing_walk

    chosen = training_set(home, market, as_of)
    walk, model = standing_walk(home, chosen)[1], standing_model(home, chosen)[1]
    if walk is None or model is None:
        raise LobError(f"no walk-forward of {market} stands on {as_of}: see the lines above")
    release = standing_release(home, market, as_of)
    return Learned(walk.to_json(), model.to_json(), release.to_json() if release else None, states)

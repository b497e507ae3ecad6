"""What assets are given: the lake's home and the stage functions that they call."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import storing
from lob_pipeline.project import find_project, instance_home
from lob_pipeline.stages.layers import BOOKS, FEATURES, LABELS, PROFILE, RAW

if TYPE_CHECKING:
    from lob_pipeline.quality.expectations import DriftReport
    from lob_pipeline.stages.result import StageResult

KERNELS = "kernels"  # the pool of the steps that keep a core busy
TRAIN = "train"  # the pool of training: one at a time, it takes every core
REGISTRY = "registry"  # the pool of what writes the registry
DBT = "dbt"  # the pool of dbt, the one writer of its database

Build = Callable[[Home, Market, str], "StageResult | Sequence[StageResult]"]


class Lake(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where the lake is. ``root`` is absolute; ``given`` when the user named it (``--home``, ``LOB_HOME``)."""

    root: str
    given: bool

    @classmethod
    def of(cls, home: Home) -> Lake:
        """Return the resource of a home."""
        return cls(root=str(home.root), given=home.given)

    def home(self) -> Home:
        """Return the home."""
        return Home(Path(self.root), self.given)


def _late(target: str) -> Callable[..., Any]:
    """Return a function that imports ``module:name`` when it is called: kernels pull in numba, drift pandas."""
    module, _, name = target.partition(":")

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **named)

    return call


Drift = Callable[[Home, Market, str], "DriftReport"]
Report = Callable[[Home, Market, str], Any]  # a document: an object with ``to_json``, or a mapping


@dataclass(frozen=True)
class Stages:
    """The functions that build one partition: ``(home, market, date)``. A test location replaces some of them."""

    build_events: Build
    build_books: Build
    build_profile: Build
    build_features: Build
    build_labels: Build
    judge_drift: Drift
    judge_feature_drift: Drift
    judge_label_drift: Drift
    training_set: Report
    feasibility: Report
    walk_forward: Report
    verdict: Report
    train: Report
    register_model: Callable[..., Any]  # a report that also takes ``dagster_run_id``
    predictions: Report
    shadow_report: Report


def default_stages() -> Stages:
    """Return the functions of ``lob_pipeline.stages``."""
    return Stages(
        build_events=_late(RAW.function),
        build_books=_late(BOOKS.function),
        build_profile=_late(PROFILE.function),
        build_features=_late(FEATURES.function),
        build_labels=_late(LABELS.function),
        judge_drift=_late("lob_pipeline.stages.drift:drift"),
        judge_feature_drift=_late("lob_pipeline.stages.drift:feature_drift"),
        judge_label_drift=_late("lob_pipeline.stages.drift:label_drift"),
        training_set=_late("lob_pipeline.stages.training_set:training_set"),
        feasibility=_late("lob_pipeline.stages.feasibility:feasibility_report"),
        walk_forward=_late("lob_pipeline.stages.walk_forward:walk_forward"),
        verdict=_late("lob_pipeline.stages.verdict:verdict"),
        train=_late("lob_pipeline.stages.train:train"),
        register_model=_late("lob_pipeline.stages.register:register_model"),
        predictions=_late("lob_pipeline.stages.predict:predictions_of_day"),
        shadow_report=_late("lob_pipeline.stages.shadow:shadow_report"),
    )


def open_instance(home: Home) -> dg.DagsterInstance:
    """Return the Dagster instance of a home, made from the committed ``dagster.yaml`` where it does not exist yet."""
    return dg.DagsterInstance.from_config(str(prepare_instance(home)))


def prepare_instance(home: Home) -> Path:
    """Make the instance's folder with the committed ``dagster.yaml`` and the pools' slots; return it."""
    folder = instance_home(home)
    committed = (find_project() / "dagster.yaml").read_bytes()
    target = folder / "dagster.yaml"
    if not target.exists() or target.read_bytes() != committed:
        with storing(target):
            folder.mkdir(parents=True, exist_ok=True)
            target.write_bytes(committed)
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            for pool, slots in {KERNELS: os.cpu_count() or 1, TRAIN: 1, REGISTRY: 1, DBT: 1}.items():
                instance.event_log_storage.set_concurrency_slots(pool, slots)
    return folder

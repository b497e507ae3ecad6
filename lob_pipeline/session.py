"""The Dagster side of ``lob run``: the instance, and the jobs of one layer executed in this process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lob_pipeline.core.errors import LobError
from lob_pipeline.core.instrument import Market
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.storage import storing
from lob_pipeline.stages.layers import Layer
from lob_pipeline.stages.marts import Marts
from lob_pipeline.stages.plan import PlanStep

if TYPE_CHECKING:
    import dagster as dg

    from lob_pipeline.resources import Stages

Say = Callable[[str], None]
Pair = tuple[Market, str]


class Session:
    """The Dagster side of a run: the instance and the definitions, made when first needed."""

    def __init__(self, home: Home, say: Say, overrides: Stages | None) -> None:
        self.home, self.say = home, say
        self._overrides = overrides
        self._instance: Any = None
        self._ended: list[Pair] = []
        self.given_up: set[tuple[str, Market, str]] = set()  # what could not be built

    @property
    def instance(self) -> Any:
        """Return the instance of the home."""
        if self._instance is None:
            from lob_pipeline.resources import open_instance

            self._instance = open_instance(self.home)
        return self._instance

    def build(self, layer: Layer, pairs: list[Pair]) -> set[Pair]:
        """Execute one layer over these days, one run a market and unbroken range. Return the days whose stage ended."""
        from lob_pipeline.partitions import inside, partition_key, ranges

        outside = [(m, d) for m, d in pairs if not inside(d)]
        for market, date in outside:
            self.say(
                f"  {layer.name:14} {market} {date} is no partition (before 2023 or not over): built without a run"
            )
        self._ended = []
        with self._progress(layer, len(pairs)) as done:
            stages = self._watched(done, layer)
            for market, date in outside:
                self._build_outside(stages, layer, market, date)
            for market, start, end in ranges(p for p in pairs if p not in outside):
                keys = (partition_key(market, start), partition_key(market, end))
                self._execute(layer, stages, keys)
        return set(self._ended)

    def build_marts(self) -> bool:
        """Run dbt. Return whether it succeeded. What dbt prints goes to ``HOME/dbt/last_run.log``, not to stdout."""
        log = Marts(self.home).folder / "last_run.log"
        with storing(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w", encoding="utf-8") as handle, redirect_stdout(handle):
                return self._execute(None, self._stages(), None)

    def _build_outside(self, stages: Stages, layer: Layer, market: Market, date: str) -> None:
        try:
            getattr(stages, layer.function.partition(":")[2])(self.home, market, date)
        except LobError as error:
            self.say(f"  {layer.name:14} {market} {date}  {error}")

    def _definitions(self, layer: Layer | None, stages: Stages) -> dg.Definitions:
        """Return the part of the code location that a layer (None: the marts) needs; dbt costs seconds to load."""
        import dagster as dg

        from lob_pipeline import jobs
        from lob_pipeline.partitions import make_partitions
        from lob_pipeline.resources import Lake

        resources: dict[str, Any] = {"lake": Lake.of(self.home), "stages": stages}
        if layer is None:
            from lob_pipeline.assets.marts import dbt_marts, dbt_resource

            resources["dbt"] = dbt_resource(self.home)
            return dg.Definitions([dbt_marts(self.home)], jobs=[jobs.marts_job()], resources=resources)
        from lob_pipeline.assets.tables import table_assets

        assets = table_assets(make_partitions(self.home))[layer.name]
        return dg.Definitions([assets], jobs=[jobs.layer_job(layer)], resources=resources)

    def _execute(self, layer: Layer | None, stages: Stages, keys: tuple[str, str] | None) -> bool:
        from lob_pipeline.jobs import QUIET

        definitions = self._definitions(layer, stages)
        job = f"build_{layer.name}" if layer else "dbt_marts"
        tags = {}
        if keys:
            tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, tags=tags, run_config=QUIET, raise_on_error=False
        )
        for event in result.get_step_failure_events():
            told, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
            self.say(f"  {event.step_key}: {told.description if told else error.message if error else 'failed'}")
        return bool(result.success)

    def _stages(self) -> Stages:
        from lob_pipeline.resources import default_stages

        return self._overrides or default_stages()

    def _watched(self, done: Callable[[Layer, Market, str, Any, float], None], layer: Layer) -> Stages:
        """Return the stages with the layer's function telling ``done`` of each finished partition."""
        stages = self._stages()
        name = layer.function.partition(":")[2]
        function = getattr(stages, name)

        def watched(home: Home, market: Market, date: str) -> Any:
            started = time.monotonic()
            result = function(home, market, date)
            self._ended.append((market, date))
            done(layer, market, date, result, time.monotonic() - started)
            return result

        return replace(stages, **{name: watched})

    @contextmanager
    def _progress(self, layer: Layer, total: int) -> Iterator[Callable[..., None]]:
        """Yield what ``_watched`` calls: it says a line a partition, and moves a bar where stderr is a terminal."""
        self.say(f"{layer.name:16} building {total} days")

        def tell(layer: Layer, market: Market, date: str, result: Any, seconds: float) -> None:
            results = result if isinstance(result, list | tuple) else (result,)
            what = ", ".join(
                f"{r.manifest.rows:,} {r.table}" if len(results) > 1 else f"{r.manifest.rows:,} rows" for r in results
            )
            self.say(f"  {layer.name:14} {market} {date}  {what}  {seconds:.1f} s")

        if not sys.stderr.isatty():
            yield tell
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(layer.name, total=total)

            def tell_and_move(*facts: Any) -> None:
                tell(*facts)
                bar.advance(task)

            yield tell_and_move

    def report_known(self, steps: list[PlanStep]) -> None:
        """Report fresh partitions that the instance does not know: built by `lob` without it, shown in the UI too."""
        from lob_pipeline.known import report

        report(self.home, [step for step in steps if step.state == "fresh"], lambda: self.instance)

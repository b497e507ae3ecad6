"""``lob mutation-score``: do the checks catch what they are there for?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lob_pipeline.cli.output import JsonOption, emit, progress

BESIDE = "../shared/data beside the project"


def register(app: typer.Typer) -> None:
    """Add this topic's commands to ``app``."""
    app.command("mutation-score")(mutation_score)


def mutation_score(
    venue: Annotated[
        str | None, typer.Option("--venue", help="one of bybit, binance-usdm, binance-spot, okx, kraken")
    ] = None,
    defect: Annotated[int | None, typer.Option("--defect", help="one number of the catalogue, 1 to 22")] = None,
    seed: Annotated[int, typer.Option("--seed", help="of the random places and cuts")] = 1,
    recordings: Annotated[
        Path | None,
        typer.Option("--recordings", envvar="LOB_REAL_DATA", help="folder of the real recordings", show_default=BESIDE),
    ] = None,
    placements: Annotated[int, typer.Option("--placements", min=1, help="random places a dose")] = 3,
    cuts: Annotated[int, typer.Option("--cuts", min=0, help="random cuts of each clean recording")] = 20,
    alarms: Annotated[
        bool, typer.Option("--alarms/--no-alarms", help="measure the rows from defect to alarm as well")
    ] = True,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="processes, a venue each")] = 1,
    write_docs: Annotated[
        Path | None, typer.Option("--write-docs", help="also write the result (JSON) that docs/mutation_score.md is of")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Every known defect injected into real recordings: which named check kills it, and at which smallest dose.

    Exit 3 when a mutant survives or a clean recording is refused.

    Example: lob mutation-score --venue bybit --defect 6
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # thousands of small frames: threads cost more than they bring
    from lob_pipeline.mutation.score import mutation_score as run
    from lob_pipeline.mutation.table import save

    with progress("mutation score") as update:
        result = run(
            recordings,
            venue=venue,
            defect=defect,
            seed=seed,
            placements=placements,
            cuts=cuts,
            alarms=alarms,
            jobs=jobs,
            progress=update,
        )
    if write_docs is not None:
        save(write_docs, result, seed=seed, placements=placements, cuts=cuts)
    emit(result, as_json, _lines)
    return 0 if result["killed"] == result["mutants"] > 0 and result["false_alarms"] == 0 else 3


def _lines(result: dict[str, Any]) -> Iterator[str]:
    for row in result["table"]:
        if row["mutant"] is None:
            yield f"FALSE ALARM {row['venue']} {row['recording']}: {row['false_alarm']} {row['words']}"
        elif row["applies"]:
            fate = row["killed_by"] or "SURVIVES"
            yield (
                f"{row['mutant']:2} {row['venue']:13} {fate:28} smallest {row['smallest_dose'] or '-':36} "
                f"{row['trials_killed']} of {row['trials'] - row['equivalent']}, rows {row['rows_to_alarm']}"
            )
        else:
            yield f"{row['mutant']:2} {row['venue']:13} does not apply: {row['reason']}"
    yield f"{result['killed']} of {result['mutants']} mutants killed, {result['false_alarms']} false alarms"

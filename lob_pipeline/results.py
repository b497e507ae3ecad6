"""Showing what a stage without a table found: its document becomes metadata and check evaluations of one partition.

Training, evaluation, release and shadow write documents (JSON beside their artefacts), not tables. What such a stage
says of itself is in the document; nothing is judged here. A verdict is a result whatever it says; a stage that raises
is a failed step with one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from lob_pipeline.checks import evaluations, plain
from lob_pipeline.core.errors import LobError, RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.outcome import CheckOutcome, judge
from lob_pipeline.lake.home import Home
from lob_pipeline.partitions import parse_key
from lob_pipeline.registry.releases import read_releases
from lob_pipeline.stages.documents import evaluation_folder, read_json, training_folder
from lob_pipeline.stages.plan import default_clock

NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"
ENOUGH = {"training_set": ("enough_days", "days"), "walk_forward_report": ("enough_blocks", "folds")}
MLFLOW_TAG = "mlflow_run_id"

# The checks that the UI knows of each, and what they ask.
RESULT_CHECKS: dict[str, dict[str, str]] = {
    "training_set": {"enough_days": "The window has as many usable days as are needed."},
    "walk_forward_report": {"enough_blocks": "The days give at least one test block with another one before it."},
    "verdict": {
        "folds": "Test blocks that were scored.",
        "filled_trades": "Filled trades, in the queue model that fills least.",
        "distinct_fills": "Distinct fill instants among the filled trades.",
        "filled_trades_per_fold": "Filled trades of the thinnest test block.",
        "folds_with_entry_masked": "Folds whose entry head had too few examples to learn from.",
        "intervals": "Queue models with enough bootstrap blocks for an interval.",
        "lower_bound_bps": "Lower 95 % bound of the mean P&L a filled trade, in the worst queue model.",
        "median_fold_bps": "Mean P&L a filled trade of the median test block, in the worst queue model.",
        "negative_folds": "Test blocks that lost money, in the worst queue model.",
    },
    "registered_model": {
        "parity": "The streaming step answers as the trained network does.",
        "calibration": "Forecast and observed frequencies agree on the held-out rows.",
        "version_step": "The version follows from what differs from the one before.",
    },
}

Stage = Callable[[Home, Market, str], Any]
Lacks = Callable[[Home, Market, str], bool]
_FIRST = ("verdict", "state", "sentence", "reasons", "report", "page", "path")
_PATHS = ("path", "folder", "report", "page", "bundle", "model")
_SCALARS = (bool, int, float, str)
_LONG = 400  # characters
_ROWS = 60
_BYTES = 20_000


def report(
    context: dg.AssetExecutionContext, home: Home, stage: Stage, *, lacks_data: Lacks | None = None
) -> Iterator[dg.MaterializeResult]:
    """Run ``stage`` on the one partition of this run and yield its document as metadata, its checks logged before.

    ``lacks_data``: asked when the stage refuses; where it answers true, too little data is the result: it is said, and
    nothing is yielded, so that what follows is skipped and the run is green. Any other error, and a refusing gate,
    raises ``dagster.Failure`` with its own sentence.
    """
    key = context.partition_key
    (asset,) = context.selected_asset_keys
    try:
        document = document_of(stage(home, *parse_key(key)))
    except LobError as error:
        if lacks_data and isinstance(error, RefusedError) and lacks_data(home, *parse_key(key)):
            _say_too_little(context, asset, key, str(error))
            return
        raise dg.Failure(description=f"{key}: {error}", allow_retries=False) from None
    outcomes = [*_enough(asset, document), *outcomes_in(document)]
    for event in evaluations(asset, key, outcomes):
        context.log_event(event)
    refused = refusals_in(document)
    if refused:
        raise dg.Failure(description=f"{key}: {'; '.join(refused)}", allow_retries=False)
    _name_each_other(context, document)
    yield dg.MaterializeResult(asset_key=asset, metadata=metadata_in(document))


def no_fold(home: Home, market: Market, date: str) -> bool:
    """Whether the training set of an as-of day stands and its days give no fold: nothing can be judged on them."""
    document = read_json(_training_set_path(home, market, date))
    return document is not None and not document["folds"]


def _enough(asset: dg.AssetKey, document: Mapping[str, Any]) -> list[CheckOutcome]:
    """Return that there was enough data, of the assets that may say that there is too little."""
    name, of = ENOUGH.get(asset.path[-1], ("", ""))
    if not name:
        return []
    found = len(document[of])
    return [judge(name, True, examined=found, judged=found, severity="warning", message=f"{found} {of}")]


def _say_too_little(context: dg.AssetExecutionContext, asset: dg.AssetKey, key: str, why: str) -> None:
    name = ENOUGH[asset.path[-1]][0]
    outcome = CheckOutcome(name, "not_judged", 0, 0, 1, "warning", f"{NOT_ENOUGH_DATA}: {why}")
    for event in evaluations(asset, key, [outcome]):
        context.log_event(event)
    context.log_event(dg.AssetObservation(asset, partition=key, metadata={"result": NOT_ENOUGH_DATA, "reason": why}))
    context.log.warning(f"{key}: {NOT_ENOUGH_DATA}: {why}; nothing after it runs")


def _training_set_path(home: Home, market: Market, date: str) -> Path:
    return training_folder(home, market, default_clock(market), date).with_name(f"{date}.json")


def recorded_result(home: Home, name: str, market: Market, date: str) -> list[CheckOutcome]:
    """Return the checks of what a stage wrote for an as-of day; none where it wrote nothing."""
    if name == "registered_model":
        mine = [r for r in read_releases(home).releases if (r.market, r.as_of) == (str(market), date)]
        return list(mine[-1].outcomes) if mine else []
    folder = evaluation_folder(home, market, default_clock(market), date)
    path = {
        "training_set": _training_set_path(home, market, date),
        "walk_forward_report": folder / "walk_forward.json",
        "verdict": folder / "verdict.json",
    }[name]
    document = read_json(path)
    return [] if document is None else [*_enough(dg.AssetKey(name), document), *outcomes_in(document)]


def document_of(result: Any) -> dict[str, Any]:
    """Return the document of what a stage returned: an object with ``to_json``, or the document itself."""
    found = result if isinstance(result, Mapping) else result.to_json()
    return dict(plain(found))


def metadata_in(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the UI's form of a document: its words and links first, then numbers, tables, and the rest as JSON."""
    said = dict(document)
    verdict = said.get("verdict")
    if isinstance(verdict, Mapping):  # a walk-forward holds the whole verdict: its words are enough here
        said.update(verdict=verdict.get("verdict"), reasons=verdict.get("reasons"))
    shown = {name: _shown(name, value) for name, value in said.items() if value not in (None, "", [], {})}
    names = sorted(shown, key=lambda n: (_FIRST.index(n) if n in _FIRST else len(_FIRST) + _weight(shown[n])))
    return {name: shown[name] for name in names}


def _weight(value: Any) -> int:
    return 2 if isinstance(value, dg.JsonMetadataValue) else int(isinstance(value, dg.TableMetadataValue))


def outcomes_in(document: Mapping[str, Any]) -> list[CheckOutcome]:
    """Return the checks of a document: its ``outcomes``, and its ``gates`` as warnings with value and bound."""
    gates = document.get("gates", ())
    found = [CheckOutcome.from_json(dict(o)) for o in document.get("outcomes", ())]
    return found + ([_gate(dict(gate)) for gate in gates] if isinstance(gates, list) else [])


def refusals_in(document: Mapping[str, Any]) -> list[str]:
    """Return why a gate kept something of a document from being published: its own checks, or a part's ``refused``."""
    found = [f"{o.name}: {o.message or 'refused'}" for o in outcomes_in(document) if o.refuses]
    parts = [(name, part) for name, part in document.items() if isinstance(part, Mapping) and part.get("refused")]
    return found + [f"{name}: {part.get('reason') or 'refused'}" for name, part in parts]


def _gate(gate: dict[str, Any]) -> CheckOutcome:
    """A gate of the verdict: it says whether capital may follow, and never fails a run, so it warns."""
    said = f"{_number(gate.get('value')) or 'unknown'} against {_number(gate.get('bound'))}"
    judged = gate.get("value") is not None
    status = "not_judged" if not judged else ("passed" if gate.get("ok") else "refused")
    return CheckOutcome(str(gate["name"]), status, 1, int(judged), 1, "warning", said, gate)  # type: ignore[arg-type]


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if name in _PATHS and value.startswith("/"):
            page = value.endswith(".html")
            return dg.MetadataValue.url(Path(value).as_uri()) if page else dg.MetadataValue.path(value)
        return dg.MetadataValue.text(value) if len(value) <= _LONG else dg.MetadataValue.md(value)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        sentences = any(" " in entry for entry in value)
        return dg.MetadataValue.md("\n".join(f"- {e}" for e in value)) if sentences else ", ".join(value)
    if isinstance(value, list) and len(value) <= _ROWS and all(_is_row(entry) for entry in value):
        return _table(value)
    size = len(json.dumps(value))
    if size > _BYTES:  # the instance keeps every event: what is large stays in the document
        return f"{len(value)} entries, {size // 1000} kB: in the document"
    return dg.MetadataValue.json(value)


def _is_row(entry: Any) -> bool:
    return isinstance(entry, Mapping) and all(v is None or isinstance(v, _SCALARS) for v in entry.values())


def _table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Return rows of plain values as a table of text: a column may hold numbers in one row and nothing in another."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    records = [dg.TableRecord({n: _number(row.get(n)) for n in names}) for row in rows]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name, "text") for name in names]))


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _name_each_other(context: dg.AssetExecutionContext, document: Mapping[str, Any]) -> None:
    """Write the MLflow run that a registration made into the tags of this Dagster run."""
    run = document.get(MLFLOW_TAG)
    if run:
        context.instance.add_run_tags(context.run_id, {MLFLOW_TAG: str(run)})

"""``shadow_report``: what a day's predictions said, beside what the simulated orders of the same rows did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Market
from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.labels.spec import LABELS_TABLE
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey, list_partitions
from lob_pipeline.lake.reader import content_or_absent, open_partition
from lob_pipeline.live.rows import NUMBERS
from lob_pipeline.registry.releases import ALIASES, read_releases
from lob_pipeline.stages.documents import write_bytes, write_json
from lob_pipeline.stages.shadow_page import shadow_page

Floats = npt.NDArray[np.float64]

BINS = 10
QUEUE_MODELS = {"proportional": "", "pessimistic": "_pess", "optimistic": "_opt"}
_LABELS = ["ts_ns", "side", "valid", "filled", "fill_delay_ns", "t_arrive_ns", "edge_bps", "markout_5s_bps", "adverse",
           "entry", "filled_pess", "filled_opt", "edge_bps_pess", "edge_bps_opt"]  # fmt: skip


@dataclass(frozen=True)
class ShadowReport:
    """A report that was written: ``path`` of the JSON, ``page`` of the HTML, ``document`` the content."""

    path: Path
    page: Path
    document: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"path": str(self.path), "page": str(self.page), **self.document}


@dataclass(frozen=True)
class _Joined:
    """Orders with a valid label, and what was predicted of them; columns (n,) float64, NaN where unknown."""

    values: dict[str, Floats]
    labelled: int
    predicted: int

    def __getitem__(self, name: str) -> Floats:
        return self.values[name]


def shadow_report(home: Home, market: Market, date: str) -> ShadowReport:
    """Join every standing prediction partition of a day with the day's labels and write what came of it.

    Left out, and named, are batch predictions made from features that were built again since. Per bundle and origin:
    whether the model was trained on the day (``in_sample``, null for a bundle never registered), coverage, predicted
    and realised fill rate (three queue models), realised edge and markout by tenth of what was forecast, calibration;
    live against batch rows of one bundle; champion and challenger side by side. Raises ``RefusedError`` when there are
    no predictions or no labels to join.
    """
    keys = [
        key
        for key in list_partitions(home, "predictions")
        if key.market == market and key.date == date and content_or_absent(home, key) != ABSENT
    ]
    if not keys:
        raise RefusedError(
            f"no predictions of {market} on {date} are in {home.lake}: run `lob predict` or `lob live` first"
        )
    outdated = [key for key in keys if _outdated(home, key)]
    keys = [key for key in keys if key not in outdated]
    if not keys:
        raise RefusedError(
            f"all predictions of {market} on {date} were made from features that were built again since: run "
            f"`lob predict {market} {date}` first"
        )
    roles, as_of = _roles(home, market)
    tables = {key: _predictions(home, key) for key in keys}
    labels = {clock: _labels(home, market, date, clock) for clock in {key.clock or "" for key in keys}}
    models = []
    for key, columns in tables.items():
        joined = _join(columns, labels[key.clock or ""])
        role = roles.get(key.bundle or "", "")
        last = as_of.get(key.bundle or "")
        who = {"bundle": key.bundle, "origin": key.origin, "clock": key.clock, "role": role, "trained_up_to": last}
        models.append({**who, "in_sample": None if last is None else date <= last, **_figures(joined)})
    document = {
        "market": str(market),
        "date": date,
        "models": sorted(models, key=lambda m: (m["role"] or "~", str(m["bundle"]), str(m["origin"]))),
        "live_against_batch": _agreement(tables),
        "reasons": [*(_sentence(m) for m in models), *(f"left out, of older features: {key}" for key in outdated)],
    }
    folder = home.reports / "shadow" / str(market)
    path, page = folder / f"{date}.json", folder / f"{date}.html"
    write_json(path, document)
    write_bytes(page, shadow_page(document).encode())
    return ShadowReport(path, page, document)


def _roles(home: Home, market: Market) -> tuple[dict[str, str], dict[str, str]]:
    """Return the alias of who has one, and the last day of the training data of every registered bundle."""
    releases = read_releases(home)
    found = {alias: releases.current(alias, str(market)) for alias in ALIASES}
    roles = {release.sha12: alias for alias, release in found.items() if release is not None}
    return roles, {release.sha12: release.as_of for release in releases.releases}


def _outdated(home: Home, key: PartitionKey) -> bool:
    """Whether batch predictions were made from other features than the lake holds now; live ones saw their own."""
    with open_partition(home, key, PREDICTIONS) as partition:
        made_from = partition.manifest.inputs.get(f"features/{key.date}")
    now = content_or_absent(home, PartitionKey("features", key.market, key.date, key.clock))
    return key.origin == "batch" and made_from is not None and made_from != now


def _predictions(home: Home, key: PartitionKey) -> Columns:
    with open_partition(home, key, PREDICTIONS) as partition:
        return partition.read(["ts_ns", "side", "valid", *NUMBERS])


def _labels(home: Home, market: Market, date: str, clock: str) -> Columns:
    with open_partition(home, PartitionKey("labels", market, date, clock), LABELS_TABLE) as partition:
        columns = partition.read(_LABELS)
    if not columns["valid"].any():
        raise RefusedError(f"labels of {market} on {date} at {clock} hold no valid order: there is nothing to join")
    return columns


def _join(said: Columns, labels: Columns) -> _Joined:
    """Match orders and predictions by instant and side; keep the orders whose label is valid."""
    valid = np.asarray(labels["valid"], np.bool_)
    key, theirs = _order_keys(labels)[valid], _order_keys(said)
    at = np.minimum(np.searchsorted(theirs, key), max(0, len(theirs) - 1))
    met = (theirs[at] == key) & said["valid"][at] if len(theirs) else np.zeros(len(key), np.bool_)
    values = {name: said[name][at][met].astype(np.float64) for name in NUMBERS}
    for name in _LABELS[3:]:
        column = labels[name][valid][met]
        values[f"real_{name}"] = np.where(np.ma.getmaskarray(column), np.nan, np.ma.getdata(column).astype(np.float64))
    values["value_bps"] = values["p_fill"] * values["edge_bps"]
    return _Joined(values, int(valid.sum()), int(met.sum()))


def _order_keys(columns: Columns) -> npt.NDArray[np.int64]:
    """Return one ascending number an instant and side, int64 (n,)."""
    return 2 * columns["ts_ns"].astype(np.int64) + (columns["side"].astype(np.int64) > 0)


def _figures(joined: _Joined) -> dict[str, Any]:
    filled = joined["real_filled"] > 0
    return {
        "orders_with_a_label": joined.labelled,
        "orders_predicted": joined.predicted,
        "coverage": _number(joined.predicted / joined.labelled if joined.labelled else np.nan),
        "filled": int(filled.sum()),
        "distinct_fill_times": len(np.unique((joined["real_t_arrive_ns"] + joined["real_fill_delay_ns"])[filled])),
        "fill_rate": {
            "predicted": _mean(joined["p_fill"]),
            **{name: _mean(joined[f"real_filled{suffix}"]) for name, suffix in QUEUE_MODELS.items()},
        },
        "edge_given_a_fill_bps": {
            "predicted": _mean(joined["edge_bps"][filled]),
            **{name: _mean(joined[f"real_edge_bps{suffix}"]) for name, suffix in QUEUE_MODELS.items()},
        },
        "calibration": {
            "fill": calibration(joined["p_fill"], joined["real_filled"]),
            "entry": calibration(joined["p_entry"], joined["real_entry"]),
            "adverse": calibration(joined["p_adverse"][filled], joined["real_adverse"][filled]),
        },
        "tenths_of_value": _tenths(joined, "value_bps"),
        "tenths_of_edge": _tenths(joined, "edge_bps"),
    }


def calibration(said: Floats, happened: Floats) -> dict[str, Any]:
    """Return bins of equal width of a probability beside what happened (0/1), the Brier score and the mean gap.

    Rows where either is NaN are left out; ``expected_calibration_error`` is the gap averaged over rows.
    """
    known = ~np.isnan(said) & ~np.isnan(happened)
    said, happened = said[known], happened[known]
    which = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    bins: list[dict[str, Any]] = []
    gap = 0.0
    for i in range(BINS):
        mine = which == i
        if mine.any():
            p, share = float(said[mine].mean()), float(happened[mine].mean())
            gap += abs(p - share) * int(mine.sum())
            bins.append({"from": i / BINS, "rows": int(mine.sum()), "predicted": p, "happened": share})
    return {
        "rows": len(said),
        "bins": bins,
        "brier": _mean((said - happened) ** 2),
        "expected_calibration_error": _number(gap / len(said) if len(said) else np.nan),
    }


def _tenths(joined: _Joined, by: str) -> list[dict[str, Any]]:
    """Return realised outcomes by tenth of a forecast, lowest first; fewer where forecasts tie."""
    said = joined[by]
    known = np.flatnonzero(~np.isnan(said))
    if not len(known):
        return []
    edges = np.unique(np.quantile(said[known], np.linspace(0, 1, BINS + 1)[1:-1]))
    which = np.searchsorted(edges, said[known], "right")
    found = []
    for i in range(len(edges) + 1):
        rows = known[which == i]
        if len(rows):
            edge = joined["real_edge_bps"][rows]
            found.append(
                {
                    "rows": len(rows),
                    "predicted_bps": _mean(said[rows]),
                    "fill_rate": _mean(joined["real_filled"][rows]),
                    "edge_an_order_bps": _mean(np.where(np.isnan(edge), 0.0, edge)),
                    "edge_a_fill_bps": _mean(edge),
                    "markout_5s_bps": _mean(joined["real_markout_5s_bps"][rows]),
                }
            )
    return found


def _agreement(tables: dict[PartitionKey, Columns]) -> list[dict[str, Any]]:
    """Compare live and batch rows of one bundle: how many instants both have, and how many are the same bits."""
    found = []
    for key, live in tables.items():
        batch = next((c for k, c in tables.items() if k.origin == "batch" and k.bundle == key.bundle), None)
        if key.origin != "live" or batch is None:
            continue
        ours, theirs = _order_keys(live), _order_keys(batch)
        _, a, b = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
        both = np.logical_and(live["valid"][a], batch["valid"][b])
        same = np.ones(int(both.sum()), np.bool_)
        for name in NUMBERS:
            one, other = live[name][a][both], batch[name][b][both]
            same &= (one == other) | (np.isnan(one) & np.isnan(other))
        found.append(
            {
                "bundle": key.bundle,
                "rows_live": len(ours),
                "rows_batch": len(theirs),
                "valid_in_both": int(both.sum()),
                "valid_in_one": int((live["valid"][a] != batch["valid"][b]).sum()),
                "equal": int(same.sum()),
            }
        )
    return found


def _sentence(model: dict[str, Any]) -> str:
    who = f"{model['role'] or 'bundle'} {model['bundle']} ({model['origin']})"
    if not model["orders_predicted"]:
        return f"{who}: none of {model['orders_with_a_label']:,} labelled orders has a valid prediction"
    rate = model["fill_rate"]
    said = "no answer" if rate["predicted"] is None else f"{rate['predicted']:.1%}"
    known = f"; it was trained on this day (data up to {model['trained_up_to']})" if model["in_sample"] else ""
    return (
        f"{who}: {model['orders_predicted']:,} of {model['orders_with_a_label']:,} labelled orders predicted; fill "
        f"rate {said} predicted, {rate['pessimistic']:.1%} to {rate['optimistic']:.1%} realised over the queue models"
        f"{known}"
    )


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return _number(known.mean() if len(known) else np.nan)


def _number(value: float | np.floating) -> float | None:
    return None if np.isnan(value) else float(value)

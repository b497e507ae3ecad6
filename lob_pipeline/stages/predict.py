"""Stage ``predictions`` (batch): a day's features through a bundle's streaming step, as the live process does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lob_pipeline.core.clock import parse_clock
from lob_pipeline.core.columns import Columns
from lob_pipeline.core.errors import RefusedError
from lob_pipeline.core.instrument import Instrument, Market
from lob_pipeline.core.tables import PREDICTIONS, SEASONAL_PROFILE
from lob_pipeline.core.units import shift_date
from lob_pipeline.features.batch import Bools, Float32s
from lob_pipeline.features.profile import Profile
from lob_pipeline.features.registry import BUILT, FEATURES_TABLE
from lob_pipeline.features.state import Int64s
from lob_pipeline.lake.fingerprint import code_fingerprint
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.instruments import partition_instrument
from lob_pipeline.lake.manifest import ABSENT
from lob_pipeline.lake.paths import PartitionKey
from lob_pipeline.lake.reader import Partition, content_or_absent, open_partition
from lob_pipeline.lake.writer import PartitionWriter
from lob_pipeline.live.code import prediction_code
from lob_pipeline.live.gates import PredictionGates
from lob_pipeline.live.opened import OpenBundle, open_bundle
from lob_pipeline.live.rows import prediction_rows
from lob_pipeline.registry.releases import ALIASES, read_releases, releases_ledger
from lob_pipeline.stages.build_profile import profile_of_columns
from lob_pipeline.stages.result import StageResult, stage_result

CHUNK_ROWS = 1 << 15
NAMES = tuple(feature.name for feature in BUILT)


class FeatureRows(NamedTuple):
    """Rows of ``features``: ts_ns int64 (n,), features float32 (n, N_BUILT), valid bool (n,)."""

    ts_ns: Int64s
    features: Float32s
    valid: Bools

    def cut(self, start: int, stop: int) -> FeatureRows:
        """Return the rows [start, stop)."""
        return FeatureRows(self.ts_ns[start:stop], self.features[start:stop], self.valid[start:stop])


class Context(NamedTuple):
    """Rows before a day, oldest first, and the content of the partitions that were looked at."""

    rows: FeatureRows
    inputs: dict[str, str]


class PredictReport(NamedTuple):
    """What ``predictions_of_day`` built: one partition a role."""

    results: dict[str, StageResult]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {role: result.to_json() for role, result in self.results.items()}


def build_predictions(
    home: Home,
    market: Market,
    date: str,
    bundle_folder: Path,
    clock: str | None = None,
    alias: str = "",
    sha256: str | None = None,
) -> StageResult:
    """Forecast every row of a day's features with the bundle in a folder and publish them (origin ``batch``).

    The streaming step starts from the last ``receptive_field`` rows before the day where those days' features are
    usable and each ends one step before the next begins; else cold. Gates: ``schema``, ``probabilities``,
    ``ready_rule``, ``valid_predictions``. ``sha256``: what the ledger says the bundle is. Raises ``RefusedError`` for a
    bundle of another market, clock, features or grid, for features that are absent, refused or of another registry;
    ``BadInputError`` for no bundle.
    """
    opened = open_bundle(bundle_folder, market, alias, sha256)
    identity = opened.identity
    require_clock(opened, clock)
    require_settings(opened, partition_instrument(home, market, date), date)
    key = PartitionKey("predictions", market, date, identity.clock_id, identity.bundle, "batch")
    features_key = PartitionKey("features", market, date, identity.clock_id)
    gates = PredictionGates(identity)
    with open_features(home, features_key) as features, PartitionWriter(home, key, PREDICTIONS) as writer:
        forecaster = opened.forecaster()
        context: Context | None = None
        for rows in feature_chunks(features):
            if context is None:
                context = rows_before(home, features_key, int(rows.ts_ns[0]), identity.receptive_field)
                forecaster.run(*context.rows)
            forecasts = forecaster.run(*rows)
            columns, strings = prediction_rows(identity, forecasts)
            gates.add(forecasts, columns, strings)
            writer.write(columns, strings)
        manifest = writer.commit(
            code_fingerprint=prediction_code(),
            inputs={
                f"features/{date}": features.manifest.content_sha256,
                **(context.inputs if context else {}),
                "bundle": identity.bundle_sha256,
            },
            outcomes=gates.outcomes(),
            extra={
                "bundle_sha256": identity.bundle_sha256,
                "model_name": identity.model_name,
                "model_version": identity.model_version,
                "alias": alias,
                "features_fingerprint": identity.features_fingerprint,
                "profile_version": features.manifest.extra.get("profile_version"),
                "rows_before_the_day": len(context.rows.ts_ns) if context else 0,
            },
        )
        return stage_result(key, manifest, writer.path)


def predictions_of_day(home: Home, market: Market, date: str, clock: str | None = None) -> PredictReport:
    """Forecast a day with the champion and the challenger of the release ledger: the very bundles that it names.

    Raises ``RefusedError`` when nothing is registered for the market, when a gate refuses, and as
    ``build_predictions`` does.
    """
    releases = read_releases(home)
    found = {role: releases.current(role, str(market)) for role in ALIASES}
    if not any(found.values()):
        raise RefusedError(
            f"no model of {market} is registered in {releases_ledger(home)}: train one and register it first"
        )
    report = PredictReport(
        {
            role: build_predictions(home, market, date, r.path, clock, role, r.bundle_sha256)
            for role, r in found.items()
            if r is not None
        }
    )
    refused = [f"{role}: {result.reason}" for role, result in report.results.items() if result.refused]
    if refused:
        raise RefusedError(f"predictions of {market} on {date} were refused ({'; '.join(refused)})")
    return report


def require_clock(opened: OpenBundle, clock: str | None) -> None:
    """Raise ``RefusedError`` when the bundle forecasts on another clock than ``clock`` (None: any)."""
    if clock is not None and parse_clock(clock).id != opened.identity.clock_id:
        raise RefusedError(
            f"bundle {opened.identity.bundle} was trained on clock {opened.identity.clock_id}, not on {clock}: "
            "give a bundle of that clock"
        )


def require_settings(opened: OpenBundle, instrument: Instrument, date: str) -> None:
    """Raise ``RefusedError`` when a day's rows were computed with other settings (tick, lot …) than the bundle's."""
    for name, ours in opened.bundle.info["instrument"].items():
        theirs = str(getattr(instrument, name, None))
        if ours != theirs:
            raise RefusedError(
                f"bundle {opened.identity.bundle} was trained with {name} {ours}, {instrument.market} has {theirs} on "
                f"{date}: train on days with that {name}"
            )


def open_features(home: Home, key: PartitionKey) -> Partition:
    """Open a usable features partition that this code computed, as a bundle's features are. ``RefusedError`` else."""
    features = open_partition(home, key, FEATURES_TABLE)
    if not _is_of_this_code(home, features):
        features.close()
        raise RefusedError(
            f"{key} was computed by other code than this: run `lob features {key.market} {key.date} --clock "
            f"{key.clock}`"
        )
    return features


def _is_of_this_code(home: Home, features: Partition) -> bool:
    instrument = partition_instrument(home, features.key.market, features.key.date)
    return features.manifest.code_fingerprint == code_fingerprint("features", instrument)


def feature_chunks(features: Partition, rows: int = CHUNK_ROWS) -> Iterator[FeatureRows]:
    """Yield a partition's rows in order."""
    for columns in features.chunks(rows):
        if len(columns["ts_ns"]):
            yield feature_rows(columns)


def rows_before(home: Home, key: PartitionKey, first_ns: int, count: int) -> Context:
    """Return up to ``count`` rows that end one step before ``first_ns``, from the days before the day of ``key``."""
    step_ns = parse_clock(key.clock or "").step_ns
    parts: list[FeatureRows] = []
    inputs: dict[str, str] = {}
    date, missing = key.date, count
    while missing > 0:
        date = shift_date(date, -1)
        before = PartitionKey(key.table, key.market, date, key.clock)
        content = inputs[f"{key.table}/{date}"] = content_or_absent(home, before)
        if content == ABSENT:
            break
        with open_partition(home, before, FEATURES_TABLE) as partition:
            rows = feature_rows(partition.tail(missing)) if _is_of_this_code(home, partition) else joined_rows([])
        if len(rows.ts_ns) == 0 or int(rows.ts_ns[-1]) != first_ns - step_ns:
            break
        parts.insert(0, rows)
        first_ns, missing = int(rows.ts_ns[0]), missing - len(rows.ts_ns)
    return Context(joined_rows(parts), inputs)


def feature_rows(columns: Columns) -> FeatureRows:
    """Return columns of ``features`` as rows."""
    features = np.empty((len(columns["ts_ns"]), len(NAMES)), np.float32)
    for i, name in enumerate(NAMES):
        features[:, i] = columns[name]
    return FeatureRows(columns["ts_ns"].astype(np.int64), features, columns["valid"].astype(np.bool_))


def joined_rows(parts: list[FeatureRows]) -> FeatureRows:
    """Return parts one after the other; none gives no rows."""
    return FeatureRows(
        np.concatenate([np.zeros(0, np.int64), *(part.ts_ns for part in parts)]),
        np.concatenate([np.zeros((0, len(NAMES)), np.float32), *(part.features for part in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(part.valid for part in parts)]),
    )


def profile_source(home: Home, opened: OpenBundle) -> Callable[[str], Profile]:
    """Return what gives a live session a day's profile: the lake's where it is usable, else the bundle's own.

    So live features are those that batch computes of the same day, and a home without a lake works too.
    """
    identity = opened.identity
    own, _ = opened.profile

    def profile_of(date: str) -> Profile:
        key = PartitionKey("seasonal_profile", identity.market, date, identity.clock_id)
        if content_or_absent(home, key) == ABSENT:
            return own
        with open_partition(home, key, SEASONAL_PROFILE) as partition:
            return profile_of_columns(partition.read())

    return profile_of

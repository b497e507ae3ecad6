"""``lob replay-prediction``: a stored prediction made again from its bundle and the lake's features, byte by byte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lob_pipeline.core.errors import BadInputError, RefusedError
from lob_pipeline.core.instrument import Market, parse_market
from lob_pipeline.core.tables import PREDICTIONS
from lob_pipeline.core.units import format_ns, parse_date, row_day_of_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.lake.paths import ORIGINS, PartitionKey, list_partitions
from lob_pipeline.lake.reader import Partition, open_partition
from lob_pipeline.live.forecast import DIGEST_BYTES
from lob_pipeline.live.opened import OpenBundle, open_bundle
from lob_pipeline.live.rows import SIDES, VARYING, prediction_rows
from lob_pipeline.registry.releases import bundles_folder
from lob_pipeline.stages.predict import FeatureRows, feature_rows, joined_rows, open_features, rows_before

_ID = re.compile(r"([0-9a-f]{12})-(.+)-(t[0-9]+m?s)-([0-9]{1,19})-([bs])\Z")
_COMPARED = tuple(c.name for c in PREDICTIONS.columns if c.name not in VARYING)
_READ_ROWS = 1 << 14


class PredictionName(NamedTuple):
    """What a ``prediction_id`` says: the bundle's 12 hex digits, market, clock, instant and side (+1, -1)."""

    bundle: str
    market: Market
    clock: str
    ts_ns: int
    side: int


def parse_id(text: str) -> PredictionName:
    """Return the parts of a prediction_id. Raises ``BadInputError`` when it is none."""
    found = _ID.match(text)
    if found is None:
        raise BadInputError(
            f"prediction {text!r} is no id: expected <bundle, 12 hex>-<venue.SYMBOL>-<clock>-<ts_ns>-<b|s>"
        )
    return PredictionName(found[1], parse_market(found[2]), found[3], int(found[4]), 1 if found[5] == "b" else -1)


def replay(home: Home, prediction_id: str, bundle_folder: Path | None = None) -> dict[str, Any]:
    """Compute one stored prediction again, live and batch where both stand, and compare all but what time tells.

    Reads the features of the rows that it depends on, over midnight where needed. Returns what was compared. Raises
    ``BadInputError`` for a text that is no id, ``RefusedError`` when no such prediction stands, its bundle or features
    are absent or changed, or a column differs, naming the first.
    """
    name = parse_id(prediction_id)
    date = row_day_of_ns(name.ts_ns)
    keys = [PartitionKey("predictions", name.market, date, name.clock, name.bundle, origin) for origin in ORIGINS]
    there = [key for key in keys if key.path(home).exists()]
    if not there:
        raise RefusedError(f"no prediction of bundle {name.bundle} for {name.market} on {date} is in {home.lake}")
    compared = []
    with ExitStack() as stack:
        replayer = _Replayer(home, _open(home, name.bundle, name.market, bundle_folder), date, stack)
        for key in there:
            with open_partition(home, key, PREDICTIONS) as partition:
                at = _place(partition, name)
                if at is not None:
                    replayer.compare(partition, at)
                    compared.append(key.origin)
    if not compared:
        raise RefusedError(f"{prediction_id} is in no partition of {date}: there is no row of that instant")
    return {"prediction_id": prediction_id, "origins": compared, "rows_read": replayer.used, "equal": True}


def replay_random(
    home: Home, market: Market, date: str, count: int, bundle_folder: Path | None = None, seed: int = 1
) -> dict[str, Any]:
    """Replay ``count`` random valid predictions of a day, of every bundle and origin that stands (of one, if given).

    Raises as ``replay`` does, and ``RefusedError`` when the day has no valid prediction.
    """
    date = parse_date(date).isoformat()
    wanted = _open(home, "", market, bundle_folder).identity.bundle if bundle_folder else None
    keys = [
        key
        for key in list_partitions(home, "predictions")
        if key.market == market and key.date == date and wanted in (None, key.bundle)
    ]
    done: dict[str, int] = {}
    rng = np.random.default_rng(seed)
    for key in keys:
        with open_partition(home, key, PREDICTIONS) as partition, ExitStack() as stack:
            valid = np.flatnonzero(partition.read(["valid"])["valid"])
            chosen = np.sort(rng.choice(valid, min(count, len(valid)), replace=False)) if len(valid) else valid
            opened = _open(home, str(key.bundle), market, bundle_folder)
            replayer = _Replayer(home, opened, date, stack)
            for at in chosen.tolist():
                replayer.compare(partition, at)
            done[f"{key.bundle} {key.origin}"] = len(chosen)
    if not sum(done.values()):
        raise RefusedError(f"no valid prediction of {market} on {date} is in {home.lake}: nothing was compared")
    return {"market": str(market), "date": date, "replayed": done, "equal": True}


def _open(home: Home, bundle: str, market: Market, folder: Path | None) -> OpenBundle:
    if folder is None and not (bundles_folder(home) / bundle).is_dir():
        raise RefusedError(f"bundle {bundle} is not in {bundles_folder(home)}: give its folder with --bundle")
    opened = open_bundle(folder or bundles_folder(home) / bundle, market)
    if bundle and opened.identity.bundle != bundle:
        raise RefusedError(f"{folder} holds bundle {opened.identity.bundle}, the prediction was made by {bundle}")
    return opened


def _place(partition: Partition, name: PredictionName) -> int | None:
    """Return the row of an instant and side, None where there is none."""
    times = partition.read(["ts_ns"])["ts_ns"]
    at = int(np.searchsorted(times, name.ts_ns)) + SIDES.index(name.side)
    return at if at < len(times) and int(times[at]) == name.ts_ns else None


class _Replayer:
    """Computes predictions of one day again, in ascending order of their rows for speed."""

    def __init__(self, home: Home, opened: OpenBundle, date: str, stack: ExitStack) -> None:
        self._home, self._opened = home, opened
        identity = opened.identity
        self._key = PartitionKey("features", identity.market, date, identity.clock_id)
        self._features = stack.enter_context(open_features(home, self._key))
        self._times = self._features.read(["ts_ns"])["ts_ns"]
        self._columns = identity.columns()
        self._held: tuple[int, FeatureRows] | None = None
        self.used = 0

    def compare(self, partition: Partition, at: int) -> None:
        """Compute the prediction in row ``at`` again. Raises ``RefusedError`` naming the first column that differs."""
        stored = {name: values[0] for name, values in partition.stretch(at, at + 1).items()}
        rows = self._rows_to(int(stored["ts_ns"]))
        found = None
        for count in self._lengths(rows, str(stored["input_sha256"])):
            found = self._again(rows.cut(len(rows.ts_ns) - count, len(rows.ts_ns)), stored)
            self.used = count
        if found is None:
            raise RefusedError(
                f"{stored['prediction_id']}: input_sha256 differs: no stretch of the lake's features has the rows that "
                "it was made from; they were built again since, or the session saw other messages"
            )
        for name in _COMPARED:
            if not _same(stored[name], found[name]):
                raise RefusedError(
                    f"{stored['prediction_id']} ({format_ns(int(stored['ts_ns']))}): {name} differs: stored "
                    f"{stored[name]!r}, computed again {found[name]!r}"
                )

    def _again(self, rows: FeatureRows, stored: dict[str, Any]) -> dict[str, Any]:
        last = self._opened.forecaster().run(*rows).last()
        columns, strings = prediction_rows(self._opened.identity, last)
        side = SIDES.index(int(stored["side"]))
        found: dict[str, Any] = {name: values[side] for name, values in columns.items()}
        found |= {name: values[side].as_py() for name, values in strings.items()}
        # The alias is who the bundle was when it predicted; the bundle does not know.
        return found | {"alias": stored["alias"]}

    def _lengths(self, rows: FeatureRows, wanted: str) -> Iterator[int]:
        """Yield how many of the last rows have the hash ``wanted``: a session may have begun within the memory."""
        usable = rows.valid & np.isfinite(rows.features[:, self._columns]).all(axis=1)
        unbroken = len(usable) - (int(np.flatnonzero(~usable)[-1]) + 1 if not usable.all() else 0)
        chosen = np.ascontiguousarray(rows.features[:, self._columns])
        digests = b"".join(sha256(row.tobytes()).digest()[:DIGEST_BYTES] for row in chosen[len(chosen) - unbroken :])
        for count in range(unbroken, -1, -1):
            if sha256(digests[DIGEST_BYTES * (unbroken - count) :]).hexdigest() == wanted:
                yield max(1, count)
                return

    def _rows_to(self, ts_ns: int) -> FeatureRows:
        """Return the last ``receptive_field`` feature rows up to an instant, fewer where there are fewer."""
        count = self._opened.identity.receptive_field
        end = int(np.searchsorted(self._times, ts_ns, "right"))
        if end == 0 or int(self._times[end - 1]) != ts_ns:
            raise RefusedError(f"{self._key} has no row at {format_ns(ts_ns)}: it was built again since")
        rows = self._stretch(max(0, end - count), end)
        if end < count:
            before = rows_before(self._home, self._key, int(self._times[0]), count - end).rows
            rows = joined_rows([before, rows])
        return rows

    def _stretch(self, start: int, stop: int) -> FeatureRows:
        if self._held is None or not self._held[0] <= start or stop > self._held[0] + len(self._held[1].ts_ns):
            columns = self._features.stretch(start, min(len(self._times), max(stop, start + _READ_ROWS)))
            self._held = start, feature_rows(columns)
        first, held = self._held
        return held.cut(start - first, stop - first)


def _same(stored: Any, found: Any) -> bool:
    if isinstance(found, float | np.floating):
        return np.float64(stored).tobytes() == np.float64(found).tobytes() or bool(np.isnan(stored) and np.isnan(found))
    return bool(stored == found)

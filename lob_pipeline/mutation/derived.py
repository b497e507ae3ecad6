"""A USDT-M recording in Bybit's bytes: one depth of its book or two side by side, websocket or archive."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import day_of_ns
from lob_pipeline.lake.home import Home
from lob_pipeline.mutation.frames import WITNESS, Frame, Recording
from lob_pipeline.mutation.wire import wire_of
from lob_pipeline.sim.transcode import transcode
from lob_pipeline.stages.ingest import ingest


def derived(recording: Recording, form: str, depth: int, witness: int | None = None) -> Recording:
    """Return a USDT-M recording in Bybit's form (``sim.transcode``): real dynamics, Bybit's bytes.

    ``witness``: another depth of the same book, recorded beside it (websocket form), equal ``seq`` being one instant.
    """
    with tempfile.TemporaryDirectory(prefix="lob-derived-") as folder:
        root, market = Path(folder), parse_market(recording.market)
        for name, data in recording.files().items():
            (root / name).write_bytes(data)
        home = Home(root / "home")
        report = ingest(home, market, [root / n for call in recording.calls for n in call], keep=False)
        dates = sorted(r.date for r in report.partitions if r.table == "l2_events")
        depths = (depth, witness) if witness else (depth,)
        made = transcode(home, market, dates, root / "out", form="websocket", depths=depths)
        frames: list[Frame] = []
        names: list[str] = []
        for path in made.paths(depth):
            frames += _frames(path)
            names.append(path.name)
        for path in made.books[witness] if witness else ():
            frames += [replace(frame, kind=WITNESS) for frame in _frames(path)]
            names.append(path.name)
        info = {"instruments-info.json": (root / "out" / "instruments-info.json").read_bytes()}
        both = f"{depth}+{witness}" if witness else str(depth)
        found = Recording(f"derived-ob{both}-ws", str(made.market), tuple(frames), (tuple(names),), info)
        if form == "websocket":
            return found
        archive = transcode(home, market, dates, root / "archive", form="archive", depths=(depth,))
        return _as_archive(found, archive.books[depth])


def _frames(path: Path) -> list[Frame]:
    wire = wire_of("bybit-linear")
    stamps = path.with_name(path.name.removesuffix(".ndjson") + ".recv_ts.txt").read_bytes().split(b"\n")
    lines = path.read_bytes().split(b"\n")
    return [wire.parse(line, path.name, recv) for line, recv in zip(lines, stamps, strict=False) if line]


def _as_archive(websocket: Recording, zips: list[Path]) -> Recording:
    """Return the archive's book files (unzipped) with the websocket's trades, all without receive times."""
    import zipfile

    wire, frames, names = wire_of("bybit-linear"), list[Frame](), list[str]()
    for path in zips:
        with zipfile.ZipFile(path) as archive:
            name = archive.namelist()[0]
            lines = archive.read(name).splitlines()
        names.append(name)
        frames += [wire.parse(line, name, b"") for line in lines if line]
    trades = [replace(f, recv=b"") for f in websocket.frames if f.kind == "trade"]
    days = sorted({day_of_ns(wire.engine_ms(f) * 10**6 - 1) for f in trades})
    for day in days:
        name = f"publicTrade-{day}.ndjson"
        frames += [replace(f, file=name) for f in trades if day_of_ns(wire.engine_ms(f) * 10**6 - 1) == day]
        names.append(name)
    calls = (tuple(names),)
    return replace(websocket, name=websocket.name.replace("-ws", "-archive"), frames=tuple(frames), calls=calls)

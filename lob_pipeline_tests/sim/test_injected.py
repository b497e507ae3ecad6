"""Faults lie where the truth says, touch nothing else, and none of them passes `lob ingest` and `lob verify` unseen."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import parse_market
from lob_pipeline.core.units import parse_date
from lob_pipeline.lake.home import Home
from lob_pipeline.sim.config import SimConfig
from lob_pipeline.sim.injected import KINDS, Fault, inject, parse_faults
from lob_pipeline.stages.build_books import build_books
from lob_pipeline.stages.ingest import ingest
from lob_pipeline.stages.simulate import SimReport, simulate
from lob_pipeline.stages.verify import verify

MARKET = parse_market("sim.BTCUSDT")
CONFIG = SimConfig(seed=3, days=1, minutes=12)
DAY = parse_date(CONFIG.first_day).toordinal()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> SimReport:
    return simulate(tmp_path_factory.mktemp("clean"), CONFIG)


def lines(path: Path) -> list[bytes]:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.read(archive.namelist()[0]).splitlines(keepends=True)


def damaged(clean: SimReport, folder: Path, *kinds: str) -> tuple[Path, Path, list[Fault]]:
    folder.mkdir(exist_ok=True)
    book, trades = (Path(shutil.copy(path, folder)) for path in clean.files)
    return book, trades, inject(book, trades, kinds, CONFIG.seed, DAY)


def findings(home: Home, paths: list[Path]) -> dict[str, Any]:
    """Return what the pipeline says: who refused, whether the certificate holds, what it shows."""
    report = ingest(home, MARKET, paths)
    refused = [o.name for r in report.partitions for o in r.manifest.outcomes if o.refuses]
    if any(r.refused for r in report.partitions if r.table == "l2_events"):
        return {"refused": refused, "holds": False, "shown": {}}
    built = build_books(home, MARKET, CONFIG.first_day)
    refused += [o.name for o in built.manifest.outcomes if o.refuses]
    certificate = verify(home, MARKET, CONFIG.first_day, None)
    shown = {name: certificate[name] for name in ("gaps", "late_messages", "invalid_ns", "resets")}
    shown["dropped_messages"] = built.manifest.extra.get("dropped_messages", 0)
    return {"refused": refused, "holds": certificate["holds"], "shown": {k: v for k, v in shown.items() if v}}


def test_the_market_without_a_fault_passes(clean: SimReport, tmp_path: Path) -> None:
    assert findings(Home(tmp_path), clean.files) == {"refused": [], "holds": True, "shown": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_seen(clean: SimReport, tmp_path: Path, kind: str) -> None:
    book, trades, (fault,) = damaged(clean, tmp_path / "market", kind)
    found = findings(Home(tmp_path / "home"), [book, trades])
    if kind in ("lost", "reordered", "repeated", "clock_back"):  # what the chain itself tells: masked, not refused
        expected = {"lost": "gaps", "reordered": "gaps", "repeated": "dropped_messages", "clock_back": "late_messages"}
        assert found["holds"]
        assert expected[kind] in found["shown"]
        for gap in found["shown"].get("gaps", []):
            assert abs(gap["at_ns"] - fault.at_ns) <= 10**9
    else:
        assert not found["holds"]
        assert found["refused"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_lies_where_it_says_and_nowhere_else(clean: SimReport, tmp_path: Path, kind: str) -> None:
    book, trades, (fault,) = damaged(clean, tmp_path, kind)
    hit, path = (trades, clean.files[1]) if kind.startswith("trades") else (book, clean.files[0])
    whole = (book if hit is trades else trades).read_bytes()
    assert whole == (clean.files[0] if hit is trades else clean.files[1]).read_bytes()
    before, after = lines(path), lines(hit)
    at, end = fault.line, fault.line + fault.lines
    assert fault.file == hit.name
    assert 1 <= at < end <= len(before) - 1
    assert after[:at] == before[:at]
    rest = len(before) - end
    assert after[at : len(after) - rest] != before[at:end]
    if kind == "lost_renumbered":
        ids = [json.loads(line)["data"]["u"] for line in after]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    else:
        assert after[len(after) - rest :] == before[end:]
    if hit is book:
        message = json.loads(before[at])
        assert (fault.at_ns, fault.update_id) == (message["cts"] * 10**6, message["data"]["u"])


def test_all_kinds_together_each_in_a_stretch_of_its_own(clean: SimReport, tmp_path: Path) -> None:
    report = simulate(tmp_path, CONFIG, faults=parse_faults("all"))
    told = report.truth["days"][CONFIG.first_day]["faults"]
    assert sorted(fault["kind"] for fault in told) == sorted(KINDS)
    for name in {fault["file"] for fault in told}:
        spans = sorted((f["line"], f["line"] + f["lines"]) for f in told if f["file"] == name)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert report.days[0].statistics == clean.days[0].statistics
    assert report.days[0].sha256 != clean.days[0].sha256
    again = simulate(tmp_path / "again", CONFIG, faults=KINDS)
    assert again.days[0].sha256 == report.days[0].sha256


def test_unknown_kinds_and_short_files_are_refused(tmp_path: Path) -> None:
    assert parse_faults("") == ()
    assert parse_faults("lost, repeated") == ("lost", "repeated")
    for wrong in ("nosuch", "lost,lost"):
        with pytest.raises(BadInputError, match="--faults"):
            parse_faults(wrong)
    with pytest.raises(BadInputError, match="too few"):
        simulate(tmp_path, SimConfig(seed=3, days=1, minutes=1), faults=KINDS)

"""docs/adding_a_venue.md, executed: its module is a form, its test passes, its table of columns is the readers' own."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from lob_pipeline.core.market_file import _check
from lob_pipeline.venues import detect, forms
from lob_pipeline.venues.table_csv import MEANINGS, kind_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding_a_venue.md"
_BLOCK = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


def _blocks() -> dict[str, str]:
    return dict(_BLOCK.findall(PAGE.read_text("utf-8")))


def _module(name: str, source: str, folder: Path) -> ModuleType:
    path = folder / f"{name.rpartition('.')[2]}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _blocks()
    assert set(blocks) == {
        "lob_pipeline/venues/demo.py",
        "lob_pipeline/core/markets.toml",
        "lob_pipeline_tests/venues/test_demo.py",
    }
    before = set(sys.modules)
    try:
        demo = _module("lob_pipeline.venues.demo", blocks["lob_pipeline/venues/demo.py"], tmp_path)
        monkeypatch.setattr(detect, "FORMS", (*forms.FORMS, demo.FORM))
        monkeypatch.setitem(forms._BY_NAME, demo.FORM.name, demo.FORM)
        source = blocks["lob_pipeline_tests/venues/test_demo.py"]
        tests = _module("lob_pipeline_tests.venues.test_demo", source, tmp_path)
        names = [name for name in vars(tests) if name.startswith("test_")]
        assert len(names) == 3
        for name in names:
            folder = tmp_path / name
            folder.mkdir()
            assert list(inspect.signature(getattr(tests, name)).parameters) == ["tmp_path"]
            getattr(tests, name)(folder)
    finally:
        for name in set(sys.modules) - before:
            if name.endswith("demo"):
                del sys.modules[name]


def test_the_venue_s_entry_is_one() -> None:
    document = tomllib.loads(_blocks()["lob_pipeline/core/markets.toml"])
    for key, value in document["venue"]["demo"].items():
        _check("the page", key, value)


def test_the_page_names_the_readers_columns() -> None:
    page = PAGE.read_text("utf-8")
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith(("| level", "| trades"))}
    kinds = ("level changes, CSV or Parquet", "trades, CSV or Parquet")
    told = [set(re.findall(r"`(\w+)`", rows[kind])) for kind in kinds]
    columns = [names - {"trades"} for names in told]
    assert columns[0] | columns[1] | {"ts"} == set(MEANINGS)
    assert kind_of(["ts_event_ns", "side", "price", "size", "is_snapshot"]) == "levels"
    assert kind_of(["timestamp", "side", "price", "amount", "id"]) == "trades"


def test_the_page_s_paths_exist() -> None:
    page, root = PAGE.read_text("utf-8"), PAGE.parents[1]
    for path in re.findall(r"`((?:core|stages|venues)/\w+\.(?:py|toml))`", page):
        if "NAME" not in path:
            assert (root / "lob_pipeline" / path).is_file(), path
    for number in re.findall(r"docs/adr/(\d{4})", page):
        assert list((root / "docs" / "adr").glob(f"{number}-*.md")), number

"""Derived files are what the declarations say, and the check sees when one is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lob_pipeline.features.registry import FEATURES
from lob_pipeline.gen import GENERATED, ROOT, TABLES, dbt_sources_yml, features_md, main, stale, write_all


def test_the_committed_files_are_fresh() -> None:
    assert stale(ROOT) == []


def test_the_check_writes_nothing_and_names_what_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stale(tmp_path) == list(GENERATED)
    assert write_all(tmp_path) == list(GENERATED)
    assert stale(tmp_path) == []
    (tmp_path / "docs" / "tables.md").write_text("edited by hand")
    assert stale(tmp_path) == ["docs/tables.md"]
    assert main(["--check"]) == 0
    monkeypatch.setitem(GENERATED, "docs/features.md", lambda: "another formula")
    assert main(["--check"]) == 1


def test_every_feature_and_every_formula_is_in_the_docs() -> None:
    text = features_md().replace("\\|", "|")
    for feature in FEATURES:
        assert f"`{feature.name}`" in text
        assert feature.formula in text


def test_dbt_sources_hold_every_column_of_every_table() -> None:
    tables = yaml.safe_load(dbt_sources_yml())["sources"][0]["tables"]
    assert [t["name"] for t in tables] == [t.name for t in TABLES]
    for source, table in zip(tables, TABLES, strict=True):
        assert [c["name"] for c in source["columns"]] == list(table.names)
        assert "hive_types_autocast=false" in source["config"]["meta"]["external_location"]

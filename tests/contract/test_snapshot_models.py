"""The models kept as snapshots are gold's, and their keys are columns that a test holds unique."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from documents import ROOT

from catalog.quality.declared import snapshot_models
from catalog.settings import Settings

KEPT = snapshot_models(Settings())
GOLD = ROOT / "dbt_project" / "models" / "gold"


def declared(model: str) -> dict[str, Any]:
    """What the YAML beside a gold model says."""
    [path] = GOLD.rglob(f"{model}.yml")
    [found] = [one for one in yaml.safe_load(path.read_text("utf-8"))["models"] if one["name"] == model]
    return dict(found)


@pytest.mark.parametrize("model", KEPT)
def test_the_keys_of_a_snapshot_are_tested_unique(model: str) -> None:
    told = declared(model)
    tests = {column["name"]: column.get("data_tests", []) for column in told["columns"]}
    combined = [
        one["unique_combination"]["arguments"]["columns"]
        for one in told.get("data_tests", [])
        if "unique_combination" in one
    ]
    keys = KEPT[model].keys
    assert set(keys) <= set(tests)
    assert list(keys) in combined or (len(keys) == 1 and "unique" in tests[keys[0]])


def test_no_two_models_fill_one_series() -> None:
    tables = [one.table for one in KEPT.values()]
    assert len(set(tables)) == len(tables)
    assert KEPT

"""Real answers of data.gouv.fr, recorded from 2019 to 2026, through the models."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from shared_portal import DATA, requires_shared

from ingestion.portal import Resource, read_dataset, read_resource

pytestmark = [requires_shared, pytest.mark.real]

API = DATA / "api"


def body(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text("utf-8"))
    return dict(content.get("body", content))


def assert_usable(resource: Resource, source: dict[str, Any]) -> None:
    """What later steps rely on, whatever the portal wrote."""
    assert resource.id == source["id"]
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}", resource.file_name), resource.file_name
    assert resource.metadata == source
    assert (resource.checksum is None) == (source["checksum"] is None)
    assert resource.size_bytes == source["filesize"]
    if resource.last_modified:
        assert resource.last_modified.tzinfo is UTC
        assert source["last_modified"].startswith(resource.last_modified.strftime("%Y-%m-%d"))


def test_every_recorded_dataset_is_read() -> None:
    kinds: Counter[str] = Counter()
    crawled = sorted(API.glob("v1-datasets/*/*.json"))
    assert len(crawled) >= 150
    for path in [*crawled, API / "v1-gtfs" / "dataset_6131f2dad332822c01a7ca65.json"]:
        source = body(path)
        dataset = read_dataset(source)
        assert dataset.id == source["id"] == path.stem.removeprefix("dataset_")
        assert dataset.slug
        assert dataset.last_modified is not None
        assert (dataset.organization is None) == (source["organization"] is None)
        for entry in source["resources"]:
            resource = read_resource(entry)
            assert_usable(resource, entry)
            assert resource.last_modified is not None
            kinds[resource.kind] += 1
    assert kinds["file"] > 150
    assert kinds["remote"] > 500


def test_resources_beside_the_elected_officials_files_announce_those_files() -> None:
    described = sorted(API.glob("resources-rne/*.json"))
    assert len(described) == 7
    for path in described:
        resource = read_resource(body(path))
        version, _, name = path.stem.partition("__")
        (file,) = [*DATA.glob(f"datasets/*/{version}/{name}")]
        assert resource.size_bytes == file.stat().st_size
        assert_usable(resource, body(path))


def test_answers_recorded_in_2026_are_read() -> None:
    recorded = API / "recorded-2026"
    page = body(recorded / "dataset-resources-population.json")
    assert page["data"]
    for entry in page["data"]:
        assert_usable(read_resource(entry), entry)
    for name in ("resource-large-csv", "resource-dead-remote"):
        entry = body(recorded / f"{name}.json")["resource"]
        assert_usable(read_resource(entry), entry)
    assert body(recorded / "datasets-search-empty.json")["data"] == []

"""A portal that misbehaves: bounded retries, the reason in the ledger, the others go on, nothing half-written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import content_of, odh, sql
from shared_portal import ControlledPortal, requires_shared, shared_portal

from catalog.settings import Settings

pytestmark = [requires_shared, pytest.mark.real]

SYNC = ("sync", "cog", "jours_feries", "--extraction-date", "2024-06-01", "--json")
REGIONS = r"^/resources/.*regions"  # the portal's own file host: COG's regions
FEW_RETRIES, REDIRECTS = 1, 5  # the downloader follows so many


@pytest.fixture(scope="module")
def portal() -> Iterator[ControlledPortal]:
    with shared_portal() as running:
        yield running


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, portal: ControlledPortal) -> dict[str, Any]:
    """What a sync with nothing wrong makes."""
    settings = lake_settings(tmp_path_factory.mktemp("clean") / "lake", portal_url=portal.url)
    odh(settings, *SYNC)
    return content_of(settings)


@pytest.fixture
def lake(tmp_path: Path, portal: ControlledPortal) -> Settings:
    portal.mend()
    return lake_settings(tmp_path / "lake", portal_url=portal.url, http_retries=FEW_RETRIES)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "status", "status": 500}, "500"),
        ({"kind": "drop"}, ""),
        ({"kind": "drop", "after": 100}, ""),
        ({"kind": "length", "delta": 50}, ""),
        ({"kind": "corrupt"}, "sha1"),
        ({"kind": "html"}, "web page"),
        ({"kind": "gone"}, "410"),
        ({"kind": "loop"}, "redirect"),
        ({"kind": "redirect"}, "169.254.169.254"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_one_bad_resource_stops_no_other_and_heals(
    lake: Settings, portal: ControlledPortal, clean: dict[str, Any], fault: dict[str, Any], said: str
) -> None:
    portal.break_with({"match": REGIONS, **fault})
    answer = odh(lake, *SYNC, check=False)
    assert answer.code == 1
    assert len(portal.requests(REGIONS)) <= (1 + FEW_RETRIES) * (1 + REDIRECTS)
    [(reason,)] = sql(lake, "select reason from ops.extractions where status in ('failed', 'gone')")
    assert said.lower() in reason.lower()
    assert "Liste des régions" in reason
    assert sql(lake, "select count(*) from bronze.cog__communes") == [(37_600,)]
    assert sql(lake, "select status from ops.runs") == [("failed",)]
    assert not [path for path in (lake.lake / "tmp").rglob("*") if path.is_file()]

    portal.mend()
    odh(lake, *SYNC)
    assert content_of(lake) == clean


def test_a_fault_that_passes_is_not_noticed(lake: Settings, portal: ControlledPortal, clean: dict[str, Any]) -> None:
    portal.break_with({"match": REGIONS, "kind": "corrupt", "times": 1}, {"match": "/api/", "kind": "drop", "times": 1})
    odh(lake, *SYNC)
    assert content_of(lake) == clean


def test_a_portal_that_is_down_is_told_and_heals(lake: Settings, tmp_path: Path, clean: dict[str, Any]) -> None:
    down = lake_settings(lake.lake, portal_url="http://127.0.0.1:9", http_retries=0)
    answer = odh(down, *SYNC, check=False)
    assert answer.code == 1
    failed = sql(lake, "select feed, resource_id, reason from ops.extractions order by feed")
    assert [row[:2] for row in failed] == [("cog", "(dataset)"), ("jours_feries", "(dataset)")]
    assert all("127.0.0.1:9" in row[2] for row in failed)
    assert "Traceback" not in answer.err
    odh(lake, *SYNC)
    assert content_of(lake) == clean


def test_an_empty_lake_releases_nothing(tmp_path: Path) -> None:
    down = lake_settings(tmp_path / "lake", portal_url="http://127.0.0.1:9", http_retries=0)
    answer = odh(down, "run", "irve", "--json", check=False)
    assert (answer.code, answer.json["release_id"]) == (1, None)
    assert {domain["status"] for domain in answer.json["domains"]} == {"waiting"}
    built = odh(down, "build", "--json").json
    assert {domain["status"] for domain in built["domains"]} == {"waiting"}

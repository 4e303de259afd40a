"""Syncing feeds from the sample portal: what fails is told and stands alone, what succeeds makes it good."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import sql

from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.registry import load_registry
from catalog.settings import Settings
from ingestion.sample.portal import running_portal
from ingestion.sync import FeedResult, Syncer

DAY, NEXT = date(2024, 6, 1), date(2024, 6, 2)


class Sync:
    """A lake that follows a portal."""

    def __init__(self, lake: Path, portal_url: str) -> None:
        self.settings: Settings = lake_settings(lake, portal_url=portal_url, http_retries=0, lock_timeout_seconds=0)
        self.ledger, self.lakehouse = Ledger(self.settings), Lakehouse(self.settings)
        self.registry, self.runs = load_registry(self.settings), 0

    def sync(self, *feeds: Feed | str, day: date = DAY) -> list[FeedResult]:
        """Sync some feeds in one run, as the command does."""
        self.runs += 1
        syncer = Syncer(self.settings, self.ledger, self.lakehouse, f"run-{self.runs}", registry=self.registry)
        chosen = [self.registry.get(feed) if isinstance(feed, str) else feed for feed in feeds]
        return [syncer.sync(feed, day, lambda *_: None) for feed in chosen]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return sql(self.settings, statement)

    def failures(self) -> list[tuple[Any, ...]]:
        return self.sql("select feed, resource_id, reason from ops.extractions where status = 'failed' order by all")


@contextmanager
def following(lake: Path, portal_url: str) -> Iterator[Sync]:
    opened = Sync(lake, portal_url)
    try:
        yield opened
    finally:
        opened.lakehouse.close()
        opened.ledger.close()


@pytest.fixture
def lake(tmp_path: Path, sample_url: str) -> Iterator[Sync]:
    with following(tmp_path / "lake", sample_url) as opened:
        yield opened


def pointed_at(feed: Feed, dataset: str) -> Feed:
    """The same feed on another dataset."""
    return Feed.model_validate(feed.model_dump() | {"source": {"dataset": dataset}})


def test_a_feed_whose_dataset_is_gone_is_told_and_stops_no_other(lake: Sync) -> None:
    lost, found = lake.sync(pointed_at(lake.registry.get("cog"), "nowhere"), "jours_feries")
    assert found.errors == []
    assert lake.sql("select count(*) > 10 from bronze.jours_feries__dates") == [(True,)]
    [(feed, resource, reason)] = lake.failures()
    assert (feed, resource) == ("cog", "(dataset)")
    assert "nowhere" in reason
    assert "correct or disable the feed" in reason
    assert lost.errors == [reason]


def test_a_later_success_removes_the_failure(lake: Sync) -> None:
    holidays = lake.registry.get("jours_feries")
    lake.sync(pointed_at(holidays, "nowhere"))
    assert len(lake.failures()) == 1
    [result] = lake.sync(holidays)
    assert result.errors == []
    assert lake.failures() == []


def test_a_failure_of_another_day_stays(lake: Sync) -> None:
    holidays = lake.registry.get("jours_feries")
    lake.sync(pointed_at(holidays, "nowhere"))
    lake.sync(holidays, day=NEXT)
    assert [row[:2] for row in lake.failures()] == [("jours_feries", "(dataset)")]


def test_a_dataset_without_a_matching_resource_is_told(lake: Sync) -> None:
    holidays = lake.registry.get("jours_feries")
    tables = [table.model_dump() | {"resources": "^no such title$"} for table in holidays.declared]
    [result] = lake.sync(Feed.model_validate(holidays.model_dump() | {"tables": tables}))
    assert "check 'resources' in the feed file" in result.errors[0]
    assert [row[1] for row in lake.failures()] == ["(dataset)"]


def test_a_portal_that_is_down_is_told_for_each_feed(tmp_path: Path) -> None:
    with following(tmp_path / "lake", "http://127.0.0.1:9") as lake:
        results = lake.sync("cog", "jours_feries")
        assert all("ODH_PORTAL_URL" in result.errors[0] for result in results)
        assert [row[:2] for row in lake.failures()] == [("cog", "(dataset)"), ("jours_feries", "(dataset)")]


def test_one_missing_resource_lets_the_others_load_and_is_fetched_later(tmp_path: Path, sample_folder: Path) -> None:
    portal = tmp_path / "portal"
    shutil.copytree(sample_folder, portal)
    listing = json.loads((portal / "portal.json").read_text("utf-8"))
    resources = [resource for dataset in listing["datasets"] for resource in dataset["resources"]]
    files = [version["file"] for resource in resources for version in resource["versions"]]
    [communes] = [file for file in files if file.endswith("/communes.csv")]
    hidden = portal / "hidden"
    with running_portal(portal) as url, following(tmp_path / "lake", url) as lake:
        whole = portal / "datasets" / communes
        whole.rename(hidden)
        [result] = lake.sync("cog")
        assert len(result.errors) == 1
        loaded = {load.table_name for load in result.loads if load.status == "loaded"}
        assert loaded == {"cog__departements", "cog__regions"}
        [(feed, resource, reason)] = lake.failures()
        assert (feed, resource != "(dataset)") == ("cog", True)
        assert reason == result.errors[0]
        hidden.rename(whole)
        [again] = lake.sync("cog")
        assert again.errors == []
        assert {load.table_name: load.status for load in again.loads} == {
            "cog__communes": "loaded",
            "cog__departements": "already",
            "cog__regions": "already",
        }
        assert lake.failures() == []


def test_the_same_day_twice_asks_for_no_file_and_adds_nothing(lake: Sync) -> None:
    [first] = lake.sync("cog")
    before = lake.sql("select table_name, resource_id, loaded_at from ops.loads order by all")
    [second] = lake.sync("cog")
    assert {load.status for load in second.loads} == {"already"}
    assert second.rows_loaded == first.rows_loaded
    assert lake.sql("select table_name, resource_id, loaded_at from ops.loads order by all") == before


def test_an_unchanged_day_later_refers_to_the_bytes_and_adds_no_row(lake: Sync) -> None:
    lake.sync("cog")
    count = "select count(*) from bronze.cog__communes"
    before = lake.sql(count)
    [later] = lake.sync("cog", day=NEXT)
    assert (later.stored, later.unchanged, later.size_bytes) == (0, 3, 0)
    assert {load.status for load in later.loads} == {"unchanged"}
    assert lake.sql(count) == before
    assert lake.sql("select count(distinct raw_key), count(*) from raw.files") == [(3, 6)]


def test_a_feed_another_process_is_syncing_is_left_to_it(lake: Sync) -> None:
    """The look belongs to the other process: what it finds must not be marked as failed by this one."""
    lake.sync("jours_feries")
    with exclusive(lake.settings, lake.ledger, "feed-jours_feries"):
        busy, other = lake.sync("jours_feries", "cog")
    assert "feed-jours_feries" in busy.errors[0]
    assert other.errors == []
    assert lake.failures() == []

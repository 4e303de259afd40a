"""What a scheduler calls, on real lakes: what it returns, what it raises, and what the ledger then knows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import odh, sql
from push_lake import GOOD, PushLake
from services import free_ports

from catalog import jobs as catalog_jobs
from catalog import schema
from catalog.alerts.alert import Kind
from catalog.alerts.desk import find_alerts
from catalog.clock import utc_now
from catalog.errors import InvalidFeed, PermanentError, TransientError
from catalog.iceberg import BRONZE, Lakehouse
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.origin import Origin
from catalog.settings import Settings
from ingestion import jobs
from ingestion.sample.portal import running_portal

DAY, NEXT = date(2024, 6, 1), date(2024, 6, 2)
FEED = "jours_feries"
ORIGIN = Origin("sync_feeds", "run-1", "sync_feed", 3, 1, 2, "http://127.0.0.1:8080/dags/sync_feeds/x")
WRONG = "feed: wrong\nowners: me\n"


def use(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Settings:
    """Make a lake that of this process, as a scheduler's worker has it."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def lake(tmp_path: Path, sample_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    given = lake_settings(tmp_path / "lake", portal_url=sample_url, http_retries=0, lock_timeout_seconds=0)
    return use(monkeypatch, given)


def runs(settings: Settings) -> list[dict[str, Any]]:
    with closing(Ledger(settings)) as ledger:
        return sorted(ledger.arrow("runs").to_pylist(), key=lambda run: run["started_at"])


def test_a_feed_is_synced_once_and_replayed_without_the_portal(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    first = jobs.sync_feed(FEED, DAY, ORIGIN)
    assert (first["has_changed"], first["files"]) == (True, 1)
    rows = sql(lake, "select count(*) from bronze.jours_feries__dates")
    assert first["rows_loaded"] == rows[0][0] > 0
    assert jobs.sync_feed(FEED, NEXT)["has_changed"], "an equal file is news until it is released"
    with closing(Ledger(lake)) as ledger, closing(Lakehouse(lake)) as lakehouse:
        pin = lakehouse.pin(BRONZE, "jours_feries__dates")
        assert pin
        release = {"release_id": 1, "run_id": "x", "extraction_date": NEXT, "status": "published"}
        inputs = {"table_name": pin.name, "metadata_location": pin.metadata_location, "snapshot_id": pin.snapshot_id}
        with ledger.begin() as connection:
            connection.execute(schema.releases.insert().values(**release, created_at=utc_now(), published_at=utc_now()))
            connection.execute(schema.release_inputs.insert().values(release_id=1, **inputs))
    assert not jobs.sync_feed(FEED, NEXT + timedelta(days=1))["has_changed"]

    away = lake_settings(lake.lake, http_retries=0)  # no portal answers there
    use(monkeypatch, away)
    replayed = jobs.sync_feed(FEED, DAY, from_raw=True)
    assert (replayed["files"], replayed["rows_loaded"]) == (1, rows[0][0])
    assert jobs.sync_feed(FEED, date(2023, 1, 1), from_raw=True)["note"] == "raw holds nothing of 2023-01-01 to load"
    assert jobs.feeds_in_raw(DAY) == [FEED]
    assert jobs.feeds_in_raw(date(2023, 1, 1)) == []
    known = runs(lake)[0]
    assert {name: known[name] for name in asdict(ORIGIN)} == asdict(ORIGIN)
    assert (known["command"], known["feeds"], known["status"]) == ("sync", FEED, "succeeded")


def test_a_lost_bronze_comes_back_from_raw_alone(lake: Settings, tmp_path: Path) -> None:
    jobs.sync_feed(FEED, DAY)
    before = sql(lake, "select * exclude (_loaded_at) from bronze.jours_feries__dates order by all")
    other = lake_settings(tmp_path / "other", raw_url=lake.raw_root)
    odh(other, "sync", FEED, "--extraction-date", DAY.isoformat(), "--from-raw")
    assert sql(other, "select * exclude (_loaded_at) from bronze.jours_feries__dates order by all") == before


def test_a_portal_that_is_away_is_worth_another_try_and_a_dataset_that_is_gone_is_not(
    lake: Settings, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, lake_settings(lake.lake, http_retries=0))
    with pytest.raises(TransientError, match=f"{FEED}: "):
        jobs.sync_feed(FEED, DAY, ORIGIN)
    (lake.lake / "feeds").mkdir()
    text = "feed: gone\ntitle: G\ndescription: G.\nowner: o\nlicense: lov2\ndomain: gone\nsource: {dataset: no-such}\n"
    (lake.lake / "feeds" / "gone.yml").write_text(text + "tables: auto\n")
    with running_portal(sample_folder) as url:
        use(monkeypatch, lake_settings(lake.lake, portal_url=url, http_retries=0))
        with pytest.raises(PermanentError, match="The portal has no dataset 'no-such'"):
            jobs.sync_feed("gone", DAY, ORIGIN)
    first, second = runs(lake)
    assert (first["status"], first["will_retry"]) == ("failed", 1)
    assert (second["status"], second["will_retry"]) == ("failed", 0)
    assert first["error"].startswith(f"{FEED}: ")
    assert jobs.half_loaded_feeds("sync_feeds", "run-1") == []


def test_a_ledger_that_is_away_is_worth_another_try(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    use(monkeypatch, lake.model_copy(update={"ledger_url": f"postgresql://odh:secret@127.0.0.1:{port}/odh"}))
    with pytest.raises(TransientError, match="Is its server up") as refused:
        jobs.sync_feed(FEED, DAY, ORIGIN)
    assert "secret" not in str(refused.value)


def test_a_feed_at_work_elsewhere_is_worth_another_try(lake: Settings) -> None:
    with (
        closing(Ledger(lake)) as ledger,
        exclusive(lake, ledger, f"feed-{FEED}"),
        pytest.raises(TransientError, match="is held by"),
    ):
        jobs.sync_feed(FEED, DAY)


def test_feeds_are_due_by_their_own_schedules_and_a_wrong_file_is_in_no_way(lake: Settings) -> None:
    (lake.lake / "feeds").mkdir(parents=True)
    (lake.lake / "feeds" / "wrong.yml").write_text(WRONG)
    midnight, noon = datetime(2024, 6, 5, tzinfo=UTC), datetime(2024, 6, 5, 12, tzinfo=UTC)
    daily = jobs.due_feeds(midnight)
    assert daily
    assert set(daily) <= set(jobs.enabled_feeds())
    assert "wrong" not in jobs.enabled_feeds()
    assert jobs.due_feeds(noon) == []
    with pytest.raises(InvalidFeed, match=r"wrong\.yml:2"):
        jobs.sync_feed("wrong", DAY)


def test_a_changed_feed_has_its_domain_built_and_all_that_read_it(lake: Settings) -> None:
    everything = catalog_jobs.domains_to_build([])
    changed = catalog_jobs.domains_to_build(["cog"])
    assert changed[0] == "reference"
    assert {"reference", "road_safety"} <= set(changed) <= set(everything)
    assert catalog_jobs.domains_to_build(["accidents"]) == ["road_safety"]
    assert catalog_jobs.domains_to_build(["no_such_feed"]) == []


def test_pushed_records_are_drained_into_a_release_and_told_of_while_they_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = PushLake(tmp_path)
    lake = use(monkeypatch, pushed.settings)
    assert jobs.drain_ingest() == {"batches": 0}
    assert "capteurs" not in jobs.enabled_feeds(), "what is pushed is not fetched"
    pushed.push([GOOD, GOOD])
    pushed.push([GOOD])
    with closing(Ledger(lake)) as ledger:
        assert runs(lake) == [], "a look at an empty log leaves no run"
        assert find_alerts(lake, ledger, utc_now()) == []
        [alert] = find_alerts(lake, ledger, utc_now() + timedelta(minutes=16))
        assert (alert.kind, alert.what) == (Kind.INGEST_BACKLOG, "2 pushed batches wait for a release")
        done = jobs.drain_ingest(ORIGIN)
        assert done == {"batches": 2, "records": 3, "rejected": 0, "unreleased": 0}
        assert find_alerts(lake, ledger, utc_now() + timedelta(minutes=16)) == []
    assert sql(lake, "select kind, measures from gold.fct_mesure") == [("air", 3)]
    [run] = runs(lake)
    assert (run["command"], run["status"], run["task_url"]) == ("drain", "succeeded", ORIGIN.task_url)
    assert "capteurs" in run["feeds"].split()


def test_a_run_of_every_feed_goes_on_without_a_wrong_one_and_says_so(tmp_path: Path) -> None:
    lake = lake_settings(tmp_path / "lake", http_retries=0)
    (lake.lake / "feeds").mkdir(parents=True)
    (lake.lake / "feeds" / "wrong.yml").write_text(WRONG)
    answer = odh(lake, "build", check=False)
    assert answer.code == 1
    assert "wrong.yml:2: owners: Extra inputs are not permitted" in answer.err
    assert runs(lake)[0]["error"].startswith("feed file wrong: ")
    assert odh(lake, "build", "wrong", check=False).code == 2
    assert odh(lake, "feeds", "validate", check=False).code == 2

"""The lakehouse runs by itself: a real scheduler on a real PostgreSQL, watched and driven through REST v2.

A feed's schedule strikes, and a release is what the gateway shows; the portal goes away, and people are told; a day
gone by is replayed beside the running scheduler, and no portal is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import services
from api_lake import rows_of, serving
from conftest import lake_settings
from lakes import odh, sql
from receivers import Hook, Mailbox, mail_server, webhook
from schedulers import Scheduler, running_airflow, wait_for

from catalog.settings import Settings
from ingestion.sample.portal import running_portal

pytest.importorskip("airflow.sdk")
pytestmark = [pytest.mark.e2e_services, pytest.mark.timeout(1500)]

PAST = date(2024, 6, 1)
FEED = """\
feed: {name}
title: Public holidays
description: A feed for a test.
owner: tests
license: lov2
domain: {name}
schedule: "{schedule}"
source: {{dataset: jours-feries-en-france}}
tables:
  - name: days
    description: One day.
    resources: csv
    columns: [date, nom_jour_ferie]
"""


@dataclass
class World:
    """All that runs, and the portal, which may go away and come back."""

    settings: Settings
    airflow: Scheduler
    box: Mailbox
    hook: Hook
    portal: ExitStack


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        database = stack.enter_context(services.or_skip(services.postgres(folder / "postgres")))
        box, hook = stack.enter_context(mail_server()), stack.enter_context(webhook())
        (portal_port,) = services.free_ports(1)
        portal = stack.enter_context(ExitStack())
        settings = lake_settings(
            folder / "lake",
            portal_url=portal.enter_context(running_portal(sample_folder, port=portal_port)),
            ledger_url=database,
            catalog_url=database,
            http_retries=0,
            alert_mail_to="ops@example.org",
            alert_smtp_host="127.0.0.1",
            alert_smtp_port=box.port,
            alert_webhook_url=hook.url,
        )
        (settings.lake / "feeds").mkdir(parents=True)
        for name, schedule in (("holidays", "* * * * *"), ("bygone", "@yearly")):
            (settings.lake / "feeds" / f"{name}.yml").write_text(FEED.format(name=name, schedule=schedule))
        odh(settings, "sync", "bygone", "--extraction-date", PAST.isoformat())
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("create database airflow")
        conn = database.replace("postgresql://", "postgresql+psycopg2://").rpartition("/")[0] + "/airflow"
        airflow = stack.enter_context(running_airflow(folder / "airflow", settings, conn))
        yield World(settings, airflow, box, hook, portal)


def test_a_schedule_strikes_and_a_release_is_what_the_gateway_shows(world: World) -> None:
    assert world.airflow.get("importErrors")["import_errors"] == []
    synced = world.airflow.ended("sync_feeds", lambda run: run["run_type"] == "scheduled")
    assert synced["state"] == "success", world.airflow.tasks("sync_feeds", synced["dag_run_id"])
    built = world.airflow.ended("build_warehouse", lambda run: run["run_type"] == "asset_triggered")
    assert built["state"] == "success", world.airflow.tasks("build_warehouse", built["dag_run_id"])
    world.airflow.pause("sync_feeds")
    day = sql(world.settings, "select max(extraction_date) from ops.releases where status = 'published'")[0][0]
    assert day.isoformat() == synced["logical_date"][:10], "the logical date is the extraction date"
    with serving(world.settings) as client:
        assert [row["nom_jour_ferie"] for row in rows_of(client, "/staging/stg_holidays__days", page_size=1)]
    links = sql(world.settings, "select dag_id, task_id, task_url from ops.runs where dag_id is not null order by all")
    assert {(dag_id, task_id) for dag_id, task_id, _ in links} >= {
        ("build_warehouse", "build_domain"),
        ("sync_feeds", "sync_feed"),
    }
    assert all(url.startswith(f"{world.airflow.url}/dags/{dag_id}/runs/") for dag_id, _, url in links)


def test_the_portal_goes_away_and_people_are_told_and_told_when_it_is_back(world: World, sample_folder: Path) -> None:
    world.airflow.pause("sync_feeds", is_paused=False)
    world.portal.close()
    run_id = world.airflow.trigger("sync_feeds", feeds=["holidays"])
    failed = world.airflow.ended("sync_feeds", lambda run: run["dag_run_id"] == run_id)
    assert failed["state"] == "failed"
    assert world.airflow.tasks("sync_feeds", run_id)["announce_half_loaded[-1]"] == "success"
    words = "ERROR · holidays: failed"
    post = wait_for(lambda: next((one["text"] for one in world.hook.posts if words in one["text"]), None), "the alert")
    mail = wait_for(lambda: next((one for one in world.box.texts() if words in one), None), "the mail")
    runs = rf"({re.escape(quote(run_id))}|scheduled__[^/]+)"  # a strike of the minute may have failed first
    assert re.search(rf"Link: {world.airflow.url}/dags/sync_feeds/runs/{runs}/tasks/sync_feed/mapped/0", post)
    assert "docs/operations.md#failure" in mail
    tries = sql(world.settings, "select max(try_number) from ops.runs where feeds = 'holidays' and status = 'failed'")
    assert tries[0][0] == 4, "what may pass is tried three times more"

    port = int(world.settings.portal_url.rpartition(":")[2])
    world.portal.enter_context(running_portal(sample_folder, port=port))
    again = world.airflow.trigger("sync_feeds", feeds=["holidays"])
    assert world.airflow.ended("sync_feeds", lambda run: run["dag_run_id"] == again)["state"] == "success"
    wait_for(lambda: any("recovered (failed)" in post["text"] for post in world.hook.posts), "the end of the alert")


def test_a_day_gone_by_is_replayed_beside_the_running_scheduler_without_the_portal(world: World) -> None:
    world.portal.close()
    minute = f"{PAST}T00:07:00+00:00"
    words = ("--dag-id", "sync_feeds", "--from-date", minute, "--to-date", minute)
    world.airflow.command("backfill", "create", *words)
    run = world.airflow.ended("sync_feeds", lambda one: one["run_type"] == "backfill")
    assert (run["state"], run["logical_date"][:10]) == ("success", PAST.isoformat())
    assert world.airflow.tasks("sync_feeds", run["dag_run_id"])["sync_feed[0]"] == "success"
    replayed = sql(
        world.settings,
        "select feeds, status from ops.runs where command = 'sync' and dag_id is not null"
        f" and extraction_date = '{PAST}'",
    )
    assert replayed == [("bygone", "succeeded")]

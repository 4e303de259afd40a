"""The DAGs are whole: their ids, their tasks' rules, their pools, and an import that calls nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import environment

pytest.importorskip("airflow.sdk")
ROOT = Path(__file__).resolve().parents[2]
FEEDS, OWN = 50, "mine_{:02}"
FEED = """\
feed: {name}
title: Mine
description: A feed.
owner: me
license: lov2
domain: mine
schedule: "{schedule}"
source: {{dataset: {name}}}
tables: auto
"""
TASKS = {
    "build_warehouse": ["build_domain", "list_builds"],
    "discover_datasets": ["find_datasets"],
    "drain_ingest": ["drain_log"],
    "maintain_tables": ["maintain_lake"],
    "send_alerts": ["tell_people"],
    "snapshot_month_end": ["take_snapshots"],
    "sync_feeds": ["announce_half_loaded", "list_due_feeds", "sync_feed"],
}


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The DAGs as a scheduler parses them over 50 feeds of a lake's own, and a file that is wrong."""
    folder = tmp_path_factory.mktemp("airflow")
    settings = lake_settings(folder / "lake")
    feeds = settings.lake / "feeds"
    feeds.mkdir(parents=True)
    for number in range(FEEDS):
        name = OWN.format(number)
        (feeds / f"{name}.yml").write_text(FEED.format(name=name, schedule=f"{number} 7 * * *"))
    (feeds / "wrong.yml").write_text("feed: wrong\nowners: me\n")
    home = {"AIRFLOW_HOME": str(folder / "home"), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "parse_dags.py")],
        env=environment(settings) | home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_dags_are_these_and_a_wrong_feed_file_stops_none(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}
    found = {dag_id: sorted(task["id"] for task in dag["tasks"]) for dag_id, dag in parsed["dags"].items()}
    assert found == TASKS


def test_importing_the_dags_calls_nobody_and_reads_each_feed_once_a_dag(parsed: dict[str, Any]) -> None:
    read = {Path(name).stem: count for name, count in parsed["calls"].items() if name.endswith(".yml")}
    assert {name: count for name, count in parsed["calls"].items() if not name.endswith(".yml")} == {}
    assert {OWN.format(number) for number in range(FEEDS)} <= set(read)
    assert max(read.values()) <= 2, "sync_feeds and build_warehouse know the feeds; no other DAG needs to"


def test_parsing_over_fifty_feeds_takes_less_than_a_second_of_processor(parsed: dict[str, Any]) -> None:
    assert parsed["cpu_seconds"] < 1


def test_every_task_has_an_owner_a_time_and_tries_for_what_may_pass(parsed: dict[str, Any]) -> None:
    for dag in parsed["dags"].values():
        for task in dag["tasks"]:
            assert task["owner"] == "lakehouse", task
            assert task["timeout_seconds"], task
            assert task["fails_at_once"] == ["catalog.errors.PermanentError"], task
            assert task["retries"] == (0 if task["id"] == "tell_people" else 3), task


def test_failures_are_told_by_tasks_and_by_runs(parsed: dict[str, Any]) -> None:
    silent = {task["id"] for dag in parsed["dags"].values() for task in dag["tasks"] if not task["tells_of_failure"]}
    assert silent == {"sync_feed"}, "many feeds may fail of one cause: their run tells of them"
    assert all(dag["tells_of_failure"] for dag in parsed["dags"].values())
    assert {dag_id for dag_id, dag in parsed["dags"].items() if not dag["tells_of_success"]} == {"send_alerts"}


def test_pools_are_those_the_pools_file_makes(parsed: dict[str, Any]) -> None:
    made = json.loads((ROOT / "airflow" / "pools.json").read_text("utf-8"))
    used = {task["pool"] for dag in parsed["dags"].values() for task in dag["tasks"]} - {"default_pool"}
    assert used == set(made)
    assert made["warehouse"]["slots"] == 1, "two builds at once would wait for one another"
    pool_of = {task["id"]: task["pool"] for dag in parsed["dags"].values() for task in dag["tasks"]}
    assert (pool_of["sync_feed"], pool_of["build_domain"]) == ("portal", "warehouse")


def test_feeds_are_scheduled_by_their_own_files_and_the_warehouse_by_their_bronze(parsed: dict[str, Any]) -> None:
    crons = json.dumps(parsed["dags"]["sync_feeds"]["schedule"])
    assert all(f'"{number} 7 * * *"' in crons for number in range(FEEDS))
    assets = json.dumps(parsed["dags"]["build_warehouse"]["schedule"])
    assert all(f'"x-odh://bronze/{OWN.format(number)}"' in assets for number in range(FEEDS))
    assert "x-odh://bronze/irve" in assets
    assert "wrong" not in assets


def test_the_dags_folder_is_no_package_and_shadows_nothing() -> None:
    names = [path.name for path in (ROOT / "airflow").rglob("*.py")]
    assert "__init__.py" not in names
    assert not [name for name in names if name.startswith(("dbt_", "test_"))], "dbt imports every module dbt_*"

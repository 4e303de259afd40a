"""Each DAG run whole, in Airflow's own test runner, against the sample portal."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from conftest import lake_settings
from lakes import sql
from schedulers import airflow, variables

from catalog.settings import REPOSITORY, Settings

pytest.importorskip("airflow.sdk")
pytestmark = [pytest.mark.e2e_services, pytest.mark.timeout(1500)]

RUNS: list[tuple[str, dict[str, Any]]] = [
    ("sync_feeds", {"feeds": ["cog", "jours_feries"]}),
    ("build_warehouse", {"feeds": ["jours_feries"]}),
    ("maintain_tables", {}),
    ("discover_datasets", {"query": "accidents", "limit": 1}),
    ("drain_ingest", {}),
    ("send_alerts", {}),
    ("sync_feeds", {"feeds": ["cog"], "extraction_date": "2020-01-01"}),
    ("snapshot_month_end", {}),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sample_url: str) -> Settings:
    return lake_settings(tmp_path_factory.mktemp("lake"), portal_url=sample_url)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, lake: Settings) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("airflow")
    given = variables(folder, lake)
    subprocess.run([airflow(), "db", "migrate"], env=given, capture_output=True, check=True)
    script = REPOSITORY / "tests" / "run_dags.py"
    ended = subprocess.run(
        [sys.executable, str(script), json.dumps(RUNS)], env=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    found: list[dict[str, Any]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_every_dag_is_run_here(done: list[dict[str, Any]]) -> None:
    files = {path.stem for path in (REPOSITORY / "airflow" / "dags").glob("*.py")}
    helpers = {"task_rules", "bronze_assets", "notifiers"}
    assert {run["dag"] for run in done} == files - helpers


@pytest.mark.parametrize("number", range(len(RUNS) - 1), ids=lambda n: f"{n}-{RUNS[n][0]}")
def test_a_dag_runs_to_its_end(done: list[dict[str, Any]], number: int) -> None:
    assert done[number]["state"] == "success", done[number]
    assert set(done[number]["tasks"].values()) == {"success"}


def test_a_snapshot_of_a_day_before_the_first_release_is_refused_at_once(done: list[dict[str, Any]]) -> None:
    assert (done[-1]["state"], done[-1]["tasks"]) == ("failed", {"take_snapshots": "failed"})


def test_the_lake_has_what_the_dags_made(lake: Settings, done: list[dict[str, Any]]) -> None:
    assert sql(lake, "select count(*) from ops.releases where status = 'published'")[0][0] >= 1
    assert sql(lake, "select count(*) from gold.dim_date")[0][0] > 0
    commands = dict(sql(lake, "select command, status from ops.runs where dag_id is not null"))
    assert commands == {
        "sync": "succeeded",
        "build": "succeeded",
        "maintain": "succeeded",
        "discover": "succeeded",
        "snapshot": "failed",
    }
    assert sql(lake, "select count(*) from ops.extractions where extraction_date = '2020-01-01'") == [(0,)]

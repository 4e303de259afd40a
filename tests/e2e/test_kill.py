"""Kill -9 anywhere in ``odh run``, then run again: the lake is what one clean run makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import content_of, environment, kill_odh, odh, sql

from catalog.iceberg import STAGING, Lakehouse
from catalog.settings import Settings
from ingestion.sample.portal import running_portal

RUN = ("run", "accidents", "--extraction-date", "2024-06-01", "--json")

# In the order of the road: each run is killed, and the next one must get further. What comes before ``stage`` in the
# ledger is built again; what comes after it is finished forward.
POINTS = (
    ("catalog.storage:Store.put_file", "before", 1),
    ("catalog.storage:Store.put_file", "after", 1),  # bytes in raw, no manifest yet
    ("catalog.storage:Store.put_bytes", "after", 2),  # manifest written, the ledger does not know
    ("catalog.ledger:Ledger.record_extraction", "after", 2),
    ("catalog.iceberg:Lakehouse.ensure_bronze", "after", 1),
    ("ingestion.bronze:BronzeLoader._sink", "after", 1),
    ("catalog.ledger:Ledger.replace_loads", "after", 1),  # pending, not in Iceberg
    ("catalog.iceberg:Lakehouse.append_files", "before", 2),
    ("catalog.iceberg:Lakehouse.append_files", "after", 2),  # in Iceberg, still pending in the ledger
    ("catalog.ledger:Ledger.finish_loads", "after", 3),
    ("catalog.dbt:Dbt.build", "after", 1),
    ("catalog.iceberg:Lakehouse.stage_table", "after", 2),
    ("catalog.write_back:stage_table", "after", 9),
    ("catalog.releases:stage", "after", 1),  # staged: the next run only publishes
    ("catalog.iceberg:Lakehouse.publish", "after", 2),  # some tables moved, others not
    ("catalog.releases:publish", "after", 1),
)


@pytest.fixture(scope="module")
def portal(sample_folder: Path) -> Iterator[str]:
    with running_portal(sample_folder) as url:
        yield url


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, portal: str) -> dict[str, Any]:
    """What one run that nobody disturbs makes."""
    settings = lake_settings(tmp_path_factory.mktemp("clean") / "lake", portal_url=portal)
    odh(settings, *RUN)
    return content_of(settings)


def finished(settings: Settings) -> dict[str, Any]:
    """The lake after a last run, with nothing half-done left in it."""
    odh(settings, *RUN)
    assert sql(settings, "select count(*) from ops.loads where status = 'pending'") == [(0,)]
    assert sql(settings, "select distinct status from ops.releases") == [("published",)]
    assert not list(settings.scratch.iterdir())
    with closing(Lakehouse(settings)) as lakehouse:
        for layer in ("silver", "gold"):
            for name in lakehouse.names(layer):
                assert STAGING not in lakehouse.table(layer, name).metadata.refs
    return content_of(settings)


@pytest.mark.timeout(900)  # a run and a half for each step
def test_killed_at_every_step_ends_as_one_clean_run(tmp_path: Path, portal: str, clean: dict[str, Any]) -> None:
    settings = lake_settings(tmp_path / "lake", portal_url=portal)
    for point in POINTS:
        kill_odh(settings, point, *RUN)
    assert finished(settings) == clean
    killed = sql(settings, "select count(*) from ops.runs where status = 'interrupted'")
    assert killed == [(len(POINTS),)]


def test_killed_at_any_time_ends_as_one_clean_run(tmp_path: Path, portal: str, clean: dict[str, Any]) -> None:
    settings = lake_settings(tmp_path / "lake", portal_url=portal)
    for seconds in (0.9, 1.6, 2.2, 3.1, 5.3, 8.7):
        with subprocess.Popen(
            [sys.executable, "-m", "odh", *RUN],
            env=environment(settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as run:
            try:
                run.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                run.kill()
    assert finished(settings) == clean

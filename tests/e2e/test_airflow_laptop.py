"""``make airflow``: a scheduler of one's own, on loopback alone, that leaves nothing behind when it is stopped."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import services
from conftest import lake_settings
from lakes import environment
from schedulers import logged_in

from catalog.settings import REPOSITORY

pytest.importorskip("airflow.sdk")
pytestmark = [pytest.mark.e2e_services, pytest.mark.timeout(900)]

DAGS = {
    "build_warehouse",
    "discover_datasets",
    "drain_ingest",
    "maintain_tables",
    "send_alerts",
    "snapshot_month_end",
    "sync_feeds",
}


def processes_of(script: int, home: Path) -> set[psutil.Process]:
    """What the script started, and what else works for its Airflow: a part with its own title hides its variables."""

    def works(process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get("AIRFLOW_HOME") == str(home)
        return False

    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(script)
        return {family, *family.children(recursive=True), *filter(works, psutil.process_iter())}
    return set(filter(works, psutil.process_iter()))


def is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def listening(processes: set[psutil.Process]) -> Iterator[tuple[str, int]]:
    for process in processes:
        with suppress(psutil.Error):
            yield from (one.laddr for one in process.net_connections() if one.status == psutil.CONN_LISTEN)


def test_airflow_on_a_laptop_is_whole_is_reached_from_here_only_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "airflow"
    (port,) = services.free_ports(1)
    own = {"AIRFLOW_HOME": str(home), "AIRFLOW__API__PORT": str(port)}
    variables = environment(lake_settings(tmp_path / "lake")) | own
    words = [f"{name}={value}" for name, value in variables.items() if os.environ.get(name) != value]
    # what ignores SIGINT, as a shell's background jobs do, hands that down
    command = ["env", "--default-signal=INT", *words, str(REPOSITORY / "airflow" / "laptop.sh")]
    passwords = home / "simple_auth_manager_passwords.json.generated"

    def password() -> str:
        return str(json.loads(passwords.read_text())["admin"])

    with (
        services.logs_in_errors(tmp_path),
        services.daemon(command, tmp_path / "laptop.log", stop=signal.SIGINT) as script,
    ):
        with logged_in(f"http://127.0.0.1:{port}", variables, password) as airflow:
            assert airflow.get("importErrors")["import_errors"] == []
            assert {dag["dag_id"] for dag in airflow.get("dags")["dags"]} == DAGS
            pools = json.loads((REPOSITORY / "airflow" / "pools.json").read_text())
            found = {pool["name"]: pool["slots"] for pool in airflow.get("pools")["pools"]}
            assert found.items() >= {name: pool["slots"] for name, pool in pools.items()}.items()
            running = processes_of(script.pid, home)
            assert len(running) >= 4, "the script, the API server, the scheduler and the DAG processor"
            places = set(listening(running))
            assert ("127.0.0.1", port) in places
            assert {host for host, _ in places} <= {"127.0.0.1", "::1"}
        assert script.poll() is None, "it serves until it is told to stop"
        os.killpg(script.pid, signal.SIGINT)
        script.wait(300)  # a task that runs may end first
        left = running | processes_of(script.pid, home)
        assert not [process for process in left if is_running(process)]

"""The dbt child process: where it is started, and that it does not outlive the run that started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import lake_settings
from tiny_warehouse import write_project

from catalog.dbt import Dbt
from catalog.settings import REPOSITORY

CHILD = "import os, runner; parent = os.getppid(); print(os.getpid(), flush=True); runner.end_with(parent)"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"

ANSWERS = """
import json, os, sys

found = [os.environ[name] for name in ("ODH_LAKE", "ODH_DBT_PROJECT", "ODH_WAREHOUSE_URL")]
for line in sys.stdin:
    print(json.dumps({"error": str(found)}), json.dumps({"ended": True}), sep="\\n", flush=True)
"""


def test_dbt_ends_with_a_killed_run() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], cwd=REPOSITORY / "dbt_project", stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        child = int(run.stdout.readline())
        assert is_running(child)
        run.kill()
    deadline = time.monotonic() + 20
    while is_running(child):
        assert time.monotonic() < deadline, "dbt is still at work"
        time.sleep(0.05)


def test_a_project_may_be_named_from_where_the_command_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/runner.py").write_text(ANSWERS)
    monkeypatch.chdir(tmp_path)
    settings = lake_settings(Path("lake"), dbt_project=Path("project"), warehouse_url="tables")
    with Dbt(settings, tmp_path / "private.duckdb", tmp_path / "build" / "run") as dbt:
        [told] = dbt.build(["up"], lambda *_: None)["up"].errors
    assert told.endswith(str([str(tmp_path / name) for name in ("lake", "project", "tables")]))


def test_what_was_parsed_for_one_lake_serves_another(tmp_path: Path) -> None:
    write_project(tmp_path / "project")
    parsed = []
    for name in ("one", "two"):
        settings = lake_settings(tmp_path / name, dbt_project=tmp_path / "project")
        shelf = settings.lake / "build"
        (shelf / "current").mkdir(parents=True)
        with Dbt(settings, shelf / "current" / "private.duckdb", shelf / "run") as dbt:
            dbt.build(["up"], lambda *_: None)
        told = json.loads((shelf / "run/target/perf_info.json").read_text("utf-8"))
        parsed.append(sum(project["parsed_path_count"] for project in told["projects"]))
    assert parsed[0] > 0
    assert parsed[1] == 0


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return "State:\tZ" not in (status.read_text() if status.exists() else "")

"""Runs dbt in a child process and reads what it did; the only module that knows dbt's files and events.

dbt is never imported: its command, its JSON events, ``manifest.json`` and ``run_results.json`` are the interface.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from catalog.errors import BuildFailed
from catalog.settings import Settings

PARSED = "partial_parse.msgpack"
RESULT_EVENTS = {"LogModelResult", "LogTestResult", "LogSeedResult"}
OnResult = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Model:
    """One table dbt built."""

    layer: str
    name: str
    description: str
    columns: Mapping[str, str]  # column name → description


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test dbt ran, in the ledger's words."""

    test_id: str
    test_name: str
    table_name: str | None
    column_name: str | None
    severity: str
    status: str
    failures: int | None
    message: str | None
    seconds: float
    tested_at: datetime


@dataclass(frozen=True, slots=True)
class DbtRun:
    """What one ``dbt build`` did."""

    models: list[Model]
    tests: list[TestResult]
    errors: list[str]  # why the domain may not be published; empty when it may


def build_domain(settings: Settings, domain: str, database: Path, workspace: Path, on_result: OnResult) -> DbtRun:
    """Run the models, seeds and data tests of one domain on a private DuckDB file.

    Raises:
        BuildFailed: dbt ended before it ran anything, with its own words.
    """
    target = workspace / "target"
    results_file = target / "run_results.json"
    results_file.unlink(missing_ok=True)
    selection = ["--select", f"tag:{domain}", "--indirect-selection", "buildable"]
    command = ["build", *selection, "--exclude-resource-type", "unit_test"]
    _seed_parse(target, workspace.parent)
    messages = run_dbt(settings, command, database, target, on_result)
    if not results_file.exists():
        raise BuildFailed(f"dbt could not start on domain {domain!r}: {' '.join(messages) or 'no message'}")
    _keep_parse(target, workspace.parent)
    manifest = json.loads((target / "manifest.json").read_text("utf-8"))
    return _read_run(manifest, json.loads(results_file.read_text("utf-8"))["results"], domain)


def _seed_parse(target: Path, shelf: Path) -> None:
    """Give dbt what it parsed last time: it then reads only the files that changed (7 s less a build)."""
    kept, wanted = shelf / PARSED, target / PARSED
    if kept.exists() and not wanted.exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, wanted)


def _keep_parse(target: Path, shelf: Path) -> None:
    if (target / PARSED).exists():
        part = shelf / f".{PARSED}"
        shutil.copyfile(target / PARSED, part)
        part.replace(shelf / PARSED)


def run_dbt(
    settings: Settings, command: list[str], database: Path, target: Path, on_result: OnResult | None = None
) -> list[str]:
    """Run one dbt command to its end and return its error messages."""
    project = str(settings.dbt_project)
    options = ["--project-dir", project, "--profiles-dir", project, "--target-path", str(target)]
    options += ["--log-path", str(target), "--log-format", "json", "--log-level", "info", "--log-level-file", "none"]
    environment = {
        **os.environ,
        **settings.as_environment(),
        "DBT_DUCKDB_PATH": str(database),
        "DBT_THREADS": str(settings.threads),
        "DBT_VERSION_CHECK": "false",
        "DO_NOT_TRACK": "1",
    }
    messages: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *command, *options],
        cwd=project,  # the profile names its plugins' folder from there
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            event = _read_event(line)
            if event["info"].get("level") == "error":
                messages.append(_first_words(str(event["info"].get("msg", ""))))
            data = event.get("data", {})
            if on_result and event["info"].get("name") in RESULT_EVENTS and data.get("total"):
                on_result(int(data["index"]), int(data["total"]))
    return messages


def _first_words(message: str, limit: int = 400) -> str:
    """What a message says before its traceback."""
    words = message.split("Traceback (most recent call last)")[0].strip()
    return words if len(words) <= limit else words[:limit] + "…"


def _read_event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:  # a line that is no event: a Python warning or a traceback
        return {"info": {"level": "error" if "Error" in line else "info", "msg": line}}
    return event if isinstance(event, dict) and "info" in event else {"info": {}}


def _read_run(manifest: Mapping[str, Any], results: list[Mapping[str, Any]], domain: str) -> DbtRun:
    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    tests = [_test(nodes[found["unique_id"]], found) for found in results if _kind(found) == "test"]
    errors = [
        f"{found['unique_id'].split('.')[2]}: {_first_words(found.get('message') or found['status'])}"
        for found in results
        if found["status"] in ("error", "fail", "runtime error")
    ]
    models = [_model(node) for node in nodes.values() if node["resource_type"] == "model" and domain in node["tags"]]
    return DbtRun(models, tests, errors)


def _kind(result: Mapping[str, Any]) -> str:
    return str(result["unique_id"].split(".")[0])


def _model(node: Mapping[str, Any]) -> Model:
    docs = {name.lower(): column.get("description") or "" for name, column in node["columns"].items()}
    return Model(node["schema"], node["alias"], node.get("description") or "", docs)


def _test(node: Mapping[str, Any], result: Mapping[str, Any]) -> TestResult:
    attached = (node.get("attached_node") or "").split(".")[-1] or None
    finished = [t["completed_at"] for t in result["timing"] if t.get("completed_at")]
    moment = datetime.fromisoformat(finished[-1].replace("Z", "+00:00")) if finished else datetime.now().astimezone()
    return TestResult(
        test_id=str(node["unique_id"]),
        test_name=str(node["name"]),
        table_name=attached or (node["depends_on"]["nodes"][0].split(".")[-1] if node["depends_on"]["nodes"] else None),
        column_name=node.get("column_name"),
        severity=str(node["config"].get("severity", "ERROR")).lower(),
        status=str(result["status"]),
        failures=result.get("failures"),
        message=result.get("message"),
        seconds=float(result.get("execution_time") or 0),
        tested_at=moment,
    )

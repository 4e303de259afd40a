"""Runs dbt in a child process and reads what it did; the only module that knows dbt's files and events.

dbt is never imported here: the interface is ``runner.py`` of the dbt project, its ``manifest.json`` and its
``run_results.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from catalog.clock import utc_now
from catalog.errors import BuildFailed
from catalog.linked_project import link_project
from catalog.settings import Settings

PARSED = "partial_parse.msgpack"
HISTORY = "__history"  # ending of the model that has every state of another's rows
OnResult = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Model:
    """One table dbt built."""

    layer: str
    name: str
    description: str
    columns: Mapping[str, str]  # column name → description
    keys: tuple[str, ...] = ()  # columns that identify a row; none where nothing says so


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
    seconds: float  # of work, by all threads
    failing: Mapping[str, str] = field(default_factory=dict)  # id of a test that found rows → the SQL that gives them


class Dbt:
    """A dbt process over one private DuckDB file; it holds the file from the first build until it is closed.

    One that is kept lives on when it is closed, with what it has imported and parsed, and lets go of the file only: a
    build after the other takes a second or two instead of five. ``end`` ends it.
    """

    def __init__(
        self, settings: Settings, database: Path | None = None, workspace: Path | None = None, *, is_kept: bool = False
    ) -> None:
        self.settings, self.is_kept = settings, is_kept
        self.project = settings.dbt_project.resolve()  # dbt runs there
        self.shelf = workspace.parent if workspace else settings.lake.resolve() / "build"
        self.target = (workspace or self.shelf / "parsed") / "target"
        # dbt parses everything again when its database's path changes, so the path is a link that stays the same
        self.database = database or self.shelf / "current" / "private.duckdb"
        self.linked = self.shelf / "project"  # with the generated models; the same path for every build
        self._process: subprocess.Popen[str] | None = None
        self._manifest: dict[str, Any] = {"nodes": {}}
        self._parsed = ""  # the mark of what it has parsed

    def open(self, workspace: Path, mark: str) -> Self:
        """Work in a folder from now on.

        Args:
            mark: of all that is parsed; a kept process that parsed something else is replaced.
        """
        self.target = workspace / "target"
        if self._process and (mark != self._parsed or self._process.poll() is not None):
            self.end()
        self._parsed = mark
        if self._process:
            self.target.mkdir(parents=True, exist_ok=True)
            link_project(self.project, self.settings.generated_models, self.linked)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the file, and end the process unless it is kept; the next build then starts another."""
        if not self.is_kept or (self._process and self._ask(["free"], None)):
            self.end()

    def end(self) -> None:
        """End the process."""
        if self._process:
            self._process.communicate()
            self._process = None

    def build(self, domains: Sequence[str], on_result: OnResult, unneeded: Set[str] = frozenset()) -> dict[str, DbtRun]:
        """Run the models, seeds and data tests of some domains, none of which reads another's models.

        What fails in one domain stops nothing of the others.

        Args:
            unneeded: models to leave out where no other model reads them.

        Raises:
            BuildFailed: dbt could not be started at all.
        """
        results_file, manifest_file = self.target / "run_results.json", self.target / "manifest.json"
        results_file.unlink(missing_ok=True)
        selection = ["--select", *(f"tag:{domain}" for domain in domains), "--indirect-selection", "buildable"]
        left_out = self._left_out(unneeded) if unneeded else []
        selection += ["--exclude", *left_out] if left_out else []
        messages = self._run(["build", *selection, "--exclude-resource-type", "unit_test"], on_result)
        manifest = json.loads(manifest_file.read_text("utf-8")) if manifest_file.exists() else self._manifest
        if results_file.exists():
            manifest = _without(manifest, left_out)
            return _read_runs(manifest, json.loads(results_file.read_text("utf-8"))["results"], domains)
        if self._process is None and len(domains) > 1:  # it died of one of them: each by itself tells of which
            return {domain: self.build([domain], on_result, unneeded)[domain] for domain in domains}
        said = " ".join(dict.fromkeys(messages)) or "it gave no reason"
        return {
            domain: DbtRun(_models(manifest, domain), [], [f"dbt could not build domain {domain!r}: {said}"], 0.0)
            for domain in domains
        }

    def _left_out(self, unneeded: Set[str]) -> list[str]:
        """Which of some models no other model reads, as dbt parsed the project."""
        if self._process is None and self._open():
            return []  # what cannot be read is told by the command that follows
        models = [node for node in self._manifest["nodes"].values() if node["resource_type"] == "model"]
        read = {parent for node in models for parent in node["depends_on"]["nodes"]}
        return sorted(node["name"] for node in models if node["name"] in unneeded and node["unique_id"] not in read)

    def _open(self) -> list[str]:
        """Start the process and let it parse the project; returns why it could not."""
        self._process = self._start()
        if unreadable := self._run(["parse"]):
            return unreadable
        self._keep_parse()
        return []

    def _run(self, command: list[str], on_result: OnResult | None = None) -> list[str]:
        """Run one command to its end and return its error messages."""
        if self._process is None and (unreadable := self._open()):
            return unreadable
        if self._process is None:
            raise BuildFailed("the dbt process has ended")
        project, target = str(self.linked), str(self.target)
        options = ["--project-dir", project, "--profiles-dir", project, "--target", "private"]
        options += ["--target-path", target, "--log-path", target, "--quiet", "--log-level-file", "none"]
        return self._ask([*command, *options], on_result)

    def _ask(self, arguments: list[str], on_result: OnResult | None) -> list[str]:
        """Hand the process one line, and return the errors it answers until it says that this has ended."""
        messages: list[str] = []
        asked = self._process.stdin if self._process else None
        answers = self._process.stdout if self._process else None
        if asked is None or answers is None:
            raise BuildFailed("the dbt process has no pipes")
        try:
            asked.write(json.dumps(arguments) + "\n")
            asked.flush()
        except BrokenPipeError:
            self.end()
            return ["its process ended"]
        for line in answers:
            answer = json.loads(line)
            if answer.get("ended"):
                return messages
            if error := answer.get("error"):
                messages.append(_first_words(error))
            elif on_result:
                on_result(int(answer["done"]), int(answer["total"]))
        self.end()
        return [*messages, "its process ended"]

    def _start(self) -> subprocess.Popen[str]:
        self._seed_parse()
        environment = {
            **os.environ,
            **self.settings.as_environment(),
            # the same for every lake, so that what was parsed for one holds for all
            "DBT_DUCKDB_PATH": os.path.relpath(self.database, self.linked),
            "DBT_THREADS": str(self.settings.threads),
            "DBT_VERSION_CHECK": "false",
            "DO_NOT_TRACK": "1",
        }
        try:
            link_project(self.project, self.settings.generated_models, self.linked)
            return subprocess.Popen(
                [sys.executable, str(self.project / "runner.py")],
                cwd=self.linked,  # the profile names its plugins' folder and the database from there
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what matters comes back as answers
                text=True,
            )
        except OSError as error:
            raise BuildFailed(
                f"dbt cannot start in {self.project}: {error.strerror}. Check ODH_DBT_PROJECT."
            ) from error

    def _seed_parse(self) -> None:
        """Give dbt what it parsed last time, here or for another lake: it then reads only the files that changed.

        Importing dbt takes 2.4 s, parsing everything 4.6 s and what did not change 1.1 s.
        """
        self.target.mkdir(parents=True, exist_ok=True)
        known = [path for path in (self.shelf / PARSED, self._parsed_elsewhere()) if path.exists()]
        if known and not (self.target / PARSED).exists():
            shutil.copyfile(known[0], self.target / PARSED)

    def _keep_parse(self) -> None:
        manifest = self.target / "manifest.json"
        self._manifest = json.loads(manifest.read_text("utf-8")) if manifest.exists() else {"nodes": {}}
        if (self.target / PARSED).exists():
            _copy_whole(self.target / PARSED, self.shelf / PARSED)
            if not self._parsed_elsewhere().exists():
                with suppress(OSError):  # the project may be read-only
                    self._parsed_elsewhere().parent.mkdir(exist_ok=True)
                    _copy_whole(self.target / PARSED, self._parsed_elsewhere())

    def _parsed_elsewhere(self) -> Path:
        """What this dbt parsed of the project for the first lake that was built from it."""
        return self.project / "target" / f"{version('dbt-core')}-{PARSED}"


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that nobody sees a part of it."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.replace(target)


def _first_words(message: str, limit: int = 400) -> str:
    """What a message says before its traceback."""
    words = message.removeprefix("Encountered an error:\n").split("Traceback (most recent call last)")[0].strip()
    return words if len(words) <= limit else words[:limit] + "…"


def _without(manifest: dict[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """A manifest without some models."""
    nodes = manifest["nodes"]
    return {**manifest, "nodes": {name: node for name, node in nodes.items() if node["name"] not in models}}


def _read_runs(
    manifest: Mapping[str, Any], results: Sequence[Mapping[str, Any]], domains: Sequence[str]
) -> dict[str, DbtRun]:
    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    mine: dict[str, list[Mapping[str, Any]]] = {domain: [] for domain in domains}
    for found in results:
        for domain in _domains_of(nodes, nodes[found["unique_id"]], mine.keys()):
            mine[domain].append(found)
    return {domain: _read_run(manifest, nodes, domain, mine[domain]) for domain in domains}


def _domains_of(nodes: Mapping[str, Any], node: Mapping[str, Any], domains: Set[str]) -> Set[str]:
    """The domains among some that a node belongs to; a test belongs where what it tests does."""
    if own := domains & set(node["tags"]):
        return own
    tested = [node["attached_node"]] if node.get("attached_node") else node["depends_on"]["nodes"]
    return domains & {tag for name in tested for tag in nodes.get(name, {}).get("tags", ())}


def _read_run(
    manifest: Mapping[str, Any], nodes: Mapping[str, Any], domain: str, results: Sequence[Mapping[str, Any]]
) -> DbtRun:
    tests = [_test(nodes[found["unique_id"]], found) for found in results if _kind(found) == "test"]
    errors = [
        f"{found['unique_id'].split('.')[2]}: {_first_words(found.get('message') or found['status'])}"
        for found in results
        if found["status"] in ("error", "fail", "runtime error")
    ]
    seconds = sum(float(found.get("execution_time") or 0) for found in results)
    failing = {
        str(found["unique_id"]): str(found["compiled_code"])
        for found in results
        if _kind(found) == "test" and found.get("failures") and found.get("compiled_code")
    }
    return DbtRun(_models(manifest, domain), tests, errors, seconds, failing)


def _models(manifest: Mapping[str, Any], domain: str) -> list[Model]:
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    keys = _tested_keys(manifest)
    return [
        _model(node, keys.get(node["unique_id"], ()), models.get(name.removesuffix(HISTORY), node))
        for name, node in models.items()
        if domain in node["tags"] and node["config"].get("materialized") != "ephemeral"
    ]


def _tested_keys(manifest: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The key of each model: the columns whose values a test over all its rows wants unique.

    Of several such tests, one of a single column speaks before one of a combination.
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    for node in manifest["nodes"].values():
        test = node.get("test_metadata") or {}
        if test.get("name") in ("unique", "unique_combination") and not node["config"].get("where"):
            columns = test["kwargs"].get("columns") or [node["column_name"]]
            key = tuple(column.strip('"') for column in columns)
            found.setdefault(node["attached_node"], []).append(key)
    return {model: min(keys, key=len) for model, keys in found.items()}


def _kind(result: Mapping[str, Any]) -> str:
    return str(result["unique_id"].split(".")[0])


def _model(node: Mapping[str, Any], tested: tuple[str, ...], live: Mapping[str, Any]) -> Model:
    """A model; a history's columns are those of its live model, and their descriptions hold unless it has its own."""
    columns = {**live["columns"], **node["columns"]}
    docs = {name.lower(): column.get("description") or "" for name, column in columns.items()}
    keys = tuple(node["config"].get("meta", {}).get("keys") or tested)
    return Model(node["schema"], node["alias"], node.get("description") or "", docs, keys)


def _test(node: Mapping[str, Any], result: Mapping[str, Any]) -> TestResult:
    attached = (node.get("attached_node") or "").split(".")[-1] or None
    finished = [t["completed_at"] for t in result["timing"] if t.get("completed_at")]
    moment = datetime.fromisoformat(finished[-1]) if finished else utc_now()
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

"""The validation report of one run: what was checked, what was found, what the data is like; kept beside the lake.

A report is a JSON file and a page made from it, ``<lake>/reports/<run_id>.json`` and ``.html``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.errors import UnknownName
from catalog.quality.statistics import TableStatistics
from catalog.settings import Settings
from catalog.values import json_value

VERSION = 1  # of the JSON's form
PASSED, WARNED, FAILED, UNCHANGED = "passed", "warned", "failed", "unchanged"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows to look at."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str | None = None  # why there are none, or what is not shown


@dataclass(frozen=True, slots=True)
class Check:
    """One test or rule, and what it found."""

    domain: str
    name: str
    table: str | None
    column: str | None
    severity: str  # error stops the domain before anything of it is published; warn is recorded and goes on
    status: str  # pass, warn, fail, error, skipped
    failures: int | None = None
    message: str | None = None
    seconds: float = 0.0
    offending: Rows | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one column of a snapshot lies from the snapshot before it."""

    table: str
    column: str
    psi: float
    ks: float | None  # None for a column that has no order


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table that changed."""

    layer: str
    name: str
    domain: str
    statistics: TableStatistics | None
    note: str | None = None  # why there are no statistics


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run has to tell of the data it saw."""

    run_id: str
    kind: str  # build or snapshot
    extraction_date: date
    written_at: datetime
    release_id: int | None = None  # what the run published; None when it published nothing
    domains: Sequence[Mapping[str, Any]] = ()
    checks: Sequence[Check] = ()
    tables: Sequence[TableReport] = ()
    shifts: Sequence[Shift] = ()
    loads: Sequence[Mapping[str, Any]] = ()  # rows that came in, by table
    rejects: Sequence[Mapping[str, Any]] = ()  # rows and values that did not, by table, stage and column
    seconds: float = 0.0  # what making the report took
    version: int = field(default=VERSION, kw_only=True)

    @property
    def outcome(self) -> str:
        """``failed``, ``warned``, ``passed``, or ``unchanged`` when there was nothing to check."""
        statuses = Counter(check.status for check in self.checks)
        if statuses["fail"] or statuses["error"] or any(d["status"] in ("failed", "refused") for d in self.domains):
            return FAILED
        if statuses["warn"]:
            return WARNED
        return PASSED if self.checks or self.tables else UNCHANGED

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        told: dict[str, Any] = json_value({"outcome": self.outcome, **asdict(self)})
        return told


def write_report(settings: Settings, report: Report) -> Path:
    """Write a report's JSON and its page, whole or not at all, and return the JSON's path."""
    from catalog.quality.page import render  # here, for the command that only finds a report needs no page

    settings.reports.mkdir(parents=True, exist_ok=True)
    told = report.as_json()
    for suffix, text in ((".html", render(told)), (".json", json.dumps(told, ensure_ascii=False, allow_nan=False))):
        part = settings.reports / f".{report.run_id}{suffix}"
        part.write_text(text + "\n", "utf-8")
        part.replace(settings.reports / f"{report.run_id}{suffix}")
    return settings.reports / f"{report.run_id}.json"


def find_report(settings: Settings, run_id: str | None = None) -> Path:
    """The JSON of a run's report; of the newest run's without an id, which begins with its time.

    Raises:
        UnknownName: there is no such report.
    """
    known = _known(settings)
    if run_id is None and known:
        run_id = known[-1]
    if run_id not in known:
        raise UnknownName("report", run_id or "newest", known[::-1])
    return settings.reports / f"{run_id}.json"


def old_reports(settings: Settings, now: datetime) -> list[list[Path]]:
    """The files of each report older than the settings let it be, its JSON last; never the newest report's."""
    if settings.report_days is None:
        return []
    since = (now - timedelta(days=settings.report_days)).timestamp()
    files = (
        [settings.reports / f"{run_id}{suffix}" for suffix in (".html", ".json")] for run_id in _known(settings)[:-1]
    )
    return [[path for path in of_run if path.exists()] for of_run in files if of_run[-1].stat().st_mtime < since]


def _known(settings: Settings) -> list[str]:
    """The runs that have a report, oldest first."""
    return sorted(path.stem for path in settings.reports.glob("*.json") if not path.name.startswith("."))


def read_shifts(settings: Settings, since: date, reports: int = 60) -> list[dict[str, Any]]:
    """How far the columns of snapshots lay from those before them, oldest first; of the newest reports kept here."""
    found: list[dict[str, Any]] = []
    for run_id in _known(settings)[-reports:]:
        told = json.loads((settings.reports / f"{run_id}.json").read_text("utf-8"))
        if told["kind"] == "snapshot" and told["extraction_date"] >= since.isoformat():
            found += [{"as_of": told["extraction_date"], **shift} for shift in told["shifts"]]
    return found

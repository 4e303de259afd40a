"""What the gateway answers to those who watch over the lakehouse, as the OpenAPI document shows it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.models import PageMeta

State = Literal["failed", "warned", "never", "fine", "disabled"]


class Reason(BaseModel):
    """Why a feed is in its state."""

    kind: str = Field(description="files (not fetched), refused, tests, warnings, rejects, drift")
    count: int


class FeedEntry(BaseModel):
    """One feed and how it is."""

    feed: str
    title: str
    domain: str
    owner: str
    license: str
    schedule: str
    enabled: bool
    restricted: bool
    state: State = Field(description="the worst of what is known; never: not looked at yet")
    reasons: list[Reason]
    extraction_date: date | None = Field(description="newest extraction")
    looked_at: datetime | None = Field(description="when the portal was last asked for it")
    file_count: int = Field(description="files of the newest extraction")
    rows_loaded: int = Field(description="by the newest extraction that brought rows")
    rows_rejected: int
    tests: dict[str, int] = Field(description="of the newest tested run of its domain, by status")


class FeedList(BaseModel):
    """Every feed, worst first."""

    data: list[FeedEntry]


class Day(BaseModel):
    """What one extraction of a feed was."""

    extraction_date: date
    stored: int
    unchanged: int
    failed: int
    bytes: int = Field(description="of the files stored")
    rows_loaded: int
    rows_rejected: int


class TableDay(BaseModel):
    """Rows one extraction brought to one table."""

    table_name: str
    extraction_date: date
    rows_loaded: int
    rows_rejected: int


class FileEntry(BaseModel):
    """One resource of the newest extraction."""

    title: str | None
    file_name: str | None
    table_name: str | None
    status: str
    reason: str | None
    source_url: str | None
    size_bytes: int | None
    sha256: str | None
    evidence: str | None
    http_status: int | None
    finished_at: datetime | None


class SchemaChange(BaseModel):
    """One change of a file's shape."""

    extraction_date: date
    feed: str
    table_name: str
    column_name: str
    change: str
    class_: str = Field(alias="class", description="safe or breaking")
    detail: str | None


class RejectGroup(BaseModel):
    """How many rows or values one reason kept out."""

    table_name: str
    stage: str
    column_name: str | None
    rows: int


class Edge(BaseModel):
    """One table that another is made from."""

    source: str
    target: str


class TestResult(BaseModel):
    """One test of the newest run that tested its domain."""

    run_id: str
    domain: str
    test_name: str
    table_name: str | None
    column_name: str | None
    severity: str
    status: str
    failures: int | None
    message: str | None
    seconds: float | None
    tested_at: datetime


class FeedDetail(FeedEntry):
    """One feed, and all that happened to it since a day."""

    description: str
    source: dict[str, Any]
    depends_on: list[str]
    drift: str
    since: date
    timeline: list[Day]
    bronze: list[str] = Field(description="its bronze tables")
    lineage: list[Edge] = Field(description="what is made from them, in silver and gold")
    test_results: list[TestResult]
    tables: list[TableDay]
    files: list[FileEntry]
    schema_changes: list[SchemaChange]
    rejects: list[RejectGroup]


class Reject(BaseModel):
    """One row or value that could not be read."""

    reject_id: int
    table_name: str
    extraction_date: date
    source_file: str
    source_member: str
    source_line: int
    stage: str
    column_name: str | None
    raw_text: str
    reason: str


class RejectPage(BaseModel):
    """One page of rejects, newest first."""

    data: list[Reject]
    meta: PageMeta


class Run(BaseModel):
    """One run."""

    run_id: str
    command: str
    feeds: list[str] = Field(description="none: every enabled feed")
    extraction_date: date | None
    status: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    error: str | None
    host: str
    task_url: str | None = Field(None, description="the scheduler's task whose work it is")
    try_number: int | None = Field(None, description="which try of that task, from 1")
    will_retry: bool | None = Field(None, description="whether the scheduler tries again")
    release_id: int | None = Field(description="what it published")


class RunList(BaseModel):
    """Runs, newest first."""

    data: list[Run]


class ReleaseEntry(BaseModel):
    """One published release."""

    release_id: int
    run_id: str
    extraction_date: date
    published_at: datetime | None
    tables: int
    rows: int | None


class ReleaseList(BaseModel):
    """Releases, of the newest extraction first."""

    data: list[ReleaseEntry]


class TestCount(BaseModel):
    """How many tests of a run and a domain ended so."""

    run_id: str
    domain: str
    severity: str
    status: str
    tests: int
    tested_at: datetime


class SlowTest(BaseModel):
    """One of the tests that take longest."""

    test_name: str
    domain: str
    seconds: float


class RejectDay(BaseModel):
    """Rejects of one table, stage and extraction."""

    extraction_date: date
    table_name: str
    stage: str
    rows: int


class ChangeDay(BaseModel):
    """Changes of shape of one kind, feed and extraction."""

    extraction_date: date
    feed: str
    change: str
    class_: str = Field(alias="class")
    changes: int


class ShiftEntry(BaseModel):
    """How far a column of a snapshot lies from the snapshot before it."""

    as_of: date
    table: str
    column: str
    psi: float
    ks: float | None


class Quality(BaseModel):
    """Tests and drift since a day."""

    since: date
    history: list[TestCount]
    attention: list[TestResult] = Field(description="newest tests that did not pass, worst first")
    slowest: list[SlowTest]
    rejects: list[RejectDay]
    changes: list[ChangeDay]
    shifts: list[ShiftEntry] = Field(description="from the reports of snapshots kept beside this gateway's lake")


class FeedDay(BaseModel):
    """How the files of one extraction of a feed ended."""

    extraction_date: date
    feed: str
    stored: int
    unchanged: int
    failed: int


class RawDay(BaseModel):
    """What one extraction of a feed added to raw."""

    extraction_date: date
    feed: str
    files: int
    bytes: int


class BronzeDay(BaseModel):
    """Rows one extraction of a feed brought to bronze."""

    extraction_date: date
    feed: str
    rows: int


class Removed(BaseModel):
    """What upkeep, retention and erasure removed."""

    what: str
    removals: int
    bytes: int


class Growth(BaseModel):
    """How the lake was fed and grew since a day."""

    since: date
    extractions: list[FeedDay]
    raw: list[RawDay]
    bronze: list[BronzeDay]
    removed: list[Removed]


class AlertEntry(BaseModel):
    """One thing to look into."""

    kind: str
    severity: str = Field(description="error or warning")
    subject: str = Field(description="the feed, domain, table or task it is about")
    what: str
    since: datetime
    advice: str
    runbook: str = Field(description="its heading in docs/operations.md")
    link: str | None = Field(description="the page where it happened")


class AlertList(BaseModel):
    """What must be looked into now, worst kinds first."""

    data: list[AlertEntry]

"""The report of the whole lake: of each feed and table, how much, how fresh, in which shape and how well tested.

Bronze tables are told as they stand, silver and gold as the current release has them.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from html import escape
from pathlib import Path
from typing import Any

from catalog import releases, supervision
from catalog.clock import utc_now
from catalog.iceberg import Lakehouse
from catalog.iceberg_totals import shape_of
from catalog.ledger import Ledger
from catalog.operations import newest_tests_by_table
from catalog.registry import Registry
from catalog.settings import Settings
from catalog.stats import Stats
from catalog.terminal import size

STYLE = Path(__file__).parent / "quality" / "page.css"
STATES = {"failed": "failed", "warned": "warned", "fine": "passed"}  # as the style sheet names them


@dataclass(frozen=True, slots=True)
class TableLine:
    """One table."""

    feed: str | None  # None for gold, which is made of several
    layer: str
    table: str
    rows: int
    rejects: int
    files: int
    bytes: int
    partitions: int
    schema_version: int  # changes whenever a column comes, goes or changes its type
    last_extraction: date | None
    tests_passed: int
    tests_warned: int
    tests_failed: int


@dataclass(frozen=True, slots=True)
class FeedLine:
    """One feed."""

    feed: str
    state: str
    schedule: str
    last_extraction: date | None
    tables: int
    rows: int  # of its bronze tables
    rejects: int
    bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class LakeReport:
    """The whole lake at one moment."""

    written_at: datetime
    release_id: int | None
    feeds: tuple[FeedLine, ...]
    tables: tuple[TableLine, ...]

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return asdict(self)


def make_report(settings: Settings, registry: Registry, ledger: Ledger, lakehouse: Lakehouse) -> LakeReport:
    """Look at every feed and every table."""
    release = releases.current_release(ledger)
    tests = newest_tests_by_table(ledger)
    rows = Stats(settings, ledger, lakehouse).tables(release)
    tables = tuple(_table(row, lakehouse, release, tests.get(row["table"], Counter())) for row in rows)
    feeds = tuple(_feed(entry, tables) for entry in supervision.list_feeds(ledger, registry))
    return LakeReport(utc_now(), release.release_id if release else None, feeds, tables)


def _table(
    row: Mapping[str, Any], lakehouse: Lakehouse, release: releases.Release | None, tests: Counter[str]
) -> TableLine:
    released = release.table(row["layer"], row["table"]) if release else None
    shape = shape_of(lakehouse.table(row["layer"], row["table"]), released.pin.snapshot_id if released else None)
    return TableLine(
        feed=row["feed"],
        layer=row["layer"],
        table=row["table"],
        rows=row["rows"],
        rejects=row["rejects"],
        files=row["files"],
        bytes=row["bytes"],
        partitions=shape.partitions,
        schema_version=shape.schema_version,
        last_extraction=row["extraction_date"],
        tests_passed=tests["pass"],
        tests_warned=tests["warn"],
        tests_failed=tests["fail"] + tests["error"],
    )


def _feed(entry: Mapping[str, Any], tables: Iterable[TableLine]) -> FeedLine:
    mine = [table for table in tables if table.feed == entry["feed"] and table.layer == "bronze"]
    return FeedLine(
        feed=entry["feed"],
        state=entry["state"],
        schedule=entry["schedule"] if entry["enabled"] else "disabled",
        last_extraction=entry["extraction_date"],
        tables=len(mine),
        rows=sum(table.rows for table in mine),
        rejects=sum(table.rejects for table in mine),
        bytes=sum(table.bytes for table in mine),
        why=", ".join(f"{reason['kind']} {reason['count']}" for reason in entry["reasons"]),
    )


# As text


def as_csv(report: LakeReport) -> str:
    """One line a table, its feed's state beside it; feeds without a table have a line too."""
    states = {feed.feed: feed for feed in report.feeds}
    names = [field.name for field in fields(TableLine)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "feed_state"])
    told = set()
    for table in report.tables:
        told.add(table.feed)
        feed = states.get(table.feed or "")
        writer.writerow([*(getattr(table, name) for name in names), feed.state if feed else None])
    for feed in report.feeds:
        if feed.feed not in told:
            writer.writerow([feed.feed, *[None] * (len(names) - 1), feed.state])
    return text.getvalue()


def as_html(report: LakeReport) -> str:
    """One page that asks nothing of any server."""
    by_layer: dict[str, list[TableLine]] = defaultdict(list)
    for table in report.tables:
        by_layer[table.layer].append(table)
    release = f"release {report.release_id}" if report.release_id is not None else "no release yet"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>The lake</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="color-scheme" content="light dark"><style>{STYLE.read_text("utf-8")}</style></head><body><main>',
        f'<h1>The lake</h1><p class="dim">{report.written_at:%Y-%m-%d %H:%M} UTC, {release}</p>',
        "<h2>Feeds</h2>",
        _html(FEED_COLUMNS, [feed_cells(feed) for feed in report.feeds], "Feeds"),
        *(
            f"<h2>{layer}</h2>" + _html(TABLE_COLUMNS, [table_cells(table) for table in tables], f"Tables of {layer}")
            for layer, tables in by_layer.items()
        ),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


FEED_COLUMNS = ("feed", "state", "schedule", "last extraction", "tables", "rows", "rejects", "size", "why")
TABLE_COLUMNS = (
    *("table", "rows", "rejects", "files", "size", "partitions", "schema", "last extraction"),
    *("passed", "warned", "failed"),
)


def feed_cells(feed: FeedLine) -> tuple[Any, ...]:
    """A feed for people, under ``FEED_COLUMNS``."""
    amounts = (feed.tables, feed.rows, feed.rejects, size(feed.bytes))
    return (feed.feed, feed.state, feed.schedule, feed.last_extraction, *amounts, feed.why)


def table_cells(table: TableLine) -> tuple[Any, ...]:
    """A table for people, under ``TABLE_COLUMNS``."""
    amounts = (table.rows, table.rejects, table.files, size(table.bytes), table.partitions, table.schema_version)
    tests = (table.tests_passed, table.tests_warned, table.tests_failed)
    return (table.table, *amounts, table.last_extraction, *tests)


def _html(columns: Iterable[str], rows: Iterable[Iterable[Any]], caption: str) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'.replace(",", "\u202f")
    if value in STATES:
        return f'<td><span class="status {STATES[value]}">{escape(value)}</span></td>'
    return f"<td>{escape(str(value)) if value is not None else ''}</td>"

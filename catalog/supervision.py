"""What people who watch over the lakehouse ask of its ledger about feeds: their states, and all that happened to one.

Every answer is bounded, by days or by rows, and ready for JSON. Nothing here opens a table or a file of the lake.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.feed import Feed
from catalog.ledger import Ledger
from catalog.lineage import Edge, downstream
from catalog.loads import bronze_tables_of
from catalog.operations import MOST_SHOWN, Json, is_newest, rows_of, tests_of, total_of
from catalog.registry import Registry

DISABLED, NEVER, FAILED, WARNED, FINE = "disabled", "never", "failed", "warned", "fine"
STATES = (FAILED, WARNED, NEVER, FINE, DISABLED)  # worst first


def list_feeds(ledger: Ledger, registry: Registry) -> list[Json]:
    """Every feed with its state and why, worst first."""
    with ledger.begin() as connection:
        newest = _newest_days(connection)
        loads = _newest_loads(connection)
        tests = _newest_tests(connection)
        breaking = _breaking_changes(connection)
    found = [
        _feed_entry(feed, newest.get(feed.feed), loads.get(feed.feed), tests.get(feed.domain), breaking)
        for feed in registry
    ]
    return sorted(found, key=lambda entry: (STATES.index(entry["state"]), entry["feed"]))


def show_feed(ledger: Ledger, registry: Registry, name: str, since: date, edges: Sequence[Edge]) -> Json:
    """One feed: what is declared of it, what is made from it and all that happened to it since a day.

    Args:
        edges: which table is made from which, as ``lineage.read_edges`` finds.

    Raises:
        UnknownName: with the nearest feed that exists.
    """
    feed = registry.get(name)
    entry = next(one for one in list_feeds(ledger, registry) if one["feed"] == name)
    bronze = sorted({*bronze_tables_of(ledger, name), *feed.bronze_names()})
    made = downstream(edges, bronze)
    last = entry["extraction_date"]
    with ledger.begin() as connection:
        return {
            **entry,
            "description": feed.description,
            "source": feed.source.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            "depends_on": feed.depends_on,
            "drift": feed.drift,
            "since": since,
            "timeline": _timeline(connection, name, since),
            "bronze": bronze,
            "lineage": [asdict(edge) for edge in made],
            "test_results": tests_of(connection, [*bronze, *dict.fromkeys(edge.target for edge in made)]),
            "tables": _rows_over_time(connection, name, since),
            "files": _files(connection, name, last) if last else [],
            "schema_changes": _schema_changes(connection, schema.schema_changes.c.feed == name, since),
            "rejects": _reject_groups(connection, schema.rejects.c.feed == name),
        }


def list_rejects(
    ledger: Ledger, feed: str, table: str | None, stage: str | None, page: int, page_size: int
) -> tuple[list[Json], int]:
    """One page of the rows and values of a feed that could not be read, newest first, and how many there are."""
    c = schema.rejects.c
    mine = [c.feed == feed]
    if table:
        mine.append(c.table_name == table)
    if stage:
        mine.append(c.stage == stage)
    query = sa.select(schema.rejects).where(*mine).order_by(c.extraction_date.desc(), c.reject_id)
    with ledger.begin() as connection:
        total = connection.scalar(sa.select(sa.func.count()).where(*mine)) or 0
        return rows_of(connection, query.limit(page_size).offset((page - 1) * page_size)), total


# States


def state_of(feed: Feed, is_known: bool, has_failed: bool, has_warnings: bool) -> str:
    """The state of a feed in one word: the worst of what is known of it."""
    if not feed.enabled and not is_known:
        return DISABLED
    if not is_known:
        return NEVER
    if has_failed:
        return FAILED
    if not feed.enabled:
        return DISABLED
    return WARNED if has_warnings else FINE


def _feed_entry(
    feed: Feed,
    newest: Mapping[str, Any] | None,
    loads: Mapping[str, Any] | None,
    tests: Mapping[str, int] | None,
    breaking: Mapping[str, Counter[date]],
) -> Json:
    tests, day = tests or {}, newest["extraction_date"] if newest else None
    rejected = loads["rows_rejected"] if loads else 0
    failures = {
        "files": newest["failed"] if newest else 0,
        "refused": loads["refused"] if loads else 0,
        "tests": tests.get("fail", 0) + tests.get("error", 0),
    }
    warnings = {
        "warnings": tests.get("warn", 0),
        "rejects": rejected,
        "drift": breaking[feed.feed][day] if day and feed.feed in breaking else 0,
    }
    found = {kind: count for kind, count in (failures | warnings).items() if count}
    return {
        "feed": feed.feed,
        "title": feed.title,
        "domain": feed.domain,
        "owner": feed.owner,
        "license": feed.license,
        "schedule": feed.schedule,
        "enabled": feed.enabled,
        "restricted": feed.is_restricted,
        "state": state_of(feed, newest is not None, any(failures.values()), any(warnings.values())),
        "reasons": [{"kind": kind, "count": count} for kind, count in found.items()],
        "extraction_date": day,
        "looked_at": newest["looked_at"] if newest else None,
        "file_count": newest["files"] if newest else 0,
        "rows_loaded": loads["rows_loaded"] if loads else 0,
        "rows_rejected": rejected,
        "tests": {status: tests.get(status, 0) for status in ("pass", "warn", "fail", "error", "skipped")},
    }


def _newest_days(connection: sa.Connection) -> dict[str, Json]:
    """By feed, its newest extraction: the day, when it was looked at, files and failures."""
    e = schema.extractions.c
    newest = sa.select(e.feed, sa.func.max(e.extraction_date).label("day")).group_by(e.feed).subquery()
    joined = sa.and_(newest.c.feed == e.feed, newest.c.day == e.extraction_date)
    query = sa.select(
        e.feed,
        e.extraction_date,
        sa.func.max(e.finished_at).label("looked_at"),
        sa.func.count().label("files"),
        total_of(sa.case((e.status == "failed", 1), else_=0)).label("failed"),
    ).join(newest, joined)
    return {row["feed"]: row for row in rows_of(connection, query.group_by(e.feed, e.extraction_date))}


def _newest_loads(connection: sa.Connection) -> dict[str, Json]:
    """By feed, what the newest day that brought rows loaded, rejected and refused."""
    o = schema.loads.c
    newest = (
        sa.select(o.feed, sa.func.max(o.extraction_date).label("day"))
        .where(o.status.in_(("loaded", "refused")))
        .group_by(o.feed)
        .subquery()
    )
    joined = sa.and_(newest.c.feed == o.feed, newest.c.day == o.extraction_date)
    query = sa.select(
        o.feed,
        total_of(o.rows_loaded).label("rows_loaded"),
        total_of(o.rows_rejected).label("rows_rejected"),
        total_of(sa.case((o.status == "refused", 1), else_=0)).label("refused"),
    ).join(newest, joined)
    return {row["feed"]: row for row in rows_of(connection, query.group_by(o.feed))}


def _newest_tests(connection: sa.Connection) -> dict[str, Counter[str]]:
    """By domain, how the tests of its newest tested run ended."""
    q = schema.quality_results.c
    query = sa.select(q.domain, q.status, sa.func.count().label("tests")).where(is_newest())
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in connection.execute(query.group_by(q.domain, q.status)):
        found[row.domain][row.status] = row.tests
    return found


def _breaking_changes(connection: sa.Connection) -> dict[str, Counter[date]]:
    s = schema.schema_changes.c
    query = sa.select(s.feed, s.extraction_date, sa.func.count().label("changes")).where(s["class"] == "breaking")
    found: dict[str, Counter[date]] = defaultdict(Counter)
    for row in connection.execute(query.group_by(s.feed, s.extraction_date)):
        found[row.feed][row.extraction_date] = row.changes
    return found


# One feed


def _timeline(connection: sa.Connection, feed: str, since: date) -> list[Json]:
    """By day: files stored, unchanged and failed, bytes, rows."""
    e, o = schema.extractions.c, schema.loads.c
    looked = sa.select(
        e.extraction_date, e.status, sa.func.count().label("files"), total_of(e.size_bytes).label("bytes")
    ).where(e.feed == feed, e.extraction_date >= since)
    days: dict[date, Json] = {}
    for row in connection.execute(looked.group_by(e.extraction_date, e.status)):
        day = days.setdefault(row.extraction_date, _empty_day(row.extraction_date))
        day[row.status] = row.files
        day["bytes"] += int(row.bytes or 0) if row.status == "stored" else 0
    loaded = sa.select(
        o.extraction_date, total_of(o.rows_loaded).label("loaded"), total_of(o.rows_rejected).label("rejected")
    ).where(o.feed == feed, o.extraction_date >= since, o.status == "loaded")
    for row in connection.execute(loaded.group_by(o.extraction_date)):
        day = days.setdefault(row.extraction_date, _empty_day(row.extraction_date))
        day["rows_loaded"], day["rows_rejected"] = int(row.loaded or 0), int(row.rejected or 0)
    return [days[day] for day in sorted(days)]


def _empty_day(day: date) -> Json:
    counts = ("stored", "unchanged", "failed", "bytes", "rows_loaded", "rows_rejected")
    return {"extraction_date": day, **dict.fromkeys(counts, 0)}


def _rows_over_time(connection: sa.Connection, feed: str, since: date) -> list[Json]:
    o = schema.loads.c
    query = (
        sa.select(
            o.table_name,
            o.extraction_date,
            total_of(o.rows_loaded).label("rows_loaded"),
            total_of(o.rows_rejected).label("rows_rejected"),
        )
        .where(o.feed == feed, o.extraction_date >= since, o.status == "loaded")
        .group_by(o.table_name, o.extraction_date)
        .order_by(o.table_name, o.extraction_date)
    )
    return rows_of(connection, query)


def _files(connection: sa.Connection, feed: str, day: date) -> list[Json]:
    e = schema.extractions.c
    columns = (e.title, e.file_name, e.table_name, e.status, e.reason, e.source_url, e.size_bytes, e.sha256, e.evidence)
    query = sa.select(*columns, e.http_status, e.finished_at).where(e.feed == feed, e.extraction_date == day)
    worst = sa.case((e.status == "failed", 0), (e.status == "stored", 1), else_=2)
    return rows_of(connection, query.order_by(worst, e.title).limit(MOST_SHOWN))


def _schema_changes(connection: sa.Connection, mine: sa.ColumnElement[bool], since: date) -> list[Json]:
    s = schema.schema_changes.c
    columns = (s.extraction_date, s.feed, s.table_name, s.column_name, s.change, s["class"], s.detail)
    query = sa.select(*columns).where(mine, s.extraction_date >= since)
    return rows_of(connection, query.order_by(s.extraction_date.desc(), s.table_name).limit(MOST_SHOWN))


def _reject_groups(connection: sa.Connection, mine: sa.ColumnElement[bool]) -> list[Json]:
    x = schema.rejects.c
    group = (x.table_name, x.stage, x.column_name)
    query = sa.select(*group, sa.func.count().label("rows")).where(mine).group_by(*group)
    return rows_of(connection, query.order_by(sa.func.count().desc(), x.table_name).limit(MOST_SHOWN))

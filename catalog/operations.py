"""What happened and how the lake grew, for those who watch over it: runs, releases, tests, drift, growth.

Every answer is bounded, by days or by rows, and ready for JSON. Nothing here opens a table or a file of the lake.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.ledger import Ledger

Json = dict[str, Any]
MOST_SHOWN = 500  # changes, tests or files in one answer


def list_runs(ledger: Ledger, since: date, limit: int) -> list[Json]:
    """Runs since a day, newest first, each with how long it took and the release it published."""
    r = schema.runs.c
    query = sa.select(schema.runs).where(r.started_at >= midnight(since)).order_by(r.started_at.desc()).limit(limit)
    published = sa.select(schema.releases.c.run_id, schema.releases.c.release_id)
    with ledger.begin() as connection:
        runs = rows_of(connection, query)
        of_runs = published.where(schema.releases.c.run_id.in_([run["run_id"] for run in runs]))
        released = {row.run_id: row.release_id for row in connection.execute(of_runs)}
    return [
        {
            **run,
            "feeds": run["feeds"].split(),
            "seconds": (run["finished_at"] - run["started_at"]).total_seconds() if run["finished_at"] else None,
            "release_id": released.get(run["run_id"]),
        }
        for run in runs
    ]


def list_releases(ledger: Ledger, limit: int) -> list[Json]:
    """Published releases, newest first, with what they hold."""
    r, t = schema.releases.c, schema.release_tables.c
    totals = (sa.func.count(t.table_name).label("tables"), sa.cast(sa.func.sum(t.rows), sa.BigInteger).label("rows"))
    columns = (r.release_id, r.run_id, r.extraction_date, r.published_at)
    joined = schema.releases.outerjoin(schema.release_tables, t.release_id == r.release_id)
    query = sa.select(*columns, *totals).select_from(joined).where(r.status == "published").group_by(*columns)
    with ledger.begin() as connection:
        return rows_of(connection, query.order_by(r.extraction_date.desc(), r.release_id.desc()).limit(limit))


def show_quality(ledger: Ledger, since: date) -> Json:
    """Tests by severity over time, those of the newest run of each domain to look at, and what drifted."""
    q, x, s = schema.quality_results.c, schema.rejects.c, schema.schema_changes.c
    day = (q.run_id, q.domain, q.severity, q.status)
    counted = sa.select(*day, sa.func.count().label("tests"), sa.func.max(q.tested_at).label("tested_at"))
    rejects = sa.select(x.extraction_date, x.table_name, x.stage, sa.func.count().label("rows"))
    changes = sa.select(s.extraction_date, s.feed, s.change, s["class"], sa.func.count().label("changes"))
    with ledger.begin() as connection:
        history = rows_of(connection, counted.where(q.tested_at >= midnight(since)).group_by(*day))
        return {
            "since": since,
            "history": sorted(history, key=lambda row: (row["tested_at"], row["domain"], row["severity"])),
            "attention": _tests_to_look_at(connection),
            "slowest": _slowest_tests(connection),
            "rejects": rows_of(
                connection,
                rejects.where(x.extraction_date >= since)
                .group_by(x.extraction_date, x.table_name, x.stage)
                .order_by(x.extraction_date, x.table_name, x.stage),
            ),
            "changes": rows_of(
                connection,
                changes.where(s.extraction_date >= since)
                .group_by(s.extraction_date, s.feed, s.change, s["class"])
                .order_by(s.extraction_date, s.feed, s.change),
            ),
        }


def show_growth(ledger: Ledger, since: date) -> Json:
    """How the lake was fed and grew since a day: extractions, files and bytes taken in, rows loaded, bytes removed."""
    e, o, m = schema.extractions.c, schema.loads.c, schema.removals.c
    stored = sa.select(
        e.extraction_date, e.feed, sa.func.count().label("files"), total_of(e.size_bytes).label("bytes")
    ).where(e.status == "stored", e.extraction_date >= since)
    loaded = sa.select(o.extraction_date, o.feed, total_of(o.rows_loaded).label("rows")).where(
        o.status == "loaded", o.extraction_date >= since
    )
    counts = [total_of(sa.case((e.status == one, 1), else_=0)).label(one) for one in ("stored", "unchanged", "failed")]
    looked = sa.select(e.extraction_date, e.feed, *counts).where(e.extraction_date >= since)
    removed = sa.select(m.what, sa.func.count().label("removals"), total_of(m.bytes).label("bytes")).where(
        m.removed_at >= midnight(since)
    )
    with ledger.begin() as connection:
        return {
            "since": since,
            "extractions": rows_of(
                connection, looked.group_by(e.extraction_date, e.feed).order_by(e.extraction_date, e.feed)
            ),
            "raw": rows_of(connection, stored.group_by(e.extraction_date, e.feed).order_by(e.extraction_date, e.feed)),
            "bronze": rows_of(
                connection, loaded.group_by(o.extraction_date, o.feed).order_by(o.extraction_date, o.feed)
            ),
            "removed": rows_of(connection, removed.group_by(m.what).order_by(m.what)),
        }


# Tests


def is_newest() -> sa.ColumnElement[bool]:
    """Whether a result is of the newest run that tested its domain."""
    q = schema.quality_results.c
    last = sa.select(q.domain, sa.func.max(q.tested_at)).group_by(q.domain)
    runs = sa.select(q.run_id, q.domain).where(sa.tuple_(q.domain, q.tested_at).in_(last))
    return sa.tuple_(q.run_id, q.domain).in_(runs)


def _tests_to_look_at(connection: sa.Connection) -> list[Json]:
    """Tests of each domain's newest run that did not pass, worst first."""
    q = schema.quality_results.c
    query = sa.select(schema.quality_results).where(is_newest(), q.status != "pass")
    return rows_of(connection, query.order_by(_worst_test(), q.domain, q.test_name).limit(MOST_SHOWN))


def tests_of(connection: sa.Connection, tables: Sequence[str]) -> list[Json]:
    """The newest results of the tests of some tables, worst first."""
    q = schema.quality_results.c
    query = sa.select(schema.quality_results).where(is_newest(), q.table_name.in_(tables))
    return rows_of(connection, query.order_by(_worst_test(), q.table_name, q.test_name).limit(MOST_SHOWN))


def newest_tests_by_table(ledger: Ledger) -> dict[str, Counter[str]]:
    """By table, how the tests about it ended in the newest run that tested its domain."""
    q = schema.quality_results.c
    query = sa.select(q.table_name, q.status, sa.func.count().label("tests")).where(is_newest())
    found: dict[str, Counter[str]] = defaultdict(Counter)
    with ledger.begin() as connection:
        for row in connection.execute(query.group_by(q.table_name, q.status)):
            found[row.table_name or ""][row.status] = row.tests
    return found


def _worst_test() -> sa.ColumnElement[int]:
    status = schema.quality_results.c.status
    return sa.case((status.in_(("error", "fail")), 0), (status == "warn", 1), (status == "skipped", 2), else_=3)


def _slowest_tests(connection: sa.Connection, shown: int = 10) -> list[Json]:
    q = schema.quality_results.c
    query = sa.select(q.test_name, q.domain, q.seconds).where(is_newest(), q.seconds.is_not(None))
    return rows_of(connection, query.order_by(q.seconds.desc()).limit(shown))


# Rows


def rows_of(connection: sa.Connection, query: sa.Select[Any]) -> list[Json]:
    return [dict(row) for row in connection.execute(query).mappings()]


def total_of(column: Any) -> sa.ColumnElement[int]:
    """A sum that PostgreSQL gives as a whole number too."""
    return sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days_before(now: datetime, days: int) -> date:
    """The first of the last days."""
    return (now - timedelta(days=days - 1)).date()

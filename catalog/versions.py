"""Versions: which extractions of a resource are in bronze, and until when each was the present one.

Bronze only grows. What is current, and what was when, is decided here from the ledger, so that loading the same
extractions in any order ends in the same silver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from catalog import schema
from catalog.ledger import Ledger
from catalog.names import quote_literal

REPLACED_ON = "_replaced_on"  # of a row of bronze as builds see it; NULL while its version is the present one
VERSIONS = "odh.versions"


@dataclass(frozen=True, slots=True)
class Version:
    """One extraction of a resource, as a bronze table holds it."""

    table_name: str
    resource_id: str
    extraction_date: date
    replaced_on: date | None  # a later one came, or the portal no longer listed the resource


def feed_versions(ledger: Ledger, feed: str, until: date | None = None) -> list[Version]:
    """Every version in a feed's bronze tables, as one saw them on a day.

    A version ends when a later extraction of its resource was loaded, even into other tables only (a sheet that was
    removed), or when the whole feed was looked at and the resource was no longer listed. What could not be read, and
    what could not be fetched, ends nothing.

    Args:
        until: only what extractions up to this day tell; None for all there is.
    """
    loads = _loads(ledger, feed, until)
    gone = _no_longer_listed(ledger, feed, until)
    found: list[Version] = []
    for resource_id, rows in loads.items():
        for table_name in sorted({row.table_name for row in rows if row.status == "loaded"}):
            days = _days_of(table_name, rows)
            ends = [*days[1:], gone.get(resource_id)]
            held = {row.extraction_date for row in rows if row.table_name == table_name and row.status == "loaded"}
            found += [
                Version(table_name, resource_id, day, end) for day, end in zip(days, ends, strict=True) if day in held
            ]
    return found


def _days_of(table_name: str, rows: Iterable[Any]) -> list[date]:
    """The days a resource's rows in a table were replaced, from the first that had any."""
    by_day: dict[date, list[Any]] = defaultdict(list)
    for row in rows:
        by_day[row.extraction_date].append(row)
    days: list[date] = []
    members: set[str] = set()
    for day, of_day in sorted(by_day.items()):
        mine = {row.source_member for row in of_day if row.status == "loaded" and row.table_name == table_name}
        unread = {row.source_member for row in of_day if row.status == "refused"}
        if mine or (days and not unread & {*members, ""} and any(row.status == "loaded" for row in of_day)):
            days.append(day)
            members = mine or members
    return days


def _loads(ledger: Ledger, feed: str, until: date | None) -> dict[str, list[Any]]:
    c = schema.loads.c
    query = sa.select(c.resource_id, c.table_name, c.extraction_date, c.source_member, c.status)
    query = query.where(c.feed == feed, c.status.in_(("loaded", "refused")), c.extraction_date <= (until or date.max))
    found: dict[str, list[Any]] = defaultdict(list)
    with ledger.begin() as connection:
        for row in connection.execute(query.order_by(c.resource_id)):
            found[row.resource_id].append(row)
    return found


def _no_longer_listed(ledger: Ledger, feed: str, until: date | None) -> dict[str, date]:
    """The first day the whole feed was looked at after a resource was seen for the last time."""
    e, seen = schema.extractions.c, schema.listings.c
    day = until or date.max
    last = sa.select(e.resource_id, sa.func.max(e.extraction_date).label("day"))
    last_seen = last.where(e.feed == feed, e.extraction_date <= day).group_by(e.resource_id).subquery()
    later = sa.and_(seen.feed == feed, seen.extraction_date > last_seen.c.day, seen.extraction_date <= day)
    query = sa.select(last_seen.c.resource_id, sa.func.min(seen.extraction_date)).join(schema.listings, later)
    with ledger.begin() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(last_seen.c.resource_id))}


# In a DuckDB


def put_versions(connection: duckdb.DuckDBPyConnection, versions: Iterable[Version]) -> None:
    """Add versions to the table that the views of bronze join, made if need be."""
    connection.execute("create schema if not exists odh")
    columns = "table_name varchar, resource_id varchar, extraction_date date, replaced_on date"
    connection.execute(f"create table if not exists {VERSIONS} ({columns})")
    rows = [asdict(one) for one in versions]
    types = [pa.field("table_name", pa.string()), pa.field("resource_id", pa.string())]
    types += [pa.field("extraction_date", pa.date32()), pa.field("replaced_on", pa.date32())]
    connection.register("incoming", pa.Table.from_pylist(rows, pa.schema(types)))
    connection.execute(f"insert into {VERSIONS} from incoming")
    connection.unregister("incoming")


def versioned_select(name: str, rows: str) -> str:
    """SQL of the rows of a bronze table whose loads ended well, each with the day its version was replaced.

    Args:
        rows: SELECT of the table's rows as they are in bronze.
    """
    return f"""\
select bronze.*, versions.replaced_on as {REPLACED_ON}
from ({rows}) as bronze
join (select * from {VERSIONS} where table_name = {quote_literal(name)}) as versions
    on bronze._resource_id = versions.resource_id and bronze._extraction_date = versions.extraction_date"""


def have_history(versions: Iterable[Version]) -> set[str]:
    """Bronze tables in which something was ever replaced."""
    return {one.table_name for one in versions if one.replaced_on}

"""Retention: which raw files, bronze rows and releases are older than their feed or the settings let them be.

What is removed is marked so in the ledger first, with its audit row, and then goes: a kill in between leaves work for
the next upkeep, and nothing that is removed twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.feed import Feed, Mode, Retention
from catalog.ledger import Ledger
from catalog.names import quote_literal
from catalog.releases import current_release
from catalog.retained import Removal
from catalog.storage import Store

REMOVED = "removed"  # status of loads, extractions and releases that retention removed


@dataclass(frozen=True, slots=True)
class Version:
    """One extraction of a resource, as the ledger tells it."""

    feed: str
    resource_id: str
    day: date
    raw_key: str | None
    size_bytes: int | None
    sha256: str | None
    is_marked: bool  # removed already, as far as the ledger goes


def days_beyond(days: Iterable[date], retention: Retention, today: date) -> set[date]:
    """Extraction dates that none of the limits keeps; without a limit, none.

    >>> days_beyond([date(2024, 1, 1), date(2024, 1, 2)], Retention(extractions=1), date(2024, 1, 3))
    {datetime.date(2024, 1, 1)}
    """
    if retention.extractions is None and retention.days is None:
        return set()
    newest = sorted(set(days), reverse=True)
    kept = set(newest[: retention.extractions or 0])
    if retention.days is not None:
        kept |= {day for day in newest if day > today - timedelta(days=retention.days)}
    return set(newest) - kept


def old_versions(ledger: Ledger, feed: Feed, today: date) -> list[Version]:
    """Versions of a feed's resources beyond its retention; never a resource's newest, nor one not loaded to the end."""
    known = known_versions(ledger, feed.feed)
    beyond = days_beyond((one.day for one in known), feed.retention, today)
    newest: dict[str, date] = {}
    for one in known:
        if not one.is_marked:
            newest[one.resource_id] = max(one.day, newest.get(one.resource_id, one.day))
    needed = set(newest.items()) | _newest_or_unfinished(ledger, feed.feed)
    return [one for one in known if one.day in beyond and (one.resource_id, one.day) not in needed]


def old_raw_files(store: Store, known: Sequence[Version], old: Sequence[Version]) -> list[Version]:
    """Of old versions, those whose bytes are still there and that no kept version refers to."""
    gone = {(one.resource_id, one.day) for one in old}
    needed = {one.raw_key for one in known if (one.resource_id, one.day) not in gone and not one.is_marked}
    by_key = {one.raw_key: one for one in old if one.raw_key and one.raw_key not in needed}
    return [one for key, one in sorted(by_key.items()) if key and store.exists(key)]


def old_releases(ledger: Ledger, keep_days: int | None, now: datetime) -> list[int]:
    """Published releases older than some days, but for the one readers get; None keeps all."""
    current = current_release(ledger)
    if keep_days is None or current is None:
        return []
    r = schema.releases.c
    old = (r.status == "published", r.published_at <= now - timedelta(days=keep_days))
    with ledger.begin() as connection:
        found: list[int] = list(connection.scalars(sa.select(r.release_id).where(*old)))
    return sorted(set(found) - {current.release_id})


def tables_that_forget(feed: Feed, tables: Iterable[str]) -> list[str]:
    """Bronze tables of a feed whose old versions are not needed by what is current: not those of append and upsert."""
    declared = feed.bronze_names()
    return [name for name in tables if name not in declared or declared[name].mode is Mode.OVERWRITE]


def rows_condition(versions: Iterable[Version]) -> str:
    """SQL that tells the bronze rows of some versions."""
    by_day: dict[date, list[str]] = defaultdict(list)
    for one in versions:
        by_day[one.day].append(quote_literal(one.resource_id))
    of_days = (
        f"(_extraction_date = date {quote_literal(day.isoformat())} and _resource_id in ({', '.join(sorted(ids))}))"
        for day, ids in sorted(by_day.items())
    )
    return " or ".join(of_days) or "false"


# In the ledger


def mark_versions(ledger: Ledger, table_names: Sequence[str], versions: Sequence[Version]) -> None:
    """Mark the loads of versions in some tables as removed: they no longer count as versions."""
    c = schema.loads.c
    with ledger.begin() as connection:
        for one in versions:
            mine = (c.feed == one.feed, c.resource_id == one.resource_id, c.extraction_date == one.day)
            gone = schema.loads.update().where(*mine, c.table_name.in_(table_names), c.status == "loaded")
            connection.execute(gone.values(status=REMOVED, reason="removed by the feed's retention"))


def mark_raw(ledger: Ledger, versions: Sequence[Version], keys: Iterable[str | None]) -> None:
    """Mark extractions as removed whose bytes go."""
    e, gone = schema.extractions.c, set(keys)
    with ledger.begin() as connection:
        for one in versions:
            if one.raw_key in gone:
                mine = (e.feed == one.feed, e.resource_id == one.resource_id, e.extraction_date == one.day)
                marked = schema.extractions.update().where(*mine)
                connection.execute(marked.values(status=REMOVED, reason="removed by the feed's retention"))


def mark_releases(ledger: Ledger, release_ids: Sequence[int], now: datetime) -> None:
    """Mark releases as removed: readers no longer find them."""
    r = schema.releases
    with ledger.begin() as connection:
        gone = r.update().where(r.c.release_id.in_(release_ids))
        connection.execute(gone.values(status=REMOVED, removed_at=now))


def raw_removal(version: Version) -> Removal:
    """The audit row of a raw file."""
    place = {"feed": version.feed, "resource_id": version.resource_id, "extraction_date": version.day}
    facts = {"key": version.raw_key, "bytes": version.size_bytes, "sha256": version.sha256}
    return Removal("raw_file", f"retention of the feed {version.feed}", "raw", **place, **facts)  # type: ignore[arg-type]


def known_versions(ledger: Ledger, feed: str) -> list[Version]:
    """Every extraction of a feed's resources that brought a file, the oldest first."""
    e = schema.extractions.c
    columns = (e.feed, e.resource_id, e.extraction_date, e.raw_key, e.size_bytes, e.sha256, e.status)
    query = sa.select(*columns).where(e.feed == feed, e.status.in_(("stored", "unchanged", REMOVED)))
    with ledger.begin() as connection:
        rows: list[Any] = list(connection.execute(query.order_by(e.extraction_date, e.resource_id)))
    return [
        Version(row.feed, row.resource_id, row.extraction_date, row.raw_key, row.size_bytes, row.sha256, gone)
        for row in rows
        for gone in (row.status == REMOVED,)
    ]


def _newest_or_unfinished(ledger: Ledger, feed: str) -> set[tuple[str, date]]:
    """Resources and days whose rows are the newest a table has of the resource, or that are not loaded to the end."""
    c = schema.loads.c
    newest = sa.select(c.resource_id, sa.func.max(c.extraction_date)).where(c.feed == feed, c.status == "loaded")
    pending = sa.select(c.resource_id, c.extraction_date).where(c.feed == feed, c.status == "pending")
    with ledger.begin() as connection:
        found = list(connection.execute(newest.group_by(c.resource_id, c.table_name)))
        found += list(connection.execute(pending))
    return {(row[0], row[1]) for row in found}


def drop_pins(ledger: Ledger, before: datetime) -> None:
    """Forget what releases pinned that were removed before a moment: nobody reads them any more."""
    r = schema.releases.c
    gone = sa.select(r.release_id).where(r.status == REMOVED, r.removed_at <= before)
    with ledger.begin() as connection:
        for pinning in (schema.release_tables, schema.release_inputs):
            connection.execute(pinning.delete().where(pinning.c.release_id.in_(gone)))


def old_audit(ledger: Ledger, keep_days: int | None, now: datetime) -> int:
    """How many rows of the audit are older than some days; None keeps all."""
    if keep_days is None:
        return 0
    query = sa.select(sa.func.count()).where(schema.audit.c.at < now - timedelta(days=keep_days))
    with ledger.begin() as connection:
        return connection.scalar(query) or 0


def forget_audit(ledger: Ledger, keep_days: int, now: datetime) -> None:
    """Remove the rows of the audit that are older than some days."""
    with ledger.begin() as connection:
        connection.execute(schema.audit.delete().where(schema.audit.c.at < now - timedelta(days=keep_days)))

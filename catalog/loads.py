"""What the ledger tells of loads to those who build on them: which tables, from which files, ended how."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.ledger import Ledger


def bronze_tables_of(ledger: Ledger, feed: str) -> list[str]:
    """Names of the bronze tables a feed's files have filled so far."""
    c = schema.loads.c
    query = sa.select(c.table_name).where(c.feed == feed, c.status == "loaded").distinct().order_by(c.table_name)
    with ledger.begin() as connection:
        return list(connection.scalars(query))


def newest_facts(ledger: Ledger, table_name: str) -> list[tuple[str, date, dict[str, Any]]]:
    """What the decoders told of each resource's newest load of a table: resource id, extraction date, facts."""
    c = schema.loads.c
    mine = sa.and_(c.table_name == table_name, c.status == "loaded")
    newest = sa.select(c.resource_id, sa.func.max(c.extraction_date).label("day")).where(mine)
    days = newest.group_by(c.resource_id).subquery()
    joined = sa.and_(days.c.resource_id == c.resource_id, days.c.day == c.extraction_date)
    query = sa.select(c.resource_id, c.extraction_date, c.facts).join(days, joined).where(mine)
    with ledger.begin() as connection:
        rows = connection.execute(query.order_by(c.extraction_date, c.resource_id, c.source_member)).all()
    return [(row.resource_id, row.extraction_date, json.loads(row.facts or "{}")) for row in rows]


def sources_of(ledger: Ledger, table_name: str) -> list[tuple[str, str]]:
    """Titles of the resources that filled a table, as last seen, each with the member of it that did."""
    c, e = schema.loads.c, schema.extractions.c
    joined = sa.and_(e.feed == c.feed, e.resource_id == c.resource_id, e.extraction_date == c.extraction_date)
    query = sa.select(c.resource_id, e.title, c.source_member).join(schema.extractions, joined)
    with ledger.begin() as connection:
        loaded = query.where(c.table_name == table_name, c.status == "loaded").order_by(c.extraction_date)
        newest = {row.resource_id: (str(row.title or ""), row.source_member) for row in connection.execute(loaded)}
    return list(newest.values())


def was_loaded(ledger: Ledger, feed: str, resource_id: str) -> bool:
    """Whether any extraction of a resource was ever loaded."""
    c = schema.loads.c
    query = sa.select(sa.exists().where(c.feed == feed, c.resource_id == resource_id, c.status == "loaded"))
    with ledger.begin() as connection:
        return bool(connection.scalar(query))


def has_unfinished_loads(ledger: Ledger, feed: str) -> bool:
    """Whether a file of a feed's newest extraction was taken in but is not, or not surely, in bronze."""
    e, c = schema.extractions.c, schema.loads.c
    newest = sa.select(sa.func.max(e.extraction_date)).where(e.feed == feed, e.status != "failed").scalar_subquery()
    ended = (
        sa.select(c.resource_id)
        .where(c.feed == feed, c.extraction_date == newest)
        .group_by(c.resource_id)
        .having(sa.func.sum(sa.case((c.status == "pending", 1), else_=0)) == 0)
    )
    taken = (e.feed == feed, e.extraction_date == newest, e.status.in_(("stored", "unchanged")))
    query = sa.select(sa.exists().where(*taken, e.resource_id.not_in(ended)))
    with ledger.begin() as connection:
        return bool(connection.scalar(query))

"""What the ledger knows of the rows a run brought, and of those that did not fit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.ledger import Ledger
from catalog.quality.statistics import TEXT

GROUPS = 60  # groups of rejects told, the largest first
EXAMPLES = 3  # rejects shown of each
FILES = 200  # loads told, those with rejects first


def loads_of(ledger: Ledger, run_id: str) -> list[dict[str, Any]]:
    """Rows a run loaded and rejected, by feed, table and status."""
    c = schema.loads.c
    loaded, rejected = sa.func.sum(c.rows_loaded), sa.func.sum(c.rows_rejected)
    place = (c.feed, c.table_name, c.status)
    query = (
        sa.select(
            *place,
            sa.func.count().label("files"),
            sa.cast(loaded, sa.BigInteger).label("rows_loaded"),
            sa.cast(rejected, sa.BigInteger).label("rows_rejected"),
            sa.func.max(c.reason).label("reason"),
        )
        .where(c.run_id == run_id)
        .group_by(*place)
        .order_by(rejected.desc(), *place)
        .limit(FILES)
    )
    with ledger.begin() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def rejects_of(ledger: Ledger, run_id: str, silver: Collection[str]) -> list[dict[str, Any]]:
    """Rejects of the files a run loaded and of the silver tables it changed: how many of each kind, and some.

    Each is a dict of feed, table_name, stage, column_name, count and examples.
    """
    r, c = schema.rejects.c, schema.loads.c
    place = (r.table_name, r.resource_id, r.extraction_date)
    mine = sa.select(c.table_name, c.resource_id, c.extraction_date).where(c.run_id == run_id)
    is_mine = sa.or_(sa.tuple_(*place).in_(mine), r.table_name.in_(list(silver)))
    kind = (r.feed, r.table_name, r.stage, r.column_name)
    counted = sa.func.count()
    groups = sa.select(*kind, counted.label("count")).where(is_mine).group_by(*kind)
    with ledger.begin() as connection:
        found = connection.execute(groups.order_by(counted.desc(), *kind).limit(GROUPS)).mappings().all()
        return [{**row, "examples": _examples(connection, is_mine, row)} for row in found]


def _examples(connection: sa.Connection, is_mine: sa.ColumnElement[bool], group: Any) -> list[dict[str, Any]]:
    r = schema.rejects.c
    same = [r[name].is_not_distinct_from(group[name]) for name in ("feed", "table_name", "stage", "column_name")]
    told = (r.source_file, r.source_member, r.source_line, r.raw_text, r.reason)
    query = sa.select(*told).where(is_mine, *same).order_by(r.reject_id).limit(EXAMPLES)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [{**row, "raw_text": row["raw_text"][:TEXT], "reason": row["reason"][: 2 * TEXT]} for row in rows]

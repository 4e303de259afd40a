"""The states one table had: the releases that hold it, or, for bronze, the extractions that were loaded into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from catalog import schema
from catalog.ledger import Ledger


@dataclass(frozen=True, slots=True)
class ReleasedState:
    """A table as one release has it."""

    release_id: int
    extraction_date: date
    published_at: datetime | None
    snapshot_id: int
    rows: int
    rows_before: int | None  # in the release before it; None where that had no such table
    is_changed: bool  # whether its rows are others than those of the release before


@dataclass(frozen=True, slots=True)
class LoadedState:
    """What one extraction brought into a bronze table."""

    extraction_date: date
    loaded_at: datetime
    snapshot_id: int | None
    resources: int
    rows: int  # loaded from what was new; none from a file that did not change
    rejects: int
    is_changed: bool


def released_states(ledger: Ledger, layer: str, name: str, until: date | None = None) -> list[ReleasedState]:
    """The published releases that hold a table, the newest first.

    A release is compared with the one that was the newest of its day or before when it was made.

    Args:
        until: only releases of extractions up to this day.
    """
    r, t = schema.releases.c, schema.release_tables.c
    mine = sa.and_(t.release_id == r.release_id, t.layer == layer, t.table_name == name)
    wanted = (r.release_id, r.extraction_date, r.published_at, t.snapshot_id, t.rows)
    query = sa.select(*wanted).join_from(schema.releases, schema.release_tables, mine, isouter=True)
    query = query.where(r.status == "published", r.extraction_date <= (until or date.max)).order_by(r.release_id)
    with ledger.begin() as connection:
        releases = connection.execute(query).all()
    found = []
    for place, one in enumerate(releases):
        if one.snapshot_id is None:
            continue
        earlier = [old for old in releases[:place] if old.extraction_date <= one.extraction_date]
        before = max(earlier, key=lambda old: (old.extraction_date, old.release_id), default=None)
        rows_before = before.rows if before else None
        is_changed = before is None or before.snapshot_id != one.snapshot_id
        state = (one.release_id, one.extraction_date, one.published_at, one.snapshot_id, one.rows)
        found.append(ReleasedState(*state, rows_before, is_changed))
    return found[::-1]


def loaded_states(ledger: Ledger, name: str, until: date | None = None) -> list[LoadedState]:
    """The extractions that were loaded into a bronze table, the newest first.

    Args:
        until: only extractions up to this day.
    """
    c = schema.loads.c
    is_new = sa.case((c.status == "loaded", 1), else_=0)
    wanted = (
        c.extraction_date,
        sa.func.max(c.loaded_at, type_=schema.UtcDateTime()).label("loaded_at"),
        sa.func.max(c.snapshot_id).label("snapshot_id"),
        sa.func.count(sa.distinct(c.resource_id)).label("resources"),
        sa.func.sum(sa.case((c.status == "loaded", c.rows_loaded), else_=0)).label("rows"),
        sa.func.sum(c.rows_rejected).label("rejects"),
        sa.func.max(is_new).label("is_changed"),
    )
    mine = (c.table_name == name, c.status.in_(("loaded", "unchanged")), c.extraction_date <= (until or date.max))
    query = sa.select(*wanted).where(*mine).group_by(c.extraction_date).order_by(c.extraction_date.desc())
    with ledger.begin() as connection:
        return [
            LoadedState(
                row.extraction_date,
                row.loaded_at,
                row.snapshot_id,
                row.resources,
                int(row.rows),
                int(row.rejects),
                bool(row.is_changed),
            )
            for row in connection.execute(query)
        ]

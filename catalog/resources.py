"""Resources of the portal whose rows are in bronze: which tables they fill, since when, and where they came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.errors import UnknownName
from catalog.ledger import Ledger


@dataclass(frozen=True, slots=True)
class LoadedResource:
    """One resource by the newest extraction of it that was loaded."""

    resource_id: str
    feed: str
    tables: Mapping[str, date]  # bronze tables with rows of it, and the extraction the newest of them are of
    headers: Mapping[str, Mapping[str, str]]  # of each table, the columns this file gave it and their headers
    facts: Mapping[str, Any]  # how its file was read: encoding, separator, header line…
    dataset_id: str | None
    title: str | None
    source_url: str | None
    first_seen_at: datetime | None


def find_resource(ledger: Ledger, resource_id: str, as_of: date | None = None) -> LoadedResource:
    """One loaded resource.

    Args:
        as_of: as extractions up to this day tell it.

    Raises:
        UnknownName: nothing of it was loaded.
    """
    c, e, day = schema.loads.c, schema.extractions.c, as_of or date.max
    mine = (c.resource_id == resource_id, c.status == "loaded", c.extraction_date <= day)
    loaded = sa.select(c.table_name, c.feed, c.facts, c.extraction_date).where(*mine)
    loaded = loaded.order_by(c.extraction_date, c.table_name, c.source_member)
    seen = sa.select(e.dataset_id, e.title, e.source_url, e.finished_at)
    seen = seen.where(e.resource_id == resource_id, e.extraction_date <= day).order_by(e.extraction_date)
    with ledger.begin() as connection:
        loads, looks = connection.execute(loaded).all(), connection.execute(seen).all()
    if not loads:
        raise UnknownName("loaded resource", resource_id, [])
    newest = loads[-1]
    look = next((one for one in reversed(looks) if one.source_url), None)
    return LoadedResource(
        resource_id,
        newest.feed,
        {row.table_name: row.extraction_date for row in loads},
        _headers(loads),
        json.loads(newest.facts or "{}"),
        look.dataset_id if look else None,
        look.title if look else None,
        look.source_url if look else None,
        looks[0].finished_at if looks else None,
    )


def _headers(loads: Sequence[sa.Row[Any]]) -> dict[str, dict[str, str]]:
    """By table, columns and headers of the newest extraction's files: members of an archive have theirs together."""
    newest = {row.table_name: row.extraction_date for row in loads}
    found: dict[str, dict[str, str]] = {name: {} for name in newest}
    for row in loads:
        if row.extraction_date == newest[row.table_name]:
            facts = json.loads(row.facts or "{}")
            found[row.table_name] |= dict(zip(facts.get("columns", ()), facts.get("headers", ()), strict=False))
    return found

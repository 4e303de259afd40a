"""What the ledger keeps of tables: the snapshots releases pin, the audit of what was removed, files waiting to go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.iceberg import BRONZE
from catalog.ledger import Ledger

LIVE = ("staged", "published")
_ONCE = ("what", "layer", "table_name", "key", "feed", "resource_id", "extraction_date", "reason")


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing removed, for the audit table ``ops.removals``."""

    what: str
    reason: str
    layer: str | None = None
    table_name: str | None = None
    key: str | None = None
    feed: str | None = None
    resource_id: str | None = None
    extraction_date: date | None = None
    rows: int | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Pins:
    """The snapshots of one table that releases pin."""

    by_release: Mapping[int, int]  # releases readers may ask for, and those a crash left staged
    leaving: frozenset[int]  # of releases removed a short while ago
    locations: frozenset[str]  # metadata files they are read by

    def without(self, releases: frozenset[int], *, are_leaving: bool) -> Pins:
        """The same once some releases are removed, whose snapshots may stay a while for those who read them."""
        gone = {snapshot for release, snapshot in self.by_release.items() if release in releases}
        live = {release: snapshot for release, snapshot in self.by_release.items() if release not in releases}
        return Pins(live, self.leaving | gone if are_leaving else self.leaving, self.locations)

    @property
    def snapshots(self) -> frozenset[int]:
        """Every pinned snapshot."""
        return frozenset(self.by_release.values()) | self.leaving


def pins_of(ledger: Ledger, layer: str, name: str, leaving_since: datetime) -> Pins:
    """The snapshots of a table that must stay readable.

    Args:
        leaving_since: releases removed before are no longer honoured.
    """
    r, (pinning, mine) = schema.releases.c, _pinning(layer, name)
    wanted = (r.release_id, r.status, r.removed_at, pinning.c.snapshot_id, pinning.c.metadata_location)
    query = sa.select(*wanted).join_from(schema.releases, pinning)
    with ledger.begin() as connection:
        rows = connection.execute(query.where(*mine, pinning.c.snapshot_id.is_not(None))).all()
    live = {row.release_id: row.snapshot_id for row in rows if row.status in LIVE}
    leaving = frozenset(row.snapshot_id for row in rows if row.removed_at and row.removed_at > leaving_since)
    return Pins(live, leaving, frozenset(row.metadata_location for row in rows))


def removed_releases(ledger: Ledger) -> frozenset[int]:
    """Numbers of the releases retention removed."""
    r = schema.releases.c
    with ledger.begin() as connection:
        return frozenset(connection.scalars(sa.select(r.release_id).where(r.status == "removed")))


def repin(
    ledger: Ledger, layer: str, name: str, location: str, stand_ins: Mapping[int, int], held: Sequence[int]
) -> None:
    """Let every release read a table by its newest metadata, and by the snapshots that stand in for rewritten ones.

    Args:
        stand_ins: for a rewritten snapshot, the one with the same rows.
        held: the snapshots that metadata holds; rows of others are left as they are.
    """
    t, mine = _pinning(layer, name)
    with ledger.begin() as connection:
        for old, new in stand_ins.items():
            connection.execute(t.update().where(*mine, t.c.snapshot_id == old).values(snapshot_id=new))
        present: set[int] = set(connection.scalars(sa.select(t.c.snapshot_id).where(*mine).distinct()))
        there = sorted(present & set(held))
        moved = t.update().where(*mine, t.c.snapshot_id.in_(there), t.c.metadata_location != location)
        connection.execute(moved.values(metadata_location=location))
        connection.execute(schema.rewrites.delete().where(*_of(schema.rewrites, layer, name)))


def begin_rewrite(ledger: Ledger, layer: str, name: str) -> None:
    """Note that a table's files are about to be rewritten; ``repin`` ends it."""
    with ledger.begin() as connection:
        connection.execute(schema.rewrites.delete().where(*_of(schema.rewrites, layer, name)))
        connection.execute(schema.rewrites.insert().values(layer=layer, table_name=name, started_at=utc_now()))


def open_rewrites(ledger: Ledger) -> list[tuple[str, str]]:
    """Tables whose rewriting a crash cut short: layer and name."""
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(schema.rewrites.c.layer, schema.rewrites.c.table_name)).all()
    return [(row.layer, row.table_name) for row in rows]


def record_removals(ledger: Ledger, run_id: str, removals: Iterable[Removal]) -> None:
    """Write what is removed into the audit table; what a run killed before told already is not told again."""
    now = utc_now()
    with ledger.begin() as connection:
        for one in removals:
            facts = {name: getattr(one, name) for name in Removal.__slots__}
            same = (schema.removals.c[name].is_not_distinct_from(facts[name]) for name in _ONCE)
            known = connection.scalar(sa.select(sa.exists().where(*same)))
            if not known or one.what == "files":
                connection.execute(schema.removals.insert().values(run_id=run_id, removed_at=now, **facts))


def seen_unnamed(ledger: Ledger) -> dict[str, datetime]:
    """Files that no table named when last looked, and since when."""
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(schema.unnamed_files)).all()
    return {row.path: row.seen_at for row in rows}


def note_unnamed(ledger: Ledger, new: Iterable[str], forgotten: Iterable[str], now: datetime) -> None:
    """Remember files no table names, and forget those that are gone or named again."""
    u = schema.unnamed_files
    rows = [{"path": path, "seen_at": now} for path in sorted(new)]
    with ledger.begin() as connection:
        gone = [{"this_path": path} for path in forgotten]
        if gone:
            connection.execute(u.delete().where(u.c.path == sa.bindparam("this_path")), gone)
        if rows:
            connection.execute(u.insert(), rows)


def _pinning(layer: str, name: str) -> tuple[sa.Table, tuple[sa.ColumnElement[bool], ...]]:
    """Where releases pin a table, and which rows there are the table's: bronze is what a release was made from."""
    if layer == BRONZE:
        return schema.release_inputs, (schema.release_inputs.c.table_name == name,)
    return schema.release_tables, _of(schema.release_tables, layer, name)


def _of(table: sa.Table, layer: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.layer == layer, table.c.table_name == name

"""Releases: which snapshots belong together, and the one step that makes them what readers see.

A release is written in the ledger as ``staged`` once all its tables stand on their staging branches, and as
``published`` once every branch became ``main``. A crash between the two is finished by the next build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.errors import UnknownName
from catalog.iceberg import BRONZE, Lakehouse, Pin
from catalog.ledger import Ledger


@dataclass(frozen=True, slots=True)
class ReleasedTable:
    """One table of a release."""

    pin: Pin
    domain: str
    rows: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class Release:
    """A consistent set of table snapshots."""

    release_id: int
    extraction_date: date
    tables: tuple[ReleasedTable, ...]
    fingerprints: Mapping[str, str]
    inputs: tuple[Pin, ...] = ()  # the bronze tables it was made from; none for releases of before they were recorded

    def table(self, layer: str, name: str) -> ReleasedTable | None:
        """One table of the release, or None."""
        return next((table for table in self.tables if (table.pin.layer, table.pin.name) == (layer, name)), None)


# made once: to write the statement anew took three times as long as to run it
_r = schema.releases.c
_CURRENT_ID = (
    sa.select(_r.release_id)
    .where(_r.status == "published")
    .order_by(_r.extraction_date.desc(), _r.release_id.desc())
    .limit(1)
)
_CURRENT_ID_ON = _CURRENT_ID.where(_r.extraction_date <= sa.bindparam("as_of"))


def current_release(ledger: Ledger, as_of: date | None = None) -> Release | None:
    """The release of the newest extraction date, or of the newest not later than ``as_of``; of one day the last."""
    r = schema.releases.c
    query = sa.select(schema.releases).where(r.status == "published")
    if as_of is not None:
        query = query.where(r.extraction_date <= as_of)
    with ledger.begin() as connection:
        row = connection.execute(query.order_by(r.extraction_date.desc(), r.release_id.desc()).limit(1)).first()
        return _load(connection, row) if row else None


def current_release_id(ledger: Ledger, as_of: date | None = None) -> int | None:
    """The number of ``current_release``, without its tables: cheap enough to be asked at every request."""
    with ledger.begin() as connection:
        if as_of is None:
            return connection.scalar(_CURRENT_ID)
        return connection.scalar(_CURRENT_ID_ON, {"as_of": as_of})


def released_table(ledger: Ledger, layer: str, name: str, snapshot_id: int) -> ReleasedTable | None:
    """A table as some published release has it, by its snapshot; None where none has it."""
    t, r = schema.release_tables.c, schema.releases.c
    query = sa.select(schema.release_tables).join(schema.releases, t.release_id == r.release_id)
    mine = (t.layer == layer, t.table_name == name, t.snapshot_id == snapshot_id, r.status == "published")
    with ledger.begin() as connection:
        row = connection.execute(query.where(*mine).order_by(t.release_id.desc()).limit(1)).mappings().first()
    return _table(row) if row else None


def find_release(ledger: Ledger, release_id: int) -> Release:
    """One published release.

    Raises:
        UnknownName: with the releases there are.
    """
    r = schema.releases.c
    published = sa.select(schema.releases).where(r.status == "published")
    with ledger.begin() as connection:
        row = connection.execute(published.where(r.release_id == release_id)).first()
        if row:
            return _load(connection, row)
        raise UnknownName("release", str(release_id), [str(row.release_id) for row in connection.execute(published)])


def released_before(ledger: Ledger, release: Release) -> Release | None:
    """The release that was the newest of its day or before when another was made."""
    r = schema.releases.c
    query = sa.select(schema.releases).where(r.status == "published", r.extraction_date <= release.extraction_date)
    newest = query.order_by(r.extraction_date.desc(), r.release_id.desc()).limit(1)
    with ledger.begin() as connection:
        row = connection.execute(newest.where(r.release_id < release.release_id)).first()
        return _load(connection, row) if row else None


def released_pins(ledger: Ledger, as_of: date | None = None) -> list[Pin]:
    """Pins of the tables readers see."""
    release = current_release(ledger, as_of)
    return [table.pin for table in release.tables] if release else []


def stage(
    ledger: Ledger,
    run_id: str,
    extraction_date: date,
    tables: Sequence[ReleasedTable],
    fingerprints: Mapping[str, str],
    inputs: Sequence[Pin] = (),
) -> Release:
    """Record a release whose tables all stand on their staging branches."""
    with ledger.begin() as connection:
        values = {"run_id": run_id, "extraction_date": extraction_date, "status": "staged", "created_at": utc_now()}
        added = connection.execute(schema.releases.insert().values(**values)).inserted_primary_key
        release_id = int(added[0]) if added else 0
        _write_fingerprints(connection, release_id, fingerprints)
        if tables:
            connection.execute(schema.release_tables.insert(), [_as_row(release_id, table) for table in tables])
        if inputs:
            connection.execute(schema.release_inputs.insert(), [_input_row(release_id, pin) for pin in inputs])
    inputs = sorted(inputs, key=lambda pin: pin.name)
    return Release(release_id, extraction_date, tuple(tables), fingerprints, tuple(inputs))


def remember_fingerprints(ledger: Ledger, release: Release, fingerprints: Mapping[str, str]) -> None:
    """Note that the release is also what these inputs give, so that they are not built again."""
    with ledger.begin() as connection:
        mine = schema.release_domains.c.release_id == release.release_id
        connection.execute(schema.release_domains.delete().where(mine))
        _write_fingerprints(connection, release.release_id, fingerprints)


def publish(ledger: Ledger, lakehouse: Lakehouse, release: Release) -> None:
    """Move every table's ``main`` and tag it, then make the release one that readers see. Safe to repeat.

    ``main`` stays where it is for a release of a day before that of another.
    """
    newest = current_release(ledger)
    moves_main = newest is None or newest.extraction_date <= release.extraction_date
    for table in release.tables:
        lakehouse.publish(table.pin, f"release-{release.release_id}", moves_main=moves_main)
    with ledger.begin() as connection:
        published = {"status": "published", "published_at": utc_now()}
        mine = schema.releases.c.release_id == release.release_id
        connection.execute(schema.releases.update().where(mine).values(**published))


def finish_staged(ledger: Ledger, lakehouse: Lakehouse) -> list[int]:
    """Publish the releases a crash left staged, and return their ids."""
    r = schema.releases.c
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(schema.releases).where(r.status == "staged").order_by(r.release_id)).all()
        staged = [_load(connection, row) for row in rows]
    for release in staged:
        publish(ledger, lakehouse, release)
    return [release.release_id for release in staged]


def _load(connection: sa.Connection, row: sa.Row[tuple[object, ...]]) -> Release:
    release_id, extraction_date = row._mapping["release_id"], row._mapping["extraction_date"]
    t, d, i = schema.release_tables, schema.release_domains, schema.release_inputs
    inputs = connection.execute(sa.select(i).where(i.c.release_id == release_id).order_by(i.c.table_name))
    tables = connection.execute(sa.select(t).where(t.c.release_id == release_id).order_by(t.c.layer, t.c.table_name))
    domains = connection.execute(sa.select(d.c.domain, d.c.fingerprint).where(d.c.release_id == release_id))
    return Release(
        release_id,
        extraction_date,
        tuple(_table(found) for found in tables.mappings()),
        {str(domain): str(fingerprint) for domain, fingerprint in domains},
        tuple(
            Pin(BRONZE, found["table_name"], found["metadata_location"], found["snapshot_id"])
            for found in inputs.mappings()
        ),
    )


def _table(found: sa.RowMapping) -> ReleasedTable:
    pin = Pin(found["layer"], found["table_name"], found["metadata_location"], found["snapshot_id"])
    return ReleasedTable(pin, found["domain"], found["rows"], found["content_hash"])


def _write_fingerprints(connection: sa.Connection, release_id: int, fingerprints: Mapping[str, str]) -> None:
    rows = [{"release_id": release_id, "domain": name, "fingerprint": mark} for name, mark in fingerprints.items()]
    connection.execute(schema.release_domains.insert(), rows)


def _as_row(release_id: int, table: ReleasedTable) -> dict[str, object]:
    return {
        "release_id": release_id,
        "layer": table.pin.layer,
        "table_name": table.pin.name,
        "domain": table.domain,
        "metadata_location": table.pin.metadata_location,
        "snapshot_id": table.pin.snapshot_id,
        "rows": table.rows,
        "content_hash": table.content_hash,
    }


def _input_row(release_id: int, pin: Pin) -> dict[str, object]:
    return {
        "release_id": release_id,
        "table_name": pin.name,
        "metadata_location": pin.metadata_location,
        "snapshot_id": pin.snapshot_id,
    }

"""The releases of a lake, what each changed, and the way back to one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from catalog import schema
from catalog.errors import UsageError
from catalog.feed import SNAPSHOTS
from catalog.iceberg import Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.locks import Verify, exclusive
from catalog.releases import (
    Release,
    ReleasedTable,
    current_release,
    find_release,
    finish_staged,
    publish,
    released_before,
    stage,
)
from catalog.settings import Settings


@dataclass(frozen=True, slots=True)
class ListedRelease:
    """One release as a list tells it."""

    release_id: int
    extraction_date: date
    status: str  # staged, published
    published_at: datetime | None
    made_by: str | None  # command of the run that made it
    tables: int
    rows: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class ShownTable:
    """One table of a release, beside the release before it."""

    layer: str
    name: str
    domain: str
    rows: int
    rows_before: int | None  # None where the release before had no such table
    is_changed: bool


def list_releases(ledger: Ledger, limit: int | None = None) -> list[ListedRelease]:
    """The releases of a lake, the newest row first."""
    r, t, u = schema.releases, schema.release_tables, schema.runs
    totals = (sa.func.count(t.c.table_name).label("tables"), sa.func.coalesce(sa.func.sum(t.c.rows), 0).label("rows"))
    query = (
        sa.select(r, u.c.command, *totals)
        .select_from(r.outerjoin(t, t.c.release_id == r.c.release_id).outerjoin(u, u.c.run_id == r.c.run_id))
        .group_by(*r.c, u.c.command)
        .order_by(r.c.release_id.desc())
        .limit(limit)
    )
    current = current_release(ledger)
    with ledger.begin() as connection:
        return [
            ListedRelease(
                row.release_id,
                row.extraction_date,
                row.status,
                row.published_at,
                row.command,
                row.tables,
                int(row.rows),
                current is not None and row.release_id == current.release_id,
            )
            for row in connection.execute(query)
        ]


def tables_of(ledger: Ledger, release: Release) -> list[ShownTable]:
    """The tables of a release: changed, or carried over from the release before it."""
    before = released_before(ledger, release)
    found = []
    for table in release.tables:
        old = before.table(table.pin.layer, table.pin.name) if before else None
        is_changed = old is None or old.pin.snapshot_id != table.pin.snapshot_id
        rows_before = old.rows if old else None
        found.append(ShownTable(table.pin.layer, table.pin.name, table.domain, table.rows, rows_before, is_changed))
    return found


def roll_back(settings: Settings, ledger: Ledger, lakehouse: Lakehouse, release_id: int) -> Release:
    """Make an earlier release what readers see again, as a release of its own, and return that one.

    It has the tables of the earlier one, the day of the current one, and what the current one was made from: a build
    of the same inputs finds nothing to do. Snapshots taken since stay, for they never change. It is atomic and finished
    after a crash as every release is. Rolled back to twice, the second time changes nothing.

    Raises:
        LakeBusy: a build is on.
        UnknownName: there is no such release.
        UsageError: a table of it cannot be read any more.
    """
    with exclusive(settings, ledger, "build") as verify:
        run_id = ledger.start_run(f"releases rollback {release_id}", [], None)
        try:
            release = _roll_back(ledger, lakehouse, release_id, run_id, verify)
        except BaseException as error:
            ledger.finish_run(run_id, "failed", f"{type(error).__name__}: {error}")
            raise
        ledger.finish_run(run_id, "succeeded")
        return release


def _roll_back(ledger: Ledger, lakehouse: Lakehouse, release_id: int, run_id: str, verify: Verify) -> Release:
    finish_staged(ledger, lakehouse)
    earlier, current = find_release(ledger, release_id), current_release(ledger)
    tables = _coming_back(earlier, current) if current else []
    if current is None or _snapshots(tables) == _snapshots(current.tables):
        return current or earlier
    if lost := [f"{one.pin.layer}.{one.pin.name}" for one in tables if not _is_readable(lakehouse, one.pin)]:
        raise UsageError(
            f"Release {release_id} cannot come back: the snapshots of {', '.join(lost[:3])} are gone. "
            "Choose a later one: odh releases list"
        )
    verify()
    day, marks = current.extraction_date, current.fingerprints
    release = stage(ledger, run_id, day, tables, marks, earlier.inputs)
    publish(ledger, lakehouse, release)
    return release


def _coming_back(earlier: Release, current: Release) -> list[ReleasedTable]:
    """The tables of an earlier release, and the snapshots for training of the current one."""
    warehouse = [table for table in earlier.tables if table.domain != SNAPSHOTS]
    return [*warehouse, *(table for table in current.tables if table.domain == SNAPSHOTS)]


def _snapshots(tables: Iterable[ReleasedTable]) -> set[tuple[str, str, int | None]]:
    return {(one.pin.layer, one.pin.name, one.pin.snapshot_id) for one in tables}


def _is_readable(lakehouse: Lakehouse, pin: Pin) -> bool:
    """Whether a table is still there at a snapshot."""
    if pin.name not in lakehouse.names(pin.layer) or pin.snapshot_id is None:
        return False
    table = lakehouse.table(pin.layer, pin.name)
    return table.snapshot_by_id(pin.snapshot_id) is not None and table.io.new_input(pin.metadata_location).exists()

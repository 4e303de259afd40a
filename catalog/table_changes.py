"""The two states of a table that ``odh changes`` compares; ``catalog/changes.py`` compares them.

Silver and gold are as released: a day means the newest release whose extraction date is not later. Bronze is as the
extractions up to a day tell it, for it is part of no release.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import duckdb

from catalog.changes import Change, Changes
from catalog.errors import UnknownName, UsageError
from catalog.iceberg import BRONZE, GOLD, SILVER, Lakehouse
from catalog.ledger import Ledger
from catalog.names import quote_identifier
from catalog.registry import Registry
from catalog.releases import Release, current_release, find_release
from catalog.row_choice import current_rows
from catalog.session import scan_sql
from catalog.table_keys import key_of
from catalog.values import json_value
from catalog.versions import feed_versions, put_versions, versioned_select

Point = date | int  # a day, or the number of a release


@dataclass(frozen=True, slots=True)
class State:
    """When a table was as it is compared; bronze is of a day, and of no release."""

    release_id: int | None
    extraction_date: date


@dataclass(frozen=True, slots=True)
class TableChanges:
    """What became of one table between two states."""

    layer: str
    name: str
    old: State
    new: State
    changes: Changes


def point(text: str) -> Point:
    """A day, such as 2024-06-01, or the number of a release.

    Raises:
        UsageError: it is neither.
    """
    try:
        return int(text) if text.isdecimal() and len(text) < 8 else date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no day, such as 2024-06-01, and no number of a release.") from error


@dataclass(frozen=True, slots=True)
class ChangeFinder:
    """Compares tables of one lake on a connection that ``prepare_connection`` made ready; one table at a time."""

    connection: duckdb.DuckDBPyConnection
    ledger: Ledger
    lakehouse: Lakehouse
    registry: Registry

    def between(self, table: str, old: Point, new: Point) -> TableChanges:
        """Compare a table of two states; where one of them lacks it, all its rows came or went.

        Args:
            table: ``gold.<name>``, ``silver.<name>`` or ``bronze.<name>``, or the name alone.

        Raises:
            UnknownName: there is no such table in either state, or no such release.
            UsageError: nothing had been released by that day.
        """
        layer, _, name = table.rpartition(".")
        if layer == BRONZE or (not layer and name in self.lakehouse.names(BRONZE)):
            return self._of_bronze(name, old, new)
        return self._of_releases(table, self._release(old), self._release(new))

    def _of_releases(self, table: str, old: Release, new: Release) -> TableChanges:
        layer, name = _place(table, old, new)
        pins = [one.pin if (one := release.table(layer, name)) else None for release in (old, new)]
        if len({pin and pin.snapshot_id for pin in pins}) == 1:  # upkeep may have moved the metadata meanwhile
            pins[0] = pins[1]
        before, after = (scan_sql(pin) if pin else None for pin in pins)
        changes = Changes(self.connection, before, after, key_of(self.lakehouse, layer, name))
        was, is_ = (State(release.release_id, release.extraction_date) for release in (old, new))
        return TableChanges(layer, name, was, is_, changes)

    def _release(self, asked: Point) -> Release:
        if isinstance(asked, int):
            return find_release(self.ledger, asked)
        release = current_release(self.ledger, asked)
        if release is None:
            raise UsageError(f"Nothing had been released by {asked}; odh releases list tells what there is.")
        return release

    def _of_bronze(self, name: str, old: Point, new: Point) -> TableChanges:
        pin = self.lakehouse.pin(BRONZE, name)
        if pin is None:
            raise UnknownName("bronze table", name, self.lakehouse.names(BRONZE))
        was, is_ = (
            State(None, self._release(one).extraction_date if isinstance(one, int) else one) for one in (old, new)
        )
        before, after = (self._bronze_at(name, scan_sql(pin), state.extraction_date) for state in (was, is_))
        declared = self.registry.bronze_tables().get(name)
        return TableChanges(
            BRONZE, name, was, is_, Changes(self.connection, before, after, declared.keys if declared else ())
        )

    def _bronze_at(self, name: str, rows: str, day: date) -> str | None:
        """SELECT of the rows that were current on a day and the columns their files had; None where there was none."""
        label = f"{name} {day}"
        known = feed_versions(self.ledger, name.partition("__")[0], day)
        mine = [replace(one, table_name=label) for one in known if one.table_name == name]
        if not mine:
            return None
        put_versions(self.connection, mine)
        declared = self.registry.bronze_tables().get(name)
        mode = {"mode": declared.mode} if declared else {}
        current = current_rows(f"({versioned_select(label, rows)})", **mode)
        columns = self.connection.sql(f"from ({current}) limit 0").columns
        counted = ", ".join(f"count({quote_identifier(column)})" for column in columns)
        filled = self.connection.execute(f"select {counted} from ({current})").fetchone() or ()
        named = [quote_identifier(column) for column, rows in zip(columns, filled, strict=True) if rows]
        return f"select {', '.join(named)} from ({current})" if named else None


def _place(table: str, *both: Release) -> tuple[str, str]:
    """Layer and name of a table that one release has at least."""
    layer, dot, name = table.rpartition(".")
    places = {(one.pin.layer, one.pin.name) for release in both for one in release.tables}
    for known in (layer,) if dot else (GOLD, SILVER):
        if (known, name) in places:
            return known, name
    raise UnknownName("released table", table, [f"{one}.{other}" if dot else other for one, other in places])


# As machines are told


def changes_as_json(found: TableChanges) -> dict[str, Any]:
    """What is told of a comparison before its rows."""
    how, counts = found.changes.how, found.changes.counts
    return {
        "table": f"{found.layer}.{found.name}",
        "from": _state_as_json(found.old),
        "to": _state_as_json(found.new),
        "keys": list(how.keys),
        "by_content": how.by_content,
        "columns_added": list(how.came),
        "columns_removed": list(how.went),
        "columns_retyped": [asdict(one) for one in how.retyped],
        "rows_from": counts.old,
        "rows_to": counts.new,
        "inserted": counts.inserted,
        "updated": counts.updated,
        "deleted": counts.deleted,
    }


def change_as_json(change: Change) -> dict[str, Any]:
    """One changed row for machines."""
    told = {"change": change.kind, "key": change.key, "old": change.old, "new": change.new}
    return {name: json_value(value) for name, value in told.items() if value is not None and (name != "key" or value)}


def _state_as_json(state: State) -> dict[str, Any]:
    return {"release_id": state.release_id, "extraction_date": state.extraction_date.isoformat()}

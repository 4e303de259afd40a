"""Removes rows of a table for good: the files that hold them are written anew without them, in one commit a snapshot.

The old snapshots and their files stay until they are let go of; that is the caller's to do.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from catalog.iceberg import Lakehouse, Pin, field_ids
from catalog.iceberg_files import bare_path, data_files, swap_files
from catalog.names import quote_identifier, quote_literal
from catalog.session import table_function
from catalog.storable import copy_to_parquet

if TYPE_CHECKING:
    from catalog.iceberg_upkeep import Table


@dataclass(frozen=True, slots=True)
class Affected:
    """One data file that holds rows to remove."""

    path: str
    rows: int
    matches: int


def affected_files(connection: duckdb.DuckDBPyConnection, pin: Pin, condition: str) -> list[Affected]:
    """The data files of a pinned table that hold rows of a condition, which is SQL over the table's columns."""
    counts = f"filename, count(*), count(*) filter (where {condition}) as n"
    counted = f"select {counts} from {table_function(pin)}"  # noqa: S608 - the caller quotes
    found = connection.execute(f"{counted} group by filename having n > 0 order by filename").fetchall()
    return [Affected(path, rows, matches) for path, rows, matches in found]


def remove_rows(
    connection: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    table: Table,
    condition: str,
    scratch: Path,
    summary: dict[str, str],
    branch: str | None = None,
) -> int:
    """Write the files of a table's present snapshot, or of a branch's, without the rows of a condition; count these."""
    head = table.current_snapshot() if branch is None else table.snapshot_by_name(branch)
    if head is None:
        return 0
    layer, name = table.name()
    pin = Pin(layer, name, table.metadata_location, head.snapshot_id)
    affected = affected_files(connection, pin, condition)
    left, folder = write_rest(connection, table, pin, affected, condition, scratch)
    swap_files(lakehouse, table, [one.path for one in affected], left, folder, summary, branch)
    return sum(one.matches for one in affected)


def write_rest(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    pin: Pin,
    affected: Sequence[Affected],
    condition: str,
    scratch: Path,
) -> tuple[list[Path], str]:
    """Write each file of a pinned table anew without the rows of a condition; returns the files and their folder."""
    scratch.mkdir(parents=True, exist_ok=True)
    left = [_write_rest(connection, pin, table, one, condition, scratch) for one in affected if one.rows > one.matches]
    days = {bare_path(one.path): one.day for one in data_files(table, pin.snapshot_id)} if affected else {}
    day = days[bare_path(affected[0].path)] if affected else None
    return left, day.isoformat() if day else "kept"


def _write_rest(
    connection: duckdb.DuckDBPyConnection, pin: Pin, table: Table, file: Affected, condition: str, scratch: Path
) -> Path:
    path = scratch / f"rest-{uuid.uuid4().hex}.parquet"
    ids = field_ids(table, pin)
    columns = ", ".join(quote_identifier(name) for name in ids)
    where = f"filename = {quote_literal(file.path)} and ({condition}) is not true"
    rest = f"select {columns} from {table_function(pin)} where {where} order by file_row_number"  # noqa: S608 - quoted
    copy_to_parquet(connection, rest, ids, path)
    return path

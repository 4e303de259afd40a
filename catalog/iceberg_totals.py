"""Rows, files and bytes of many tables at once: one query for where they stand, and each metadata file read once.

A metadata file never changes, so what was read of one is remembered for as long as the process lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.io import load_file_io
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table

from catalog.errors import TransientError
from catalog.iceberg import Lakehouse

KEYS = {"rows": "total-records", "files": "total-data-files", "bytes": "total-files-size"}
REMEMBERED = 8192
Totals = dict[str, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a table at a snapshot."""

    partitions: int  # that hold files; 1 for a table that has none
    schema_version: int


def shape_of(table: Table, snapshot_id: int | None = None) -> Shape:
    """Count the partitions of a table and tell its schema, at a snapshot, by default its present one."""
    head = table.current_snapshot() if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    if head is None:
        return Shape(0, table.metadata.current_schema_id)
    version = table.metadata.current_schema_id if head.schema_id is None else head.schema_id
    return Shape(table.inspect.partitions(head.snapshot_id).num_rows, version)


class TableTotals:
    """Counts what tables hold; safe to share between threads."""

    def __init__(self, lakehouse: Lakehouse) -> None:
        if not isinstance(lakehouse.catalog, SqlCatalog):
            raise TypeError(f"the catalogue is a {type(lakehouse.catalog).__name__}, not one in a SQL database")
        self._catalog = lakehouse.catalog
        self._read = lru_cache(REMEMBERED)(self._read_metadata)

    def locations(self, layer: str) -> dict[str, str]:
        """The present metadata file of each table of a layer, by name."""
        t = IcebergTables
        query = sa.select(t.table_name, t.metadata_location).where(
            t.catalog_name == self._catalog.name, t.table_namespace == layer
        )
        with self._catalog.engine.connect() as connection:
            return {str(name): str(location) for name, location in connection.execute(query.order_by(t.table_name))}

    def of(self, location: str, snapshot_id: int | None = None) -> Totals:
        """Rows, data files and bytes of a table at a snapshot, by default its present one.

        Raises:
            TransientError: its metadata cannot be read.
        """
        present, snapshots = self._read(location)
        return snapshots.get(present if snapshot_id is None else snapshot_id) or dict.fromkeys(KEYS, 0)

    def database_bytes(self) -> int | None:
        """Size of the catalogue's database, None where it cannot be told."""
        engine = self._catalog.engine
        sizes = {
            "sqlite": "select page_count * page_size from pragma_page_count(), pragma_page_size()",
            "postgresql": "select pg_database_size(current_database())",
        }
        if (query := sizes.get(engine.dialect.name)) is None:
            return None
        with engine.connect() as connection:
            return connection.execute(sa.text(query)).scalar()

    def _read_metadata(self, location: str) -> tuple[int | None, dict[int | None, Totals]]:
        io = load_file_io(self._catalog.properties, location)
        try:
            metadata = FromInputFile.table_metadata(io.new_input(location))
        except (OSError, ValueError) as error:
            raise TransientError("The metadata of a table cannot be read at present.") from error
        found: dict[int | None, Totals] = {}
        for snapshot in metadata.snapshots:
            summary = snapshot.summary
            found[snapshot.snapshot_id] = {
                name: int((summary[key] if summary else None) or 0) for name, key in KEYS.items()
            }
        return metadata.current_snapshot_id, found

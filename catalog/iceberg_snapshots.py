"""Gold tables that grow by one partition a day of snapshots, on the branch a release is written on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from catalog.iceberg import GOLD, STAGING, TABLE_PROPERTIES, Lakehouse, Pin
from catalog.iceberg_files import swap_files

AS_OF = "as_of"  # the day a snapshot is of: the partition of its table


@dataclass(frozen=True, slots=True)
class Staged:
    """A table ready to take a snapshot on its staging branch."""

    table: Table
    name: str

    def add(self, lakehouse: Lakehouse, file: Path, as_of: date, summary: Mapping[str, str]) -> Pin:
        """Add the rows of one parquet file, all of one day, and return where the branch then stands."""
        snapshot_id = swap_files(lakehouse, self.table, (), [file], f"{AS_OF}={as_of}", summary, branch=STAGING)
        return Pin(GOLD, self.name, self.table.metadata_location, snapshot_id)


def stage_snapshots(
    lakehouse: Lakehouse, name: str, schema: pa.Schema, docs: Mapping[str, str], description: str
) -> Staged:
    """The table of a series of snapshots, made if need be, with a staging branch that holds what ``main`` does.

    Args:
        schema: its columns, ``as_of`` among them.
    """
    try:
        lakehouse.catalog.load_table((GOLD, name))
    except NoSuchTableError:
        made = lakehouse.catalog.create_table((GOLD, name), schema, properties=TABLE_PROPERTIES)
        with made.update_spec() as spec:
            spec.add_identity(AS_OF)
    return Staged(lakehouse.stage_table(GOLD, name, schema, docs, description), name)

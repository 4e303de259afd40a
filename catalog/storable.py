"""From a relation of DuckDB to a parquet file of its Iceberg table: types that Iceberg has, and its field ids."""

from __future__ import annotations

from pathlib import Path

import duckdb
from duckdb.sqltypes import DuckDBPyType

from catalog.errors import BuildFailed
from catalog.iceberg import FieldIds
from catalog.names import quote_identifier, quote_literal

# A dictionary of up to 5,000 values a row group: DuckDB's own bound costs a third more time and makes no file smaller.
PARQUET = "format parquet, compression zstd, compression_level 1, dictionary_size_limit 5000"
_SAME = {
    "boolean",
    "integer",
    "bigint",
    "float",
    "double",
    "decimal",
    "blob",
    "date",
    "time",
    "timestamp",
    "timestamp with time zone",
}
_NEAREST = {
    "tinyint": "integer",
    "smallint": "integer",
    "utinyint": "integer",
    "usmallint": "integer",
    "uinteger": "bigint",
    "ubigint": "decimal(20, 0)",
    "hugeint": "decimal(38, 0)",  # what sum() of integers gives
    "uhugeint": "decimal(38, 0)",
    "varchar": "varchar",  # JSON too
    "uuid": "varchar",
    "enum": "varchar",
    "timestamp_s": "timestamp",
    "timestamp_ms": "timestamp",
}


def storable_select(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """A SELECT of a relation with every column in the nearest type that Iceberg has.

    Raises:
        BuildFailed: naming the column whose type has none.
    """
    found = connection.sql(f"select * from {relation}")
    listed = []
    for name, type_ in zip(found.columns, found.types, strict=True):
        stored = _stored_type(type_)
        if stored is None:
            raise BuildFailed(f"{relation}, column {name}: Iceberg has no type for {type_}; cast it in the model.")
        listed.append(f"{quote_identifier(name)}::{stored} as {quote_identifier(name)}")
    return f"select {', '.join(listed)} from {relation}"


def copy_to_parquet(connection: duckdb.DuckDBPyConnection, select: str, ids: FieldIds, file: Path) -> None:
    """Write what a SELECT gives as a parquet file whose columns carry their Iceberg field ids."""
    options = f"{PARQUET}, field_ids {_as_struct(ids)}"
    connection.execute(f"copy ({select}) to {quote_literal(str(file))} ({options})")


def _stored_type(type_: DuckDBPyType) -> str | None:
    """SQL of the type a column is stored in, its parts included; None where there is none."""
    if type_.id in _SAME:
        return str(type_)
    if type_.id not in ("list", "array", "struct", "map"):
        return _NEAREST.get(type_.id)
    parts = [(name, _stored_type(part)) for name, part in type_.children if isinstance(part, DuckDBPyType)]
    if any(stored is None for _, stored in parts):
        return None
    if type_.id == "struct":
        return f"struct({', '.join(f'{quote_identifier(name)} {stored}' for name, stored in parts)})"
    return f"map({parts[0][1]}, {parts[1][1]})" if type_.id == "map" else f"{parts[0][1]}[]"


def _as_struct(ids: FieldIds) -> str:
    listed = (f"{quote_literal(name)}: {_as_struct(i) if isinstance(i, dict) else i}" for name, i in ids.items())
    return "{" + ", ".join(listed) + "}"

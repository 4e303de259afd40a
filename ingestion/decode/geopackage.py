"""Decodes a GeoPackage: each of its feature and attribute tables, by SQLite itself; geometries as WKB.

The format is OGC's (https://www.geopackage.org/spec/): an SQLite database whose ``gpkg_contents`` names its tables,
with geometries as WKB behind a header.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from catalog.errors import Refused
from catalog.names import column_names, quote_identifier
from ingestion.decode.arrow_text import number_text, scan_text, write_text
from ingestion.decode.geometry import is_placeable, reference_system, to_longitude_latitude
from ingestion.decode.table import DecodedTable, RefusedMember, Source

BATCH_ROWS, BATCH_POINTS = 1 << 11, 1 << 16  # a geometry may hold megabytes
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)
_TABLES = """
    select contents.table_name, geometries.column_name, geometries.geometry_type_name,
        systems.organization || ':' || systems.organization_coordsys_id
    from gpkg_contents as contents
    join sqlite_master on sqlite_master.name = contents.table_name and sqlite_master.type = 'table'
    left join gpkg_geometry_columns as geometries on geometries.table_name = contents.table_name
    left join gpkg_spatial_ref_sys as systems on systems.srs_id = geometries.srs_id
    where contents.data_type in ('features', 'attributes')
    order by contents.table_name
"""
Position = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of a GeoPackage: where its geometries are, of which type and system."""

    name: str
    geometry: str | None
    type: str | None
    system: str | None


class _Malformed(Exception):
    """A geometry that does not begin as the standard says."""


def decode_geopackage(source: Source) -> Iterator[DecodedTable | RefusedMember]:
    """Decode each table of a GeoPackage.

    Raises:
        Refused: when it is another SQLite database, cut or corrupt.
    """
    try:
        with closing(_open(source)) as database:
            tables = [_Table(*row) for row in database.execute(_TABLES)]
            for table in tables:
                member = f"{source.member}/{table.name}" if source.member else table.name
                try:
                    yield _decode(source, database, table, member)
                except _Malformed as error:
                    yield RefusedMember(member, str(error))
    except sqlite3.Error as error:
        if "no such table" in str(error):
            raise Refused("This is an SQLite database and no GeoPackage: that format is not read yet.") from error
        raise Refused(f"The GeoPackage is cut or corrupt: {error}.") from error
    if not tables:
        raise Refused("The GeoPackage holds no table of features or attributes.")


def _open(source: Source) -> sqlite3.Connection:
    database = sqlite3.connect(f"{source.path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    database.text_factory = lambda raw: raw.decode("utf-8", "odh_cp1252")
    return database


def _decode(source: Source, database: sqlite3.Connection, table: _Table, member: str) -> DecodedTable:
    names = [row[1] for row in database.execute(f"pragma table_info({quote_identifier(table.name)})")]
    place = names.index(table.geometry) if table.geometry in names else None
    others = [name for name in names if name != table.geometry]
    columns = ", ".join(map(quote_identifier, others if place is None else [*others, names[place]]))
    rows = database.execute(f"select {columns} from {quote_identifier(table.name)}")  # noqa: S608  (quoted)
    is_point = place is not None and is_placeable(table.system or "") and _holds_points(database, table, names[place])
    headers = [*others, *(["geometry"] if place is not None else []), *(["longitude", "latitude"] if is_point else [])]
    target = source.new_file(".parquet")
    count = write_text(target, column_names(headers), _batches(rows, place is not None, is_point, table.system))
    facts = {**source.facts, "kind": "geopackage"} | ({"crs": table.system} if table.system else {})
    return DecodedTable(member, headers, column_names(headers), scan_text(target), count, [], facts)


def _holds_points(database: sqlite3.Connection, table: _Table, column: str) -> bool:
    """Whether a table has a point; its declared type tells, but when it is any geometry."""
    kind = (table.type or "").upper()
    if kind != "GEOMETRY":
        return kind == "POINT"
    rows = database.execute(f"select {quote_identifier(column)} from {quote_identifier(table.name)}")  # noqa: S608
    return any(_position(_wkb(value)) != (None, None) for (value,) in rows)


def _batches(rows: sqlite3.Cursor, has_geometry: bool, is_point: bool, system: str | None) -> Iterator[list[pa.Array]]:
    while batch := rows.fetchmany(BATCH_POINTS if is_point else BATCH_ROWS):
        columns = [list(column) for column in zip(*batch, strict=True)]
        shapes = [_wkb(value) for value in columns.pop()] if has_geometry else []
        texts = [[_text(value) for value in column] for column in columns]
        if has_geometry:
            texts.append([shape.hex().upper() for shape in shapes])
        if is_point:
            positions = _positions([_position(shape) for shape in shapes], reference_system(system or ""))
            texts += [[position[axis] for position in positions] for axis in (0, 1)]
        yield [pa.array(column, pa.large_string()) for column in texts]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex().upper()
    return "" if value is None else number_text(value) if isinstance(value, float) else str(value)


def _wkb(value: Any) -> bytes:
    """The WKB of a geometry, behind its header; of no geometry, nothing."""
    if value is None:
        return b""
    envelope = value[3] >> 1 & 7 if isinstance(value, bytes) and value[:2] == b"GP" and len(value) >= 8 else 7
    if envelope >= len(_ENVELOPE_BYTES):
        raise _Malformed("A geometry of this table is malformed: it does not begin as the standard says.")
    return bytes(value[8 + _ENVELOPE_BYTES[envelope] :])


def _position(shape: bytes) -> Position:
    if len(shape) < 21:
        return None, None
    order = "<" if shape[0] else ">"
    kind, x, y = struct.unpack_from(f"{order}Idd", shape, 1)
    return (x, y) if kind % 1000 == 1 and x == x else (None, None)


def _positions(places: list[Position], system: str | None) -> list[tuple[str, str]]:
    if system is None:
        return [("", "") if x is None or y is None else (number_text(x), number_text(y)) for x, y in places]
    converted = to_longitude_latitude([x for x, _ in places], [y for _, y in places], system)
    return converted if converted is not None else [("", "")] * len(places)

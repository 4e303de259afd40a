"""Decodes a shapefile: its .dbf as the text it holds, its shapes as WKB by DuckDB's spatial extension.

The two are read apart, for a reader of both types the numbers; record *n* of one belongs to shape *n* of the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.errors import Refused
from catalog.names import column_names, quote_literal
from ingestion.decode.arrow_text import number_text, scan_text, write_text
from ingestion.decode.dbf import Dbf, dbf_facts, open_dbf
from ingestion.decode.geometry import is_placeable, reference_system, spatial_cursor, to_longitude_latitude
from ingestion.decode.table import DecodedTable, Source

BATCH_SHAPES, BATCH_POINTS = 1 << 11, 1 << 16  # a shape may hold megabytes; few points convert as slowly as many
_POINTS = (1, 11, 21)  # shape types: a point, with Z, with M
_SHAPES_SQL = """
    select
        ogc_fid,
        st_ashexwkb(geom),
        case when st_geometrytype(geom) = 'POINT' then st_x(geom) end,
        case when st_geometrytype(geom) = 'POINT' then st_y(geom) end
    from st_read({path})
"""
Types = NDArray[np.int32]
Shape = tuple[int, str | None, float | None, float | None]


def decode_shapefile(source: Source) -> DecodedTable:
    """Decode one shapefile, whose parts stand beside its .shp under scratch.

    Raises:
        Refused: when it has no .dbf, is corrupt, or its parts do not hold as many records.
    """
    if not source.containers or not source.path.with_suffix(".dbf").exists():
        raise Refused("It is a .shp without its .dbf: a shapefile is read from an archive that holds both.")
    dbf, projection = _take_parts(source)
    types = _shape_types(source.path)
    if len(types) != dbf.records:
        raise Refused(f"The .shp holds {len(types):,} shapes and the .dbf {dbf.records:,} records: not the same file.")
    with source.path.open("rb") as file:
        is_point = struct.unpack_from("<i", file.read(100), 32)[0] in _POINTS
    has_positions = is_point and is_placeable(projection)
    headers = [*dbf.headers, "geometry", *(("longitude", "latitude") if has_positions else ())]
    columns, target = column_names(headers), source.new_file(".parquet")
    reader = _Reader(source.path, dbf, types, projection if has_positions else None)
    count = write_text(target, columns, reader.batches())
    crs = projection.partition('"')[2].partition('"')[0] or "unknown: there is no .prj"
    facts = {**source.facts, **dbf_facts(dbf, count), "kind": "shapefile", "crs": crs}
    facts |= {"unreadable_shapes": str(reader.unreadable)} if reader.unreadable else {}
    return DecodedTable(source.member, headers, columns, scan_text(target), count, [], facts)


def _take_parts(source: Source) -> tuple[Dbf, str]:
    """Read the .dbf's shape and the .prj, and move the .dbf away: beside the .shp, the reader would open it too."""
    path = source.new_file(".dbf")
    source.path.with_suffix(".dbf").rename(path)
    texts = [source.path.with_suffix(suffix) for suffix in (".cpg", ".prj")]
    encoding, projection = (text.read_bytes()[:65536].decode("latin-1") if text.exists() else "" for text in texts)
    return open_dbf(path, source.new_file(".txt"), encoding), projection.strip("\0 \t\r\n")


def _shape_types(path: Path) -> Types:
    """The type of each shape, found by the index file, which is made from the .shp when it is missing."""
    index = path.with_suffix(".shx")
    if not index.exists():
        _make_index(path, index)
    content = index.read_bytes()[100:]
    places = np.frombuffer(content[: len(content) // 8 * 8], ">i4").reshape(-1, 2).astype(np.int64) * 2
    if len(places) and ((places < 0).any() or (places.sum(axis=1) + 8).max() > path.stat().st_size):
        raise Refused("The .shp is cut or corrupt: its index leads beyond its end. Download it again.")
    if not len(places):
        return np.zeros(0, np.int32)
    bytes_ = np.memmap(path, np.uint8, "r")
    starts = np.minimum(places[:, :1] + 8, len(bytes_) - 4)
    types = bytes_[starts + np.arange(4)].view("<i4").ravel()
    return np.where(places[:, 1] < 4, 0, types)


def _make_index(path: Path, index: Path) -> None:
    content, position, size = bytearray(), 100, path.stat().st_size
    with path.open("rb") as file:
        head = file.read(100)
        while position < size:
            file.seek(position)
            _, words = struct.unpack(">ii", file.read(8).ljust(8, b"\xff"))
            if words < 2 or position + 8 + 2 * words > size:
                raise Refused("The .shp is cut or corrupt, and has no index (.shx). Download it again.")
            content += struct.pack(">ii", position // 2, words)
            position += 8 + 2 * words
    index.write_bytes(head[:24] + struct.pack(">i", 50 + len(content) // 2) + head[28:] + content)


@dataclass(slots=True)
class _Reader:
    """Reads records and shapes side by side; counts the shapes that the spatial extension could not read."""

    path: Path
    dbf: Dbf
    types: Types
    projection: str | None
    unreadable: int = 0

    def batches(self) -> Iterator[list[pa.Array]]:
        with spatial_cursor() as cursor:
            try:
                cursor.execute(_SHAPES_SQL.format(path=quote_literal(str(self.path))))
                start = 0
                for kept, attributes in self.dbf.batches(BATCH_POINTS if self.projection else BATCH_SHAPES):
                    shapes = self._checked(cursor.fetchmany(len(kept)), start, len(kept))
                    start += len(kept)
                    yield [*attributes, *_geometry_columns(_kept(shapes, kept), self.projection)]
            except duckdb.Error as error:
                raise Refused(f"The .shp is cut or corrupt: {error}.") from error

    def _checked(self, shapes: list[Shape], start: int, count: int) -> list[Shape]:
        if [shape[0] for shape in shapes] != list(range(start, start + count)):
            raise Refused(f"The .shp is cut or corrupt after shape {start + len(shapes):,}.")
        missing = np.array([shape[1] is None for shape in shapes], bool)
        self.unreadable += int(np.count_nonzero(missing & (self.types[start : start + count] != 0)))
        return shapes


def _kept(shapes: list[Shape], kept: NDArray[np.bool_]) -> list[Shape]:
    return [shape for shape, is_kept in zip(shapes, kept.tolist(), strict=True) if is_kept]


def _geometry_columns(shapes: list[Shape], projection: str | None) -> list[pa.Array]:
    columns = [[shape[1] or "" for shape in shapes]]
    if projection is not None:
        positions = _positions(shapes, reference_system(projection))
        columns += [[position[axis] for position in positions] for axis in (0, 1)]
    return [pa.array(column, pa.large_string()) for column in columns]


def _positions(shapes: list[Shape], system: str | None) -> list[tuple[str, str]]:
    if system is None:
        return [("", "") if x is None or y is None else (number_text(x), number_text(y)) for _, _, x, y in shapes]
    converted = to_longitude_latitude([shape[2] for shape in shapes], [shape[3] for shape in shapes], system)
    return converted if converted is not None else [("", "")] * len(shapes)

"""Geometries as text: WKB (ISO, little-endian) in upper-case hexadecimal, and the position of points.

GeoJSON's are encoded here, for a reason can then be given for each that is malformed; DuckDB's spatial extension
changes the reference system of positions, with PROJ's data within it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import cache

import duckdb
import pyarrow as pa

from catalog.extensions import UNCHECKED, load_extensions
from ingestion.decode.arrow_text import number_text
from ingestion.decode.json_text import Number, Value

_CONVERT = """
    select st_x(place), st_y(place)
    from (select st_transform(st_point(x, y), $1, 'OGC:CRS84', always_xy := true) as place from points)
"""
DECIMALS = 9  # of a computed longitude: a tenth of a millimetre
_TYPES = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection")
_PART = {"MultiPoint": "Point", "MultiLineString": "LineString", "MultiPolygon": "Polygon"}
_DIMENSIONS = {2: 0, 3: 1000, 4: 3000}  # what ISO adds to the type of a geometry with Z, with Z and M
_NOT_A_NUMBER = float("nan")
_GEOGRAPHIC = re.compile(r"\s*(GEOGCS|GEOGCRS|GEODCRS)\b", re.I)
_LIKE_WGS84 = re.compile(r"WGS|RGF|ETRS|RGFG|RGAF|RGSPM|RGM0?4|RGR|International_Terrestrial", re.I)
_EPSG = re.compile(r"\bEPSG:+(?:[\d.]*:)?(\d+)$", re.I)


def geometry_hex(geometry: Value) -> str:
    """Encode a GeoJSON geometry; null, or a point of nulls, is the empty text.

    Raises:
        ValueError: why it is malformed.
    """
    if geometry is None or _is_point_of_nulls(geometry):
        return ""
    try:
        dimensions = max(_lengths(geometry), default=2)
        if dimensions not in _DIMENSIONS:
            raise ValueError(f"a position of {dimensions} numbers")
        return _encode(geometry, dimensions).hex().upper()
    except ValueError as error:
        raise ValueError(f"malformed geometry: {error}") from None
    except RecursionError:
        raise ValueError("malformed geometry: nested too deep") from None


def _is_point_of_nulls(geometry: Value) -> bool:
    if not isinstance(geometry, dict) or geometry.get("type") != "Point" or "coordinates" not in geometry:
        return False
    position = geometry["coordinates"]
    return position is None or (isinstance(position, list) and bool(position) and all(n is None for n in position))


def is_geometry(document: Value) -> bool:
    """Whether a JSON object is a GeoJSON geometry by itself."""
    return (
        isinstance(document, dict)
        and document.get("type") in _TYPES
        and isinstance(document.get("geometries" if document["type"] == "GeometryCollection" else "coordinates"), list)
    )


def _lengths(geometry: Value) -> Iterator[int]:
    """The lengths of the positions of a geometry; an empty one has none."""
    if isinstance(geometry, dict):
        for part in _list(geometry.get("geometries", [])):
            yield from _lengths(part)
        yield from _lengths(geometry.get("coordinates", []))
    elif isinstance(geometry, list) and geometry and all(isinstance(item, Number) for item in geometry):
        if len(geometry) < 2:
            raise ValueError("a position of 1 number")
        yield len(geometry)
    elif isinstance(geometry, list):
        for item in geometry:
            yield from _lengths(item)


def _encode(geometry: Value, dimensions: int) -> bytes:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in _TYPES:
        raise ValueError(f"its type is {kind!r}" if isinstance(geometry, dict) else "not an object")
    head = struct.pack("<BI", 1, _TYPES.index(kind) + 1 + _DIMENSIONS[dimensions])
    if kind == "GeometryCollection":
        parts = [_encode(part, dimensions) for part in _list(geometry.get("geometries"))]
        return head + struct.pack("<I", len(parts)) + b"".join(parts)
    coordinates = _list(geometry.get("coordinates"))
    if kind == "Point":
        return head + _position(coordinates or [Number("NaN")] * dimensions, dimensions)
    if kind == "LineString":
        return head + _line(coordinates, dimensions)
    if kind == "Polygon":
        return head + struct.pack("<I", len(coordinates)) + b"".join(_line(ring, dimensions) for ring in coordinates)
    parts = [_encode({"type": _PART[kind], "coordinates": part}, dimensions) for part in coordinates]
    return head + struct.pack("<I", len(parts)) + b"".join(parts)


def _line(positions: Value, dimensions: int) -> bytes:
    positions = _list(positions)
    return struct.pack("<I", len(positions)) + b"".join(_position(position, dimensions) for position in positions)


def _position(position: Value, dimensions: int) -> bytes:
    numbers = [float(number) for number in _list(position) if isinstance(number, Number)]
    if len(numbers) < 2 or len(numbers) != len(position):
        raise ValueError(f"{str(position)[:60]} is not a position")
    return struct.pack(f"<{dimensions}d", *numbers, *[_NOT_A_NUMBER] * (dimensions - len(numbers)))


def _list(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return value


def reference_system(name: str) -> str | None:
    """What PROJ calls the system that a GeoJSON ``crs`` member or a ``.prj`` file means; ``None`` for longitudes as is.

    A geographic system of the WGS 84 family (RGF93, ETRS89) is within a metre of it: its positions stay as written.
    """
    if not name or re.search(r"\bCRS:?84$|\bEPSG:+(?:[\d.]*:)?(4326|4979|4171|4258|4624|4627|4558|4470)$", name, re.I):
        return None
    if _GEOGRAPHIC.match(name) and _LIKE_WGS84.search(name) and "Greenwich" in name:
        return None
    epsg = _EPSG.search(name)
    return f"EPSG:{epsg[1]}" if epsg else name


@cache
def _spatial() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2, "temp_directory": "", **UNCHECKED})
    connection.execute("set python_enable_replacements = false")
    load_extensions(connection, ["spatial"])
    return connection


def spatial_cursor() -> duckdb.DuckDBPyConnection:
    """A connection with the spatial extension, which no other thread uses; close it after use."""
    return _spatial().cursor()


def to_longitude_latitude(
    xs: Sequence[float | None], ys: Sequence[float | None], system: str
) -> list[tuple[str, str]] | None:
    """Convert positions to WGS 84, as text; what has no image there is empty, and all of an unknown system ``None``."""
    points = pa.table({"x": pa.array(xs, pa.float64()), "y": pa.array(ys, pa.float64())})
    with spatial_cursor() as cursor:
        cursor.register("points", points)
        try:
            rows = cursor.execute(_CONVERT, [system]).fetchall()
        except duckdb.Error:
            return None
        finally:
            cursor.unregister("points")
    return [(position_text(longitude), position_text(latitude)) for longitude, latitude in rows]


def is_placeable(name: str) -> bool:
    """Whether longitudes and latitudes can be given for a system, named as ``reference_system`` reads it."""
    system = reference_system(name)
    return bool(name) and (system is None or to_longitude_latitude([0.0], [0.0], system) is not None)


def position_text(value: float | None) -> str:
    """A computed longitude or latitude, as text."""
    return number_text(round(value, DECIMALS)) if value is not None and abs(value) <= 360 else ""

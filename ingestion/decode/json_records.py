"""Decodes JSON into a table: an array of objects, a document that holds one, one object per line, GeoJSON features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode.geometry import geometry_hex, is_geometry, reference_system, to_longitude_latitude
from ingestion.decode.json_text import NotJson, Value, cell, compact, parse
from ingestion.decode.table import LINE, DecodedTable, RejectedRow, Source
from ingestion.decode.text import Utf8Text

MAX_BYTES = 256 << 20  # a document is held some twenty times over
LINES = {".ndjson", ".jsonl"}  # of files whose one line is one record, though it is a document as well
MAX_PARTS = 20_000_000  # objects and arrays: each costs some 200 bytes, however small
Key = tuple[
    int, str
]  # 0 for a column of the record, 1 for one beside it (a feature's id and geometry): those come last
_LONGITUDE, _LATITUDE = (1, "longitude"), (1, "latitude")
Record = dict[Key, Value]


@dataclass(frozen=True, slots=True)
class _Found:
    """The numbered elements of the main array, what makes a record of one, and where they were."""

    elements: Iterable[tuple[int, Value]]
    to_record: Callable[[Value], Record | None]
    facts: dict[str, str]
    system: str | None = None  # of the coordinates, when they are no longitudes and latitudes yet


class _Broken(str):
    """A line that is not JSON."""

    __slots__ = ()


def decode_json(source: Source, text: Utf8Text) -> DecodedTable:
    """Decode one JSON text into one table.

    Raises:
        NotJson: when the text is not JSON after all.
        Refused: when it is JSON without a table in it, or too large.
    """
    size_bytes = text.path.stat().st_size
    if size_bytes > MAX_BYTES:
        raise Refused(f"This JSON holds {size_bytes >> 20} MiB; above {MAX_BYTES >> 20} MiB it is not read yet.")
    content = text.path.read_bytes()[text.bom_bytes :]
    if (parts := content.count(b"{") + content.count(b"[")) > MAX_PARTS:
        raise Refused(f"This JSON holds {parts:,} objects and arrays; above {MAX_PARTS:,} it is not read yet.")
    found = _find(content.decode(), is_lines=Path(source.file_name).suffix.lower() in LINES)
    return _tabulate(source, text, found)


def _find(content: str, *, is_lines: bool) -> _Found:
    try:
        document = parse(content)
    except NotJson as error:
        return _find_lines(content, error)
    if is_lines and isinstance(document, dict) and document.get("type") not in ("FeatureCollection", "Feature"):
        line = 1 + content[: len(content) - len(content.lstrip())].count("\n")  # an erasure may have emptied others
        return _Found([(line, document)], _object, {"kind": "ndjson", "array": "one object per line"})
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        found = _found(document.get("features"), _feature, "geojson", "features")
        return replace(found, system=_system(document))
    if isinstance(document, dict) and document.get("type") == "Feature":
        return replace(_found([document], _feature, "geojson", "a single feature"), system=_system(document))
    if is_geometry(document):
        return _found([{"geometry": document}], _feature, "geojson", "a single geometry")
    if isinstance(document, list) and document:
        return _found(document, _object, "json", "the top level")
    return _find_array(document)


def _found(array: Value, to_record: Callable[[Value], Record | None], kind: str, path: str) -> _Found:
    elements = array if isinstance(array, list) else []
    return _Found(enumerate(elements, 1), to_record, {"kind": kind, "array": path})


def _find_array(document: Value) -> _Found:
    """Find the array of objects that a document is about: the largest one that is not inside another."""
    arrays = dict(_arrays(document, ""))
    if not arrays:
        return _found([], _object, "json", "")
    path = max(arrays, key=lambda name: len(arrays[name]))
    found = _found(arrays[path], _object, "json", path)
    others = [f"{name} ({len(array)})" for name, array in arrays.items() if name != path]
    return _Found(found.elements, _object, found.facts | ({"other_arrays": ", ".join(others)} if others else {}))


def _arrays(document: Value, path: str) -> Iterator[tuple[str, list[Value]]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _arrays(value, f"{path}.{key}" if path else key)
    elif isinstance(document, list) and any(isinstance(element, dict) for element in document):
        yield path, document


def _find_lines(content: str, error: NotJson) -> _Found:
    """Read one object per line; a line that is not JSON becomes a reject."""
    lines = [(number, line) for number, line in enumerate(content.split("\n"), 1) if line.strip()]
    if len(lines) < 2 or not isinstance(_parse_line(lines[0][1]), dict):
        raise error
    elements = ((number, _parse_line(line)) for number, line in lines)
    if _parse_line(lines[0][1]).get("type") == "Feature":
        return _Found(elements, _feature, {"kind": "geojson", "array": "one feature per line"})
    return _Found(elements, _object, {"kind": "ndjson", "array": "one object per line"})


def _parse_line(line: str) -> Value:
    try:
        return parse(line)
    except NotJson:
        return _Broken(line.rstrip("\r"))


def _object(element: Value) -> Record | None:
    return {(0, key): value for key, value in element.items()} if isinstance(element, dict) else None


def _feature(element: Value) -> Record | None:
    """Flatten a GeoJSON feature: its properties, then its id and geometry, and the position of a point."""
    if not isinstance(element, dict):
        return None
    properties = element.get("properties")
    if not isinstance(properties, dict | None):
        return None
    members = {(1, key): value for key, value in element.items() if key not in ("type", "properties")}
    members[1, "geometry"] = geometry_hex(element.get("geometry"))
    return {(0, key): value for key, value in (properties or {}).items()} | members | _position(element.get("geometry"))


def _position(geometry: Value) -> Record:
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) and geometry.get("type") == "Point" else []
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        return {}
    return {_LONGITUDE: coordinates[0], _LATITUDE: coordinates[1]}


def _system(document: dict[str, Value]) -> str | None:
    """The reference system that a document names, as GeoJSON did until 2016; ``None`` for WGS 84."""
    crs = document.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return reference_system(name) if isinstance(name, str) else None


def _convert_positions(cells: dict[Key, list[str]], found: _Found) -> dict[str, str]:
    """Put longitudes and latitudes in the place of a projected system's coordinates, which the geometry keeps."""
    if not found.system or _LONGITUDE not in cells:
        return {"crs": found.system} if found.system else {}
    xs, ys = ([float(text) if text else None for text in cells[key]] for key in (_LONGITUDE, _LATITUDE))
    positions = to_longitude_latitude(xs, ys, found.system)
    if positions is None:
        del cells[_LONGITUDE], cells[_LATITUDE]
        return {"crs": f"{found.system} (unknown: points have no longitude and latitude)"}
    cells[_LONGITUDE], cells[_LATITUDE] = ([one[axis] for one in positions] for axis in (0, 1))
    return {"crs": found.system}


def _tabulate(source: Source, text: Utf8Text, found: _Found) -> DecodedTable:
    """Turn elements into columns of text, in the order their keys are first seen."""
    cells: dict[Key, list[str]] = {}
    numbers: list[int] = []
    rejects: list[RejectedRow] = []
    for number, element in found.elements:
        try:
            row = _row(found, element)
        except ValueError as error:
            rejects.append(RejectedRow(number, _raw_text(element), str(error)))
            continue
        for key, value in row.items():
            column = cells.setdefault(key, [])
            column.extend([""] * (len(numbers) - len(column)))  # the records that lacked the key
            column.append(value)
        numbers.append(number)
    if not cells:
        raise Refused("This JSON holds no array of objects with keys: there is no table in it.")
    for column in cells.values():
        column.extend([""] * (len(numbers) - len(column)))
    facts = {**source.facts, "encoding": text.encoding, **found.facts, **_convert_positions(cells, found)}
    keys = sorted(cells, key=lambda key: key[0])
    headers = [header for _, header in keys]
    columns = column_names(headers)
    frame = pl.DataFrame(
        {name: cells[key] for name, key in zip(columns, keys, strict=True)} | {LINE: numbers},
        schema=dict.fromkeys(columns, pl.String) | {LINE: pl.Int64},
    )
    return DecodedTable(source.member, headers, columns, frame.lazy(), len(numbers), rejects, facts)


def _row(found: _Found, element: Value) -> dict[Key, str]:
    """Write one element as cells.

    Raises:
        ValueError: with the reason to reject it.
    """
    if isinstance(element, _Broken):
        raise ValueError("not JSON")
    record = found.to_record(element)
    if record is None:
        raise ValueError("not an object")
    row = {key: cell(value) for key, value in record.items()}
    try:
        "".join([*row.values(), *(name for _, name in row)]).encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character (a lone surrogate), which no text can hold") from None
    return row


def _raw_text(element: Value) -> str:
    text = str(element) if isinstance(element, _Broken) else compact(element)
    return text.encode("utf-8", "backslashreplace").decode()

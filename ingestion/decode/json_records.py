"""Decodes JSON into a table: an array of objects, a document that holds one, one object per line, GeoJSON features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode.json_text import NotJson, Value, cell, compact, parse
from ingestion.decode.table import LINE, DecodedTable, RejectedRow, Source
from ingestion.decode.text import Utf8Text

MAX_BYTES = 512 << 20
Key = tuple[
    int, str
]  # 0 for a column of the record, 1 for one beside it (a feature's id and geometry): those come last
Record = dict[Key, Value]


@dataclass(frozen=True, slots=True)
class _Found:
    """The numbered elements of the main array, what makes a record of one, and where they were."""

    elements: Iterable[tuple[int, Value]]
    to_record: Callable[[Value], Record | None]
    facts: dict[str, str]


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
    found = _find(text.path.read_bytes()[text.bom_bytes :].decode())
    return _tabulate(source, text, found)


def _find(content: str) -> _Found:
    try:
        document = parse(content)
    except NotJson as error:
        return _find_lines(content, error)
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        return _found(document.get("features"), _feature, "geojson", "features")
    if isinstance(document, dict) and document.get("type") == "Feature":
        return _found([document], _feature, "geojson", "a single feature")
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
    return {(0, key): value for key, value in (properties or {}).items()} | members | _position(element.get("geometry"))


def _position(geometry: Value) -> Record:
    coordinates = geometry.get("coordinates") if isinstance(geometry, dict) and geometry.get("type") == "Point" else []
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        return {}
    return {(1, "longitude"): coordinates[0], (1, "latitude"): coordinates[1]}


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
    keys = sorted(cells, key=lambda key: key[0])
    headers = [header for _, header in keys]
    columns = column_names(headers)
    frame = pl.DataFrame(
        {name: cells[key] for name, key in zip(columns, keys, strict=True)} | {LINE: numbers},
        schema=dict.fromkeys(columns, pl.String) | {LINE: pl.Int64},
    )
    facts = {**source.facts, "encoding": text.encoding, **found.facts}
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

"""The rows of one statement written to a file, up to a number of rows and of bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import duckdb

from catalog.sql_check import Refusal
from catalog.values import json_value

FETCHED = 2048  # rows at once; DuckDB makes as many
BATCH_ROWS = 20_000  # rows of an Arrow batch and of a parquet row group
FORMATS = ("json", "csv", "ndjson", "arrow", "parquet")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a result is written."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the columns with their types, how many rows, and whether there were more."""

    columns: list[tuple[str, str]]
    rows: int
    truncated: bool


def write_result(cursor: duckdb.DuckDBPyConnection, form: str, out: BinaryIO, limits: Limits) -> Written:
    """Write the rows a connection is ready to be fetched from.

    Raises:
        Refusal: one row alone is larger than the limit.
        duckdb.Error: the statement fails while its rows are read.
    """
    described = [(column[0], str(column[1])) for column in cursor.description or []]
    columns = list(zip(unique([name for name, _ in described]), (type_ for _, type_ in described), strict=True))
    if form in ("arrow", "parquet"):
        return _write_batches(cursor, form, out, limits, columns)
    return _write_rows(cursor, form, out, limits, columns)


def unique(names: Sequence[str]) -> list[str]:
    """Column names with a number after those that stand before already, as DuckDB has it in a subquery."""
    found: list[str] = []
    taken = set(names)
    for name in names:
        given, number = name, 0
        while given in found or (number and given in taken):
            number += 1
            given = f"{name}_{number}"
        found.append(given)
    return found


def _write_rows(
    cursor: duckdb.DuckDBPyConnection, form: str, out: BinaryIO, limits: Limits, columns: list[tuple[str, str]]
) -> Written:
    names = [name for name, _ in columns]
    encode = {"json": _json_row, "ndjson": _ndjson_row, "csv": _csv_row}[form]
    out.write(_head(form, columns))
    written, size, truncated = 0, 0, False
    for row in _rows(cursor):
        if written == limits.rows:
            truncated = True
            break
        line = encode(names, row, written)
        if size + len(line) > limits.bytes:
            if not written:
                raise Refusal("limit", f"One row is larger than the {limits.bytes:,} bytes an answer may have.")
            truncated = True
            break
        out.write(line)
        written, size = written + 1, size + len(line)
    if form == "json":
        out.write(b'],"row_count":%d,"truncated":%s}' % (written, b"true" if truncated else b"false"))
    return Written(columns, written, truncated)


def _rows(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(FETCHED):
        yield from rows


def _head(form: str, columns: list[tuple[str, str]]) -> bytes:
    if form == "csv":
        return _csv_line([name for name, _ in columns])
    if form == "ndjson":
        return b""
    listed = [{"name": name, "type": type_} for name, type_ in columns]
    return b'{"columns":' + _json(listed) + b',"rows":['


def _json_row(names: list[str], row: tuple[Any, ...], number: int) -> bytes:
    return (b"," if number else b"") + _json([json_value(value) for value in row])


def _ndjson_row(names: list[str], row: tuple[Any, ...], number: int) -> bytes:
    return _json(dict(zip(names, map(json_value, row), strict=True))) + b"\n"


def _csv_row(names: list[str], row: tuple[Any, ...], number: int) -> bytes:
    return _csv_line([_csv_value(json_value(value)) for value in row])


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json(value).decode() if isinstance(value, list | dict) else value


def _csv_line(values: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode("utf-8", "replace")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _write_batches(
    cursor: duckdb.DuckDBPyConnection, form: str, out: BinaryIO, limits: Limits, columns: list[tuple[str, str]]
) -> Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = cursor.to_arrow_reader(BATCH_ROWS)
    schema = pa.schema([field.with_name(name) for field, (name, _) in zip(reader.schema, columns, strict=True)])
    is_arrow = form == "arrow"
    written, truncated = 0, False
    with pa.ipc.new_stream(out, schema) if is_arrow else pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in reader:
            if written + batch.num_rows > limits.rows or (written and out.tell() > limits.bytes):
                truncated = True
                batch = batch.slice(0, limits.rows - written if out.tell() <= limits.bytes else 0)
            if batch.num_rows:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                written += batch.num_rows
            if truncated:
                break
    return Written(columns, written, truncated)

"""The formats rows come in: which one a request asks for, and how each is written from batches of rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq
from starlette.requests import Request

from api.streaming import Render
from catalog.errors import UnknownName

BATCH_ROWS = 30_720  # some megabytes; a quarter of a group of DuckDB's storage
ROW_GROUP_BYTES = 64 * 1024 * 1024
ENCODINGS = ("zstd", "gzip")
COMPRESSED_FROM_BYTES = 1024


class Format(StrEnum):
    """A format of rows, as ``format=`` names it."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW = "arrow"


@dataclass(frozen=True, slots=True)
class Writing:
    """How a format is written: its media type, the form its SELECT takes (see ``rows.whole_select``), its writer."""

    media_type: str
    form: str
    render: Render
    is_packed: bool = False  # compressed by itself


def _csv(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    import polars as pl

    header = True
    for batch in batches:
        yield _written(pl.DataFrame(batch), header=header)
        header = False
    if header:
        yield _written(pl.DataFrame(schema.empty_table()), header=True)


def _written(frame: object, *, header: bool) -> bytes:
    target = io.BytesIO()
    frame.write_csv(target, include_header=header)  # type: ignore[attr-defined]
    return target.getvalue()


def _lines(batches: Iterator[pa.RecordBatch], _: pa.Schema) -> Iterator[bytes]:
    """Rows as polars writes them: three times as fast as DuckDB makes JSON."""
    import polars as pl

    for batch in batches:
        target = io.BytesIO()
        pl.DataFrame(batch).write_ndjson(target)
        yield target.getvalue()


def _object_lines(batches: Iterator[pa.RecordBatch], _: pa.Schema) -> Iterator[bytes]:
    """Rows that are the text of JSON objects already."""
    for batch in batches:
        yield "".join(f"{row}\n" for row in batch.column(0).to_pylist()).encode()


def _array(batches: Iterator[pa.RecordBatch], _: pa.Schema) -> Iterator[bytes]:
    opening = "["
    for batch in batches:
        yield (opening + ",".join(batch.column(0).to_pylist())).encode()
        opening = ","
    yield b"]" if opening == "," else b"[]"


def _arrow(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    target = io.BytesIO()
    with pa.ipc.new_stream(target, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield _taken(target)
    yield _taken(target)


def _parquet(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """Row groups as they fill: the writer keeps of each only what the footer tells."""
    target = _Counting()
    with pq.ParquetWriter(pa.PythonFile(target, "w"), schema, compression="zstd") as writer:
        for group in _groups(batches):
            writer.write_table(pa.Table.from_batches(group, schema))
            yield target.taken()
    yield target.taken()


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(one.nbytes for one in group) >= ROW_GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


class _Counting(io.RawIOBase):
    """A file of which only what was not yet taken is kept."""

    def __init__(self) -> None:
        self._kept, self._position = bytearray(), 0

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        view = memoryview(content)  # type: ignore[arg-type]
        self._kept += view
        self._position += len(view)
        return len(view)

    def tell(self) -> int:
        return self._position

    def taken(self) -> bytes:
        """What was written since the last time."""
        found = bytes(self._kept)
        self._kept.clear()
        return found


def _taken(target: io.BytesIO) -> bytes:
    found = target.getvalue()
    target.seek(0)
    target.truncate()
    return found


WRITINGS = {
    Format.CSV: Writing("text/csv; charset=utf-8; header=present", "text", _csv),
    Format.NDJSON: Writing("application/x-ndjson", "text", _lines),
    Format.PARQUET: Writing("application/vnd.apache.parquet", "typed", _parquet, is_packed=True),
    Format.ARROW: Writing("application/vnd.apache.arrow.stream", "typed", _arrow),
}
OBJECT_LINES = Writing("application/x-ndjson", "object", _object_lines)
ARRAY = Writing("application/json", "object", _array)
MEDIA_TYPES = {
    "application/json": Format.JSON,
    "application/problem+json": Format.JSON,
    "text/csv": Format.CSV,
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
    "application/vnd.apache.parquet": Format.PARQUET,
    "application/vnd.apache.arrow.stream": Format.ARROW,
}


def chosen_format(request: Request) -> Format:
    """The format a request asks for by ``format=``, else by ``Accept``; JSON where it asks for none of ours.

    Raises:
        UnknownName: ``format=`` names none, with the nearest one.
    """
    named = request.query_params.get("format")
    if named is not None:
        if named.lower() not in set(Format):
            raise UnknownName("format", named, list(Format))
        return Format(named.lower())
    accept = request.headers.get("accept", "*/*")
    if accept == "*/*":
        return Format.JSON
    for media_type in _by_weight(accept):
        if media_type in MEDIA_TYPES:
            return MEDIA_TYPES[media_type]
    return Format.JSON


def chosen_encoding(request: Request) -> str | None:
    """The compression a client takes, the better one first; None for as it is."""
    accepted = request.headers.get("accept-encoding")
    if not accepted:
        return None
    taken = set(_by_weight(accepted))
    return next((one for one in ENCODINGS if one in taken), None)


def _by_weight(header: str) -> list[str]:
    """What a header accepts, the most wanted first; what has weight 0 is refused."""
    found: list[tuple[float, str]] = []
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if weight > 0:
            found.append((-weight, name))
    return [name for _, name in sorted(found, key=lambda one: one[0])]

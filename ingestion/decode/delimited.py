"""Decodes CSV in all its variety: comma, semicolon, tab or pipe, any quoting, any line end, any French encoding.

A small text is read in memory, record by record. In a larger one polars reads the bytes as they are: it pads short rows
and cuts long ones without a word, so their structure is measured first. Large text that breaks RFC 4180, or whose
ragged rows are to be padded, is read record by record and written again by the book.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import polars as pl

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode.bitmaps import Integers
from ingestion.decode.dialect import Dialect, find_dialect
from ingestion.decode.records import NO_SEPARATOR, Record, RecordReader, read_by_the_book, without_line_end
from ingestion.decode.structure import IrregularText, Structure, measure
from ingestion.decode.table import LINE, DecodedTable, RejectedRow, Source
from ingestion.decode.text import Utf8Text

SAMPLE_BYTES, MAX_SAMPLE_BYTES = 1 << 17, 1 << 26
SMALL_BYTES = 1 << 16  # up to here, records in memory cost less than a measure and a scan


@dataclass(frozen=True, slots=True)
class _Rows:
    """The records of a table: a frame still without its line numbers' final place, their count, and the rejects."""

    frame: pl.LazyFrame
    count: int
    rejects: list[RejectedRow]
    facts: Mapping[str, str]


def decode_delimited(source: Source, text: Utf8Text) -> DecodedTable:
    """Decode one delimited text into one table.

    Raises:
        Refused: when it holds no record, or no line end where one must be.
    """
    dialect = _find_dialect(text)
    columns = column_names(dialect.headers)
    rows = _read_rows(source, text, dialect, columns)
    facts = {**source.facts, **_facts(text, dialect), **rows.facts}
    return DecodedTable(source.member, dialect.headers, columns, rows.frame, rows.count, rows.rejects, facts)


def _find_dialect(text: Utf8Text) -> Dialect:
    size = SAMPLE_BYTES
    while True:
        sample, is_whole = text.sample(size)
        if sample or is_whole:
            break
        size *= 8
        if size > MAX_SAMPLE_BYTES:
            raise Refused(f"There is no line end in the first {MAX_SAMPLE_BYTES >> 20} MiB: not a table.")
    dialect = find_dialect(sample, is_whole=is_whole)
    if dialect is None:
        raise Refused("The file is empty: it holds blank lines only.")
    return dialect


def _facts(text: Utf8Text, dialect: Dialect) -> dict[str, str]:
    facts = {
        "kind": "csv",
        "encoding": text.encoding,
        "separator": dialect.separator or "",
        "quote": '"',
        "header_line": str(dialect.header_line),
    }
    return facts | ({"title_lines": "\n".join(dialect.title_lines)} if dialect.title_lines else {})


def _read_rows(source: Source, text: Utf8Text, dialect: Dialect, columns: list[str]) -> _Rows:
    if text.size_bytes <= SMALL_BYTES:
        return _read_small(source, dialect, columns)
    try:
        structure = measure(
            text.path,
            separator=(dialect.separator or NO_SEPARATOR).encode(),
            width=len(columns),
            offset=text.bom_bytes + dialect.data_offset,
            first_line=dialect.data_line,
        )
    except IrregularText:
        return _rewrite(source, text, dialect, columns)
    if len(structure.ragged) and (source.pad_ragged or not dialect.separator):  # or the unit separator is text
        return _rewrite(source, text, dialect, columns)
    return _scan(source, text, dialect, columns, structure)


def _scan(source: Source, text: Utf8Text, dialect: Dialect, columns: list[str], structure: Structure) -> _Rows:
    """Let polars read the text itself, or a copy without the records that do not belong."""
    offset = text.bom_bytes + dialect.data_offset
    with text.path.open("rb") as file:
        head = file.read(offset)
    path, skip_lines = text.path, head.count(b"\n")
    dropped = np.concatenate([structure.ragged[:, :2], structure.blanks])
    if len(dropped) or not head.endswith(b"\n"):
        path, skip_lines = source.new_file(".csv"), 0
        _copy_without(text.path, path, offset, dropped[np.argsort(dropped[:, 0])])
    rejects = _rejects(text.path, structure.ragged, len(columns))
    frame = _frame(path, columns, dialect.separator, skip_lines, structure) if structure.rows else _no_rows(columns)
    facts = {"reader": "fast"} | ({"blank_lines": str(len(structure.blanks))} if len(structure.blanks) else {})
    return _Rows(frame, structure.rows, rejects, facts)


def _frame(
    path: Path, columns: list[str], separator: str | None, skip_lines: int, structure: Structure
) -> pl.LazyFrame:
    shifts = structure.shifts
    frame = pl.scan_csv(
        path,
        has_header=False,
        skip_lines=skip_lines,
        separator=separator or NO_SEPARATOR,
        quote_char='"' if structure.is_quoted else None,
        schema=dict.fromkeys(columns, pl.String),
        empty_string_is_null=False,
        row_index_name=LINE,
        row_index_offset=int(shifts[0, 1]) if len(shifts) == 1 else 0,
        glob=False,
    )
    line = pl.col(LINE).cast(pl.Int64)
    if len(shifts) > 1:
        line = line.map_batches(partial(_to_lines, shifts), return_dtype=pl.Int64, is_elementwise=True)
    return frame.select(*columns, line)


def _to_lines(shifts: Integers, rows: pl.Series) -> pl.Series:
    numbers = rows.to_numpy()
    return pl.Series(rows.name, numbers + shifts[np.searchsorted(shifts[:, 0], numbers, side="right") - 1, 1])


def _no_rows(columns: list[str]) -> pl.LazyFrame:
    return pl.LazyFrame(schema=dict.fromkeys(columns, pl.String) | {LINE: pl.Int64})


def _copy_without(path: Path, target: Path, offset: int, dropped: Integers) -> None:
    with _mapped(path) as view, target.open("wb") as output:
        for start, end in dropped.tolist():
            output.write(view[offset:start])
            offset = end
        output.write(view[offset:])


def _rejects(path: Path, ragged: Integers, width: int) -> list[RejectedRow]:
    if not len(ragged):
        return []
    with _mapped(path) as view:
        return [
            _reject(line, without_line_end(bytes(view[start:end]).decode()), fields, width)
            for start, end, line, fields in ragged.tolist()
        ]


def _reject(line: int, raw_text: str, fields: int, width: int) -> RejectedRow:
    return RejectedRow(line, raw_text, f"{fields} fields, {width} expected")


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as memory, memoryview(memory) as view:
        yield view


@dataclass(slots=True)
class _Sieve:
    """Tells the records that fit the table from the rejects, and counts them."""

    width: int
    pad_ragged: bool
    kept: int = 0
    padded: int = 0
    lines: int = 0
    rejects: list[RejectedRow] = field(default_factory=list)

    def sift(self, records: Iterable[Record]) -> Iterator[tuple[int, list[str]]]:
        """Give the line and the fields of each record that fits, after padding if it may be padded."""
        for record in records:
            fields, self.lines = record.fields, self.lines + record.lines
            if len(fields) != self.width:
                if not self.pad_ragged or any(fields[self.width :]):
                    self.rejects.append(_reject(record.line, record.raw, len(fields), self.width))
                    continue
                fields, self.padded = [*fields, *[""] * self.width][: self.width], self.padded + 1
            self.kept += 1
            yield record.line, fields

    def facts(self, reader: str, lines: int) -> dict[str, str]:
        """What the load keeps of the reading of so many lines."""
        counts = {"blank_lines": lines - self.lines, "padded": self.padded}
        return {"reader": reader} | {name: str(count) for name, count in counts.items() if count}


def _read_small(source: Source, dialect: Dialect, columns: list[str]) -> _Rows:
    """Read a text that is no longer than the sample its dialect was found in."""
    lines, width, reader = dialect.lines, len(columns), "fast"
    records = dialect.records
    if records is None:
        records = read_by_the_book(lines, dialect.separator, dialect.data_line)
    if records is None or any(record.lines > 1 and len(record.fields) != width for record in records):
        # A lone opening quote may have swallowed good lines: the tolerant reader can step back.
        records = list(RecordReader(lines, dialect.separator, width, dialect.data_line))
        reader = "exact"
    sieve = _Sieve(width, source.pad_ragged)
    kept = [[*fields, line] for line, fields in sieve.sift(records)]
    frame = pl.DataFrame(kept, dict.fromkeys(columns, pl.String) | {LINE: pl.Int64}, orient="row")
    return _Rows(frame.lazy(), sieve.kept, sieve.rejects, sieve.facts(reader, len(lines)))


def _rewrite(source: Source, text: Utf8Text, dialect: Dialect, columns: list[str]) -> _Rows:
    """Read record by record and write a copy by the book, the line number first."""
    target, sieve = source.new_file(".csv"), _Sieve(len(columns), source.pad_ragged)
    with text.path.open("rb") as file, target.open("w", encoding="utf-8", newline="") as output:
        file.seek(text.bom_bytes + dialect.data_offset)
        lines = io.TextIOWrapper(file, encoding="utf-8", newline="")
        reader = RecordReader(lines, dialect.separator, len(columns), dialect.data_line)
        write = csv.writer(output, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow
        for line, fields in sieve.sift(reader):
            write([line, *fields])
    schema: dict[str, type[pl.DataType]] = {LINE: pl.Int64} | dict.fromkeys(columns, pl.String)
    frame = pl.scan_csv(target, has_header=False, schema=schema, empty_string_is_null=False, glob=False)
    facts = sieve.facts("exact", reader.next_line - dialect.data_line)
    return _Rows(frame.select(*columns, LINE) if sieve.kept else _no_rows(columns), sieve.kept, sieve.rejects, facts)

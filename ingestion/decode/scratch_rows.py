"""Rows of text on their way to a frame: written one by one to a file under scratch, then read back as columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import polars as pl

from catalog.errors import Refused
from ingestion.decode.table import LINE

SAMPLE_ROWS = 500
MAX_CELLS = 500_000_000  # of one table, its empty ones included


class RowWriter:
    """Writes numbered rows, which may end before the widest does; keeps the first ones as a sample."""

    def __init__(self, file: TextIO):
        self._write = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow
        self.sample: list[tuple[int, list[str]]] = []
        self.rows, self.width, self._cells = 0, 0, 0

    def write(self, number: int, cells: list[str]) -> None:
        """Write one row.

        Raises:
            Refused: when the table grows beyond all measure.
        """
        if self.rows < SAMPLE_ROWS:
            self.sample.append((number, cells))
        self.rows += 1
        self.width = max(self.width, len(cells))
        self._cells += len(cells)
        if self._cells > MAX_CELLS:
            raise Refused(f"It holds more than {MAX_CELLS:,} cells: not read.")
        self._write([number, *cells])


@contextmanager
def row_writer(path: Path) -> Iterator[RowWriter]:
    """Open a file to write rows to."""
    with path.open("w", encoding="utf-8", newline="") as file:
        yield RowWriter(file)


def scan_rows(path: Path, columns: Sequence[str], *, first: int = 0, width: int, skip: int = 0) -> pl.LazyFrame:
    """Read written rows back as a frame of text and their numbers.

    Args:
        path: the file written.
        columns: names of the columns to read.
        first: position of the first of them among the cells of a row.
        width: cells of the widest row written.
        skip: rows to leave out at the start.
    """
    names = [LINE, *(f"cell_{position}" for position in range(width))]
    schema: dict[str, type[pl.DataType]] = {LINE: pl.Int64} | dict.fromkeys(names[1:], pl.String)
    frame = pl.scan_csv(
        path,
        has_header=False,
        skip_rows=skip,
        schema=schema,
        empty_string_is_null=False,
        missing_columns="insert",
        glob=False,
    )
    cells = [pl.col(f"cell_{first + at}").fill_null("").alias(name) for at, name in enumerate(columns)]
    return frame.select(*cells, LINE)


def no_rows(columns: Sequence[str]) -> pl.LazyFrame:
    """A frame of these columns without a row."""
    return pl.LazyFrame(schema=dict.fromkeys(columns, pl.String) | {LINE: pl.Int64})

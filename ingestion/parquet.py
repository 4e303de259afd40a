"""Writes decoded tables as parquet files ready to enter one Iceberg table, small ones many to a file.

A file of a few rows costs more in footers, moves and manifests than in rows, so small tables wait for one another.
Whose rows they are, and when files enter the catalogue, is the caller's to say.
"""

from __future__ import annotations

import errno
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

SMALL_CELLS = 500_000  # a table of more cells is streamed into a file of its own
KEPT_BYTES = 64 << 20  # small tables kept in memory before they are written


class BronzeFiles:
    """Writes decoded tables as parquet files of one Iceberg table; small ones share a file.

    All tables given must belong to the same partition of the Iceberg table.

    Args:
        folder: an existing folder for the files.
        schema_of: gives the Arrow schema, with Iceberg field ids, of some columns of the table as it is now.
    """

    def __init__(self, folder: Path, schema_of: Callable[[Sequence[str]], pa.Schema]) -> None:
        self._folder, self._schema_of = folder, schema_of
        self._files: list[Path] = []
        self._kept: list[pl.DataFrame] = []
        self._kept_bytes = 0

    @property
    def bytes_written(self) -> int:
        """Size of the files written so far."""
        return sum(file.stat().st_size for file in self._files)

    def add(self, frame: pl.LazyFrame, columns: Sequence[str], rows: int) -> None:
        """Take one table: stream it into a file of its own if large, keep it for a shared file if small.

        Args:
            frame: exactly ``columns``; none of its rows enters if this raises.
            rows: how many rows it holds; only its size is judged by it.

        Raises:
            polars.exceptions.PolarsError: when this table cannot be read.
            OSError: when tables kept before cannot be written: their rows are lost to this batch.
        """
        if rows * len(columns) > SMALL_CELLS:
            self._write(frame, columns)
            return
        self.keep(frame.collect(engine="in-memory"))  # a stream takes longer to begin

    def keep(self, table: pl.DataFrame) -> None:
        """Take one small table for a shared file.

        Raises:
            OSError: when tables kept before cannot be written: their rows are lost to this batch.
        """
        self._kept.append(table)
        self._kept_bytes += int(table.estimated_size())
        if self._kept_bytes > KEPT_BYTES:
            self._flush()

    def close(self) -> list[Path]:
        """Write what is kept, and return all files in the order written."""
        self._flush()
        return list(self._files)

    def _flush(self) -> None:
        if not self._kept:
            return
        table = pl.concat(self._kept, how="diagonal", rechunk=True)  # absent from one table: NULL, never empty text
        self._kept, self._kept_bytes = [], 0
        try:
            self._write(table.lazy(), table.columns)
        except pl.exceptions.PolarsError as error:  # which holds no errno; the file being read is not to blame
            raise OSError(errno.EIO, f"Rows already read could not be written: {error}") from error

    def _write(self, frame: pl.LazyFrame, columns: Sequence[str]) -> None:
        path = self._folder / f"{uuid.uuid4().hex}.parquet"
        schema = self._schema_of(columns)
        try:
            frame.select(columns).sink_parquet(path, compression="zstd", compression_level=1, arrow_schema=schema)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._files.append(path)

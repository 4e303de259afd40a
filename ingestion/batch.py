"""The bronze tables that a batch of resources fills: their columns in Iceberg, and the parquet files to enter them.

Knows neither the ledger nor the raw zone; when the files enter Iceberg, and what they are called there, is the
loader's to say.
"""

from __future__ import annotations

import shutil
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from catalog.iceberg import Lakehouse, arrow_schema
from ingestion import parquet
from ingestion.parquet import BronzeFiles

KEPT_CELLS = 20_000_000  # of small tables kept in memory before they are written, over all tables of a batch


@dataclass(frozen=True, slots=True)
class Part:
    """Rows to enter one bronze table: ``frame`` has exactly ``columns``, lineage included."""

    table: str
    frame: pl.LazyFrame
    columns: Sequence[str]
    rows: int

    @property
    def cells(self) -> int:
        """How much it is."""
        return self.rows * len(self.columns)


class BronzeBatch:
    """Files of one extraction date on their way into the bronze tables of one feed."""

    def __init__(self, lakehouse: Lakehouse, folder: Path, day: date) -> None:
        self.lakehouse, self.day = lakehouse, day
        self._folder = folder / f"batch-{uuid.uuid4().hex[:8]}"
        self._folder.mkdir(parents=True)
        self._tables: dict[str, Any] = {}
        self._columns: dict[str, set[str]] = {}
        self._held: dict[str, set[str]] = {}
        self._shared: dict[str, BronzeFiles] = {}
        self._files: dict[str, list[Path]] = defaultdict(list)
        self._kept_cells = 0
        self.bytes_written = 0

    def ensure(self, name: str, docs: Mapping[str, str]) -> None:
        """Make a bronze table, or give it the columns it lacks."""
        if name in self._tables and docs.keys() <= self._columns[name]:
            return
        table = self.lakehouse.ensure_bronze(name, docs)
        self._tables[name], self._columns[name] = table, {field.name for field in table.schema().fields}

    def holds(self, name: str, resource_id: str) -> bool:
        """Whether a crash left rows of a resource's extraction in a table that the ledger does not call loaded."""
        if name not in self._held:
            self._held[name] = self.lakehouse.resources_held(self._tables[name], self.day)
        return resource_id in self._held[name]

    def add(self, parts: Sequence[Part]) -> None:
        """Write the rows of one resource, all of them or none; small resources share files.

        Raises:
            polars.exceptions.PolarsError: some of them cannot be read.
        """
        cells = sum(part.cells for part in parts)
        if cells > parquet.SMALL_CELLS:
            self._add_large(parts)
            return
        # read before any row is handed over: what is in a shared file cannot be taken out again
        frames = [part.frame.collect(engine="in-memory") for part in parts]
        for part, frame in zip(parts, frames, strict=True):
            if part.table not in self._shared:
                self._shared[part.table] = self._writer(part.table, self._folder)
            self._shared[part.table].keep(frame)
        self._kept_cells += cells
        if self._kept_cells > KEPT_CELLS:
            self._close(self._shared)
            self._kept_cells = 0

    def _add_large(self, parts: Sequence[Part]) -> None:
        """Write a resource into files of its own, in a folder that goes if it cannot be read to its end."""
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        try:
            own: dict[str, BronzeFiles] = {}
            written: dict[str, list[Path]] = defaultdict(list)
            kept_cells = 0
            for part in parts:
                if part.table not in own:
                    own[part.table] = self._writer(part.table, folder)
                own[part.table].add(part.frame, part.columns, part.rows)
                kept_cells += part.cells
                if kept_cells > KEPT_CELLS:
                    _drain(own, written)
                    kept_cells = 0
            _drain(own, written)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for table, files in written.items():
            self._keep(table, files)

    def close(self) -> dict[str, list[Path]]:
        """Write what is kept, and return the files of each table that was asked for, in the order of asking."""
        self._close(self._shared)
        return {name: self._files[name] for name in self._tables}

    def commit(self, name: str, files: Sequence[Path], summary: Mapping[str, str]) -> int | None:
        """Enter a table's files in one commit and return its snapshot."""
        table = self._tables[name]
        if files:
            table.refresh()  # it was read when the batch began
        return self.lakehouse.append_files(table, files, self.day.isoformat(), summary)

    def remove(self) -> None:
        """Remove the files that were not committed."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _writer(self, name: str, folder: Path) -> BronzeFiles:
        return BronzeFiles(folder, partial(_schema_of, self._tables, name))

    def _close(self, writers: dict[str, BronzeFiles]) -> None:
        written: dict[str, list[Path]] = defaultdict(list)
        _drain(writers, written)
        for name, files in written.items():
            self._keep(name, files)

    def _keep(self, name: str, files: Sequence[Path]) -> None:
        self._files[name] += files
        self.bytes_written += sum(file.stat().st_size for file in files)


def _drain(writers: dict[str, BronzeFiles], written: dict[str, list[Path]]) -> None:
    while writers:
        name, writer = writers.popitem()
        written[name] += writer.close()


def _schema_of(tables: Mapping[str, Any], name: str, columns: Sequence[str]) -> pa.Schema:
    return arrow_schema(tables[name], columns)

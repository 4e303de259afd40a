"""Many small data files of a table become one, with the same rows in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from catalog.errors import PermanentError
from catalog.iceberg import FieldIds, Pin
from catalog.iceberg_files import DataFile
from catalog.names import quote_identifier, quote_literal
from catalog.session import table_function
from catalog.storable import copy_to_parquet

SMALL_BYTES = 32 << 20  # a larger file is left alone
FEWEST = 4  # small files of one partition that are worth a rewrite
TARGET_BYTES = 256 << 20  # about the size of what is written


@dataclass(frozen=True, slots=True)
class SmallFiles:
    """Small files of one partition that become one, in the order they came in."""

    day: date | None
    files: tuple[DataFile, ...]

    @property
    def rows(self) -> int:
        """Rows of all of them."""
        return sum(one.rows for one in self.files)

    @property
    def paths(self) -> list[str]:
        """Their paths."""
        return [one.path for one in self.files]


def find_small_files(files: Iterable[DataFile]) -> list[SmallFiles]:
    """The groups of files worth making one of each; none is best."""
    by_day: dict[date | None, list[DataFile]] = {}
    for one in files:
        if one.size_bytes < SMALL_BYTES:
            by_day.setdefault(one.day, []).append(one)
    return [group for day, small in by_day.items() if len(small) >= FEWEST for group in _packed(day, small)]


def write_together(
    connection: duckdb.DuckDBPyConnection, pin: Pin, ids: FieldIds, group: SmallFiles, folder: Path
) -> Path:
    """Write the rows of some files of a pinned table as one parquet file, which DuckDB streams, and return it.

    Raises:
        PermanentError: what was written does not hold as many rows; nothing else has changed then.
    """
    path = folder / f"together-{group.day or 'all'}-{abs(hash(group.files)):x}.parquet"
    copy_to_parquet(connection, _rows_of(pin, ids, group), ids, path)
    if (written := pq.read_metadata(path).num_rows) != group.rows:
        raise PermanentError(
            f"{len(group.files)} files of {pin.layer}.{pin.name} hold {group.rows} rows but {written} were read."
            " The table is left as it is; see whether its files are whole."
        )
    return path


def _rows_of(pin: Pin, ids: FieldIds, group: SmallFiles) -> str:
    columns = ", ".join(quote_identifier(name) for name in ids)
    paths = ", ".join(quote_literal(path) for path in group.paths)
    day = f" and _extraction_date = date {quote_literal(group.day.isoformat())}" if group.day else ""
    order = f"list_position([{paths}], filename), file_row_number"
    where = f"filename in ({paths}){day}"
    return f"select {columns} from {table_function(pin)} where {where} order by {order}"  # noqa: S608 - all quoted


def _packed(day: date | None, small: list[DataFile]) -> Iterator[SmallFiles]:
    """Groups of about the target's size; the last one may be small."""
    packed: list[DataFile] = []
    for one in small:
        if packed and sum(each.size_bytes for each in packed) + one.size_bytes > TARGET_BYTES:
            yield SmallFiles(day, tuple(packed))
            packed = []
        packed.append(one)
    if len(packed) > 1:
        yield SmallFiles(day, tuple(packed))

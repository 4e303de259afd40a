"""Decodes the columnar formats of Arrow's library: parquet, Arrow (feather) and ORC, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.ipc
import pyarrow.orc
import pyarrow.parquet as pq

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode import kinds
from ingestion.decode.archives import MACHINE_ERRORS
from ingestion.decode.arrow_text import scan_text, write_text
from ingestion.decode.table import DecodedTable, Source

BATCH_ROWS = 1 << 16
MAX_COLUMNS = 20_000
_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError)


Opener = Callable[[pa.NativeFile], tuple[pa.Schema, Iterator[pa.RecordBatch]]]


def _open_parquet(file: pa.NativeFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    opened = pq.ParquetFile(file)
    return opened.schema_arrow, opened.iter_batches(batch_size=BATCH_ROWS)


def _open_arrow(file: pa.NativeFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    opened = pa.ipc.open_file(file)
    return opened.schema, map(_checked, map(opened.get_batch, range(opened.num_record_batches)))


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Check what the Arrow reader takes from a file unseen: a false offset would crash what uses it."""
    batch.validate(full=True)
    return batch


def _open_orc(file: pa.NativeFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    opened = pyarrow.orc.ORCFile(file)
    return opened.schema, map(opened.read_stripe, range(opened.nstripes))


_OPENERS: dict[str, Opener] = {kinds.PARQUET: _open_parquet, kinds.ARROW: _open_arrow, kinds.ORC: _open_orc}


def decode_columnar(source: Source, kind: str) -> DecodedTable:
    """Decode one parquet, Arrow or ORC file into one table of text, written out so that what is broken shows now.

    Raises:
        Refused: when it is cut, corrupt or encrypted, or has no column.
    """
    target = source.new_file(".parquet")
    try:
        with pa.OSFile(str(source.path)) as file:
            schema, batches = _OPENERS[kind](file)
            columns = _columns(schema, kind)
            count = write_text(target, columns, (batch.columns for batch in batches))
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            raise
        raise Refused(f"The {kind} is cut, corrupt or written in an unknown way: {error}.") from error
    facts = {**source.facts, "kind": kind.partition(" ")[0].lower()}
    return DecodedTable(source.member, schema.names, columns, scan_text(target), count, [], facts)


def _columns(schema: pa.Schema, kind: str) -> list[str]:
    if not 0 < len(schema.names) <= MAX_COLUMNS:
        raise Refused(f"The {kind} has {len(schema.names):,} columns: there is no table in it.")
    return column_names(schema.names)

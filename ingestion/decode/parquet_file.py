"""Decodes the columnar formats of Arrow's library: parquet, Arrow (feather) and ORC, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.orc
import pyarrow.parquet as pq

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode import kinds
from ingestion.decode.archives import MACHINE_ERRORS, is_beyond
from ingestion.decode.arrow_text import scan_text, write_text
from ingestion.decode.table import DecodedTable, Source

BATCH_ROWS, BATCH_CELLS = 1 << 16, 1 << 24
BATCH_BYTES = 1 << 26  # of text that a batch may become: one long word may stand in every row, written once
MAX_COLUMNS = 20_000
_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError)


Opener = Callable[[pa.NativeFile], tuple[pa.Schema, Iterator[pa.RecordBatch]]]


def _open_parquet(file: pa.NativeFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Read texts as their words and which stands where, so that they can be measured before they are written out."""
    metadata = pq.read_metadata(file)
    _check_growth(sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)), file.size())
    schema = metadata.schema.to_arrow_schema()
    texts = [
        name
        for name, kind in zip(schema.names, schema.types, strict=True)
        if pa.types.is_string(kind) or pa.types.is_binary(kind)
    ]
    opened = pq.ParquetFile(file, metadata=metadata, read_dictionary=texts)
    rows = max(1, min(BATCH_ROWS, BATCH_CELLS // max(1, len(schema.names))))
    return schema, opened.iter_batches(batch_size=rows)


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
            count = write_text(target, columns, (batch.columns for batch in _bounded(batches, file.size())))
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
            raise
        raise Refused(f"The {kind} is cut, corrupt or written in an unknown way: {error}.") from error
    facts = {**source.facts, "kind": kind.partition(" ")[0].lower()}
    return DecodedTable(source.member, schema.names, columns, scan_text(target), count, [], facts)


def _bounded(batches: Iterator[pa.RecordBatch], packed_bytes: int) -> Iterator[pa.RecordBatch]:
    """Cut batches so that none becomes more text than memory should hold; refuse a file that never ends."""
    expanded_bytes = 0
    for batch in batches:
        expanded_bytes += _expanded_bytes(batch)
        _check_growth(expanded_bytes, packed_bytes)
        yield from _cut(batch)


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.num_rows < 2 or _expanded_bytes(batch) <= BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _cut(batch.slice(0, half))
    yield from _cut(batch.slice(half))


def _expanded_bytes(batch: pa.RecordBatch) -> int:
    """The bytes of a batch once each row has its own words."""
    return sum(map(_column_bytes, batch.columns))


def _column_bytes(array: pa.Array) -> int:
    if not (pa.types.is_dictionary(array.type) and _is_words(array.type.value_type)):
        return int(array.nbytes)
    return int(pc.sum(pc.binary_length(array.dictionary).take(array.indices).cast(pa.int64())).as_py() or 0)


def _is_words(kind: pa.DataType) -> bool:
    is_one = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(one(kind) for one in is_one)


def _check_growth(expanded_bytes: int, packed_bytes: int) -> None:
    if is_beyond(expanded_bytes, packed_bytes):
        raise Refused(f"It grows to {expanded_bytes >> 20:,} MiB from {packed_bytes:,} bytes: not read.")


def _columns(schema: pa.Schema, kind: str) -> list[str]:
    if not 0 < len(schema.names) <= MAX_COLUMNS:
        raise Refused(f"The {kind} has {len(schema.names):,} columns: there is no table in it.")
    return column_names(schema.names)

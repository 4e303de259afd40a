"""Writes typed columns as text, by one rule for every format that types its values.

A null is the empty text; a number its shortest decimal, without ``.0``; a date or a time ISO 8601; a boolean ``true``
or ``false``; bytes upper-case hexadecimal; a list or a struct compact JSON, and a
map the list of its keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.decode.json_text import Number, Value, compact
from ingestion.decode.table import LINE

_UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def number_text(value: float) -> str:
    """The shortest decimal that gives the same number back: ``1``, ``0.1``, ``1e+20``."""
    text = repr(value)
    return text.removesuffix(".0") if math.isfinite(value) else text


def to_text(array: pa.Array) -> pa.Array:
    """Turn an Arrow array into one of text without nulls."""
    if isinstance(array, pa.ExtensionArray):
        return to_text(array.storage)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return pc.fill_null(_cast(array), "")


def _cast(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _valid_utf8(array.cast(pa.binary() if pa.types.is_string(kind) else pa.large_binary()))
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_null(kind):
        return array.cast(pa.string())
    if pa.types.is_timestamp(kind):
        return _timestamps(array)
    if pa.types.is_time(kind):
        return _without_zeros(array.cast(pa.string()), _UNITS[kind.unit])
    if pa.types.is_nested(kind):
        return pa.array([None if value is None else compact(value) for value in _values(array)], pa.large_string())
    if pa.types.is_duration(kind):
        ticks = array.cast(pa.int64()).to_pylist()
        return pa.array([_duration(tick, _UNITS[kind.unit]) for tick in ticks], pa.large_string())
    if pa.types.is_float32(kind) or pa.types.is_float64(kind):
        return _numbers(array.cast(pa.large_string()))
    return pa.array([_scalar(value) for value in array.to_pylist()], pa.large_string())


def _valid_utf8(array: pa.Array) -> pa.Array:
    """Read bytes that claim to be UTF-8; the stray ones as everywhere else, as cp1252."""
    try:
        return array.cast(pa.large_string())
    except pa.ArrowInvalid:
        values = (value and value.decode("utf-8", "odh_cp1252") for value in array.to_pylist())
        return pa.array(values, pa.large_string())


def _timestamps(array: pa.Array) -> pa.Array:
    """An instant is written in UTC, with its Z; a local time without."""
    kind = array.type
    local = array.cast(pa.timestamp(kind.unit, "UTC")).cast(pa.timestamp(kind.unit)) if kind.tz else array
    text = _without_zeros(pc.replace_substring(local.cast(pa.string()), " ", "T"), _UNITS[kind.unit])
    return pc.binary_join_element_wise(text, "Z", "") if kind.tz else text


def _without_zeros(array: pa.Array, decimals: int) -> pa.Array:
    return pc.replace_substring_regex(array, r"\.?0+$", "") if decimals else array


def _scalar(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, float):
        return number_text(value)
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _duration(tick: int | None, decimals: int) -> str | None:
    return None if tick is None else f"PT{Decimal(tick).scaleb(-decimals).normalize():f}S"


def _numbers(shortest: pa.Array) -> pa.Array:
    """Write the few that Arrow gives an exponent as Python does: it does so from 1e15, which codes can reach."""
    is_scientific = pc.fill_null(pc.match_substring(shortest, "e"), False)
    if not pc.any(is_scientific).as_py():
        return shortest
    rewritten = [number_text(float(text)) for text in shortest.filter(is_scientific).to_pylist()]
    return pc.replace_with_mask(shortest, is_scientific, pa.array(rewritten, pa.large_string()))


def _values(array: pa.Array) -> list[Value]:
    """Nested values as JSON holds them; the library's own would lose nanoseconds and years beyond 9999."""
    if isinstance(array, pa.ExtensionArray):
        return _values(array.storage)
    kind = array.type
    if pa.types.is_struct(kind):
        fields = _distinct([field.name for field in kind])
        rows = zip(*map(_values, array.flatten()), strict=True) if fields else iter([()] * len(array))
        records = [dict(zip(fields, row, strict=True)) for row in rows]
        return [record if valid else None for record, valid in zip(records, array.is_valid().to_pylist(), strict=True)]
    if pa.types.is_map(kind):
        pairs = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return _values(array.cast(pa.list_(pairs)))
    if pa.types.is_nested(kind):
        items = iter(_values(array.flatten()))
        lengths = pc.list_value_length(array).to_pylist()
        return [None if length is None else list(islice(items, length)) for length in lengths]
    texts = _cast(array.dictionary_decode() if pa.types.is_dictionary(kind) else array).to_pylist()
    if pa.types.is_boolean(kind):
        return list(array.to_pylist())
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return [Number(text) if is_number and text is not None and text[-1].isdigit() else text for text in texts]


def _distinct(names: list[str]) -> list[str]:
    """Tell fields of one name apart, as repeated keys of JSON are."""
    distinct: list[str] = []
    for name in names:
        copies = (name, *(f"{name}_{copy}" for copy in range(2, len(names) + 2)))
        distinct.append(next(one for one in copies if one not in distinct))
    return distinct


def write_text(path: Path, columns: Sequence[str], batches: Iterable[Sequence[pa.Array]]) -> int:
    """Write batches of columns as text, with their row number from 1, and count the rows."""
    schema = pa.schema([*((name, pa.large_string()) for name in columns), (LINE, pa.int64())])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for arrays in batches:
            rows = len(arrays[0])
            numbers = pa.array(range(count + 1, count + rows + 1), pa.int64())
            texts = [to_text(array).cast(pa.large_string()) for array in arrays]
            writer.write_batch(pa.record_batch([*texts, numbers], schema=schema))
            count += rows
    return count


def scan_text(path: Path) -> pl.LazyFrame:
    """The frame of what ``write_text`` wrote."""
    return pl.scan_parquet(path, glob=False)

"""Parquet, Arrow and ORC files: every type as text, by one rule; broken files refused."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from catalog.errors import Refused
from ingestion.decode import DecodedTable, archives, decode, parquet_file

TABLE = pa.table({"Code": ["01", None, "2A"], "n": [1.0, None, 0.1]})
NANOSECOND = 1_700_000_000_123_456_789


def run(path: Path, content: bytes, name: str = "lies.csv") -> DecodedTable:
    source = path / "source"
    source.write_bytes(content)
    (table,) = decode(source, file_name=name, declared_format="csv", scratch=path / "scratch")
    assert isinstance(table, DecodedTable)
    return table


def parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def arrow(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pa.feather.write_feather(table, buffer)
    return buffer.getvalue()


def orc(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pa.orc.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"), [(parquet(TABLE), "parquet"), (arrow(TABLE), "arrow"), (orc(TABLE), "orc")], ids=lambda c: c
)
def test_columnar_file_becomes_text_with_its_row_numbers(content: bytes, kind: str, tmp_path: Path) -> None:
    table = run(tmp_path, content)

    assert (table.headers, table.columns, table.rows, table.facts["kind"]) == (["Code", "n"], ["code", "n"], 3, kind)
    assert table.frame.collect().schema == {"code": pl.String, "n": pl.String, "_source_line": pl.Int64}
    assert table.frame.collect().rows() == [("01", "1", 1), ("", "", 2), ("2A", "0.1", 3)]


TYPES: dict[str, tuple[pa.Array, str]] = {
    "integer": (pa.array([-3]), "-3"),
    "great integer": (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    "double": (pa.array([1234567.0]), "1234567"),
    "small double": (pa.array([1e-7]), "1e-07"),
    "float, by its own precision": (pa.array([1.1], pa.float32()), "1.1"),
    "great whole double": (pa.array([1e15]), "1000000000000000"),
    "not a number": (pa.array([float("nan")]), "nan"),
    "decimal, its scale kept": (pa.array([Decimal("1.50")]), "1.50"),
    "small decimal": (pa.array([Decimal("0.00000001")]), "0.00000001"),
    "boolean": (pa.array([True]), "true"),
    "date": (pa.array([date(2024, 1, 2)]), "2024-01-02"),
    "date beyond Python's": (pa.array([2932897], pa.date32()), "10000-01-01"),
    "timestamp": (pa.array([datetime(2024, 1, 2, 3, 4, 5)]), "2024-01-02T03:04:05"),  # noqa: DTZ001
    "timestamp at midnight": (pa.array([datetime(2024, 1, 10)]), "2024-01-10T00:00:00"),  # noqa: DTZ001
    "timestamp in milliseconds": (pa.array([1_700_000_000_100], pa.timestamp("ms")), "2023-11-14T22:13:20.1"),
    "timestamp to the nanosecond": (pa.array([NANOSECOND], pa.timestamp("ns")), "2023-11-14T22:13:20.123456789"),
    "instant, in UTC": (
        pa.array([datetime(2024, 1, 2, tzinfo=UTC)], pa.timestamp("us", "Europe/Paris")),
        "2024-01-02T00:00:00Z",
    ),
    "time": (pa.array([time(3, 4)]), "03:04:00"),
    "duration": (pa.array([timedelta(minutes=1, milliseconds=500)]), "PT60.5S"),
    "whole duration": (pa.array([timedelta(seconds=10)]), "PT10S"),
    "bytes": (pa.array([b"\x01\xab"]), "01AB"),
    "category": (pa.array(["x"]).dictionary_encode(), "x"),
    "list": (pa.array([["a", None, 'é"']]), '["a",null,"é\\""]'),
    "struct": (pa.array([{"a": 1.0, "b": [True], "c": None}]), '{"a":1,"b":[true],"c":null}'),
    "list of nanoseconds": (
        pa.array([[NANOSECOND]], pa.list_(pa.timestamp("ns"))),
        '["2023-11-14T22:13:20.123456789"]',
    ),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '[{"key":"k","value":1}]'),
    "null": (pa.nulls(1), ""),
    "broken UTF-8": (pa.array([b"\xe9t\xe9"]).view(pa.string()), "été"),
}


@pytest.mark.parametrize(("array", "text"), TYPES.values(), ids=TYPES)
def test_every_type_has_its_text(array: pa.Array, text: str, tmp_path: Path) -> None:
    table = run(tmp_path, parquet(pa.table({"x": pa.concat_arrays([array, pa.nulls(1, array.type)])})))

    assert table.frame.collect()["x"].to_list() == [text, ""]


def test_columns_of_one_name_stay_apart(tmp_path: Path) -> None:
    table = run(tmp_path, parquet(pa.table([pa.array(["a"]), pa.array(["b"])], names=["x", "X"])))

    assert table.frame.collect().rows() == [("a", "b", 1)]
    assert table.columns == ["x", "x_2"]


def test_rows_are_numbered_across_batches_and_row_groups(tmp_path: Path) -> None:
    count = 150_000
    table = run(tmp_path, parquet(pa.table({"x": range(count)}), row_group_size=70_000))
    frame = table.frame.collect()

    assert table.rows == count
    assert frame["_source_line"].to_list() == list(range(1, count + 1))
    assert frame["x"].cast(pl.Int64).to_list() == list(range(count))


def test_table_without_row_keeps_its_columns(tmp_path: Path) -> None:
    table = run(tmp_path, parquet(TABLE.slice(0, 0)))

    assert (table.rows, table.frame.collect().columns) == (0, ["code", "n", "_source_line"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (parquet(TABLE)[:-5], "cut"),
        (b"PAR1" + bytes(50), "cut"),
        (arrow(TABLE)[:-30], "cut"),
        (orc(TABLE)[:-8], "cut"),
        (parquet(pa.table({})), "0 columns"),
        (b"PARE" + bytes(50), "encrypted"),
    ],
    ids=["cut parquet", "no parquet", "cut arrow", "cut ORC", "no column", "encrypted"],
)
def test_broken_columnar_file_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=reason):
        run(tmp_path, content)


@pytest.mark.parametrize("header", ["PAR1;PAR2", "ORCID,name", "ARROW1;x", "BZh9;x"])
def test_header_that_looks_like_magic_is_text(header: str, tmp_path: Path) -> None:
    table = run(tmp_path, f"{header}\n1;2\n".replace(";", header[-2] if "," in header else ";").encode())

    assert table.facts["kind"] == "csv"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()], ids=str)
def test_one_long_word_in_every_row_is_refused_before_it_is_written_out(tmp_path: Path, kind: pa.DataType) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["x" * 100_000]).cast(kind))
    pq.write_table(pa.table({"a": words.cast(pa.dictionary(pa.int32(), kind))}), tmp_path / "a.parquet")
    with pytest.raises(Refused, match="It grows to"):
        list(decode(tmp_path / "a.parquet", file_name="a", declared_format=None, scratch=tmp_path / "s"))


def test_a_page_that_announces_gigabytes_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "RATIO_FROM_BYTES", 1 << 20)
    table = pa.table({"a": ["y" * (4 << 20)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
    with pytest.raises(Refused, match="It grows to 4 MiB"):
        list(decode(tmp_path / "a.parquet", file_name="a", declared_format=None, scratch=tmp_path / "s"))


def test_batches_that_become_much_text_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "BATCH_BYTES", 100)
    texts = [f"{'x' * (row % 40)}{row}" for row in range(300)]
    pq.write_table(pa.table({"a": texts, "b": list(range(300))}), tmp_path / "a.parquet")
    [found] = decode(tmp_path / "a.parquet", file_name="a", declared_format=None, scratch=tmp_path / "s")
    assert isinstance(found, DecodedTable)
    frame = found.frame.collect()
    assert frame["a"].to_list() == texts
    assert frame["_source_line"].to_list() == list(range(1, 301))

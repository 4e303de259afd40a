"""Parquet files of bronze: what shares a file, what is NULL, which field ids, and who is to blame for an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import parquet
from ingestion.parquet import BronzeFiles

IDS = {"a": 1, "b": 2, "c": 7, "_source_line": 5}


def schema_of(columns: Sequence[str]) -> pa.Schema:
    types = {"_source_line": pa.int64()}
    return pa.schema(
        [pa.field(c, types.get(c, pa.large_string()), metadata={"PARQUET:field_id": str(IDS[c])}) for c in columns]
    )


def table(lines: int, *columns: str, text: str = "") -> tuple[pl.LazyFrame, list[str], int]:
    cells = {column: [text] * lines for column in columns} | {"_source_line": list(range(2, lines + 2))}
    return pl.LazyFrame(cells), list(cells), lines


def read(files: Sequence[Path]) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in files], how="diagonal")


def test_small_tables_share_a_file_and_lack_what_they_had_not(tmp_path: Path) -> None:
    files = BronzeFiles(tmp_path, schema_of)
    files.add(*table(2, "a", "b"))
    files.add(*table(0, "a"))
    files.add(*table(1, "c", "a", text="x"))
    [written] = files.close()

    assert pl.read_parquet(written).select(*IDS).rows() == [("", "", None, 2), ("", "", None, 3), ("x", None, "x", 2)]
    assert files.bytes_written == written.stat().st_size


def test_every_column_carries_its_field_id(tmp_path: Path) -> None:
    files = BronzeFiles(tmp_path, schema_of)
    files.add(*table(2, "a"))
    files.add(*table(2, "c", "b"))
    [written] = files.close()

    fields = pq.read_schema(written)
    assert {f.name: int(f.metadata[b"PARQUET:field_id"]) for f in fields} == IDS
    assert pq.ParquetFile(written).metadata.row_group(0).column(0).compression == "ZSTD"


def test_large_table_has_a_file_of_its_own_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "SMALL_CELLS", 10)
    files = BronzeFiles(tmp_path, schema_of)
    files.add(*table(1, "a", text="first"))
    files.add(*table(6, "a"))

    assert [pl.read_parquet(path).height for path in tmp_path.iterdir()] == [6]
    assert files.bytes_written > 0
    assert [pl.read_parquet(path).height for path in files.close()] == [6, 1]


def test_small_tables_are_written_before_they_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "KEPT_BYTES", 1000)
    files = BronzeFiles(tmp_path, schema_of)
    for number in range(10):
        files.add(*table(10, "a", text=f"{number}" * 20))
    written = files.close()

    assert len(written) > 2
    assert read(written)["a"].to_list() == [f"{n}" * 20 for n in range(10) for _ in range(10)]
    assert files.close() == written


@pytest.mark.parametrize("small_cells", [0, 1000], ids=["large", "small"])
def test_table_that_cannot_be_read_raises_as_it_is_added_and_harms_no_other(
    small_cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "SMALL_CELLS", small_cells)
    files = BronzeFiles(tmp_path, schema_of)
    files.add(*table(1, "a"))
    torn = tmp_path / "torn.csv"
    torn.write_bytes(b'1\n"2\n')
    frame = pl.scan_csv(torn, has_header=False, schema={"a": pl.Int64, "_source_line": pl.Int64})
    with pytest.raises(pl.exceptions.PolarsError):
        files.add(frame, ["a", "_source_line"], 1)
    files.add(*table(2, "a"))

    written = files.close()
    assert read(written).height == 3
    assert sorted(tmp_path.glob("*.parquet")) == sorted(written)


def test_nothing_added_gives_no_file(tmp_path: Path) -> None:
    assert BronzeFiles(tmp_path, schema_of).close() == []

"""The real files of data.gouv.fr against an independent reading of each of their tables."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingestion.decode import DecodedTable, decode

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "datagouv"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="the real files (../shared/datagouv) are not here"),
]
TEXT_KINDS = ("delimited", "gtfs-member", "json", "geojson")
Entry = dict[str, Any]


def entries() -> list[Entry]:
    path = DATA / "expected.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def case_id(entry: Entry) -> str:
    return "-".join(filter(None, [entry["file"].split("/", 1)[1], entry["member"]]))


def read(entry: Entry, scratch: Path) -> DecodedTable:
    name = entry["file"].rsplit("/", 1)[-1]
    tables = decode(DATA / "datasets" / entry["file"], file_name=name, declared_format=None, scratch=scratch)
    found = [table for table in tables if isinstance(table, DecodedTable) and table.member == entry["member"]]
    assert len(found) == 1
    return found[0]


def digest(column: pl.Series) -> str:
    return hashlib.sha256("".join(f"{cell}\x1f" for cell in column).encode()).hexdigest()


@pytest.mark.parametrize("entry", [e for e in entries() if e["kind"] in TEXT_KINDS[:2]], ids=case_id)
def test_delimited_file_gives_every_cell_of_the_independent_reading(entry: Entry, tmp_path: Path) -> None:
    table = read(entry, tmp_path)
    frame = table.frame.collect(engine="streaming")

    assert table.headers == entry["columns"]
    assert (table.rows, len(table.rejects)) == (
        entry["records"] - entry["ragged_short"] - entry["ragged_long"],
        entry["ragged_short"] + entry["ragged_long"],
    )
    assert frame.height == table.rows
    assert frame.null_count().sum_horizontal().item() == 0
    assert [digest(frame[name]) for name in table.columns] == entry["column_digests"]
    assert int(table.facts["header_line"]) == entry["header_row"] + 1
    assert table.facts["separator"] == entry["separator"]
    assert table.facts["encoding"] == entry["encoding"].replace("ascii", "utf-8")

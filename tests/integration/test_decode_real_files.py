"""The real files of data.gouv.fr against an independent reading of each of their tables."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog.errors import Refused
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


@pytest.mark.parametrize("entry", [e for e in entries() if e["kind"] in TEXT_KINDS[2:]], ids=case_id)
def test_json_file_gives_every_record_and_key_of_the_independent_reading(entry: Entry, tmp_path: Path) -> None:
    table = read(entry, tmp_path)
    frame = table.frame.collect()

    beside = {"json": [], "geojson": ["geometry", "longitude", "latitude"]}[entry["kind"]]
    assert table.headers[: len(entry["columns"])] == entry["columns"]
    assert set(table.headers[len(entry["columns"]) :]) <= set(beside)
    assert table.rows + len(table.rejects) == entry["records"]
    assert frame.null_count().sum_horizontal().item() == 0
    assert frame["_source_line"].to_list() == list(range(1, table.rows + 1))
    document = json.loads(content(entry))
    for key in entry["columns"]:
        cells = frame[table.columns[table.headers.index(key)]].to_list()
        values = [as_cell(record.get(key)) for record in records(document)]
        assert cells == values


def content(entry: Entry) -> bytes:
    path = DATA / "datasets" / entry["file"]
    if entry["container"] == "zip":
        return zipfile.ZipFile(path).read(entry["member"])
    return gzip.decompress(path.read_bytes()) if entry["container"] == "gz" else path.read_bytes()


def records(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        document = document.get("features") or document["marches"]
    return [element.get("properties", element) for element in document]


def as_cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_members_that_are_documents_are_refused_one_by_one(tmp_path: Path) -> None:
    path = DATA / "datasets" / "base-de-donnees-incendies-de-forets-bdiff" / "incendies.zip"
    found = list(decode(path, file_name=path.name, declared_format="zip", scratch=tmp_path))

    assert sorted((one.member or "", type(one).__name__) for one in found) == [
        ("Définitions.pdf", "RefusedMember"),
        ("Incendies.csv", "DecodedTable"),
        ("Mention légales.pdf", "RefusedMember"),
    ]


@pytest.mark.parametrize("entry", [e for e in entries() if e["kind"] == "parquet"], ids=case_id)
def test_parquet_file_gives_every_cell_of_the_independent_reading(entry: Entry, tmp_path: Path) -> None:
    table = read(entry, tmp_path)
    frame = table.frame.collect()

    assert (table.headers, table.rows, table.rejects) == (entry["columns"], entry["records"], [])
    assert [digest(frame[name]) for name in table.columns] == entry["column_digests"]
    assert frame["_source_line"].to_list() == list(range(1, table.rows + 1))


def test_members_of_a_transport_feed_say_what_they_belong_to(tmp_path: Path) -> None:
    members = {(e["file"], e["member"]) for e in entries() if e["kind"] == "gtfs-member"}
    (file,) = {file for file, _ in members}
    found = list(decode(DATA / "datasets" / file, file_name="gtfs.zip", declared_format=None, scratch=tmp_path))

    assert {(file, one.member) for one in found} == members
    assert {one.facts["container_kind"] for one in found if isinstance(one, DecodedTable)} == {"gtfs"}


@pytest.mark.parametrize(
    "entry",
    [e for e in entries() if e["kind"] not in (*TEXT_KINDS, "parquet", "other") and not e["container"]],
    ids=case_id,
)
def test_format_not_read_yet_is_refused_by_its_name(entry: Entry, tmp_path: Path) -> None:
    path = DATA / "datasets" / entry["file"]
    with pytest.raises(Refused, match=entry["kind"]):
        list(decode(path, file_name="lies.csv", declared_format="csv", scratch=tmp_path))

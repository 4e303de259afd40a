"""The real files of data.gouv.fr against an independent reading of each of their tables."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import struct
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.decode import DecodedTable, RefusedMember, decode

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "datagouv"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="the real files (../shared/datagouv) are not here"),
]
TEXT_KINDS = ("delimited", "gtfs-member", "json", "geojson")
SHEET_KINDS = ("xls", "xlsx")
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
    assert all(one.is_document for one in found if isinstance(one, RefusedMember))


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


@pytest.mark.parametrize("file", sorted({e["file"] for e in entries() if e["kind"] in SHEET_KINDS}))
def test_workbook_gives_every_cell_of_the_independent_reading(file: str, tmp_path: Path) -> None:
    found = list(decode(DATA / "datasets" / file, file_name="lies.csv", declared_format="csv", scratch=tmp_path))
    expected = [entry for entry in entries() if entry["file"] == file]

    assert [one.member for one in found] == [entry["member"] for entry in expected]
    for one, entry in zip(found, expected, strict=True):
        check_sheet(one, entry)


def check_sheet(one: DecodedTable | RefusedMember, entry: Entry) -> None:
    if entry["records"] is None:
        assert isinstance(one, RefusedMember)
        assert one.is_document
        return

    assert isinstance(one, DecodedTable)
    frame = one.frame.collect()
    assert (one.headers, one.rows, one.rejects) == (entry["columns"], entry["records"], [])
    assert frame.null_count().sum_horizontal().item() == 0
    assert [digest(frame[name]) for name in one.columns] == entry["column_digests"]
    assert rows_digest(frame.select(one.columns)) == entry["rows_digest"]
    assert int(one.facts["header_line"]) == entry["header_row"] + 1
    titles = [title for title in entry["title_lines"] if title]
    assert one.facts.get("title_lines", "") == "\n".join(titles)


def rows_digest(frame: pl.DataFrame) -> str:
    digests = (hashlib.sha256("".join(f"{cell}\x1f" for cell in row).encode()).digest() for row in frame.iter_rows())
    return f"{sum(int.from_bytes(one, 'big') for one in digests) % 2**256:064x}"


@pytest.mark.parametrize(
    ("record", "error"),
    [(b"\x05\x02\x0a\x00%s\x2a\x01\0\0", "#N/A"), (b"\x05\x02\x0a\x00%s\x07\x01\0\0", "#DIV/0!")],
)
def test_error_cell_of_an_xls_keeps_its_name(record: bytes, error: str, tmp_path: Path) -> None:
    content = (DATA / "datasets" / "communes-nouvelles" / "communes_nouvelles_2018.xls").read_bytes()
    for row, column in ((7, 1), (7, 0), (9, 5)):
        place = struct.pack("<HH", row, column)
        at = content.index(b"\xfd\x00\x0a\x00" + place)  # a shared text
        content = content[:at] + record % content[at + 4 : at + 10] + content[at + 14 :]
    path = tmp_path / "file.xls"
    path.write_bytes(content)
    one = next(decode(path, file_name=path.name, declared_format=None, scratch=tmp_path / "scratch"))
    assert isinstance(one, DecodedTable)
    cells = one.frame.filter(pl.col("_source_line").is_in([8, 10])).collect().rows()

    assert one.rows == 626
    assert (cells[0][:3], cells[1][5]) == ((error, error, "01442"), error)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1))
def test_any_bytes_of_an_xls_are_read_or_refused(changes: list[tuple[float, bytes]], tmp_path: Path) -> None:
    content = bytearray((DATA / "datasets" / "communes-nouvelles" / "communes_nouvelles_2018.xls").read_bytes())
    for place, patch in changes:
        at = int(place * len(content))
        content[at : at + len(patch)] = patch
    path = tmp_path / "file.xls"
    path.write_bytes(content)
    with suppress(Refused):
        for one in decode(path, file_name=path.name, declared_format=None, scratch=tmp_path / "scratch"):
            assert not isinstance(one, DecodedTable) or one.frame.collect().height == one.rows


@pytest.mark.parametrize("entry", [e for e in entries() if e["kind"] == "xml"], ids=case_id)
def test_xml_file_gives_every_element_of_the_independent_reading(entry: Entry, tmp_path: Path) -> None:
    path = DATA / "datasets" / entry["file"]
    found = list(decode(path, file_name=path.name, declared_format=None, scratch=tmp_path))
    by_member = {one.member: one for one in found if isinstance(one, DecodedTable)}
    notes = dict(note.split(": ", 1) for note in entry["notes"] if ": " in note)
    counts = ast.literal_eval(notes["inside it"])
    main = by_member.pop(entry["member"])

    assert len(by_member) + 1 == len(found)
    assert (main.rows, main.facts["element"]) == (entry["records"], notes["main element"])
    assert main.facts["encoding"] == entry["encoding"]
    rows = {str(name).removeprefix(f"{entry['member']}/"): table.rows for name, table in by_member.items()}
    assert rows == {name: counts[name] for name in rows}
    assert set(counts) - set(rows) == {"adresse", "ville", "horaires", "services"}  # once in each: columns
    assert texts_of(ElementTree.fromstring(content(entry))) == sum(
        (cells_of(table) for table in (main, *by_member.values())), Counter()
    )


def texts_of(root: ElementTree.Element) -> Counter[str]:
    """Every attribute and every text of a document, but white space between elements."""
    texts: Counter[str] = Counter()
    for element in root.iter():
        texts.update(value for value in element.attrib.values() if value)
        texts.update([element.text] if element.text and not (len(element) and element.text.isspace()) else [])
    return texts


def cells_of(table: DecodedTable) -> Counter[str]:
    """Every cell of a table that holds something, but the links to the rows around."""
    frame = table.frame.collect()
    links = table.facts["element"].count("/") > 1
    names = [name for name in table.columns if not (links and name.startswith(("pdv_", "jour_")))]
    assert frame.null_count().sum_horizontal().item() == 0
    return Counter(cell for name in names for cell in frame[name] if cell)

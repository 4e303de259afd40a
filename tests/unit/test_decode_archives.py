"""What a file is, by its content; gzip and ZIP archives, sound, broken and hostile."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.decode import DecodedTable, RefusedMember, archives, decode

CSV = b"a;b\n1;2\n"


def run(
    path: Path, content: bytes, name: str = "file.csv", declared: str | None = "csv"
) -> list[DecodedTable | RefusedMember]:
    source = path / "source"
    source.write_bytes(content)
    return list(decode(source, file_name=name, declared_format=declared, scratch=path / "scratch"))


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def cells(table: DecodedTable | RefusedMember) -> list[tuple[object, ...]]:
    assert isinstance(table, DecodedTable)
    return table.frame.collect().rows()


REFUSED = {
    "no byte": (b"", "empty"),
    "HTML": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "HTML"),
    "HTML without doctype": (b"\r\n <html lang='fr'>\n</html>", "HTML"),
    "XHTML": (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html/>', "HTML"),
    "XML": (b'<?xml version="1.0"?>\n<pdv_liste/>', "XML"),
    "XML without declaration": (b'<kml xmlns="http://x">\n</kml>', "XML"),
    "XML in utf-16": ("<?xml version='1.0'?><a/>".encode("utf-16"), "XML"),
    "PDF": (b"%PDF-1.4\n%\xe2\xe3", "PDF"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "xls"),
    "xlsx": (zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}), "xlsx"),
    "ods": (zipped({"mimetype": b"x", "content.xml": b"<x/>"}), "ods"),
    "parquet": (b"PAR1\x15\x04", "parquet"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "PNG"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z"),
    "binary": (bytes(range(256)) * 8, "binary"),
    "calendar": (b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "calendar"),
    "gzip that is cut": (gzip.compress(CSV * 1000)[:-9], "gzip"),
    "gzip that is corrupt": (gzip.compress(CSV)[:-8] + bytes(8), "gzip"),
    "gzip of nothing": (gzip.compress(b""), "empty"),
    "gzip in gzip in gzip": (gzip.compress(gzip.compress(gzip.compress(CSV))), "archive within"),
    "gzip of HTML": (gzip.compress(b"<html></html>"), "HTML"),
    "ZIP that is cut": (zipped({"a.csv": CSV})[:-9], "ZIP"),
    "ZIP of nothing": (zipped({}), "holds no file"),
    "ZIP of a PDF": (zipped({"a.pdf": b"%PDF-1"}), "a.pdf: This is a PDF"),
    "dbf": (b"\x03\x7b\x05\x0d" + bytes(60) + b"NOM" + bytes(40), "binary"),
    "JSON that is cut": (b'[{"a":1},{"a"', "begins as JSON"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_become_a_table_is_refused_with_its_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=reason):
        run(tmp_path, content, name="file", declared="csv" if reason != "begins as JSON" else "json")


def test_content_wins_over_name_and_declared_format(tmp_path: Path) -> None:
    (table,) = run(tmp_path, gzip.compress(b'[{"a": 1}]'), name="lies.xlsx", declared="shp")

    assert cells(table) == [("1", 1)]
    assert isinstance(table, DecodedTable)
    assert table.facts["kind"] == "json"
    assert table.facts["container"] == "gzip"


def test_name_decides_where_content_does_not(tmp_path: Path) -> None:
    (table,) = run(tmp_path, b'{"a";b\n1;2\n', name="odd.csv", declared=None)

    assert cells(table) == [("1", "2", 2)]


def test_each_member_of_a_zip_is_its_own_table(tmp_path: Path) -> None:
    members = {
        "-": CSV,
        "dossier/b.csv": b"x,y\n3,4\n",
        "c.json": b'[{"k": "v"}]',
        "../../etc/d": CSV,
        "doc.pdf": b"%PDF-1",
    }
    found = run(tmp_path, zipped(members))

    assert [one.member for one in found] == list(members)
    assert [cells(one) for one in found[:4]] == [[("1", "2", 2)], [("3", "4", 2)], [("v", 1)], [("1", "2", 2)]]
    assert isinstance(found[4], RefusedMember)
    assert "PDF" in found[4].reason
    assert [path for path in tmp_path.rglob("*") if path.name in ("etc", "d")] == []


def test_members_that_cannot_be_read_leave_the_others(tmp_path: Path) -> None:
    deep = zipped({"x.csv": CSV, "deeper.zip": zipped({"y.csv": CSV})})
    content = bytearray(
        zipped({"locked.csv": CSV, "good.csv": CSV, "bad.csv": b"a;b\n" + b"1;2\n" * 50, "in.zip": deep})
    )
    encrypted_flag = content.index(b"PK\x01\x02") + 8
    struct.pack_into("<H", content, encrypted_flag, 1)
    checksum = content.index(b"bad.csv") - 30 + 14
    struct.pack_into("<I", content, content.index(b"bad.csv", checksum + 30) - 46 + 16, 0)
    found = run(tmp_path, bytes(content))
    reasons = {one.member: one.reason for one in found if isinstance(one, RefusedMember)}

    assert [one.member for one in found] == [
        "locked.csv",
        "good.csv",
        "bad.csv",
        "in.zip/x.csv",
        "in.zip/deeper.zip",
    ]
    assert "encrypted" in reasons["locked.csv"]
    assert "corrupt" in reasons["bad.csv"]
    assert "archive within" in reasons["in.zip/deeper.zip"]
    assert cells(found[1]) == [("1", "2", 2)]


def test_parts_of_a_shapefile_are_not_tables_of_their_own(tmp_path: Path) -> None:
    found = run(tmp_path, zipped({"zone.shp": b"\0\0\x27\x0a", "zone.cpg": b"UTF-8", "liste.csv": CSV}))

    assert [(one.member, type(one).__name__) for one in found] == [
        ("zone.shp", "RefusedMember"),
        ("liste.csv", "DecodedTable"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "cp850", "cp1252"])
def test_member_name_is_read_as_its_writer_meant(encoding: str) -> None:
    info = zipfile.ZipInfo("Définitions à côté.csv".encode(encoding).decode("cp437"))

    assert archives.member_name(info) == "Définitions à côté.csv"


@pytest.mark.parametrize("packed", [gzip.compress(CSV * 5000), zipped({"a.csv": CSV * 5000})], ids=["gzip", "zip"])
def test_archive_that_grows_beyond_measure_is_refused(
    packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 20_000)
    with pytest.raises(Refused):
        run(tmp_path, packed)
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


def test_ratio_counts_only_above_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"a;b\n" + b"1;2\n" * 500_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 100)
    assert len(run(tmp_path, packed)) == 1
    monkeypatch.setattr(archives, "RATIO_FROM_BYTES", 1_000_000)
    with pytest.raises(Refused, match="grows beyond"):
        run(tmp_path, packed)


PIECES = [
    b"a;b\n",
    b'"',
    b"\x00",
    b"\xff",
    b"\r",
    b"{",
    b"[",
    b"<",
    b"1,2\n",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    "é".encode(),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=12).map(b"".join))
def test_any_bytes_become_tables_or_are_refused(content: bytes, tmp_path: Path) -> None:
    for packed in (content, gzip.compress(content), zipped({"x": content})):
        try:
            found = run(tmp_path, packed)
        except Refused:
            continue
        for one in found:
            assert isinstance(one, RefusedMember) or one.frame.collect().height == one.rows

"""What a file is, by its content; gzip and ZIP archives, sound, broken and hostile."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingestion.decode as decoders
from catalog.errors import NotATable, Refused
from ingestion.decode import DecodedTable, RefusedMember, archives, decode
from ingestion.decode.table import Source
from ingestion.decode.text import Utf8Text

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


def tarred(members: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(content)
    return bytes(buffer.getvalue())


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_compressed_file_is_read_as_what_it_holds(kind: str, tmp_path: Path) -> None:
    (table,) = run(tmp_path, COMPRESSIONS[kind](CSV * 1000), name="lies.parquet")

    assert len(cells(table)) == 1999
    assert isinstance(table, DecodedTable)
    assert (table.member, table.facts["container"]) == (None, kind)


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_compressed_file_that_is_cut_is_refused(kind: str, tmp_path: Path) -> None:
    content = COMPRESSIONS[kind](bytes(range(256)) * 50 + CSV)
    with pytest.raises(Refused, match=f"The {kind} file is cut"):
        run(tmp_path, content[: len(content) // 2])


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_two_streams_one_after_the_other_are_one_file(kind: str, tmp_path: Path) -> None:
    (table,) = run(tmp_path, COMPRESSIONS[kind](CSV) + COMPRESSIONS[kind](b"3;4\n"))

    assert cells(table) == [("1", "2", 2), ("3", "4", 3)]


def test_compressed_member_of_an_archive_is_read(tmp_path: Path) -> None:
    found = run(tmp_path, zipped({"a.csv.gz": gzip.compress(CSV), "b.tar.xz": tarred({"c.csv": CSV}, "w:xz")}))

    assert [(one.member, cells(one)) for one in found] == [
        ("a.csv.gz", [("1", "2", 2)]),
        ("b.tar.xz/c.csv", [("1", "2", 2)]),
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_each_member_of_a_tar_archive_is_its_own_table(mode: str, tmp_path: Path) -> None:
    members = {"../../etc/d": CSV, "été/b.json": b'[{"k":"v"}]', "in.zip": zipped({"x.csv": CSV})}
    found = run(tmp_path, tarred(members, mode))

    assert [one.member for one in found] == ["../../etc/d", "été/b.json", "in.zip/x.csv"]
    assert [cells(one) for one in found] == [[("1", "2", 2)], [("v", 1)], [("1", "2", 2)]]
    assert [path for path in tmp_path.rglob("*") if path.name in ("etc", "d")] == []


def test_link_of_a_tar_archive_is_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("passwd.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(Refused, match="a link or a device"):
        run(tmp_path, buffer.getvalue())


def test_what_an_operating_system_left_is_left_out(tmp_path: Path) -> None:
    members = {"a.csv": CSV, "__MACOSX/._a.csv": b"\0\5", "d/.DS_Store": b"\0", "Thumbs.db": b"\0", "d/": b""}

    assert [one.member for one in run(tmp_path, zipped(members))] == ["a.csv"]
    with pytest.raises(Refused, match="holds no file"):
        run(tmp_path, zipped({"__MACOSX/a": b"\0", "d/": b""}))


def test_members_of_one_name_are_tables_of_their_own(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", CSV)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.csv", b"c\n3\n")

    assert [cells(one) for one in run(tmp_path, buffer.getvalue())] == [[("1", "2", 2)], [("3", 2)]]


GTFS = ("agency.txt", "stops.txt", "routes.txt", "trips.txt", "stop_times.txt")


def test_transport_feed_is_told_by_the_files_its_standard_requires(tmp_path: Path) -> None:
    feed = {f"reseau/{name}": CSV for name in GTFS}
    found = run(tmp_path, zipped({**feed, "autre.csv": CSV}))
    without_trips = run(tmp_path, zipped({name: CSV for name in feed if "trips" not in name}))

    assert [one.facts.get("container_kind") for one in found if isinstance(one, DecodedTable)] == ["gtfs"] * 5 + [None]
    assert {one.facts.get("container_kind") for one in without_trips if isinstance(one, DecodedTable)} == {None}


def test_documents_are_told_from_data_that_could_not_be_read(tmp_path: Path) -> None:
    found = run(
        tmp_path, zipped({"a.csv": CSV, "b.pdf": b"%PDF-1", "c.gz": gzip.compress(CSV)[:-5], "d.7z": SEVEN_ZIP})
    )

    assert [one.is_document for one in found if isinstance(one, RefusedMember)] == [True, False, False]
    with pytest.raises(NotATable):
        run(tmp_path, b"%PDF-1.4")
    with pytest.raises(NotATable):
        run(tmp_path, zipped({"a.pdf": b"%PDF-1", "b.html": b"<html></html>"}))
    with pytest.raises(Refused) as raised:
        run(tmp_path, zipped({"a.pdf": b"%PDF-1", "b.7z": SEVEN_ZIP}))
    assert not isinstance(raised.value, NotATable)


SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c\x00\x04"


def test_all_that_an_archive_holds_has_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 20_000)
    large = CSV * 900  # 9,000 bytes, of which two fit
    found = run(tmp_path, zipped({"a.csv": large, "b.csv": large, "c.csv": large, "d.csv": CSV}))

    assert [type(one).__name__ for one in found] == ["DecodedTable", "DecodedTable", "RefusedMember", "DecodedTable"]


def test_bomb_within_a_bomb_is_measured_against_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RATIO_FROM_BYTES", 1 << 20)
    inner = zipped({"a.csv": b"a;b\n" + b"1;2\n" * 2_000_000})
    with pytest.raises(Refused, match="grows beyond"):
        run(tmp_path, zipped({"in.zip": inner}))


def test_number_of_members_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    assert len(run(tmp_path, zipped(dict.fromkeys("abc", CSV)))) == 3
    for content in (zipped(dict.fromkeys("abcd", CSV)), tarred(dict.fromkeys("abcd", CSV))):
        with pytest.raises(Refused, match="above 3 it is not read"):
            run(tmp_path, content)
    found = run(tmp_path, zipped({"a": CSV, "b.zip": zipped(dict.fromkeys("cde", CSV))}))
    assert [type(one).__name__ for one in found] == ["DecodedTable", "RefusedMember"]


def test_list_of_members_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(Refused, match="lists far more"):
        run(tmp_path, zipped({"a" * 100: CSV}))


def test_label_of_a_tar_member_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2 << 20
    with pytest.raises(Refused, match="names a member"):
        run(tmp_path, header.tobuf() + bytes(3 << 20))


def test_crash_of_a_decoder_refuses_that_member_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def crash(source: Source, text: Utf8Text) -> DecodedTable:
        raise {"a": KeyError("oops"), "b": PanicException("index out of bounds")}[source.file_name]

    monkeypatch.setattr(decoders, "decode_delimited", crash)
    found = run(tmp_path, zipped({"a": CSV, "b": CSV, "c": b'[{"k":"v"}]'}))

    assert [one.reason for one in found if isinstance(one, RefusedMember)] == [
        "An unexpected KeyError stopped its reading: 'oops'. Report it.",
        "An unexpected PanicException stopped its reading: index out of bounds. Report it.",
    ]
    assert cells(found[2]) == [("v", 1)]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_fault_of_the_machine_is_no_refusal(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Source, text: Utf8Text) -> DecodedTable:
        raise error

    monkeypatch.setattr(decoders, "decode_delimited", fail)
    with pytest.raises(type(error)):
        run(tmp_path, zipped({"a": CSV}))


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


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=12).map(b"".join))
def test_any_bytes_become_tables_or_are_refused(content: bytes, tmp_path: Path) -> None:
    for packed in (content, gzip.compress(content), zipped({"x": content})):
        try:
            found = run(tmp_path, packed)
        except Refused:
            continue
        for one in found:
            assert isinstance(one, RefusedMember) or one.frame.collect().height == one.rows

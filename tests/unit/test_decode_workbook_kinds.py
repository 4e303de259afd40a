"""Workbooks of other kinds than xlsx, those that are refused and why, and any bytes at all."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from decoded import read, rows, table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office_files import cells, ods, xlsx, zipped

from catalog.errors import NotATable, Refused
from ingestion.decode import DecodedTable, RefusedMember, calamine_process, scratch_rows, xls_errors, zipped_xml
from ingestion.decode.sheet import Sheet

ODS_CELLS = {
    "text": ('office:value-type="string"><text:p>a<text:s text:c="2"/>b</text:p>', "a  b"),
    "paragraphs": ('office:value-type="string"><text:p>a</text:p><text:p><text:span>b</text:span></text:p>', "a\nb"),
    "comment left out": (
        'office:value-type="string"><office:annotation><text:p>n</text:p></office:annotation><text:p>a</text:p>', "a"),
    "float": ('office:value-type="float" office:value="8.0"><text:p>8,00</text:p>', "8"),
    "currency": ('office:value-type="currency" office:value="1.5"><text:p>1,50 €</text:p>', "1.5"),
    "percentage": ('office:value-type="percentage" office:value="0.25"><text:p>25 %</text:p>', "0.25"),
    "date": ('office:value-type="date" office:date-value="2018-10-22"><text:p>22/10/18</text:p>', "2018-10-22"),
    "moment": ('office:value-type="date" office:date-value="2018-10-22T18:00:00"><text:p/>', "2018-10-22T18:00:00"),
    "time": ('office:value-type="time" office:time-value="PT36H00M00S"><text:p>36:00</text:p>', "36:00:00"),
    "boolean": ('office:value-type="boolean" office:boolean-value="true"><text:p>VRAI</text:p>', "true"),
    "error": ('office:value-type="string" calcext:value-type="error"><text:p>#N/D</text:p>', "#N/D"),
}  # fmt: skip


@pytest.mark.parametrize(("xml", "text"), ODS_CELLS.values(), ids=ODS_CELLS.keys())
def test_ods_cell_becomes_its_text(xml: str, text: str, tmp_path: Path) -> None:
    head = "<table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
    sheet = (
        f'<table:table table:name="F">{head}<table:table-cell><text:p>b</text:p></table:table-cell></table:table-row>'
        f"{head}<table:table-cell {xml}</table:table-cell></table:table-row></table:table>"
    )
    assert rows(table(read(tmp_path, ods(sheet)))) == [("a", text, 2)]


def test_ods_repeated_cells_and_rows_and_hidden_sheets(tmp_path: Path) -> None:
    one = '<table:table-cell office:value-type="float" office:value="1" table:number-columns-repeated="2"/>'
    gap = '<table:table-cell table:number-columns-repeated="3"/>'
    name = "<table:table-cell><text:p>n</text:p></table:table-cell>"
    body = (
        f"<table:table-row>{name * 6}</table:table-row>"
        '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
        f'<table:table-row table:number-rows-repeated="2">{one}{gap}{name}'
        '<table:table-cell table:number-columns-repeated="16378"/></table:table-row>'
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/></table:table-row>'
    )
    styles = '<style:style style:name="h"><style:table-properties table:display="false"/></style:style>'
    content = ods(
        f'<table:table table:name="A">{body}</table:table><table:table table:name="B" table:style-name="h">'
        f"{body}</table:table>",
        styles=styles,
    )
    first, second = read(tmp_path, content)
    assert isinstance(first, DecodedTable)
    assert isinstance(second, DecodedTable)
    assert rows(first) == rows(second) == [("1", "1", "", "", "", "n", line) for line in (5, 6)]
    assert ("hidden" in first.facts, "hidden" in second.facts) == (False, True)


XML_WORKBOOK = """<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>
<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"
          xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet" xmlns:html="http://www.w3.org/TR/REC-html40">
 <Worksheet ss:Name="A"><Table><Row><Cell><Data ss:Type="String">a</Data></Cell>
  <Cell ss:Index="3"><Data ss:Type="String">c</Data></Cell></Row>
  <Row ss:Index="4"><Cell><Data ss:Type="Number">8.0</Data></Cell><Cell><Data ss:Type="Boolean">1</Data></Cell>
  <Cell><Data ss:Type="DateTime">2018-10-22T00:00:00.000</Data><Comment><ss:x>no</ss:x></Comment></Cell></Row>
  <Row><Cell><Data ss:Type="Error">#N/A</Data></Cell>
  <Cell><Data ss:Type="DateTime">2018-10-22T18:00:00.000</Data></Cell>
  <Cell><ss:Data ss:Type="String"><html:B>b</html:B>old</ss:Data></Cell></Row></Table></Worksheet>
 <Worksheet ss:Name="B"><Table/></Worksheet>
</Workbook>"""


def test_workbook_saved_as_xml_is_read_as_one(tmp_path: Path) -> None:
    first, second = read(tmp_path, XML_WORKBOOK.encode(), "file.xls")
    assert isinstance(first, DecodedTable)
    assert isinstance(second, RefusedMember)
    assert (first.member, first.headers) == ("A", ["a", "", "c"])
    assert rows(first) == [("8", "true", "2018-10-22", 4), ("#N/A", "2018-10-22T18:00:00", "bold", 5)]


def test_page_named_as_a_workbook_is_refused_as_data(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="HTML page named as a workbook") as raised:
        read(tmp_path, b"<html><table><tr><td>1</td></tr></table></html>", "file.xls")
    assert type(raised.value) is Refused


def ole(*names: str) -> bytes:
    """An OLE file with empty streams of these names in its root."""
    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<HHHHH", header, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<IIIIIIIII", header, 40, 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    struct.pack_into("<109I", header, 76, 0, *[0xFFFFFFFF] * 108)
    table_ = struct.pack("<128I", 0xFFFFFFFD, 0xFFFFFFFE, *[0xFFFFFFFF] * 126)
    entries = b""
    for at, name in enumerate(["Root Entry", *names]):
        sibling = at + 1 if 0 < at < len(names) else 0xFFFFFFFF
        entry = bytearray(128)
        raw = (name + "\0").encode("utf-16-le")
        entry[: len(raw)] = raw
        struct.pack_into(
            "<HBBIII", entry, 64, len(raw), 2 if at else 5, 1, 0xFFFFFFFF, sibling, 1 if at == 0 else 0xFFFFFFFF
        )
        entries += entry
    return bytes(header) + table_ + entries.ljust(512, b"\0")


REFUSED = {
    "Word": (ole("WordDocument", "1Table"), NotATable, "Word document"),
    "PowerPoint": (ole("PowerPoint Document"), NotATable, "PowerPoint"),
    "other OLE": (ole("Whatever"), NotATable, "old Office document"),
    "OLE, cut": (ole("Workbook")[:600], Refused, "cut or corrupt"),
    "encrypted xlsx": (ole("EncryptionInfo", "EncryptedPackage"), Refused, "encrypted"),
    "xls, empty": (ole("Workbook"), Refused, "no sheet"),
    "xlsx, cut": (xlsx({"F": cells([["a", "b"]])})[:-200], Refused, "cut or corrupt"),
    "xlsx without a sheet": (xlsx({}), Refused, "no sheet"),
    "xlsx without its workbook": (zipped({"[Content_Types].xml": "<Types/>", "xl/x": ""}), Refused, "missing"),
    "broken XML": (xlsx({"F": "<row><c>"}), Refused, "mismatched tag"),
    "entities": (
        zipped({"[Content_Types].xml": "<Types/>", "xl/workbook.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}),
        Refused, "entity"),
    "encrypted ods": (ods("", manifest="<manifest:encryption-data/>"), Refused, "encrypted"),
    "OpenDocument text": (ods("", kind="text"), NotATable, "OpenDocument"),
    "cell beyond the last column": (xlsx({"F": '<row r="1"><c r="ZZZ1"><v>1</v></c></row>'}), Refused, "16,384"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "error", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_refused_with_its_reason(
    content: bytes, error: type[Refused], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=reason) as raised:
        read(tmp_path, content)
    assert type(raised.value) is error


def test_bomb_is_refused_before_and_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipped_xml, "RATIO_FROM_BYTES", 1 << 20)
    monkeypatch.setattr(zipped_xml, "MAX_RATIO", 100)
    with pytest.raises(Refused, match="grows to"):
        read(tmp_path, xlsx({"F": cells([["a", "b"]]) + " " * (4 << 20)}))


def test_rows_repeated_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch_rows, "MAX_CELLS", 10_000)
    sheet = (
        '<table:table table:name="F"><table:table-row table:number-rows-repeated="999999999">'
        '<table:table-cell table:number-columns-repeated="9"><text:p>a</text:p></table:table-cell>'
        "</table:table-row></table:table>"
    )
    with pytest.raises(Refused, match="10,000 cells"):
        read(tmp_path, ods(sheet))


def test_reader_that_dies_refuses_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "dies.py"
    script.write_text("import os; os.abort()")
    monkeypatch.setattr(calamine_process, "_SCRIPT", script)
    with pytest.raises(Refused, match="its reader died"):
        list(calamine_process.read_with_calamine(tmp_path))
    assert sys.executable


def record(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def test_errors_of_an_xls_stand_in_their_cells_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end = record(0x0809, b"\0" * 16), record(0x000A)
    sheet = (
        begin
        + record(0x0205, struct.pack("<HHHBB", 2, 1, 0, 0x2A, 1))
        + record(0x0205, struct.pack("<HHHBB", 2, 2, 0, 1, 0))  # true, no error
        + begin
        + record(0x0205, struct.pack("<HHHBB", 0, 0, 0, 0x2A, 1))  # in a chart
        + end
        + record(0x0006, struct.pack("<HHHBBBBHHH", 4, 1, 0, 2, 0, 0x17, 0, 0, 0xFFFF, 0))
        + record(0x0006, struct.pack("<HHHd", 4, 2, 0, 1.0))
        + record(0x0205, b"\0")  # cut
        + end
    )
    head = begin + record(0x0085, struct.pack("<IBB", 0, 0, 0)) + end
    head = begin + record(0x0085, struct.pack("<IBB", len(head), 0, 0)) + end
    monkeypatch.setattr(xls_errors, "read_stream", lambda path, *names: head + sheet + b"\0")
    given_ = [Sheet("F", False, iter([(1, ["a", "b", "c"]), (5, ["x", "", "1"])])), Sheet("G", False, None, "chart")]
    first, second = list(xls_errors.with_errors(tmp_path, iter(given_)))
    assert first.rows is not None
    assert list(first.rows) == [(1, ["a", "b", "c"]), (3, ["", "#N/A"]), (5, ["x", "#REF!", "1"])]
    assert second == given_[1]


def test_one_stray_cell_costs_no_memory(tmp_path: Path) -> None:
    far = '<row r="1048576"><c r="A1048576"><v>1</v></c><c r="XFD1048576"><v>2</v></c></row>'
    content = xlsx({"F": cells([["a", "b"], *[["1", "2"]] * 3]) + far})
    one = table(read(tmp_path, content))
    assert (one.rows, len(one.columns), one.headers[:3]) == (4, 16_384, ["a", "b", ""])
    assert rows(one)[-1][-2:] == ("2", 1_048_576)
    with pytest.raises(Refused, match="memory"):  # the reader of old workbooks holds a full rectangle
        list(calamine_process.read_with_calamine(tmp_path / "source"))


SMALL = xlsx({"F": cells([["a", "b"], ["1", "é"]]) + '<row r="3"><c s="1"><v>43395</v></c></row>'}, texts=["<t>x</t>"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_bytes_of_a_workbook_are_read_or_refused(changes: list[tuple[int, int]], tmp_path: Path) -> None:
    content = bytearray(SMALL)
    for at, byte in changes:
        content[at] = byte
    read_or_refused(tmp_path, bytes(content))


PIECES = [
    *("<row>", "</row>", '<row r="9">', '<row r="x">', "<c>", "</c>", '<c t="s">', '<c r="ZZ9" t="n" s="1">'),
    *('<c t="b">', '<c t="inlineStr" s="99">', "<v>", "</v>", "<is>", "</is>", "<t>", "</t>"),
    *("1", "-1e999", "nan", "é", "&#13;", "_x0000_", " "),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(xml=st.lists(st.sampled_from(PIECES), max_size=30))
def test_any_cells_of_a_workbook_are_read_or_refused(xml: list[str], tmp_path: Path) -> None:
    read_or_refused(tmp_path, xlsx({"F": "".join(xml)}))


def read_or_refused(path: Path, content: bytes) -> None:
    try:
        found = read(path, content)
    except Refused as error:
        if "unexpected" in str(error):
            raise AssertionError(f"{content!r} was not foreseen") from error
        return
    for one in found:
        if isinstance(one, DecodedTable):
            rows(one)

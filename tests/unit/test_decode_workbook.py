"""Workbooks: what a cell becomes, where the table of a sheet stands, what is refused and why."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office_files import STYLES, cells, ods, xlsx, zipped

from catalog.errors import NotATable, Refused
from ingestion.decode import DecodedTable, RefusedMember, calamine_process, decode, scratch_rows, xls_errors, zipped_xml
from ingestion.decode.cells import DATE, DURATION, kind_of_format, number_text, serial_text
from ingestion.decode.sheet import Sheet
from ingestion.decode.sheet_layout import SheetLayout, lay_out

Found = list[DecodedTable | RefusedMember]


def read(path: Path, content: bytes, name: str = "file.csv") -> Found:
    source = path / "source"
    source.write_bytes(content)
    return list(decode(source, file_name=name, declared_format="csv", scratch=path / "scratch"))


def table(found: Found) -> DecodedTable:
    (one,) = found
    assert isinstance(one, DecodedTable)
    return one


def rows(one: DecodedTable) -> list[tuple[object, ...]]:
    frame = one.frame.collect(engine="streaming")
    assert frame.height == one.rows
    assert frame.null_count().sum_horizontal().item() == 0
    return frame.rows()


def cell(content: str, kind: str = "n", style: str = "general") -> str:
    return f'<c t="{kind}" s="{STYLES.index(style)}">{content}</c>'


CELLS = {
    "integer": (cell("<v>8</v>"), "8"),
    "decimal": (cell("<v>22.26</v>"), "22.26"),
    "float with noise": (cell("<v>0.10000000000000001</v>"), "0.1"),
    "float that is whole": (cell("<v>8.0</v>"), "8"),
    "exponents": (cell("<v>1.5E-7</v>"), "0.00000015"),
    "large": (cell("<v>1E+20</v>"), "100000000000000000000"),
    "every digit of an integer": (cell("<v>9007199254740993</v>"), "9007199254740993"),
    "percent": (cell("<v>0.25</v>", style="percent"), "0.25"),
    "true": (cell("<v>1</v>", "b"), "true"),
    "false": (cell("<v>0</v>", "b"), "false"),
    "date": (cell("<v>43395</v>", style="date"), "2018-10-22"),
    "moment": (cell("<v>43395.75</v>", style="moment"), "2018-10-22T18:00:00"),
    "moment at midnight": (cell("<v>43395</v>", style="moment"), "2018-10-22"),
    "moment with its milliseconds": (cell("<v>43395.123456</v>", style="moment"), "2018-10-22T02:57:46.598"),
    "time of day": (cell("<v>0.5</v>", style="time"), "12:00:00"),
    "duration": (cell("<v>1.5</v>", style="duration"), "36:00:00"),
    "date before the calendar": (cell("<v>-3</v>", style="date"), "-3"),
    "date after the calendar": (cell("<v>99999999</v>", style="date"), "99999999"),
    "ISO date": (cell("<v>2020-01-02T00:00:00</v>", "d"), "2020-01-02"),
    "error": (cell("<v>#N/A</v>", "e"), "#N/A"),
    "error nobody knows": (cell("<v>#FOO!</v>", "e"), "#FOO!"),
    "text that is a number": (cell("<v>00012</v>", "str"), "00012"),
    "formula with its value": (cell("<f>1+1</f><v>2</v>"), "2"),
    "formula without": (cell("<f>1+1</f>"), ""),
    "shared text, with runs": (cell("<v>1</v>", "s"), "Saône"),
    "spaces stay": (cell("<is><t>  a b </t></is>", "inlineStr"), "  a b "),
    "runs of text": (cell("<is><r><t>a</t></r><r><t> b</t></r></is>", "inlineStr"), "a b"),
    "phonetic help left out": (cell("<is><t>東</t><rPh><t>ひ</t></rPh></is>", "inlineStr"), "東"),
    "escaped character": (cell("<v>a_x000D_b_x005F_x</v>", "str"), "a\rb_x"),
    "line break": (cell("<is><t>a\nb</t></is>", "inlineStr"), "a\nb"),
    "quotes": (cell('<is><t>"a";,"b</t></is>', "inlineStr"), '"a";,"b'),
}


@pytest.mark.parametrize(("xml", "text"), CELLS.values(), ids=CELLS.keys())
def test_xlsx_cell_becomes_its_text(xml: str, text: str, tmp_path: Path) -> None:
    sheet = cells([["a", "b"]]) + f'<row r="2">{cell("<v>7</v>")}{xml}</row>'
    content = xlsx({"F": sheet}, texts=["<t>x</t>", "<r><t>Sa</t></r><r><t>ône</t></r>"])
    assert rows(table(read(tmp_path, content))) == [("7", text, 2)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("dd/mm/yyyy", DATE), ("jj/mm/aaaa", DATE), ("[$-40C]d mmm yyyy;@", DATE), ("h:mm", DATE),
        ("[h]:mm:ss", DURATION), ("[mm]:ss", DURATION),
        ("0.00", None), ('0" mois"', None), ("[Red]0.00", None), (r"0.0\d", None), ("#,##0.00 [$€-40C]", None),
        ("General", None), ("0.00E+00", None), ("@", None), ("", None), ("0_d", None),
    ],
)  # fmt: skip
def test_number_format_tells_dates_from_numbers(code: str, kind: str | None) -> None:
    assert kind_of_format(164, code) == kind


def test_own_number_format_and_1904_calendar(tmp_path: Path) -> None:
    style = len(STYLES)
    sheet = cells([["a", "b"]]) + f'<row r="2"><c s="{style}"><v>0</v></c><c s="{style}"><v>43395</v></c></row>'
    content = xlsx({"F": sheet}, codes={170: "yyyy\\-mm\\-dd"}, properties='<workbookPr date1904="1"/>')
    assert rows(table(read(tmp_path, content))) == [("1904-01-01", "2022-10-23", 2)]


def test_serial_of_the_day_that_never_was_stays_a_number() -> None:
    days = [serial_text(str(serial), DATE, from_1904=False) for serial in (0, 1, 59, 60, 61, 2_958_465, 2_958_466)]
    assert days == ["0", "1900-01-01", "1900-02-28", "60", "1900-03-01", "9999-12-31", "2958466"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_text_is_the_same_number_without_an_exponent(value: float) -> None:
    text = number_text(repr(value))
    assert float(text) == value
    assert "e" not in text
    assert not text.endswith(".0")


SHEETS = {
    "plain": ([["a", "b"], ["1", "2"]], ["a", "b"], [("1", "2", 2)], ""),
    "title lines": (
        [["Title"], ["Source", None, None], [], ["a", "b", "c"], ["1", "2", "3"]],
        ["a", "b", "c"], [("1", "2", "3", 5)], "Title\nSource",
    ),
    "two columns under titles": ([["T"], [], ["a", "b"], ["1", "2"]], ["a", "b"], [("1", "2", 4)], "T"),
    "blank rows": (
        [["a", "b"], [], ["1", "2"], [None, ""], ["3", "4"]], ["a", "b"], [("1", "2", 3), ("3", "4", 5)], "",
    ),
    "rows that end early": (
        [["a", "b", "c"], ["1"], ["1", "2", "3"]], list("abc"), [("1", "", "", 2), ("1", "2", "3", 3)], "",
    ),
    "rows longer than the header": (
        [["a", "b"], ["1", "2"], ["1", "2", "note"]], ["a", "b", ""], [("1", "2", "", 2), ("1", "2", "note", 3)], "",
    ),
    "empty columns and rows around": (
        [[None, None, None], [None, "a", "b", None], [None, "1", "2", ""], [None, "", None, None]],
        ["a", "b"], [("1", "2", 3)], "",
    ),
    "empty column inside": ([["a", None, "c"], ["1", None, "3"]], ["a", "", "c"], [("1", "", "3", 2)], ""),
    "codes below the names": (
        [["Code géographique", "Libellé", "Région"], ["CODGEO", "LIBGEO", "REG"], ["01001", "X", "84"]],
        ["CODGEO", "LIBGEO", "REG"], [("01001", "X", "84", 3)], "Code géographique\tLibellé\tRégion",
    ),
    "codes that are data": (
        [["from", "to", "via"], ["CDG", "JFK", "LHR"], ["ORY", "LYS", "NCE"]],
        ["from", "to", "via"], [("CDG", "JFK", "LHR", 2), ("ORY", "LYS", "NCE", 3)], "",
    ),
    "groups above the names": (
        [[None, None, "2019", None, "2020", None], list("abcdef"), [*"xy1234"], [*"zy1234"]],
        list("abcdef"), [(*"xy1234", 3), (*"zy1234", 4)], "\t\t2019\t\t2020",
    ),
    "groups above names that repeat from one to the next": (
        [[None, None, "2019", None, "2020", None], ["Code", "Nom", "Nb", "%", "Nb", "%"], [*"xy1234"], [*"zy1234"]],
        ["Code", "Nom", "Nb", "%", "Nb", "%"], [(*"xy1234", 3), (*"zy1234", 4)], "\t\t2019\t\t2020",
    ),
    "header with holes over words that repeat": (
        [["a", None, "b", None], ["x", "y", "z", "z"], ["x", "t", "z", "u"]],
        ["a", "", "b", ""], [("x", "y", "z", "z", 2), ("x", "t", "z", "u", 3)], "",
    ),
    "header with holes over numbers": (
        [["a", None, None, "d"], ["x", "1", "2", "3"], ["y", "1", "2", "3"]],
        ["a", "", "", "d"], [("x", "1", "2", "3", 2), ("y", "1", "2", "3", 3)], "",
    ),
    "header only": ([["a", "b"]], ["a", "b"], [], ""),
    "a list": ([["commune"], ["Ain"], ["Aisne"]], ["commune"], [("Ain", 2), ("Aisne", 3)], ""),
    "a list with a remark": (
        [["commune"], ["Ain"], ["Aisne", "new"], ["Allier"]], ["commune", ""],
        [("Ain", "", 2), ("Aisne", "new", 3), ("Allier", "", 4)], "",
    ),
    "repeated names": ([["a", "a", "A"], ["1", "2", "3"]], ["a", "a", "A"], [("1", "2", "3", 2)], ""),
}  # fmt: skip


@pytest.mark.parametrize(("content", "headers", "records", "titles"), SHEETS.values(), ids=SHEETS.keys())
def test_sheet_becomes_its_table(
    content: list[list[str | None]], headers: list[str], records: list[object], titles: str, tmp_path: Path
) -> None:
    one = table(read(tmp_path, xlsx({"Feuille 1": cells(content)})))
    assert (one.member, one.headers, rows(one)) == ("Feuille 1", headers, records)
    assert one.facts.get("title_lines", "") == titles
    assert len(set(one.columns)) == len(headers)


TEXTS = {
    "empty": [],
    "one cell": [["Notice"]],
    "paragraphs": [["Titre"], [], ["Définitions"], [], ["Un texte."]],
    "sentences": [["Les établissements publics sont des établissements. " * 2], ["Ils ont été créés en 2016. " * 3]],
    "report": [["Titre"], ["Contact", "x@y.fr"], ["Un long texte qui explique ce que le fichier contient. " * 2],
               [], ["Un autre texte, aussi long que le premier, pour le lecteur. " * 2]],
}  # fmt: skip


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS.keys())
def test_sheet_without_a_table_is_refused_beside_the_others(content: list[list[str | None]], tmp_path: Path) -> None:
    found = read(tmp_path, xlsx({"Lisez-moi": cells(content), "Données": cells([["a", "b"], ["1", "2"]])}))
    assert [(type(one), one.member) for one in found] == [(RefusedMember, "Lisez-moi"), (DecodedTable, "Données")]
    assert isinstance(found[0], RefusedMember)
    assert "This sheet" in found[0].reason
    assert found[0].is_document


def test_first_column_filled_late_is_not_lost(tmp_path: Path) -> None:
    content = [[None, "a", "b"], *([[None, "1", "2"]] * (scratch_rows.SAMPLE_ROWS + 5)), ["note", "1", "2"]]
    one = table(read(tmp_path, xlsx({"F": cells(content)})))
    assert one.headers == ["", "a", "b"]
    assert rows(one)[-1][:3] == ("note", "1", "2")


def test_layout_of_nothing_and_of_one_row() -> None:
    assert isinstance(lay_out([]), str)
    assert lay_out([(4, ["a", "b"])]) == SheetLayout(0, ["a", "b"], [])


def test_hidden_sheets_are_read_and_charts_refused(tmp_path: Path) -> None:
    sheet = cells([["a", "b"], ["1", "2"]])
    content = xlsx({"A": sheet, "B": sheet, "C": ""}, states={"B": "veryHidden"}, kinds={"C": "chartsheet"})
    first, second, third = read(tmp_path, content)
    assert isinstance(first, DecodedTable)
    assert isinstance(second, DecodedTable)
    assert isinstance(third, RefusedMember)
    assert ("hidden" in first.facts, second.facts["hidden"]) == (False, "true")
    assert "chartsheet" in third.reason


def test_workbook_in_a_zip_names_its_sheets_after_its_member(tmp_path: Path) -> None:
    inner = xlsx({"F": cells([["a", "b"], ["1", "2"]])})
    found = read(tmp_path, zipped({"x/w.xlsx": inner, "t.csv": "a;b\n1;2\n"}))
    assert [one.member for one in found] == ["x/w.xlsx/F", "t.csv"]


def test_shared_text_that_is_missing_refuses_its_sheet_alone(tmp_path: Path) -> None:
    broken = cells([["a", "b"]]) + '<row r="2"><c t="s"><v>7</v></c></row>'
    first, second = read(tmp_path, xlsx({"A": broken, "B": cells([["a", "b"], ["1", "2"]])}))
    assert isinstance(first, RefusedMember)
    assert "Row 2" in first.reason
    assert isinstance(second, DecodedTable)


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

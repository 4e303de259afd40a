"""Workbooks of Excel: what a cell becomes, where the table of a sheet stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from decoded import read, rows, table
from hypothesis import given
from hypothesis import strategies as st
from office_files import STYLES, cells, xlsx, zipped

from ingestion.decode import DecodedTable, RefusedMember, scratch_rows
from ingestion.decode.cells import DATE, DURATION, kind_of_format, number_text, serial_text
from ingestion.decode.sheet_layout import SheetLayout, lay_out


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

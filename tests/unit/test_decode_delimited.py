"""Delimited text: dialects, line ends, quotes, ragged rows; the fast and the exact reader must agree."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode import DecodedTable, decode, delimited
from ingestion.decode.records import RecordReader

Rows = list[tuple[int, list[str]]]


@pytest.fixture(params=["in memory", "scanned"])
def _both_roads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the small texts of a test as large ones too."""
    if request.param == "scanned":
        monkeypatch.setattr(delimited, "SMALL_BYTES", -1)


both_roads = pytest.mark.usefixtures("_both_roads")


def read(path: Path, content: bytes, name: str = "table.csv", *, pad_ragged: bool = False) -> DecodedTable:
    source = path / name
    source.write_bytes(content)
    scratch = path / "scratch"
    (table,) = decode(source, file_name=name, declared_format=None, scratch=scratch, pad_ragged=pad_ragged)
    assert isinstance(table, DecodedTable)
    return table


def rows(table: DecodedTable) -> Rows:
    frame = table.frame.collect(engine="streaming")
    assert frame.schema == dict.fromkeys(table.columns, pl.String) | {"_source_line": pl.Int64}
    assert frame.height == table.rows
    assert frame.null_count().sum_horizontal().item() == 0
    return [(line, list(cells)) for *cells, line in frame.rows()]


def rejects(table: DecodedTable) -> list[tuple[int, str, str]]:
    return [(reject.line, reject.raw_text, reject.reason) for reject in table.rejects]


AB, AB_LINES = ["a", "b"], [(2, ["1", "2"]), (3, ["3", "4"])]
REGULAR = {
    "comma": (b"a,b\n1,2\n3,4\n", AB, AB_LINES),
    "semicolon": (b"a;b\n1;2\n3;4\n", AB, AB_LINES),
    "tab": (b"a\tb\n1\t2\n3\t4\n", AB, AB_LINES),
    "pipe": (b"a|b\n1|2\n3|4\n", AB, AB_LINES),
    "no final line end": (b"a;b\n1;2\n3;4", AB, AB_LINES),
    "CRLF": (b"a;b\r\n1;2\r\n3;4\r\n", AB, AB_LINES),
    "CRLF but the last": (b"a;b\r\n1;2\r\n3;4", AB, AB_LINES),
    "CR alone": (b"a;b\r1;2\r3;4\r", AB, AB_LINES),
    "CR alone, no final one": (b"a;b\r1;2\r3;4", AB, AB_LINES),
    "last line ends in CR": (b"a;b\n1;2\n3;4\r", AB, AB_LINES),
    "header ends in CR": (b"a;b\r1;2\n3;4\n", AB, AB_LINES),
    "line ends are mixed": (b"a;b\n1;2\r\n3;4\r5;6\n", AB, [*AB_LINES, (4, ["5", "6"])]),
    "CR CR LF": (b"a;b\r\n1;2\r\r\n3;4\r\n", AB, [(2, ["1", "2"]), (4, ["3", "4"])]),
    "header only": (b"a;b\n", AB, []),
    "header only, no line end": (b"a;b", AB, []),
    "BOM": (b"\xef\xbb\xbfa;b\n1;2\n3;4\n", AB, AB_LINES),
    "BOM and quotes": (b'\xef\xbb\xbf"a";"b"\n"1";"2"\n3;4\n', AB, AB_LINES),
    "one column": (b"nom\nLyon\nParis\n", ["nom"], [(2, ["Lyon"]), (3, ["Paris"])]),
    "one column of sentences": (b"avis\nOui, non\nBof, si\n", ["avis"], [(2, ["Oui, non"]), (3, ["Bof, si"])]),
    "one column, quoted empty cell": (b'nom\n""\n\nParis\n', ["nom"], [(2, [""]), (4, ["Paris"])]),
    "one column, with the unit separator": (b"nom\n\x1f\na\n", ["nom"], [(2, ["\x1f"]), (3, ["a"])]),
    "one column, no record": (b"nom\n", ["nom"], []),
    "empty cells": (b'a;b;c\n;"";3\n;;\n', ["a", "b", "c"], [(2, ["", "", "3"]), (3, ["", "", ""])]),
    "empty last cell, CRLF": (b"a;b\r\n1;\r\n;\r\n", AB, [(2, ["1", ""]), (3, ["", ""])]),
    "missing marks stay text": (b"a;b\nNA;null\nnd;NULL\n", AB, [(2, ["NA", "null"]), (3, ["nd", "NULL"])]),
    "spaces stay": (b"a;b\n 1 ;\t2\n\xc2\xa03;4 \n", AB, [(2, [" 1 ", "\t2"]), (3, ["\xa03", "4 "])]),
    "leading zeros": (b"code;n\n01001;1e5\n2A004;007\n", ["code", "n"], [(2, ["01001", "1e5"]), (3, ["2A004", "007"])]),
    "comment sign": (b"a;b\n#1;2\n3;4\n", AB, [(2, ["#1", "2"]), (3, ["3", "4"])]),
    "NUL bytes": (b"a;b\n1\x00;2\n\x00;4\n", AB, [(2, ["1\x00", "2"]), (3, ["\x00", "4"])]),
    "blank lines": (b"\n\na;b\n\n1;2\r\n\r\n3;4\n\n\n", AB, [(5, ["1", "2"]), (7, ["3", "4"])]),
    "decimal commas": (b"a;b\n1,5;2,5\n3,5;4,5\n", AB, [(2, ["1,5", "2,5"]), (3, ["3,5", "4,5"])]),
    "separator in quotes": (b'a;b\n"1;1";2\n3;";"\n', AB, [(2, ["1;1", "2"]), (3, ["3", ";"])]),
    "quoted line ends": (
        b'a;b\r\n1;"x\r\ny\nz"\r\n3;4\r\n"\r";"6"\r\n7;8\r\n',
        AB,
        [(2, ["1", "x\r\ny\nz"]), (5, ["3", "4"]), (6, ["\r", "6"]), (8, ["7", "8"])],
    ),
    "escaped quotes": (b'a;b\n"""1""";"2"""\n"""";""\n', AB, [(2, ['"1"', '2"']), (3, ['"', ""])]),
    "quoted header over two lines": (b'"a\nx";b\n1;2\n', ["a\nx", "b"], [(3, ["1", "2"])]),
    "quote inside an unquoted cell": (b'a;b\n5" disk;2\n3;4\n', AB, [(2, ['5" disk', "2"]), (3, ["3", "4"])]),
    "quotes around quotes": (b'a;b\n"LE "BON" COIN";2\n3;4\n', AB, [(2, ['LE "BON" COIN', "2"]), (3, ["3", "4"])]),
    "text after a closing quote": (b'a;b\n"x" y;2\n3;4\n', AB, [(2, ['"x" y', "2"]), (3, ["3", "4"])]),
    "quote never closed": (b'a;b\n"1;2\n3;4\n', AB, [(2, ['"1', "2"]), (3, ["3", "4"])]),
    "quotes never closed": (
        b'a;b\n1;"x\n3;4\n5;"y\n7;8\n',
        AB,
        [(2, ["1", '"x']), (3, ["3", "4"]), (4, ["5", '"y']), (5, ["7", "8"])],
    ),
    "title line": (b"Titre du rapport\na;b\n1;2\n3;4\n", AB, [(3, ["1", "2"]), (4, ["3", "4"])]),
    "title lines and blank": (b"Titre\nle 3 mai\n\na;b\n1;2\n3;4\n", AB, [(5, ["1", "2"]), (6, ["3", "4"])]),
    "title saved by a spreadsheet": (b"Titre;;\na;b;c\n1;2;3\n", ["a", "b", "c"], [(3, ["1", "2", "3"])]),
    "separator declared": (b"sep=;\na;b\n1;2\n", AB, [(3, ["1", "2"])]),
    "trailing separators": (b"a;b;\n1;2;\n3;4;\n", ["a", "b", ""], [(2, ["1", "2", ""]), (3, ["3", "4", ""])]),
    "trailing separators under the header": (
        b"a;b\n1;2;\n3;4;\n",
        ["a", "b", ""],
        [(2, ["1", "2", ""]), (3, ["3", "4", ""])],
    ),
    "trailing separator of the header": (b"a;b;\n1;2\n3;4\n", AB, AB_LINES),
    "trailing separators of the header, many": (b"a;b;;;\n1;2\n3;4\n", AB, AB_LINES),
    "trailing separators under the header, many": (
        b"a;b;c\n1;2;3;;\n4;5;6;;\n",
        ["a", "b", "c", "", ""],
        [(2, ["1", "2", "3", "", ""]), (3, ["4", "5", "6", "", ""])],
    ),
    "same header twice": (b"a;a;\n1;2;3\n", ["a", "a", ""], [(2, ["1", "2", "3"])]),
    "utf-8 beyond French": ("a;b\n東京;🚲\n".encode(), AB, [(2, ["東京", "🚲"])]),
}


@both_roads
@pytest.mark.parametrize(("content", "headers", "expected"), REGULAR.values(), ids=REGULAR)
def test_table_holds_every_cell_and_line_of_the_text(
    content: bytes, headers: list[str], expected: Rows, tmp_path: Path
) -> None:
    table = read(tmp_path, content)

    assert table.headers == headers
    assert table.columns == column_names(headers)
    assert rows(table) == expected
    assert rejects(table) == []


RAGGED = {
    "short": (b"a;b;c\n1;2\n3;4;5\n", [(3, ["3", "4", "5"])], [(2, "1;2", "2 fields, 3 expected")]),
    "long": (b"a;b\n1;2;3\r\n3;4\n5;6\n", [(3, ["3", "4"]), (4, ["5", "6"])], [(2, "1;2;3", "3 fields, 2 expected")]),
    "last, no line end": (b"a;b\n1;2\n3", [(2, ["1", "2"])], [(3, "3", "1 fields, 2 expected")]),
    "after blank lines": (
        b"a;b\n\n1\n\n2;3\n4;5\n",
        [(5, ["2", "3"]), (6, ["4", "5"])],
        [(3, "1", "1 fields, 2 expected")],
    ),
    "quoted over lines": (
        b'a;b;c\n1;"x\ny";3;4\n5;6;7\n8;9;"10\n11";12\n',
        [(4, ["5", "6", "7"])],
        [(2, '1;"x\ny";3;4', "4 fields, 3 expected"), (5, '8;9;"10\n11";12', "4 fields, 3 expected")],
    ),
    "all": (b"a;b;c;d\n1;2;3;4;5\n", [], [(2, "1;2;3;4;5", "5 fields, 4 expected")]),
    "accents": (
        "a;b\né;à;ç\n1;2\n3;4\n".encode("cp1252"),
        [(3, ["1", "2"]), (4, ["3", "4"])],
        [(2, "é;à;ç", "3 fields, 2 expected")],
    ),
    "beside a stray quote": (
        b'a;b\n"1" 1;2\n3;4;5\n6;7\n',
        [(2, ['"1" 1', "2"]), (4, ["6", "7"])],
        [(3, "3;4;5", "3 fields, 2 expected")],
    ),
    "a quote that swallows lines": (
        b'a;b;c\n1;"x;3\n4;5;6\n7;8;9\n0";x;y\n1;2;3\n',
        [
            (2, ["1", '"x', "3"]),
            (3, ["4", "5", "6"]),
            (4, ["7", "8", "9"]),
            (5, ['0"', "x", "y"]),
            (6, ["1", "2", "3"]),
        ],
        [],
    ),
}


@both_roads
@pytest.mark.parametrize(("content", "expected", "rejected"), RAGGED.values(), ids=RAGGED)
def test_ragged_record_is_rejected_with_its_line_text_and_reason(
    content: bytes, expected: Rows, rejected: list[tuple[int, str, str]], tmp_path: Path
) -> None:
    table = read(tmp_path, content)

    assert rows(table) == expected
    assert rejects(table) == rejected


@both_roads
def test_facts_say_how_the_text_was_read(tmp_path: Path) -> None:
    table = read(tmp_path, "Titre\nnom;ville\n\nŒuf;Évry\n".encode("cp1252"))

    assert table.facts == {
        "kind": "csv",
        "encoding": "cp1252",
        "separator": ";",
        "quote": '"',
        "header_line": "2",
        "title_lines": "Titre",
        "reader": "fast",
        "blank_lines": "1",
    }


PADDED = {
    "short": (b"a;b;c\n1;2\n3;4;5\n6\n", [(2, ["1", "2", ""]), (3, ["3", "4", "5"]), (4, ["6", "", ""])], [], "2"),
    "long, the surplus empty": (b'a;b\n1;2;;""\r\n3;4\n', [(2, ["1", "2"]), (3, ["3", "4"])], [], "1"),
    "long, the surplus full": (
        b"a;b\n1;2;;3\n4;5\n6\n",
        [(3, ["4", "5"]), (4, ["6", ""])],
        [(2, "1;2;;3", "4 fields, 2 expected")],
        "1",
    ),
    "quoted over lines": (b'a;b;c\n1;"x\ny"\n2;3;4\n', [(2, ["1", "x\ny", ""]), (4, ["2", "3", "4"])], [], "1"),
    "none": (b"a;b\n1;2\n", [(2, ["1", "2"])], [], None),
}


@both_roads
@pytest.mark.parametrize(("content", "expected", "rejected", "padded"), PADDED.values(), ids=PADDED)
def test_ragged_record_is_padded_when_the_feed_says_so(
    content: bytes, expected: Rows, rejected: list[tuple[int, str, str]], padded: str | None, tmp_path: Path
) -> None:
    table = read(tmp_path, content, pad_ragged=True)

    assert rows(table) == expected
    assert rejects(table) == rejected
    assert table.facts.get("padded") == padded


@pytest.mark.parametrize("content", [b"", b"\n\r\n\n", b"\xef\xbb\xbf"], ids=["no byte", "blank lines", "mark alone"])
def test_empty_file_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="empty"):
        read(tmp_path, content)


@both_roads
def test_quote_that_is_never_closed_costs_one_line_of_many(tmp_path: Path) -> None:
    lines = [f"{n};x{n}" for n in range(50_000)]
    lines[10] = '10;"open'
    table = read(tmp_path, "\n".join(["a;b", *lines]).encode())

    assert rows(table) == [(n + 2, line.split(";")) for n, line in enumerate(lines)]


# Properties: any table written by the book is read back, by both readers.

CELLS = st.text(st.sampled_from("aé1 ,;|\t\"'\n\rœ€\x00"), max_size=6)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=3, max_size=12)
)


def write(cell: str, separator: str, quoted: bool) -> str:
    needed = any(char in cell for char in f'{separator}"\r\n')
    return '"' + cell.replace('"', '""') + '"' if quoted or needed else cell


@both_roads
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=TABLES,
    separator=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    quoted=st.booleans(),
    final=st.booleans(),
)
def test_any_table_written_by_the_book_is_read_back(
    cells: list[list[str]],
    separator: str,
    line_end: str,
    encoding: str,
    quoted: bool,
    final: bool,
    tmp_path: Path,
) -> None:
    width = len(cells[0])
    # A plain header and enough plain rows: the dialect is not what this property is about.
    plain = [[f"é{n}"] * width for n in range(10)]
    records = [separator.join(write(cell, separator, quoted) for cell in record) for record in [*plain, *cells]]
    written = line_end.join(records) + (line_end if final else "")
    table = read(tmp_path, written.encode(encoding))

    assert table.headers == plain[0]
    found = rows(table)
    assert [fields for _, fields in found] == [*plain[1:], *cells]
    assert rejects(table) == []
    exact = [(r.line, r.fields) for r in RecordReader(io.StringIO(written, newline=""), separator, width)]
    assert exact[1:] == found


LINES = st.lists(st.text(st.sampled_from('a;"\n\r'), max_size=12), max_size=8)


@both_roads
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_readers_agree_on_any_text_and_lose_no_line(lines: list[str], tmp_path: Path) -> None:
    text = "\n".join(["a;b", *["1;2"] * 30, *lines])
    table = read(tmp_path, text.encode())
    records = list(RecordReader(io.StringIO(text, newline=""), ";", 2))[1:]

    assert rows(table) == [(r.line, r.fields) for r in records if len(r.fields) == 2]
    assert rejects(table) == [
        (r.line, r.raw, f"{len(r.fields)} fields, 2 expected") for r in records if len(r.fields) != 2
    ]
    covered = [line for r in records for line in range(r.line, r.line + r.lines)]
    assert len(set(covered)) == len(covered)
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        assert number in {1, *covered} or line.strip("\r\n") == ""

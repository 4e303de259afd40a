"""The search for a dialect, and the records that it reads by the book."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.decode.dialect import find_dialect
from ingestion.decode.records import RecordReader, read_by_the_book

QUOTED_LINES = st.lists(st.text(st.sampled_from('a;"\n\r\x1f\x00'), max_size=12), max_size=8)


@settings(max_examples=500, deadline=None)
@given(lines=QUOTED_LINES, separator=st.sampled_from([";", None]), most=st.sampled_from([None, 3]))
def test_text_by_the_book_is_read_as_the_tolerant_reader_does(
    lines: list[str], separator: str | None, most: int | None
) -> None:
    text = list(io.StringIO("\n".join(lines), newline=""))
    records = read_by_the_book(text, separator, 7, most)

    if records is not None:
        assert records == list(RecordReader(text, separator, first_line=7))[:most]


@pytest.mark.parametrize("quotes", ['x"y', '"x"" "', '""', '"a;b"'], ids=["inside", "escaped", "empty", "separator"])
def test_text_by_the_book_takes_the_short_way(quotes: str) -> None:
    assert read_by_the_book([f"1;{quotes}\n", "\n", "2;3"], ";") is not None


DIALECTS = {
    "decimal commas in every row": (["a;b", *["1,5;2,5"] * 400], ";", 1),
    "pairs of coordinates in every row": (["id,nom,xy", *["1,x,48.8;2.3"] * 400], ",", 1),
    "title with a comma, over one decimal a row": (["Titre, du rapport", "a;b;c", *["1;2;3,5"] * 400], ";", 2),
    "some ragged rows and one decimal a row": (["a;b;c", *["1;2;3,5"] * 300, *["1;2,5"] * 9], ";", 1),
    "pairs of coordinates in every row, all quoted": (['"id","xy"', *['"1","48;2"', '"2",""'] * 400], ",", 1),
    "decimal commas between quotes": (['"a";"b"', *['"1,5";"2,5"'] * 400], ";", 1),
    "lists in a cell": (["date,nom,zones", *["1,x,a|b", "2,y,a"] * 200], ",", 1),
}


@pytest.mark.parametrize(("lines", "separator", "header_line"), DIALECTS.values(), ids=DIALECTS)
def test_dialect_is_the_publishers(lines: list[str], separator: str, header_line: int) -> None:
    dialect = find_dialect("\n".join(lines), is_whole=True)

    assert dialect is not None
    assert (dialect.separator, dialect.header_line) == (separator, header_line)


def test_dialect_keeps_the_cut_record_of_a_sample_out_of_its_judgment() -> None:
    dialect = find_dialect("a;b\n1;2\n3;4\n5", is_whole=False)

    assert dialect is not None
    assert (dialect.separator, dialect.headers, dialect.data_offset) == (";", ["a", "b"], 4)


@settings(max_examples=200, deadline=None)
@given(lines=QUOTED_LINES, title=st.sampled_from(["", "Titre\n", "sep=;\n", "\n"]))
def test_records_that_the_search_has_read_are_those_below_the_header(lines: list[str], title: str) -> None:
    text = title + "\n".join(["a;b;c", *lines])
    dialect = find_dialect(text, is_whole=True)

    assert dialect is not None
    assert "".join(dialect.lines) == text.encode()[dialect.data_offset :].decode()
    if dialect.records is not None:
        assert dialect.records == read_by_the_book(dialect.lines, dialect.separator, dialect.data_line)


@pytest.mark.parametrize(("rows", "is_whole", "is_all"), [(499, True, True), (500, True, False), (3, False, False)])
def test_records_that_the_search_has_read_are_kept_if_they_are_all(rows: int, is_whole: bool, is_all: bool) -> None:
    dialect = find_dialect("a;b\n" + "1;2\n" * rows, is_whole=is_whole)

    assert dialect is not None
    assert (dialect.records is not None) == is_all

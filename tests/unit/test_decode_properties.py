"""Delimited text, any of it: what Python's csv module writes is read back; what no one wrote so is never lost."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from unittest.mock import patch

import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.decode import DecodedTable, RefusedMember, decode, delimited
from ingestion.decode.encoding import TABLES

SMALL, LARGE = delimited.SMALL_BYTES, -1  # from how many bytes on a text is measured and scanned
ANCHOR = "l'été à Nœux où naît la forêt : 5 €"  # tells the encodings apart, and the separators: it has none
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}

UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]
SINGLE = ["cp1252", "iso8859-15", "mac-roman"]
LINE_ENDS = ["\n", "\r\n", "\r"]
FRENCH = st.sampled_from("aeéèêàçôîùïœŒÉÀ€«»° .,;|\t\"'0123456789\x00")
ANY = st.characters(codec="utf-8", exclude_characters="\r\n") | FRENCH


def decoded(path: Path, content: bytes, small_bytes: int, *, pad_ragged: bool = False) -> list[DecodedTable]:
    source = path / "table.csv"
    source.write_bytes(content)
    with patch.object(delimited, "SMALL_BYTES", small_bytes):
        found = list(
            decode(source, file_name=source.name, declared_format=None, scratch=path / "s", pad_ragged=pad_ragged)
        )
    assert not any(isinstance(table, RefusedMember) for table in found)
    return [table for table in found if isinstance(table, DecodedTable)]


@st.composite
def written_tables(draw: st.DrawFn) -> tuple[list[list[str]], str, bytes]:
    """A table as cells, and the same as bytes by the csv module; with the name of the encoding."""
    width, encoding = draw(st.integers(1, 4)), draw(st.sampled_from(UNICODE + SINGLE))
    separator, line_end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(LINE_ENDS))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    letters = ANY if encoding in UNICODE else FRENCH
    if quoting != csv.QUOTE_MINIMAL:  # the module leaves the other line ends without quotes
        letters |= st.sampled_from("\r\n")
    cells = draw(st.lists(st.lists(st.text(letters, max_size=8), min_size=width, max_size=width), max_size=8))
    rows = [[f"é{n}" for n in range(width)], *[[ANCHOR] * width] * 9, *cells]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator=line_end, quoting=quoting).writerows(rows)
    text = out.getvalue() if draw(st.booleans()) else out.getvalue()[: -len(line_end)]
    return rows, encoding, as_bytes(text, encoding)


def as_bytes(text: str, encoding: str) -> bytes:
    """The text in an encoding; a control character that a table lacks is the byte of its number, as when read."""
    if encoding not in TABLES:
        return text.encode(encoding)
    return bytes(TABLES[encoding].index(char) for char in text)


@settings(max_examples=150, **QUIET)
@given(written=written_tables(), small_bytes=st.sampled_from([SMALL, LARGE]))
def test_any_table_of_the_csv_module_is_read_back(
    written: tuple[list[list[str]], str, bytes], small_bytes: int, tmp_path: Path
) -> None:
    (header, *cells), encoding, content = written
    (table,) = decoded(tmp_path, content, small_bytes)

    assert table.facts["encoding"] in (encoding, f"{encoding}-le")
    assert table.headers == header
    frame = table.frame.collect()
    assert [list(row) for row in frame.drop("_source_line").rows()] == cells
    assert frame["_source_line"].is_sorted()
    assert list(table.rejects) == []


PIECES = st.sampled_from(
    ["1", "é", ";", ";;", ",", "\t", '"', '""', "\n", "\r\n", "\r", "\n\n", "\x00", "\x1f", " ", "€"]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


@settings(max_examples=250, **QUIET)
@given(
    head=st.sampled_from(["", "a;b;c\n1;2;3\n4;5;6\n", "a,b\n", '"a"\t"b"\r\n']),
    text=TEXTS,
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252"]),
    small_bytes=st.sampled_from([SMALL, LARGE]),
    pad_ragged=st.booleans(),
)
@example(head="", text="\x1f", encoding="utf-8", small_bytes=LARGE, pad_ragged=False)
def test_any_text_is_rows_and_rejects_or_refused(
    head: str, text: str, encoding: str, small_bytes: int, pad_ragged: bool, tmp_path: Path
) -> None:
    content = (head + text).encode(encoding)
    try:
        (table,) = decoded(tmp_path, content, small_bytes, pad_ragged=pad_ragged)
    except Refused:
        assert not head or "\x00" in text  # else there is a header at least; NULs may make it a binary file
        return
    frame = table.frame.collect(engine="streaming")

    assert frame.schema == dict.fromkeys(table.columns, pl.String) | {"_source_line": pl.Int64}
    assert frame.height == table.rows
    assert frame.null_count().sum_horizontal().item() == 0
    lines = frame["_source_line"].to_list() + [reject.line for reject in table.rejects]
    assert len(set(lines)) == len(lines)  # each record starts on a line of its own, after the header
    assert all(line > int(table.facts["header_line"]) for line in lines)
    # No character is lost: those that are neither quotes nor the separator stand in a cell, a reject, or above.
    kept = sum(frame.drop("_source_line").select(pl.all().str.count_matches("[1é€]").sum()).row(0))
    rest = table.facts.get("title_lines", "") + "".join(table.headers) + "".join(r.raw_text for r in table.rejects)
    assert kept + count(rest) == count(head + text)


def count(text: str) -> int:
    return sum(text.count(char) for char in "1é€")


@settings(max_examples=100, **QUIET)
@given(text=TEXTS, pad_ragged=st.booleans())
def test_both_roads_tell_the_same(text: str, pad_ragged: bool, tmp_path: Path) -> None:
    content = ("a;b\n" + "1;2\n" * 20 + text).encode()
    (small,) = decoded(tmp_path, content, SMALL, pad_ragged=pad_ragged)
    in_memory = small.frame.collect()
    (large,) = decoded(tmp_path, content, LARGE, pad_ragged=pad_ragged)

    assert large.frame.collect().equals(in_memory)
    assert list(large.rejects) == list(small.rejects)
    told = ("blank_lines", "padded", "separator", "header_line")
    assert [large.facts.get(fact) for fact in told] == [small.facts.get(fact) for fact in told]


@settings(max_examples=150, **QUIET)
@given(content=st.binary(max_size=80), small_bytes=st.sampled_from([SMALL, LARGE]))
def test_any_bytes_are_a_table_or_refused(content: bytes, small_bytes: int, tmp_path: Path) -> None:
    try:
        tables = decoded(tmp_path, content, small_bytes)
    except Refused:
        return
    assert [table.frame.collect().height for table in tables] == [table.rows for table in tables]

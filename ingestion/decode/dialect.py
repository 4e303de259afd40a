"""Finds the separator and the header of delimited text from its first records."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ingestion.decode.records import Record, RecordReader, read_by_the_book, without_line_end

SEPARATORS = ";,\t|"
SAMPLE_RECORDS = 500
_LEAST_SHARE = 0.5  # of the records that must have the same number of fields for a separator to be believed
_DECLARED = re.compile(r'"?sep=([;,|\t])"?')  # a first line that Excel understands


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited text is laid out; lines count from 1, and the records begin at ``data_offset`` of the sample."""

    separator: str | None
    headers: list[str]
    header_line: int
    title_lines: list[str]
    data_line: int
    data_offset: int
    lines: Sequence[str]  # those of the sample from the data line on
    records: Sequence[Record] | None  # theirs, when the sample is the whole text and was read by the book


@dataclass(frozen=True, slots=True)
class _Reading:
    separator: str | None
    records: Sequence[Record]
    width: int
    share: float
    header: int  # the position of the header among the records
    is_complete: bool  # whether these are all records of the text, read by the book


def find_dialect(sample: str, *, is_whole: bool) -> Dialect | None:
    """Lay out the text from its beginning; ``None`` when it has no record at all.

    Args:
        sample: the first lines, without a byte order mark.
        is_whole: whether the sample is the whole text; if not, its last record may be cut and is left out.
    """
    lines = list(io.StringIO(sample, newline=""))
    declared = _DECLARED.fullmatch(without_line_end(lines[0])) if lines else None
    skipped = 1 if declared else 0
    candidates = [declared[1]] if declared else [separator for separator in SEPARATORS if separator in sample]
    best = max(filter(_believe, _readings(lines, candidates, skipped, is_whole)), key=_merit, default=None)
    if best is None:
        (best,) = _readings(lines, [None], skipped, is_whole)
    return _lay_out(best, lines) if best.records else None


def _readings(
    lines: Sequence[str], separators: Sequence[str | None], skipped: int, is_whole: bool
) -> Iterator[_Reading]:
    """Read the text under each separator; under those that break quotes only if none explains every quote."""
    broken, explained = [], False
    for separator in separators:
        records = read_by_the_book(lines[skipped:], separator, 1 + skipped, SAMPLE_RECORDS + 1)
        if records is None:
            broken.append(separator)
        else:
            reading = _reading(separator, records, is_whole, by_the_book=True)
            explained = explained or (reading.share > 0.9 and _believe(reading) and not _has_quotes(reading))
            yield reading
    for separator in [] if explained else broken:
        tolerant = RecordReader(lines[skipped:], separator, first_line=1 + skipped)
        yield _reading(separator, list(islice(tolerant, SAMPLE_RECORDS + 1)), is_whole, by_the_book=False)


def _has_quotes(reading: _Reading) -> bool:
    return any('"' in "".join(record.fields) for record in reading.records)


def _reading(separator: str | None, records: list[Record], is_whole: bool, *, by_the_book: bool) -> _Reading:
    is_complete = is_whole and len(records) <= SAMPLE_RECORDS
    if len(records) > 1 and not is_complete:
        records.pop()
    widths = Counter([len(record.fields) for record in records])
    width, count = widths.most_common(1)[0] if widths else (0, 0)  # the first seen, among equals
    header = header_index([record.fields for record in records], width)
    return _Reading(separator, records, width, count / max(1, len(records)), header, by_the_book and is_complete)


def _merit(reading: _Reading) -> tuple[float, bool, int]:
    """Rank a reading: the share of its width, then whether its header has it too, then how many columns it gives.

    The header tells a separator from a decimal comma, or from a pair of coordinates, that stands in every row.
    """
    starts_well = all(len(record.fields) == reading.width for record in reading.records[:3])
    return round(reading.share, 1), starts_well, reading.width


def _believe(reading: _Reading) -> bool:
    if reading.width < 2 or reading.share < _LEAST_SHARE:
        return False
    # Sentences: commas before spaces, under a first line that has none.
    is_prose = reading.header > 0 and reading.separator == "," and _commas_are_prose(reading.records[reading.header :])
    return not is_prose


def _commas_are_prose(records: Sequence[Record]) -> bool:
    text = "\n".join(record.raw for record in records)
    return text.count(", ") > 0.9 * text.count(",")


def header_index(rows: Sequence[Sequence[str]], width: int) -> int:
    """Position of the header: the first row that is no title line.

    A title line is narrower than the table by half at least, or it fills one cell of a wide line where the next
    fill more (as a spreadsheet saves a title).
    """
    index = next((i for i, row in enumerate(rows) if 2 * len(row) > max(2, width) or width == 1), 0)
    fullest = max((_filled(row) for row in rows[index : index + 10]), default=0)
    while width > 2 and index + 1 < len(rows) and _filled(rows[index]) <= 1 < fullest:
        index += 1
    return index


def _filled(row: Sequence[str]) -> int:
    return len(row) - row.count("")


def _lay_out(reading: _Reading, lines: Sequence[str]) -> Dialect:
    header, data = reading.records[reading.header], reading.records[reading.header + 1 :]
    data_line = header.line + header.lines
    return Dialect(
        separator=reading.separator,
        headers=_fit_header(header.fields, reading.width, data),
        header_line=header.line,
        title_lines=[without_line_end(line) for line in lines[: header.line - 1] if without_line_end(line)],
        data_line=data_line,
        data_offset=sum(len(line.encode()) for line in lines[: data_line - 1]),
        lines=lines[data_line - 1 :],
        records=data if reading.is_complete else None,
    )


def _fit_header(header: list[str], width: int, data: Sequence[Record]) -> list[str]:
    """Even out trailing separators that only the header has, or only the rows."""
    if not any(header[width:]):
        header = header[:width]
    if len(header) >= width:
        return header
    rows = [record.fields for record in data if len(record.fields) == width]
    if rows and not any(any(row[len(header) :]) for row in rows):
        return [*header, *[""] * (width - len(header))]
    return header

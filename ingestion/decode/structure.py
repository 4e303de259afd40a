"""Measures the structure of delimited UTF-8 text without reading its cells: one numpy pass over the bytes.

Quotes are followed by parity (a running exclusive or over bitmaps, as simdjson does). Parity is exact only while every
quote opens at a field's start and closes at a field's end: that is verified on the way, and text that breaks it, or
ends lines with a bare CR, is called irregular: only `records` can read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingestion.decode.bitmaps import (
    Bits,
    Integers,
    Mask,
    after,
    before,
    bits_equal,
    clip,
    count_between,
    places,
    running_xor,
)

QUOTE, LF, CR = b'"\n\r'
HALVED_FROM_BYTES = 1 << 23
CHUNK_BYTES = 1 << 21  # long enough for the threads not to wait for one another between two steps


class IrregularText(Exception):  # a fork in the road, not a failure
    """The quotes or line ends do not follow RFC 4180."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Where the records of a text stand.

    Attributes:
        rows: records of the expected width.
        ragged: one line per other record: start and end byte, physical line, number of fields.
        blanks: start and end byte of each blank line.
        shifts: pairs (row, shift) sorted by row: from that row on, physical line = row + shift.
        next_line: physical line after the last record.
        is_quoted: whether any quote was seen.
    """

    rows: int
    ragged: Integers
    blanks: Integers
    shifts: Integers
    next_line: int
    is_quoted: bool


@dataclass(frozen=True, slots=True)
class _Records:
    """The whole records of one chunk; offsets within the chunk, ``ends`` after the line end."""

    starts: Integers
    ends: Integers
    fields: Integers
    blank: Mask
    inner_lines: Integers  # line ends inside quotes
    is_quoted: bool


def measure(
    path: Path,
    *,
    separator: bytes,
    width: int,
    offset: int,
    first_line: int,
    chunk_bytes: int = CHUNK_BYTES,
    halved_from_bytes: int = HALVED_FROM_BYTES,
) -> Structure:
    """Measure the records that stand from byte ``offset`` on; a large file in two halves at once.

    Raises:
        IrregularText: when quotes or line ends do not follow RFC 4180.
    """
    size = path.stat().st_size
    part = partial(_measure_part, path, separator, width, chunk_bytes)
    middle = _line_start(path, (offset + size) // 2) if size - offset >= halved_from_bytes else size
    if middle >= size:
        return part(offset, size, first_line)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(part, middle, size, 0)
        try:
            return _join(part(offset, middle, first_line), second.result())
        except _SplitRecord:  # the middle is inside a record: what the second half was taken for does not count
            return part(offset, size, first_line)


class _SplitRecord(Exception):
    """A part of the text ends inside a record."""


def _line_start(path: Path, near: int) -> int:
    """The first start of a line after a place, or the end of the file if none is near."""
    with path.open("rb") as file:
        file.seek(near)
        line = file.readline(1 << 20)
        return near + len(line) if line.endswith(b"\n") else path.stat().st_size


def _join(first: Structure, second: Structure) -> Structure:
    """Join the measures of two parts; the lines of the second were counted from 0."""
    ragged = second.ragged + np.array([0, 0, first.next_line, 0])
    shifts = second.shifts + np.array([first.rows, first.next_line - first.rows])
    return Structure(
        first.rows + second.rows,
        np.concatenate([first.ragged, ragged]),
        np.concatenate([first.blanks, second.blanks]),
        _compact(np.concatenate([first.shifts, shifts])),
        first.next_line + second.next_line,
        first.is_quoted or second.is_quoted,
    )


def _measure_part(
    path: Path, separator: bytes, width: int, chunk_bytes: int, offset: int, stop: int, first_line: int
) -> Structure:
    rows, line, is_quoted = 0, first_line, False
    ragged: list[Integers] = [np.empty((0, 4), np.int64)]
    blanks: list[Integers] = [np.empty((0, 2), np.int64)]
    shifts: list[Integers] = [np.array([[0, first_line]], np.int64)]
    for base, records in _chunks(path, offset, stop, chunk_bytes, separator):
        is_quoted = is_quoted or records.is_quoted
        count = len(records.starts)
        good = (records.fields == width) & ~records.blank
        if not good.all() or records.inner_lines.any():
            lines = line + np.arange(count) + np.cumsum(records.inner_lines) - records.inner_lines
            bad = ~good & ~records.blank
            if (bad & (records.inner_lines > 0)).any():
                # A lone opening quote may have swallowed good lines: let the reader that can step back decide.
                raise IrregularText
            starts, ends = records.starts + base, records.ends + base
            ragged.append(np.column_stack([starts, ends, lines, records.fields])[bad])
            blanks.append(np.column_stack([starts, ends])[records.blank])
            numbers = rows + np.arange(np.count_nonzero(good))
            shifts.append(_changes(numbers, lines[good] - numbers, last=int(shifts[-1][-1, 1])))
            line += count + int(records.inner_lines.sum())
            after = np.array([[rows + len(numbers), line - rows - len(numbers)]], np.int64)
            shifts.append(after)
            rows += len(numbers)
        else:
            rows, line = rows + count, line + count
    found = _compact(np.concatenate(shifts))
    return Structure(rows, np.concatenate(ragged), np.concatenate(blanks), found, line, is_quoted)


def _changes(numbers: Integers, shifts: Integers, last: int) -> Integers:
    changed = np.flatnonzero(np.diff(shifts, prepend=last))
    return np.column_stack([numbers[changed], shifts[changed]])


def _compact(shifts: Integers) -> Integers:
    """Keep the last shift given for a row, and only where the shift changes."""
    kept: Integers = shifts[np.append(np.diff(shifts[:, 0]) > 0, True)]
    changed: Mask = np.diff(kept[:, 1], prepend=kept[0, 1] - 1) != 0
    return kept[changed]


def _chunks(path: Path, offset: int, stop: int, chunk_bytes: int, separator: bytes) -> Iterator[tuple[int, _Records]]:
    """Measure a part of the file a chunk at a time: the records that end in it, and the byte they are counted from."""
    buffer, kept = bytearray(chunk_bytes), 0  # one for all chunks: new memory costs as much as two steps
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while size := file.readinto(memoryview(buffer)[kept:][: stop - file.tell()]):
            kept += size
            records = _records(memoryview(buffer)[:kept], separator)
            if records is not None:
                yield offset, records
                end = int(records.ends[-1])
                buffer[: kept - end] = buffer[end:kept]
                kept, offset = kept - end, offset + end
            elif kept == len(buffer):  # a long record
                buffer = buffer + bytes(kept)
    if not kept:
        return
    if stop < path.stat().st_size:
        raise _SplitRecord
    rest = bytes(buffer[:kept])
    last = None if rest.endswith(b"\r") else _records(memoryview(rest + b"\n"), separator)
    if last is None:  # a last line that ends in CR alone, or a quote never closed
        raise IrregularText
    yield offset, last


def _records(chunk: memoryview, separator: bytes) -> _Records | None:
    """Measure the records that end in a chunk, which begins where a record does; ``None`` if none ends in it."""
    array = np.frombuffer(chunk, np.uint8)
    newlines, returns, quotes = bits_equal(array, LF), _bits_if_any(array, CR), _bits_if_any(array, QUOTE)
    inside = None if quotes is None else running_xor(quotes)
    ends = places(newlines if inside is None else newlines & ~inside) + 1
    if not len(ends):
        return None
    whole = int(ends[-1])
    separators = bits_equal(array, separator[0])
    if quotes is not None and inside is not None:
        edges = quotes | newlines | separators
        _verify_quotes(clip(quotes, whole), inside, edges if returns is None else edges | returns)
        separators &= ~inside
    inner_lines = _inner_lines(newlines, None if returns is None else clip(returns, whole), inside, ends)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    sizes = ends - starts
    blank = (sizes == 1) | ((sizes == 2) & (array[starts] == CR))
    return _Records(starts, ends, count_between(separators, ends) + 1, blank, inner_lines, quotes is not None)


def _bits_if_any(array: NDArray[np.uint8], byte: int) -> Bits | None:
    bits = bits_equal(array, byte)
    return bits if bits.any() else None


def _verify_quotes(quotes: Bits, inside: Bits, edges: Bits) -> None:
    """Refuse a quote that opens after text, or closes before text; an escaped quote closes and opens again."""
    opens_late = quotes & inside & ~after(edges, first=True)
    closes_early = quotes & ~inside & ~before(edges)
    if opens_late.any() or closes_early.any():
        raise IrregularText


def _inner_lines(newlines: Bits, returns: Bits | None, inside: Bits | None, ends: Integers) -> Integers:
    """Count the line ends inside the quotes of each record; outside them, a CR must stand before an LF."""
    line_ends = newlines
    if returns is not None:
        bare = returns & ~before(newlines)
        if bare.any() if inside is None else (bare & ~inside).any():
            raise IrregularText
        line_ends = newlines | bare
    if inside is None:
        return np.zeros(len(ends), np.int64)
    quoted = clip(line_ends & inside, int(ends[-1]))
    return count_between(quoted, ends) if quoted.any() else np.zeros(len(ends), np.int64)

"""Finds the error cells of an xls workbook, which calamine gives as nothing: `#N/A`, `#DIV/0!`…

It walks the records of the workbook's stream and looks at two kinds only: the errors, and the formulas that gave one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ingestion.decode.ole import read_stream
from ingestion.decode.sheet import Sheet, SheetRow

ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
_FORMULA, _EOF, _SHEET, _BOOLEAN_OR_ERROR, _BEGIN = 0x0006, 0x000A, 0x0085, 0x0205, 0x0809
Errors = dict[int, dict[int, str]]  # row from 1 → column from 0 → error


def with_errors(path: Path, sheets: Iterator[Sheet]) -> Iterator[Sheet]:
    """Put the error cells of an xls workbook back in its sheets."""
    stream = read_stream(path, "workbook", "book")
    starts = [struct.unpack_from("<I", body)[0] for kind, body in _records(stream, 0) if kind == _SHEET and body[4:]]
    for number, sheet in enumerate(sheets):
        errors = _errors(stream, starts[number]) if number < len(starts) else {}
        rows = _merged(sheet.rows, errors) if errors and sheet.rows is not None else sheet.rows
        yield Sheet(sheet.name, sheet.is_hidden, rows, sheet.kind)


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The records from a place to the end of the part that begins there, those of the charts within left out."""
    depth = 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        depth += (kind == _BEGIN) - (kind == _EOF)
        if depth <= 0:
            return
        if depth == 1:
            yield kind, stream[at + 4 : at + 4 + length]
        at += 4 + length


def _errors(stream: bytes, start: int) -> Errors:
    errors: Errors = {}
    for kind, body in _records(stream, start):
        code = _code(kind, body)
        if code in ERRORS:
            row, column = struct.unpack_from("<HH", body)
            errors.setdefault(row + 1, {})[column] = ERRORS[code]
    return errors


def _code(kind: int, body: bytes) -> int | None:
    if kind == _BOOLEAN_OR_ERROR and len(body) >= 8 and body[7] == 1:
        return body[6]
    if kind == _FORMULA and len(body) >= 14 and body[12:14] == b"\xff\xff" and body[6] == 2:
        return body[8]
    return None


def _merged(rows: Iterator[SheetRow], errors: Errors) -> Iterator[SheetRow]:
    """Give the rows with their errors, and those that hold nothing else, in order."""
    waiting = sorted(errors)
    for number, cells in rows:
        while waiting and waiting[0] < number:
            yield _placed(waiting.pop(0), [], errors)
        if waiting and waiting[0] == number:
            yield _placed(waiting.pop(0), cells, errors)
        else:
            yield number, cells
    for number in waiting:
        yield _placed(number, [], errors)


def _placed(number: int, cells: list[str], errors: Errors) -> SheetRow:
    placed = cells + [""] * (max(errors[number]) + 1 - len(cells))
    for column, error in errors[number].items():
        placed[column] = placed[column] or error
    return number, placed

"""Finds the table in a sheet from its first rows, or says why there is none.

The header is found as in delimited text: the first row that is no title line. A sheet also may have groups of columns
named above the names of the columns, or codes below them; and it may hold no table but a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from ingestion.decode.dialect import header_index
from ingestion.decode.sheet import SheetRow

_CODE = re.compile(r"[A-Z][A-Z0-9_]+")
_NUMBER = re.compile(r"[-+]?\d[\d\s.,:/-]*%?(T[\d:.]+)?|true|false")
_LEAST_CODES = 3  # columns, for a second row of names to be believed
_SENTENCE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class SheetLayout:
    """Where a table stands: its header's position among the rows sampled."""

    header: int
    headers: list[str]
    title_lines: list[str]


def lay_out(rows: Sequence[SheetRow]) -> SheetLayout | str:
    """Find the table of a sheet, or the reason why it has none.

    Args:
        rows: the first rows that hold something, from the first column that does.
    """
    if not rows:
        return "This sheet is empty."
    cells = [row for _, row in rows]
    lengths = Counter(len(row) for row in cells if _filled(row) > 1)
    width = max((length for length in lengths if 2 * lengths[length] >= max(lengths.values())), default=1)
    if width == 1:
        return _list_or_text(rows)
    header = _below_groups(cells, header_index(cells, width), width)
    header += _has_codes_below(cells, header)
    if _is_text(rows[header + 1 :]):
        return "This sheet holds a text or a report, not a table: most of its rows fill one cell."
    if width == 2 and _mostly_alone(cells[header + 1 :]):
        header = 0  # a list with a remark here and there
    titles = ["\t".join(row) for row in cells[:header]]
    return SheetLayout(header, cells[header], titles)


def _filled(row: Sequence[str]) -> int:
    return sum(cell != "" for cell in row)


def _list_or_text(rows: Sequence[SheetRow]) -> SheetLayout | str:
    """A sheet of one column is a list when its cells follow one another and none is a sentence."""
    if len(rows) < 2 or _is_text(rows, least_blanks=1):
        return "This sheet holds a text, not a table: none of its rows fills two cells."
    return SheetLayout(0, [rows[0][1][0]], [])


def _mostly_alone(cells: Sequence[Sequence[str]]) -> bool:
    return 2 * sum(_filled(row) == 1 for row in cells) > len(cells)


def _is_text(rows: Sequence[SheetRow], least_blanks: int = 3) -> bool:
    """Whether most rows fill one cell, among blank rows or with sentences."""
    if not _mostly_alone([cells for _, cells in rows]):
        return False
    alone = [max(cells, key=len) for _, cells in rows if _filled(cells) == 1]
    blanks = sum(after[0] - before[0] > 1 for before, after in pairwise(rows))
    return blanks >= max(least_blanks, 0.1 * len(rows)) or sum(map(len, alone)) > _SENTENCE_LENGTH * len(alone)


def _is_names(row: Sequence[str], groups: Sequence[str], width: int) -> bool:
    """Whether cells name columns: most have a name, no number, and none twice under one group."""
    filled, group = [], ""
    for above, cell in zip_longest(groups, row, fillvalue=""):
        group = above or group
        filled += [(group, cell)] if cell else []
    has_numbers = any(_NUMBER.fullmatch(cell.strip()) for _, cell in filled)
    return 2 * len(filled) > width and len(set(filled)) == len(filled) and not has_numbers


def _below_groups(cells: Sequence[Sequence[str]], header: int, width: int) -> int:
    """Go past a row that names groups of columns: half empty, above a row of names all different in each group."""
    is_half_empty = header + 2 < len(cells) and 2 * _filled(cells[header]) <= width
    return header + 1 if is_half_empty and _is_names(cells[header + 1], cells[header], width) else header


def _has_codes_below(cells: Sequence[Sequence[str]], header: int) -> bool:
    """Whether the names of the columns stand twice: in words, then as the codes that a documentation lists."""
    names, below = cells[header], cells[header + 1 : header + 12]
    if len(below) < 2 or len(names) < _LEAST_CODES or _is_codes(names) or len(below[0]) != len(names):
        return False
    codes, data = {*below[0]}, below[1:]
    if not _is_codes(below[0]) or len(codes) < len(names) or not all(names):
        return False
    return not any(_is_codes(row) or codes & {*row} for row in data)


def _is_codes(row: Sequence[str]) -> bool:
    return all(_CODE.fullmatch(cell) for cell in row)

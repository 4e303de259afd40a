"""What the readers of workbooks give: sheets, and their rows as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SheetRow = tuple[int, list[str]]  # the row's number from 1, and its cells from column A


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet; its rows are read once, before the next sheet, and blank ones may be left out.

    ``rows`` is ``None`` for a sheet that has no cells (a chart, a dialog), whose kind tells why.
    """

    name: str
    is_hidden: bool
    rows: Iterator[SheetRow] | None
    kind: str = "worksheet"

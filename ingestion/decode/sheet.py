"""What the readers of workbooks give: sheets, and their rows as text."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
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


SheetEvent = Sheet | tuple[int, list[str], int]  # a sheet begins; or a row of it, and how many times it stands


def cut_sheets(ready: MutableSequence[SheetEvent], events: Iterator[int]) -> Iterator[Sheet]:
    """Cut one stream of the rows of all sheets into sheets.

    Args:
        ready: where the parser leaves what it has read; taken from here in order.
        events: parses on, a block at each step.
    """
    waiting: list[SheetEvent] = []

    def following() -> SheetEvent | None:
        while not waiting:
            is_over = next(events, None) is None
            waiting.extend(reversed(ready))
            ready.clear()
            if is_over and not waiting:
                return None
        return waiting.pop()

    def rows() -> Iterator[SheetRow]:
        while event := following():
            if isinstance(event, Sheet):
                waiting.append(event)
                return
            number, cells, copies = event
            for copy in range(copies):
                yield number + copy, cells

    while event := following():
        if isinstance(event, Sheet):
            yield Sheet(event.name, event.is_hidden, rows())

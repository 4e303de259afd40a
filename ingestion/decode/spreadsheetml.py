"""Reads the sheets of a workbook saved as one XML document (SpreadsheetML, Excel 2003), often named ``.xls``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from catalog.errors import Refused
from ingestion.decode.cells import number_text
from ingestion.decode.sheet import Sheet, SheetEvent, cut_sheets
from ingestion.decode.xml_events import local_name, parse_events

MAX_COLUMNS = 16_384
_BOOLEANS = {"1": "true", "0": "false"}
Attributes = dict[str, str]


def read_spreadsheetml(path: Path) -> Iterator[Sheet]:
    """Give the sheets of a workbook; read the rows of one before asking for the next.

    Raises:
        NotXml: when it is cut or corrupt.
    """
    reader = _Reader()
    with path.open("rb") as stream:
        events = parse_events(stream, start=reader.start, end=reader.end, text=reader.text)
        yield from cut_sheets(reader.ready, events)


class _Reader:
    """Gathers sheets and rows from the XML events."""

    def __init__(self) -> None:
        self.ready: list[SheetEvent] = []
        self._row, self._at = 0, -1
        self._cells: list[str] = []
        self._kind: str | None = None  # of the value that is open
        self._pieces: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        name = local_name(name)
        known = {local_name(key): value for key, value in attributes.items()}
        if name == "Worksheet":
            self.ready.append(Sheet(known.get("Name", ""), False, None))
            self._row = 0
        elif name == "Row":
            self._row = _number(known.get("Index"), self._row + 1)
            self._cells, self._at = [], -1
        elif name == "Cell":
            self._at = _number(known.get("Index"), self._at + 2) - 1
        elif name == "Data":
            self._kind = known.get("Type", "String")
            self._pieces.clear()

    def text(self, data: str) -> None:
        if self._kind:
            self._pieces.append(data)

    def end(self, name: str) -> None:
        name = local_name(name)
        if name == "Data":
            self._place(_value(self._kind or "", "".join(self._pieces)))
            self._kind = None
        elif name == "Row" and self._cells:
            self.ready.append((self._row, self._cells, 1))

    def _place(self, value: str) -> None:
        if not 0 <= self._at < MAX_COLUMNS:
            raise Refused(f"Row {self._row} has more than {MAX_COLUMNS:,} cells: no workbook does.")
        if value:
            self._cells.extend([""] * (self._at + 1 - len(self._cells)))
            self._cells[self._at] = value


def _number(written: str | None, default: int) -> int:
    return int(written) if written and written.isdecimal() and len(written) < 10 else default


def _value(kind: str, text: str) -> str:
    if kind == "Number":
        return number_text(text)
    if kind == "DateTime":
        return text.removesuffix(".000").removesuffix("T00:00:00")
    return _BOOLEANS.get(text, text) if kind == "Boolean" else text

"""Reads the sheets of an OpenDocument spreadsheet (ods) as rows of text, in a stream."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from catalog.errors import Refused
from ingestion.decode.cells import elapsed_text, number_text
from ingestion.decode.sheet import Sheet, SheetEvent, cut_sheets
from ingestion.decode.xml_events import local_name, parse_events
from ingestion.decode.zipped_xml import open_part

MAX_COLUMNS = 16_384
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?")
_NO_CELL = {"annotation", "shape", "shapes", "database-ranges", "tracked-changes"}
Attributes = dict[str, str]


def read_ods(path: Path) -> Iterator[Sheet]:
    """Give the sheets of a spreadsheet; read the rows of one before asking for the next.

    Raises:
        NotXml, zipfile.BadZipFile, OSError: when it is cut or corrupt.
        Refused: when it is encrypted, or grows beyond all measure.
    """
    with zipfile.ZipFile(path) as archive:
        if "META-INF/manifest.xml" in archive.namelist():
            with open_part(archive, "META-INF/manifest.xml") as stream:
                if b"encryption-data" in stream.read(1 << 20):
                    raise Refused("It is encrypted: ask its publisher for an open file.")
        reader = _Reader()
        with open_part(archive, "content.xml") as stream:
            events = parse_events(stream, start=reader.start, end=reader.end, text=reader.text)
            yield from cut_sheets(reader.ready, events)


class _Reader:
    """Gathers sheets and rows from the XML events of ``content.xml``."""

    def __init__(self) -> None:
        self.ready: list[SheetEvent] = []
        self._hidden: set[str] = set()
        self._style = ""
        self._tables = self._skipping = 0
        self._number, self._copies = 1, 1
        self._cells: list[str] = []
        self._gap = 0  # empty cells since the last that holds something
        self._cell: Attributes = {}
        self._pieces: list[str] = []
        self._paragraphs = 0

    def start(self, name: str, attributes: Attributes) -> None:
        name = local_name(name)
        if self._skipping or name in _NO_CELL:
            self._skipping += 1
        elif name == "style":
            self._style = attributes.get("style:name", "")
        elif name == "table-properties" and attributes.get("table:display") == "false":
            self._hidden.add(self._style)
        elif name == "table":
            self._open_table(attributes)
        elif name == "table-row" and self._tables == 1:
            self._cells, self._gap, self._copies = [], 0, _count(attributes, "table:number-rows-repeated")
        elif name in ("table-cell", "covered-table-cell"):
            self._cell, self._paragraphs = attributes, 0
            self._pieces.clear()
        else:
            self._open_text(name, attributes)

    def _open_table(self, attributes: Attributes) -> None:
        self._tables += 1
        if self._tables == 1:
            is_hidden = attributes.get("table:style-name", "") in self._hidden
            self.ready.append(Sheet(attributes.get("table:name", ""), is_hidden, None))
            self._number = 1

    def _open_text(self, name: str, attributes: Attributes) -> None:
        if name == "p":
            self._paragraphs += 1
            self._pieces += ["\n"] if self._paragraphs > 1 else []
        elif name == "s":
            self._pieces.append(" " * min(_count(attributes, "text:c"), 10_000))
        elif name in ("tab", "line-break"):
            self._pieces.append("\t" if name == "tab" else "\n")

    def text(self, data: str) -> None:
        if self._paragraphs and not self._skipping:
            self._pieces.append(data)

    def end(self, name: str) -> None:
        name = local_name(name)
        if self._skipping:
            self._skipping -= 1
        elif name == "table":
            self._tables -= 1
        elif name in ("table-cell", "covered-table-cell"):
            self._close_cell()
        elif name == "table-row" and self._tables == 1:
            if self._cells:
                self.ready.append((self._number, self._cells, self._copies))
            self._number += self._copies

    def _close_cell(self) -> None:
        copies = _count(self._cell, "table:number-columns-repeated")
        value = _value(self._cell, "".join(self._pieces))
        self._paragraphs = 0
        if value == "":
            self._gap += copies
            return
        if len(self._cells) + self._gap + copies > MAX_COLUMNS:
            raise Refused(f"Row {self._number} has more than {MAX_COLUMNS:,} cells: no spreadsheet does.")
        self._cells += [""] * self._gap + [value] * copies
        self._gap = 0


def _count(attributes: Attributes, name: str) -> int:
    written = attributes.get(name, "1")
    return max(1, int(written)) if written.isdecimal() and len(written) < 10 else 1


def _value(cell: Attributes, text: str) -> str:
    kind = cell.get("office:value-type", "")
    if kind in ("float", "currency", "percentage") and "office:value" in cell:
        return number_text(cell["office:value"])
    if kind == "date" and "office:date-value" in cell:
        return cell["office:date-value"].removesuffix("T00:00:00")
    if kind == "time" and "office:time-value" in cell:
        return _elapsed(cell["office:time-value"])
    if kind == "boolean" and "office:boolean-value" in cell:
        return cell["office:boolean-value"]
    return text or cell.get("office:string-value", "")


def _elapsed(written: str) -> str:
    found = _DURATION.fullmatch(written)
    if not found or len(written) > 40:
        return written
    sign, days, hours, minutes, seconds = found.groups("0")
    try:
        elapsed = timedelta(
            days=int(days), hours=int(hours), minutes=int(minutes), seconds=float(seconds.replace(",", "."))
        )
    except OverflowError:
        return written
    return elapsed_text(-elapsed if sign == "-" else elapsed)

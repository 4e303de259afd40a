"""Reads the sheets of an xlsx workbook as rows of text, in a stream: only its shared texts are held in memory.

It reads what was stored (a cached value, an error such as ``#N/A``), not what Excel would show or compute.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from catalog.errors import Refused
from ingestion.decode.cells import kind_of_format, number_text, serial_text
from ingestion.decode.sheet import Sheet, SheetRow
from ingestion.decode.xml_events import local_name, parse_events
from ingestion.decode.zipped_xml import open_part

MAX_SHARED_BYTES = 1 << 30
MAX_COLUMNS = 16_384
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
Attributes = dict[str, str]


@dataclass(slots=True)
class _Workbook:
    sheets: list[Attributes] = field(default_factory=list)
    from_1904: bool = False
    styles: list[str | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def read_xlsx(path: Path) -> Iterator[Sheet]:
    """Give the sheets of a workbook; read the rows of one before asking for the next.

    Raises:
        NotXml, zipfile.BadZipFile, OSError: when a part of it is cut or corrupt.
        Refused: when it has no sheet, or grows beyond all measure.
    """
    with zipfile.ZipFile(path) as archive:
        root = _relations(archive, "")
        main = next((target for target, kind in root.values() if kind == "officeDocument"), "xl/workbook.xml")
        workbook = _read_workbook(archive, main)
        relations = _relations(archive, main)
        by_kind = {kind: target for target, kind in relations.values()}
        if "styles" in by_kind:
            workbook.styles = _read_styles(archive, by_kind["styles"])
        if "sharedStrings" in by_kind:
            workbook.texts = _read_texts(archive, by_kind["sharedStrings"])
        for one in workbook.sheets:
            target, kind = relations.get(one.get("id", ""), ("", "missing"))
            is_hidden = one.get("state", "visible") != "visible"
            rows = _read_rows(archive, target, workbook) if kind == "worksheet" else None
            yield Sheet(one.get("name", ""), is_hidden, rows, kind)


def _plain(attributes: Attributes) -> Attributes:
    return {local_name(name): value for name, value in attributes.items()}


def _elements(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str, Attributes]]:
    """The elements of a small part: the parent's name, the name, the attributes."""
    found: list[tuple[str, str, Attributes]] = []
    parents = [""]

    def start(name: str, attributes: Attributes) -> None:
        found.append((parents[-1], local_name(name), _plain(attributes)))
        parents.append(local_name(name))

    def end(_: str) -> None:
        parents.pop()

    with open_part(archive, part) as stream:
        for _ in parse_events(stream, start=start, end=end, text=lambda _: None):
            yield from found
            found.clear()


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """What a part refers to: identifier → part named, and the last word of its type."""
    folder, name = posixpath.split(part)
    file = posixpath.join(folder, "_rels", f"{name}.rels")
    if file not in archive.namelist():
        return {}
    relations: dict[str, tuple[str, str]] = {}
    for _, element, attributes in _elements(archive, file):
        if element == "Relationship":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", ""))).lstrip("/")
            relations[attributes.get("Id", "")] = target, attributes.get("Type", "").rpartition("/")[2]
    return relations


def _read_workbook(archive: zipfile.ZipFile, part: str) -> _Workbook:
    workbook = _Workbook()
    for parent, name, attributes in _elements(archive, part):
        if name == "sheet" and parent == "sheets":
            workbook.sheets.append(attributes)
        elif name == "workbookPr":
            workbook.from_1904 = attributes.get("date1904", "0") in ("1", "true")
    return workbook


def _read_styles(archive: zipfile.ZipFile, part: str) -> list[str | None]:
    """For each cell style, whether it shows dates or durations."""
    codes: dict[str, str] = {}
    styles: list[str | None] = []
    for parent, name, attributes in _elements(archive, part):
        if name == "numFmt" and parent == "numFmts":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "xf" and parent == "cellXfs":
            number = attributes.get("numFmtId", "0")
            styles.append(kind_of_format(int(number) if number.isdecimal() else 0, codes.get(number)))
    return styles


def _unescaped(text: str) -> str:
    """Decode the characters that XML cannot hold, which Excel writes as ``_x000D_``."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(
        lambda found: found[0] if "D800" <= found[1].upper() <= "DFFF" else chr(int(found[1], 16)), text
    )


def _read_texts(archive: zipfile.ZipFile, part: str) -> list[str]:
    texts: list[str] = []
    pieces: list[str] = []
    inside: list[str] = []
    size = 0

    def start(name: str, _: Attributes) -> None:
        inside.append(local_name(name))
        if inside[-1] == "si":
            pieces.clear()

    def end(_: str) -> None:
        nonlocal size
        if inside.pop() == "si":
            texts.append(_unescaped("".join(pieces)))
            size += len(texts[-1]) + 64

    def text(data: str) -> None:
        if inside and inside[-1] == "t" and "rPh" not in inside:
            pieces.append(data)

    with open_part(archive, part) as stream:
        for _ in parse_events(stream, start=start, end=end, text=text):
            if size > MAX_SHARED_BYTES:
                raise Refused(f"Its shared texts take more than {MAX_SHARED_BYTES >> 20} MiB: not read.")
    return texts


@lru_cache(maxsize=MAX_COLUMNS)
def _column(letters: str) -> int:
    """Position of a column from its letters (``B`` is 1); the last and more when they are none."""
    position = 0
    for letter in letters.upper():
        position = position * 26 + ord(letter) - 64
    return position - 1 if letters.isascii() and letters.isalpha() and len(letters) <= 3 else MAX_COLUMNS


class _RowReader:
    """Gathers the rows of a sheet from its XML events."""

    def __init__(self, workbook: _Workbook):
        self._workbook = workbook
        self.rows: list[SheetRow] = []
        self._number, self._at = 0, -1
        self._cells: list[str] = []
        self._kind, self._style = "n", ""
        self._pieces: list[str] = []
        self._takes = self._is_phonetic = False

    def start(self, name: str, attributes: Attributes) -> None:
        if ":" in name:
            name = local_name(name)
        if name == "c":
            reference = attributes.get("r", "").rstrip("0123456789")
            self._at = _column(reference) if reference else self._at + 1
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
        elif name == "v":
            self._takes = self._kind != "inlineStr"
        elif name == "row":
            number = attributes.get("r", "")
            self._number = int(number) if number.isdecimal() and len(number) < 10 else self._number + 1
            self._cells, self._at = [], -1
        elif name == "rPh":
            self._is_phonetic = True
        else:
            self._takes = name == "t" and self._kind == "inlineStr" and not self._is_phonetic

    def text(self, data: str) -> None:
        if self._takes:
            self._pieces.append(data)

    def end(self, name: str) -> None:
        self._takes = False
        if ":" in name:
            name = local_name(name)
        if name == "c":
            if self._pieces:
                self._place(self._value("".join(self._pieces)))
                self._pieces.clear()
        elif name == "row" and self._cells:
            self.rows.append((self._number, self._cells))
            self._cells = []
        elif name == "rPh":
            self._is_phonetic = False

    def _place(self, value: str) -> None:
        if value == "":
            return
        if self._at >= MAX_COLUMNS:
            raise Refused(f"Row {self._number} has more than {MAX_COLUMNS:,} cells: no workbook does.")
        self._cells.extend([""] * (self._at + 1 - len(self._cells)))
        self._cells[self._at] = value

    def _value(self, written: str) -> str:
        kind = self._kind
        if kind == "s":
            return self._shared(written)
        if kind == "n":
            shown = self._shown_as()
            return serial_text(written, shown, from_1904=self._workbook.from_1904) if shown else number_text(written)
        if kind == "b":
            return {"1": "true", "0": "false"}.get(written, written)
        if kind == "d":
            return written.removesuffix("T00:00:00")
        return written if kind == "e" else _unescaped(written)

    def _shown_as(self) -> str | None:
        styles = self._workbook.styles
        return styles[int(self._style)] if self._style.isdecimal() and int(self._style) < len(styles) else None

    def _shared(self, written: str) -> str:
        texts = self._workbook.texts
        if not written.isdecimal() or int(written) >= len(texts):
            raise Refused(f"Row {self._number} refers to a shared text that is not there: the workbook is corrupt.")
        return texts[int(written)]


def _read_rows(archive: zipfile.ZipFile, part: str, workbook: _Workbook) -> Iterator[SheetRow]:
    reader = _RowReader(workbook)
    with open_part(archive, part) as stream:
        for _ in parse_events(stream, start=reader.start, end=reader.end, text=reader.text):
            yield from reader.rows
            reader.rows.clear()

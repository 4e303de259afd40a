"""Decodes workbooks (xls, xlsx, xlsb, ods): every sheet that holds a table becomes one, each other is refused alone.

The format is told by the content: a ZIP archive by its parts, an OLE file by the names in its root.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from catalog.errors import NotATable, Refused
from catalog.names import column_names
from ingestion.decode.archives import MACHINE_ERRORS
from ingestion.decode.calamine_process import read_with_calamine
from ingestion.decode.ods import read_ods
from ingestion.decode.ole import ENCRYPTED, XLS, kind_of_ole
from ingestion.decode.scratch_rows import RowWriter, no_rows, row_writer, scan_rows
from ingestion.decode.sheet import Sheet
from ingestion.decode.sheet_layout import lay_out
from ingestion.decode.spreadsheetml import read_spreadsheetml
from ingestion.decode.table import DecodedTable, RefusedMember, Source
from ingestion.decode.xls_errors import with_errors
from ingestion.decode.xlsx import read_xlsx
from ingestion.decode.xml_events import NotXml
from ingestion.decode.zipped_xml import check_growth

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_READERS: dict[str, Callable[[Path], Iterator[Sheet]]] = {
    "xls": lambda path: with_errors(path, read_with_calamine(path)),
    "xlsb": read_with_calamine,
    "xlsx": read_xlsx,
    "ods": read_ods,
    "xls (XML)": read_spreadsheetml,
}
_ODS_TYPES = ("application/vnd.oasis.opendocument.spreadsheet", "application/x-vnd.oasis.opendocument.spreadsheet")
_CORRUPT = (
    NotXml, OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeDecodeError
)  # fmt: skip


def decode_workbook(source: Source, kind: str | None = None) -> Iterator[DecodedTable | RefusedMember]:
    """Decode each sheet of a workbook.

    Args:
        source: the workbook.
        kind: its format, one of those read, when it is known.

    Raises:
        NotATable: when it is another document.
        Refused: when it is encrypted, cut or corrupt, or has no sheet.
    """
    kind, count = kind or _kind(source.path), 0
    try:
        _check_sizes(source.path, kind)
        for sheet in _READERS[kind](source.path):
            count += 1
            yield _decode_sheet(_within(source, sheet, kind), sheet)
    except (Refused, *_CORRUPT) as error:
        _raise_unless_corrupt(error)
        reason = f"The {kind} workbook is cut or corrupt: {error}. Download it again."
        refusal = error if isinstance(error, Refused) else Refused(reason)
        if not count:
            raise refusal from error
        yield RefusedMember(source.member, f"After its sheet {sheet.name}: {refusal}")
    if not count:
        raise Refused(f"This {kind} workbook has no sheet.")


def _raise_unless_corrupt(error: Exception) -> None:
    """Let pass what is the machine's fault, such as a full disk: the file may be sound."""
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        raise error


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(len(_OLE_MAGIC))
    if head == _OLE_MAGIC:
        return _kind_of_ole(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _kind_of_archive(archive)
    except _CORRUPT as error:
        _raise_unless_corrupt(error)
        raise Refused(f"The workbook is cut or corrupt: {error}. Download it again.") from error


def _kind_of_ole(path: Path) -> str:
    kind = kind_of_ole(path)
    if kind == ENCRYPTED:
        raise Refused("It is an encrypted workbook or document: ask its publisher for an open file.")
    if kind is None:
        raise Refused("This xls workbook or old Office document is cut or corrupt. Download it again.")
    if kind != XLS:
        raise NotATable(f"This is a {kind} (an OLE file): not a table.")
    return "xls"


def _kind_of_archive(archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    if "xl/workbook.bin" in names:
        return "xlsb"
    if "[Content_Types].xml" in names:
        return "xlsx"
    with archive.open("mimetype") as stream:
        kind = stream.read(100).decode("ascii", "replace").strip()
    if not kind.startswith(_ODS_TYPES):
        raise NotATable(f"This is an OpenDocument file but no ods spreadsheet ({kind}): not a table.")
    return "ods"


def _check_sizes(path: Path, kind: str) -> None:
    if kind in ("xlsx", "xlsb", "ods"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                check_growth(info.filename, info.file_size, info.compress_size)


def _within(source: Source, sheet: Sheet, kind: str) -> Source:
    member = f"{source.member}/{sheet.name}" if source.member else sheet.name
    facts = {"kind": kind, "sheet": sheet.name} | ({"hidden": "true"} if sheet.is_hidden else {})
    return replace(source, member=member, facts={**source.facts, **facts})


def _decode_sheet(source: Source, sheet: Sheet) -> DecodedTable | RefusedMember:
    if sheet.rows is None:
        return RefusedMember(source.member, f"This sheet has no cells: it is a {sheet.kind}.", is_document=True)
    path, first_column = source.new_file(".csv"), 1 << 20
    try:
        with row_writer(path) as writer:
            for number, cells in sheet.rows:
                if first_column and cells:
                    first_column = min(first_column, next((at for at, cell in enumerate(cells) if cell), first_column))
                writer.write(number, cells)
    except Refused as error:
        return RefusedMember(source.member, str(error))
    except _CORRUPT as error:
        _raise_unless_corrupt(error)
        return RefusedMember(source.member, f"This sheet is cut or corrupt: {error}. Download the file again.")
    return _table(source, path, writer, first_column)


def _table(source: Source, path: Path, written: RowWriter, first: int) -> DecodedTable | RefusedMember:
    layout = lay_out([(number, cells[first:]) for number, cells in written.sample])
    if isinstance(layout, str):
        return RefusedMember(source.member, layout, is_document=True)
    headers = layout.headers + [""] * (written.width - first - len(layout.headers))
    columns = column_names(headers)
    rows = written.rows - layout.header - 1
    facts = {**source.facts, "header_line": str(written.sample[layout.header][0])}
    if layout.title_lines:
        facts["title_lines"] = "\n".join(layout.title_lines)
    frame = scan_rows(path, columns, first=first, width=written.width, skip=layout.header + 1)
    return DecodedTable(source.member, headers, columns, frame if rows else no_rows(columns), rows, [], facts)

"""From a local raw file to text tables: `decode` decides what a file is and hands it to the decoder of its kind.

What each format becomes, and every limit, is in `docs/formats.md`. A decoder takes a `Source` (and its text) and
yields `DecodedTable` or `RefusedMember`; a new format is one more module and one more line: in `_DECODERS` when its
bytes tell it, in `_decode_text` when its text does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import structlog

from catalog.errors import NotATable, OdhError, Refused
from ingestion.decode import kinds
from ingestion.decode.archives import MACHINE_ERRORS, decompress, unpack, zip_names
from ingestion.decode.dbf import decode_dbf
from ingestion.decode.delimited import decode_delimited
from ingestion.decode.geopackage import decode_geopackage
from ingestion.decode.json_records import decode_json
from ingestion.decode.json_text import NotJson
from ingestion.decode.kinds import unread
from ingestion.decode.parquet_file import decode_columnar
from ingestion.decode.shapefile import decode_shapefile
from ingestion.decode.table import DecodedTable, RefusedMember, RejectedRow, Source
from ingestion.decode.text import open_text
from ingestion.decode.workbook import decode_workbook
from ingestion.decode.xml_records import decode_xml

__all__ = ["DecodedTable", "RefusedMember", "RejectedRow", "decode"]

log = structlog.get_logger(__name__)
_HEAD_BYTES = 4096
Decoded = Iterator[DecodedTable | RefusedMember]
_DECODERS: dict[str, Callable[[Source], Iterable[DecodedTable | RefusedMember]]] = {
    kinds.SHAPEFILE: lambda source: [decode_shapefile(source)],
    kinds.DBF: lambda source: [decode_dbf(source)],
    kinds.GEOPACKAGE: decode_geopackage,
    kinds.PARQUET: lambda source: [decode_columnar(source, kinds.PARQUET)],
    kinds.ARROW: lambda source: [decode_columnar(source, kinds.ARROW)],
    kinds.ORC: lambda source: [decode_columnar(source, kinds.ORC)],
    **dict.fromkeys((kinds.OLE, kinds.XLSX, kinds.OPENDOCUMENT), decode_workbook),
}


def decode(
    path: Path, *, file_name: str, declared_format: str | None, scratch: Path, pad_ragged: bool = False
) -> Decoded:
    """Read a raw file as tables, one per file or archive member; nothing is read before the first is asked for.

    Args:
        path: the file, which must stay as long as the frames are in use.
        file_name: the name it was published under.
        declared_format: the format its publisher declares; used only where the content does not decide.
        scratch: folder for working files; empty it when done with the frames.
        pad_ragged: keep the records that have fewer or more fields than the header, instead of rejecting them.

    Raises:
        NotATable: when it is a document, a picture, a page or a program.
        Refused: when no part of the file can become a table.
    """
    source = Source(path, file_name, declared_format, scratch, pad_ragged=pad_ragged)
    source.budget.packed_bytes = path.stat().st_size
    refused: list[RefusedMember] = []
    tables = 0
    for decoded in _guarded(source):
        if isinstance(decoded, RefusedMember):
            refused.append(decoded)
        else:
            tables += 1
        yield decoded
    if not tables:
        reasons = " ".join(f"{one.member}: {one.reason}" for one in refused[:5])
        refusal = NotATable if refused and all(one.is_document for one in refused) else Refused
        raise refusal(f"No member of this archive can become a table. {reasons}")


def _guarded(source: Source) -> Decoded:
    """Decode one file; what a decoder did not foresee is a refusal of that file alone.

    A broken machine (a full disk) is no fault of the file and passes.
    """
    try:
        yield from _decode(source)
    except (OdhError, MemoryError):
        raise
    except BaseException as error:
        is_panic = type(error).__name__ == "PanicException"  # how the Rust readers crash: not an Exception
        is_machine = isinstance(error, OSError) and error.errno in MACHINE_ERRORS
        if is_machine or not (isinstance(error, Exception) or is_panic):
            raise
        log.warning("decoder_crashed", file=source.file_name, member=source.member, exc_info=True)
        raise Refused(f"An unexpected {type(error).__name__} stopped its reading: {error}. Report it.") from error


def _decode(source: Source) -> Decoded:
    with source.path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise Refused("The file is empty.")
    kind = kinds.kind_of_bytes(head)
    if kind == kinds.ZIP:
        kind = kinds.kind_of_archive(zip_names(source)) or kinds.ZIP
    if kind in kinds.COMPRESSIONS:
        return _decode(decompress(source, kind))
    if kind in (kinds.ZIP, kinds.TAR):
        return _decode_members(source, kind)
    if kind in _DECODERS:
        return iter(_DECODERS[kind](source))
    if kind != kinds.TEXT:
        raise unread(kind)
    return _decode_text(source)


def _decode_members(source: Source, kind: str) -> Decoded:
    is_empty = True
    for member in unpack(source, kind):
        is_empty = False
        if isinstance(member, RefusedMember):
            yield member
            continue
        try:
            yield from _guarded(member)
        except Refused as error:
            yield RefusedMember(member.member, str(error), isinstance(error, NotATable))
    if is_empty:
        raise Refused("The archive holds no file.")
    if source.containers:
        source.path.unlink()  # written out for its members' sake; they are out


def _decode_text(source: Source) -> Decoded:
    text = open_text(source)
    head = text.head(_HEAD_BYTES)
    document = kinds.kind_of_text(head)
    if document == kinds.XML:
        return decode_xml(source, text)
    if document == kinds.XML_WORKBOOK:
        return decode_workbook(source, "xls (XML)")
    if document == kinds.HTML and kinds.is_named_as_workbook(source.file_name, source.declared_format):
        raise Refused("This is an HTML page named as a workbook: not read. A spreadsheet can save it as xlsx or csv.")
    if document:
        raise unread(document)
    if kinds.may_be_json(head):
        try:
            return iter([decode_json(source, text)])
        except NotJson as error:
            if not kinds.is_named_as_csv(source.file_name, source.declared_format):
                raise Refused(f"It begins as JSON and is not: {error}. It may have been cut.") from error
    return iter([decode_delimited(source, text)])

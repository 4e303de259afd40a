"""Says what a file is from its first bytes; declared formats and names come after, for on the portal they lie."""

from __future__ import annotations

import re
import struct

from catalog.errors import NotATable, Refused
from ingestion.decode.encoding import unmarked_utf16

GZIP, BZ2, XZ, ZSTD = "gzip", "bz2", "xz", "zstd"
ZIP, TAR, TEXT = "zip", "tar", "text"
COMPRESSIONS = (GZIP, BZ2, XZ, ZSTD)
PARQUET, ARROW, ORC = "parquet file", "Arrow file", "ORC file"
SHAPEFILE, DBF, GEOPACKAGE = "shapefile", "dbf table", "SQLite or GeoPackage database"
XML, XML_WORKBOOK, HTML = "XML document", "workbook saved as XML", "HTML page"
OLE, XLSX, OPENDOCUMENT = "xls workbook or old Office document", "xlsx workbook", "ods or other OpenDocument file"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", GZIP),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"%PDF", "PDF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"Rar!\x1a\x07", "rar archive"),
    (b"SQLite format 3\x00", GEOPACKAGE),
    (b"\x00\x00\x27\x0a", SHAPEFILE),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"II*\x00", "TIFF image"),
    (b"MM\x00*", "TIFF image"),
    (b"{\\rtf", "RTF document"),
    (b"\x7fELF", "program"),
)
_ASCII_MAGIC: tuple[tuple[bytes, str], ...] = (  # these could begin a header: only with bytes that no text has
    (b"PAR1", PARQUET),
    (b"PARE", "encrypted parquet file"),
    (b"ARROW1", ARROW),
    (b"ORC", ORC),
    (b"BZh", BZ2),
)
_DBF_TYPES = b"CNDLFMGBIYT@+O0VWQPX"
_DBF_VERSIONS = b"\x02\x03\x30\x31\x32\x43\x83\x8b\xf5"
_TEXT_MARKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<(!doctype\s+html|html|head|body)\b", re.I), HTML),
    (re.compile(r"(<!--.*?-->\s*)?<(!doctype\s+html|html)\b", re.I | re.S), HTML),
    (re.compile(r"<\?xml[^>]*>\s*(<!--.*?-->\s*)*(<!doctype\s+html|<html)\b", re.I | re.S), HTML),
    (re.compile(r"(<\?[^>]*>\s*)+<(\w+:)?Workbook\b[^>]*urn:schemas-microsoft-com:office:spreadsheet"), XML_WORKBOOK),
    (re.compile(r"<(\?xml\b|!--|!DOCTYPE\b|[A-Za-z_][\w.-]*(:[\w.-]+)?(\s+[\w:.-]+\s*=|\s*/?>\s*<))"), XML),
    (re.compile(r"BEGIN:V(CALENDAR|CARD)\b"), "calendar or address card"),
    (re.compile(r"@(prefix|base)\s"), "RDF document (Turtle)"),
    (re.compile(r'(PROJCS|GEOGCS|PROJCRS|GEOGCRS)\["'), "map projection (part of a shapefile)"),
)
_DOCUMENTS = re.compile(r"(PDF|RTF|docx|pptx|Office) document|\w+ image|HTML page|program|map projection")
_CSV_NAMES = ("csv", "tsv", "txt", "tab")
_WORKBOOK_NAMES = ("xls", "xlsx", "xlsb", "xlsm", "ods")
_OFFICE = ("xl/", "word/", "ppt/")
_CONTROLS = bytes({*range(1, 32)} - set(b"\t\n\v\f\r\x1a\x1b\x1f"))


def kind_of_bytes(head: bytes) -> str:
    """Name the kind of a file from its first 4 KiB: ``gzip``, ``zip``, ``text``, or what it is that is not read."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    controls = len(head) - len(head.translate(None, _CONTROLS))
    has_binary = bool(controls or head.count(0))
    for magic, kind in _ASCII_MAGIC:
        if has_binary and head.startswith(magic):
            return kind
    if has_binary and head[257:262] == b"ustar":
        return TAR
    if _is_dbf(head):
        return DBF
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return TEXT
    if unmarked_utf16(head):
        return TEXT
    is_binary = controls > 0.05 * len(head) or head.count(0) > 0.3 * len(head)
    return "binary file of an unknown kind" if is_binary else TEXT


def _is_dbf(head: bytes) -> bool:
    """Whether the header is a dBase table's: its version, date and lengths make sense together."""
    if len(head) < 33 or head[0] not in _DBF_VERSIONS:
        return False
    header_bytes, record_bytes = struct.unpack_from("<HH", head, 8)
    is_date = head[2] <= 12 and head[3] <= 31
    is_sized = (header_bytes - 33) % 32 in (0, 7, 8, 1, 31) and header_bytes > 33 and record_bytes > 1
    has_name = b"\0" in head[32:43]  # each ends its field's name; versions 30 to 43 are digits and letters
    return is_date and is_sized and has_name and head[43:44] in tuple(bytes([type_]) for type_ in _DBF_TYPES)


def unread(kind: str) -> Refused:
    """The refusal of a kind that no decoder reads: a document, or data of a format not read yet."""
    if _DOCUMENTS.match(kind):
        return NotATable(f"This is a {kind}: not a table.")
    return Refused(f"This is a {kind}: that format is not read yet.")


def kind_of_archive(names: list[str]) -> str | None:
    """Name the document that a ZIP archive really is, or ``None`` for a plain archive."""
    if "[Content_Types].xml" in names:
        folder = next((folder for folder in _OFFICE if any(name.startswith(folder) for name in names)), "")
        return {"xl/": XLSX, "word/": "docx document", "ppt/": "pptx document"}.get(folder, "Office document")
    if "mimetype" in names and "content.xml" in names:
        return OPENDOCUMENT
    return None


def kind_of_text(sample: str) -> str | None:
    """Name the document that a text is when it is no table: HTML, XML…"""
    start = sample.lstrip("\ufeff \t\r\n")
    return next((kind for pattern, kind in _TEXT_MARKS if pattern.match(start)), None)


def may_be_json(sample: str) -> bool:
    """Whether a text begins as a JSON object or array does."""
    start = sample.lstrip("\ufeff \t\r\n")
    return bool(re.match(r'\{\s*("|\}|$)|\[\s*([\[{"\]\-\d]|true|false|null|$)', start))


def is_named_as_csv(file_name: str, declared_format: str | None) -> bool:
    """Whether its name or its publisher calls a text a delimited one."""
    suffix = file_name.rpartition(".")[2].lower()
    return suffix in _CSV_NAMES or (declared_format or "").lower() in _CSV_NAMES


def is_named_as_workbook(file_name: str, declared_format: str | None) -> bool:
    """Whether its name or its publisher calls a file a workbook."""
    suffix = file_name.rpartition(".")[2].lower()
    return suffix in _WORKBOOK_NAMES or (declared_format or "").lower() in _WORKBOOK_NAMES

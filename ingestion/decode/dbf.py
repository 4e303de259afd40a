"""Reads dBase tables as the text they hold: the readers at hand type their numbers, and lose what was written.

The format is `dBase III <https://www.clicketyclick.dk/databases/xbase/format/dbf.html>`_: a header, then records of
fixed width, each field padded with spaces, which are no part of its value.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode.arrow_text import scan_text, write_text
from ingestion.decode.encoding import MIXED, TABLES, find_encoding
from ingestion.decode.table import DecodedTable, Source

BATCH_RECORDS = 1 << 15
_TEXT_TYPES = "CNFDL"
_NULLS = {"N": "*", "F": "*", "L": "?"}  # what the format writes all over a field that has no value
_DOS = {1: "cp437", 2: "cp850"}  # the language byte, where it means what its writer's screen showed
_PADDING = b" \0"
_DECLARED = (  # what a .cpg file or its kin says
    (re.compile(r"utf-?8|65001", re.I), "utf-8"),
    (re.compile(r"1252|ansi", re.I), "cp1252"),
    (re.compile(r"8859-?15|latin-?9|885915", re.I), "iso8859-15"),
    (re.compile(r"8859-?1|latin-?1|88591", re.I), "latin-1"),
    (re.compile(r"850", re.I), "cp850"),
    (re.compile(r"437", re.I), "cp437"),
    (re.compile(r"mac", re.I), "mac-roman"),
)


@dataclass(frozen=True, slots=True)
class Dbf:
    """The shape of a dBase table and how its text is written."""

    path: Path
    records: int
    header_bytes: int
    record_bytes: int
    fields: tuple[tuple[bytes, str, int], ...]  # name, type and width
    encoding: str

    @property
    def headers(self) -> list[str]:
        if self.encoding == "utf-8":
            return [name.decode("utf-8", "ignore") for name, _, _ in self.fields]  # ten bytes may cut a letter
        return [_decoder(self.encoding)(name) for name, _, _ in self.fields]

    def batches(self, size: int = BATCH_RECORDS) -> Iterator[tuple[NDArray[np.bool_], list[pa.Array]]]:
        """The columns of some records at a time, those marked deleted left out, and which records stayed."""
        types = [("deleted", "S1"), *((f"f{at}", f"S{width}") for at, (_, _, width) in enumerate(self.fields))]
        decode = _decoder(self.encoding)
        with self.path.open("rb") as file:
            file.seek(self.header_bytes)
            left = self.records
            while left > 0:
                count = min(left, size)
                records = np.frombuffer(file.read(count * self.record_bytes), np.dtype(types))
                kept = records["deleted"] != b"*"
                yield (
                    kept,
                    [
                        pa.array(_cells(records[f"f{at}"][kept], kind, decode), pa.large_string())
                        for at, (_, kind, _) in enumerate(self.fields)
                    ],
                )
                left -= count


def _cells(raw: NDArray[np.bytes_], kind: str, decode: Callable[[bytes], str]) -> list[str]:
    if kind == "C":
        return [decode(cell.rstrip(_PADDING)) for cell in raw.tolist()]
    cells = [decode(cell.strip(_PADDING)) for cell in raw.tolist()]
    if kind == "D":
        return list(map(_date, cells))
    null = _NULLS[kind]
    return [cell if cell.strip(null) else "" for cell in cells]


def _date(text: str) -> str:
    """A date in ISO form; zeros are none, and what is no date stays as written."""
    if len(text) == 8 and text.isascii() and text.isdigit() and text.strip("0"):
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text if text.strip("0") else ""


def _decoder(encoding: str) -> Callable[[bytes], str]:
    if encoding in ("utf-8", MIXED):
        return lambda raw: raw.decode("utf-8", "odh_cp1252")
    if encoding in TABLES:  # with every byte defined
        table = TABLES[encoding]
        return lambda raw: codecs.charmap_decode(raw, "strict", table)[0]  # type: ignore[arg-type]
    return lambda raw: raw.decode(encoding, "replace")


def open_dbf(path: Path, scratch_file: Path, declared_encoding: str = "") -> Dbf:
    """Read the header of a dBase table and decide how its text is written.

    Args:
        path: the .dbf file.
        scratch_file: where its text may be put, to be scored.
        declared_encoding: what a .cpg file beside it says.

    Raises:
        Refused: when it is cut, or holds columns that are no text.
    """
    with path.open("rb") as file:
        head = file.read(32)
        if len(head) < 32:
            raise Refused("The .dbf is cut. Download it again.")
        records, header_bytes, record_bytes = struct.unpack_from("<IHH", head, 4)
        fields = _fields(file.read(max(header_bytes - 32, 0)))
    width = 1 + sum(width for _, _, width in fields)
    if path.stat().st_size < header_bytes + records * record_bytes:
        raise Refused(f"The .dbf is cut: it announces {records:,} records. Download it again.")
    if not fields or min(width for _, _, width in fields) < 1 or width != record_bytes:
        raise Refused(f"The .dbf is corrupt: its {len(fields)} fields make {width} bytes, {record_bytes} announced.")
    unread = sorted({kind for _, kind, _ in fields if kind not in _TEXT_TYPES})
    if unread:
        raise Refused(f"The .dbf has columns of type {', '.join(unread)}, which are no text: not read.")
    encoding = _declared(declared_encoding) or _DOS.get(head[29], "")
    found = Dbf(path, records, header_bytes, record_bytes, fields, encoding or "latin-1")
    return found if encoding else _scored(found, scratch_file)


def _fields(descriptors: bytes) -> tuple[tuple[bytes, str, int], ...]:
    fields = []
    for at in range(0, len(descriptors) - 31, 32):
        if descriptors[at] == 0x0D:
            break
        name, kind, length, decimals = struct.unpack_from("<11sc4xBB", descriptors, at)
        width = length + 256 * decimals if kind == b"C" else length  # how long texts are written, since Clipper
        fields.append((name.partition(b"\0")[0].strip(), kind.decode("latin-1"), width))
    return tuple(fields)


def _declared(text: str) -> str:
    return next((encoding for pattern, encoding in _DECLARED if pattern.search(text)), "")


def _scored(found: Dbf, scratch_file: Path) -> Dbf:
    """Decide the encoding as for any text, on the text alone: numbers and padding say nothing."""
    columns = [at for at, (_, kind, _) in enumerate(found.fields) if kind == "C"]
    with scratch_file.open("wb") as output:
        output.write(b"\n".join(name for name, _, _ in found.fields) + b"\n")
        for _, arrays in found.batches():
            for at in columns:
                output.write("\n".join(arrays[at].to_pylist()).encode("latin-1") + b"\n")
    encoding = find_encoding(scratch_file)
    name = "utf-8" if encoding.is_utf8 else encoding.name
    scratch_file.unlink()
    return Dbf(found.path, found.records, found.header_bytes, found.record_bytes, found.fields, name)


def decode_dbf(source: Source) -> DecodedTable:
    """Decode one dBase table.

    Raises:
        Refused: as ``open_dbf``.
    """
    dbf = open_dbf(source.path, source.new_file(".txt"))
    columns, target = column_names(dbf.headers), source.new_file(".parquet")
    count = write_text(target, columns, (arrays for _, arrays in dbf.batches()))
    facts = {**source.facts, **dbf_facts(dbf, count)}
    return DecodedTable(source.member, dbf.headers, columns, scan_text(target), count, [], facts)


def dbf_facts(dbf: Dbf, rows: int) -> dict[str, str]:
    """What to tell of a dBase table: its encoding, and how many records its writer had marked deleted."""
    deleted = dbf.records - rows
    return {"kind": "dbf", "encoding": dbf.encoding} | ({"deleted_records": str(deleted)} if deleted else {})

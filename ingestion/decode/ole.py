"""Says what an OLE file holds (old Excel, Word, PowerPoint, an encrypted workbook…) from the names in its root."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

XLS, ENCRYPTED = "xls workbook", "encrypted workbook"
_KINDS = {
    "workbook": XLS,
    "book": XLS,
    "encryptedpackage": ENCRYPTED,
    "worddocument": "Word document",
    "powerpoint document": "PowerPoint document",
    "visiodocument": "Visio document",
    "__properties_version1.0": "Outlook message",
}
_FREE, _MAX_SECTORS = 0xFFFFFFFA, 1 << 16  # sector numbers from _FREE on are marks
_ENTRY_BYTES = 128


def kind_of_ole(path: Path) -> str | None:
    """Name the document in an OLE file, by and large when its root has no known name; ``None`` when it is corrupt."""
    with path.open("rb") as file:
        try:
            names = _root_names(file)
        except (struct.error, IndexError):
            return None
    return next((kind for name, kind in _KINDS.items() if name in names), "old Office document or installer")


def _root_names(file: IO[bytes]) -> set[str]:
    header = file.read(512)
    shift = struct.unpack_from("<H", header, 30)[0]
    if shift not in (9, 12):
        raise IndexError("no sector of an OLE file has this size")
    directory = b"".join(_chain(file, header, 1 << shift))
    entries = [directory[at : at + _ENTRY_BYTES] for at in range(0, len(directory), _ENTRY_BYTES)]
    names: set[str] = set()
    waiting = [struct.unpack_from("<I", entries[0], 76)[0]]  # the root's child: a tree of siblings
    seen: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number >= len(entries) or number in seen:
            continue
        seen.add(number)
        length = struct.unpack_from("<H", entries[number], 64)[0]
        names.add(entries[number][: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace").lower())
        waiting += struct.unpack_from("<II", entries[number], 68)
    return names


def _chain(file: IO[bytes], header: bytes, sector_bytes: int) -> Iterator[bytes]:
    """The sectors of the directory, one after the other."""
    tables = _table_sectors(file, header, sector_bytes)
    number = struct.unpack_from("<I", header, 48)[0]
    for _ in range(_MAX_SECTORS):
        if number >= _FREE:
            return
        sector = _sector(file, number, sector_bytes)
        if len(sector) < _ENTRY_BYTES:
            return
        yield sector
        table, place = divmod(number, sector_bytes // 4)
        number = struct.unpack_from("<I", _sector(file, tables[table], sector_bytes), 4 * place)[0]


def _table_sectors(file: IO[bytes], header: bytes, sector_bytes: int) -> list[int]:
    """Numbers of the sectors that hold the allocation table: 109 in the header, more in a list of lists."""
    numbers = list(struct.unpack_from("<109I", header, 76))
    following = struct.unpack_from("<I", header, 68)[0]
    for _ in range(_MAX_SECTORS >> 6):
        if following >= _FREE:
            break
        more = struct.unpack(f"<{sector_bytes // 4}I", _sector(file, following, sector_bytes))
        numbers += more[:-1]
        following = more[-1]
    return numbers


def _sector(file: IO[bytes], number: int, sector_bytes: int) -> bytes:
    file.seek((number + 1) * sector_bytes)
    return file.read(sector_bytes)

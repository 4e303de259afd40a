"""Says what an OLE file holds (old Excel, Word, PowerPoint, an encrypted workbook…) from the names in its root."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
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
_FREE, _MAX_LISTS = 0xFFFFFFFA, 1 << 10  # sector numbers from _FREE on are marks
_MINI_BYTES, _MAX_DIRECTORY_BYTES, MAX_STREAM_BYTES = 4096, 1 << 25, 1 << 29
_ENTRY_BYTES = 128


@dataclass(frozen=True, slots=True)
class _Stream:
    first_sector: int
    size_bytes: int


def kind_of_ole(path: Path) -> str | None:
    """Name the document in an OLE file, by and large when its root has no known name; ``None`` when it is corrupt."""
    with path.open("rb") as file:
        try:
            names = _root_streams(file)
        except (struct.error, IndexError):
            return None
    return next((kind for name, kind in _KINDS.items() if name in names), "old Office document or installer")


def read_stream(path: Path, *names: str) -> bytes:
    """Read the first stream of the root that has one of these names; empty when none can be read.

    A stream under 4 KiB, which is stored otherwise, is not read.
    """
    with path.open("rb") as file:
        try:
            streams = _root_streams(file)
            found = next((streams[name] for name in names if name in streams), None)
            if found is None or not _MINI_BYTES <= found.size_bytes <= MAX_STREAM_BYTES:
                return b""
            return b"".join(_chain(file, found.first_sector, found.size_bytes))[: found.size_bytes]
        except (struct.error, IndexError):
            return b""


def _root_streams(file: IO[bytes]) -> dict[str, _Stream]:
    """The streams and storages that stand in the root, by their name in lower case."""
    file.seek(0)
    first = struct.unpack_from("<I", file.read(512), 48)[0]
    directory = b"".join(_chain(file, first, _MAX_DIRECTORY_BYTES))
    entries = [directory[at : at + _ENTRY_BYTES] for at in range(0, len(directory), _ENTRY_BYTES)]
    streams: dict[str, _Stream] = {}
    waiting = [struct.unpack_from("<I", entries[0], 76)[0]]  # the root's child: a tree of siblings
    seen: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number >= len(entries) or number in seen:
            continue
        seen.add(number)
        entry = entries[number]
        length = struct.unpack_from("<H", entry, 64)[0]
        name = entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace").lower()
        streams[name] = _Stream(*struct.unpack_from("<II", entry, 116))
        waiting += struct.unpack_from("<II", entry, 68)
    return streams


def _chain(file: IO[bytes], number: int, size_bytes: int) -> Iterator[bytes]:
    """The sectors of a stream, one after the other, up to a size."""
    file.seek(0)
    header = file.read(512)
    shift = struct.unpack_from("<H", header, 30)[0]
    if shift not in (9, 12):
        raise IndexError("no sector of an OLE file has this size")
    sector_bytes = 1 << shift
    tables = _table_sectors(file, header, sector_bytes)
    known: tuple[int, bytes] = (-1, b"")
    for _ in range(0, size_bytes, sector_bytes):
        if number >= _FREE:
            return
        sector = _sector(file, number, sector_bytes)
        if len(sector) < _ENTRY_BYTES:
            return
        yield sector
        table, place = divmod(number, sector_bytes // 4)
        if known[0] != table:
            known = table, _sector(file, tables[table], sector_bytes)
        number = struct.unpack_from("<I", known[1], 4 * place)[0]


def _table_sectors(file: IO[bytes], header: bytes, sector_bytes: int) -> list[int]:
    """Numbers of the sectors that hold the allocation table: 109 in the header, more in a list of lists."""
    numbers = list(struct.unpack_from("<109I", header, 76))
    following = struct.unpack_from("<I", header, 68)[0]
    for _ in range(_MAX_LISTS):
        if following >= _FREE:
            break
        more = struct.unpack(f"<{sector_bytes // 4}I", _sector(file, following, sector_bytes))
        numbers += more[:-1]
        following = more[-1]
    return numbers


def _sector(file: IO[bytes], number: int, sector_bytes: int) -> bytes:
    file.seek((number + 1) * sector_bytes)
    return file.read(sector_bytes)

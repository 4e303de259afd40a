"""Opens the XML parts of an office file, a ZIP archive: bounded in expanded size and ratio, before and during."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from catalog.errors import Refused

MAX_PART_BYTES = 8 << 30
MAX_RATIO, RATIO_FROM_BYTES = 1_000, 1 << 28


class _Bounded:
    """A stream that refuses to give more bytes than its packed size can mean."""

    def __init__(self, stream: IO[bytes], name: str, packed_bytes: int):
        self._stream, self._name, self._packed_bytes, self._given = stream, name, packed_bytes, 0

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._given += len(block)
        check_growth(self._name, self._given, self._packed_bytes)
        return block


def check_growth(name: str, expanded_bytes: int, packed_bytes: int) -> None:
    """Refuse a part that is or says it is too large once expanded.

    Raises:
        Refused: then.
    """
    if expanded_bytes > MAX_PART_BYTES or (
        expanded_bytes > RATIO_FROM_BYTES and expanded_bytes > MAX_RATIO * packed_bytes
    ):
        raise Refused(f"Its part {name} grows to {expanded_bytes >> 20:,} MiB from {packed_bytes:,} bytes: not read.")


@contextmanager
def open_part(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open one part of an office file, to be read in blocks.

    Raises:
        Refused: when it is not there, is encrypted, or says it grows beyond all measure.
        zipfile.BadZipFile, zlib.error, OSError: when it is cut or corrupt.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise Refused(f"Its part {name} is missing: the file is cut or corrupt. Download it again.") from None
    if info.flag_bits & 0x1:
        raise Refused("It is encrypted: ask its publisher for an open file.")
    check_growth(name, info.file_size, info.compress_size)
    with archive.open(info) as stream:
        yield cast(IO[bytes], _Bounded(stream, name, info.compress_size))

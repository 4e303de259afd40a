"""Takes files out of gzip and ZIP archives: bounded in size and ratio, never by the path that a member claims."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from catalog.errors import Refused
from ingestion.decode.encoding import best_single_byte
from ingestion.decode.kinds import kind_of_archive, unread
from ingestion.decode.table import RefusedMember, Source

BLOCK_BYTES = 1 << 20
MAX_BYTES = 20 << 30  # of one file once decompressed
MAX_RATIO, RATIO_FROM_BYTES = 1_000, 1 << 30  # beyond this size, a file may not have grown so much
_CORRUPT = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def gunzip(source: Source) -> Source:
    """Decompress a gzip file under scratch.

    Raises:
        Refused: when it is cut, corrupt or grows beyond all measure.
    """
    target = source.new_file(".raw")
    try:
        with gzip.open(source.path, "rb") as stream:
            _write_out(cast(IO[bytes], stream), target, source.path.stat().st_size)
    except _CORRUPT as error:
        raise Refused(f"The gzip file is cut or corrupt: {error}. Download it again.") from error
    name = source.file_name.removesuffix(".gz").removesuffix(".GZ")
    return source.within(target, file_name=name, member=source.member, container="gzip")


def unzip(source: Source) -> Iterator[Source | RefusedMember]:
    """Write out each member of a ZIP archive under scratch, one at a time.

    Raises:
        Refused: when it is no archive, or really an office document.
    """
    try:
        archive = zipfile.ZipFile(source.path)
    except _CORRUPT as error:
        raise Refused(f"The ZIP archive is cut or corrupt: {error}. Download it again.") from error
    with archive:
        kind = kind_of_archive(archive.namelist())
        if kind:
            raise unread(kind)
        shapes = {Path(name).stem for name in archive.namelist() if name.lower().endswith(".shp")}
        for info in archive.infolist():
            if not info.is_dir():
                yield _member(source, archive, info, shapes)


def _member(
    source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo, shapes: set[str]
) -> Source | RefusedMember:
    name = member_name(info)
    if info.flag_bits & 0x1:
        return RefusedMember(name, "It is encrypted: ask its publisher for an open file.")
    if Path(info.filename).stem in shapes:
        return RefusedMember(name, "It is a part of a shapefile: that format is not read yet.")
    target = source.new_file(".raw")
    try:
        with archive.open(info) as stream:
            _write_out(stream, target, info.compress_size)
    except Refused as error:
        return RefusedMember(name, str(error))
    except _CORRUPT as error:
        return RefusedMember(name, f"It is cut, corrupt or packed in an unknown way: {error}.")
    return source.within(target, file_name=name, member=name, container="zip")


def _write_out(stream: IO[bytes], target: Path, packed_bytes: int) -> None:
    written = 0
    with target.open("wb") as output:
        while block := stream.read(BLOCK_BYTES):
            written += len(block)
            if written > MAX_BYTES or (written > RATIO_FROM_BYTES and written > MAX_RATIO * packed_bytes):
                target.unlink()
                raise Refused(f"It grows beyond {written >> 20} MiB from {packed_bytes:,} bytes: not decompressed.")
            output.write(block)


def member_name(info: zipfile.ZipInfo) -> str:
    """The name of a member as its writer meant it; archives seldom say how names are encoded."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        counts = np.bincount(np.frombuffer(raw, np.uint8), minlength=256)
        return raw.decode(best_single_byte(counts, np.zeros(256, np.int64), ("cp850", "cp1252")), "replace")

"""Takes files out of compressions and archives: bounded in size, ratio, number and depth.

A member is written under scratch under a name of ours: the path that it claims is only a label.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa

from catalog.errors import Refused
from ingestion.decode import kinds
from ingestion.decode.encoding import best_single_byte
from ingestion.decode.table import RefusedMember, Source

BLOCK_BYTES = 1 << 20
MAX_BYTES = 20 << 30  # of one file once decompressed, and of all that one published file holds
MAX_RATIO, RATIO_FROM_BYTES = 1_000, 1 << 30  # beyond this size, a file may not have grown so much
MAX_MEMBERS = 10_000
MAX_DEPTH = 2
MAX_DIRECTORY_BYTES = 64 << 20  # of the list of members of a ZIP archive: thousands of bytes a member
MAX_LABEL_BYTES = 1 << 20  # of a long name, or of other words about a member, in a tar archive
_CORRUPT = (
    OSError,
    EOFError,
    ValueError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,
    RuntimeError,
)
MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ENOMEM}
_CLUTTER = (".ds_store", "thumbs.db", "desktop.ini")  # what operating systems leave beside files
_GTFS = {"agency.txt", "stops.txt", "routes.txt", "trips.txt", "stop_times.txt"}
_SHAPE_PARTS = ("shp", "shx", "dbf", "prj", "cpg")
_SHAPE_PARTS_UNREAD = ("sbn", "sbx", "qix", "qpj", "shp.xml", "idx", "ain", "aih", "atx", "fbn", "fbx", "ixs", "mxs")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file of an archive: its name as its writer meant it, and how to read it, or why it is not read."""

    name: str
    packed_bytes: int
    open: Callable[[], IO[bytes]]
    refusal: str = ""


def decompress(source: Source, kind: str) -> Source:
    """Decompress a gzip, bz2, xz or zstd file under scratch.

    Raises:
        Refused: when it is cut, corrupt, nested too deep, or grows beyond all measure.
    """
    _check_depth(source, kind)
    target = source.new_file(".raw")
    try:
        with closing(_OPENERS[kind](source.path)) as stream:
            _write_out(stream, target, source, source.path.stat().st_size)
    except _CORRUPT as error:
        _raise_unless_corrupt(error)
        raise Refused(f"The {kind} file is cut or corrupt: {error}. Download it again.") from error
    suffixes = {kinds.GZIP: (".gz", ".gzip"), kinds.BZ2: (".bz2",), kinds.XZ: (".xz",), kinds.ZSTD: (".zst", ".zstd")}
    name = source.file_name
    for suffix in suffixes[kind]:
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return source.within(target, file_name=name, member=source.member, container=kind)


def _open_zstd(path: Path) -> IO[bytes]:
    return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


_OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {
    kinds.GZIP: lambda path: cast(IO[bytes], gzip.GzipFile(path)),
    kinds.BZ2: lambda path: cast(IO[bytes], bz2.BZ2File(path)),
    kinds.XZ: lambda path: cast(IO[bytes], lzma.LZMAFile(path)),  # noqa: SIM115
    kinds.ZSTD: _open_zstd,
}


def zip_names(source: Source) -> list[str]:
    """The names in a ZIP archive, as stored.

    Raises:
        Refused: when it is cut or corrupt.
    """
    with _open_zip(source) as archive:
        return archive.namelist()


def unpack(source: Source, kind: str) -> Iterator[Source | RefusedMember]:
    """Write out each member of a ZIP or tar archive under scratch, one at a time.

    Raises:
        Refused: when it is no archive, holds too many members, or is nested too deep.
    """
    _check_depth(source, kind)
    with _open_zip(source) if kind == kinds.ZIP else _open_tar(source) as archive:
        entries = _tar_entries(archive) if isinstance(archive, tarfile.TarFile) else _zip_entries(archive)
        kept = [entry for entry in entries if not is_clutter(entry.name)]
        source.budget.members += len(kept)
        if source.budget.members > MAX_MEMBERS:
            raise Refused(f"It holds {source.budget.members:,} files; above {MAX_MEMBERS:,} it is not read.")
        yield from _members(source, kind, kept)


def _check_depth(source: Source, kind: str) -> None:
    """Refuse what is nested too deep; a tar archive and its compression are one level."""
    chain = (*source.containers, kind)
    packed_tars = sum(chain[at] in _OPENERS and chain[at + 1] == kinds.TAR for at in range(len(chain) - 1))
    if len(chain) - packed_tars > MAX_DEPTH:
        raise Refused("It is an archive within an archive within an archive: not read.")


def _open_zip(source: Source) -> zipfile.ZipFile:
    try:
        if _directory_bytes(source.path) > MAX_DIRECTORY_BYTES:
            raise Refused(f"The ZIP archive lists far more than {MAX_MEMBERS:,} files: it is not read.")
        return zipfile.ZipFile(source.path)
    except _CORRUPT as error:
        _raise_unless_corrupt(error)
        raise Refused(f"The ZIP archive is cut or corrupt: {error}. Download it again.") from error


def _directory_bytes(path: Path) -> int:
    """The size of a ZIP's list of members as its end tells it: the library takes a list of any size into memory."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 17)))
        tail = file.read()
    end, end64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    size = struct.unpack_from("<I", tail, end + 12)[0] if 0 <= end <= len(tail) - 16 else 0
    has_end64 = size == 0xFFFFFFFF and 0 <= end64 <= len(tail) - 48
    return int(struct.unpack_from("<Q", tail, end64 + 40)[0] if has_end64 else size)


def _open_tar(source: Source) -> tarfile.TarFile:
    try:
        _check_labels(source.path)
        return tarfile.open(source.path, "r:")
    except _CORRUPT as error:
        _raise_unless_corrupt(error)
        raise Refused(f"The tar archive is cut or corrupt: {error}. Download it again.") from error


def _check_labels(path: Path) -> None:
    """Walk the headers first: the library takes a label of any size into memory, and members without end."""
    size, position, count = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while position + tarfile.BLOCKSIZE <= size:
            file.seek(position)
            block = file.read(tarfile.BLOCKSIZE)
            if not block.strip(b"\0"):
                return
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            if info.type in (b"x", b"g", b"L", b"K", b"X") and info.size > MAX_LABEL_BYTES:
                raise Refused(f"The tar archive names a member with {info.size:,} bytes: not read.")
            count += 1
            if count > 3 * MAX_MEMBERS or info.size < 0:
                raise Refused(f"The tar archive holds more than {MAX_MEMBERS:,} files: not read.")
            position += tarfile.BLOCKSIZE * (1 + -(-info.size // tarfile.BLOCKSIZE))


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in archive.infolist():
        if not info.is_dir():
            refusal = "It is encrypted: ask its publisher for an open file." if info.flag_bits & 0x1 else ""
            yield _Entry(member_name(info), info.compress_size, _zip_opener(archive, info), refusal)


def _zip_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)


def _tar_entries(archive: tarfile.TarFile) -> Iterator[_Entry]:
    try:
        for info in archive:
            if not info.isdir():
                refusal = "" if info.isreg() else "It is a link or a device, not a file."
                raw = info.name.encode("utf-8", "surrogateescape")
                yield _Entry(_decode_name(raw), max(info.size, 1), _tar_opener(archive, info), refusal)
    except _CORRUPT as error:
        _raise_unless_corrupt(error)
        raise Refused(f"The tar archive is cut or corrupt: {error}. Download it again.") from error


def _tar_opener(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    return lambda: cast(IO[bytes], archive.extractfile(info))


def is_clutter(name: str) -> bool:
    """Whether a member is what an operating system left there, which no publisher meant."""
    parts = name.replace("\\", "/").lower().split("/")
    return "__macosx" in parts[:-1] or parts[-1] in _CLUTTER


def _members(source: Source, kind: str, entries: list[_Entry]) -> Iterator[Source | RefusedMember]:
    shapes = {_stem(entry.name): entry.name for entry in entries if _suffix(entry.name) == "shp"}
    parts: dict[str, dict[str, _Entry]] = {stem: {} for stem in shapes}
    for entry in entries:
        stem, suffix = _shape_part(entry.name, shapes)
        parts.get(stem, {}).setdefault(suffix, entry)
    feeds = _gtfs_folders(entries)
    for entry in entries:
        stem, suffix = _shape_part(entry.name, shapes)
        label = f"{source.member}/{entry.name}" if source.member else entry.name
        if suffix == "shp":
            yield _shapefile(source, kind, label, entry, parts[stem])
        elif not suffix:
            yield _member(source, kind, label, entry, _folder(entry.name) in feeds)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _stem(name: str) -> str:
    return name.lower().rpartition(".")[0]


def _suffix(name: str) -> str:
    return name.rpartition("/")[2].lower().rpartition(".")[2]


def _shape_part(name: str, shapes: Iterable[str]) -> tuple[str, str]:
    """The shapefile that a member is a part of, and which part; two empty texts for any other member."""
    lower = name.lower()
    for suffix in (*_SHAPE_PARTS, *_SHAPE_PARTS_UNREAD):
        stem = lower.removesuffix(f".{suffix}")
        if stem != lower and stem in shapes:
            return stem, suffix
    return "", ""


def _gtfs_folders(entries: list[_Entry]) -> set[str]:
    """Folders that hold a public transport feed, by the file names that the GTFS standard requires."""
    names = {entry.name for entry in entries}
    folders = {_folder(name) for name in names}
    return {folder for folder in folders if {f"{folder}/{name}".lstrip("/") for name in _GTFS} <= names}


def _member(source: Source, kind: str, label: str, entry: _Entry, is_gtfs: bool) -> Source | RefusedMember:
    target = source.new_file(".raw")
    refusal = _extract(source, entry, target)
    if refusal:
        return RefusedMember(label, refusal)
    facts = {"container_kind": "gtfs"} if is_gtfs else {}
    return source.within(target, file_name=entry.name, member=label, container=kind, **facts)


def _shapefile(
    source: Source, kind: str, label: str, shape: _Entry, parts: dict[str, _Entry]
) -> Source | RefusedMember:
    """Write the parts of one shapefile side by side, as its reader wants them."""
    target = source.new_file(".shp")
    for suffix, entry in {**parts, "shp": shape}.items():
        refusal = _extract(source, entry, target.with_suffix(f".{suffix}")) if suffix in _SHAPE_PARTS else ""
        if refusal:
            return RefusedMember(label, refusal if suffix == "shp" else f"Its .{suffix}: {refusal}")
    return source.within(target, file_name=shape.name, member=label, container=kind)


def _extract(source: Source, entry: _Entry, target: Path) -> str:
    """Write one entry; the answer is why it could not be, or the empty text."""
    if entry.refusal:
        return entry.refusal
    try:
        with entry.open() as stream:
            _write_out(stream, target, source, entry.packed_bytes)
    except Refused as error:
        return str(error)
    except _CORRUPT as error:
        _raise_unless_corrupt(error)
        return f"It is cut, corrupt or packed in an unknown way: {error}."
    return ""


def _write_out(stream: IO[bytes], target: Path, source: Source, packed_bytes: int) -> None:
    written, budget = 0, source.budget
    try:
        with target.open("wb") as output:
            while block := stream.read(BLOCK_BYTES):
                written += len(block)
                budget.expanded_bytes += len(block)
                if is_beyond(written, packed_bytes) or is_beyond(budget.expanded_bytes, budget.packed_bytes):
                    raise Refused(f"It grows beyond {written >> 20} MiB from {packed_bytes:,} bytes: not decompressed.")
                output.write(block)
    except BaseException:
        target.unlink(missing_ok=True)
        budget.expanded_bytes -= written
        raise


def is_beyond(expanded_bytes: int, packed_bytes: int) -> bool:
    """Whether a file has grown beyond all measure: the same limits hold for whatever packs bytes."""
    is_out_of_proportion = expanded_bytes > RATIO_FROM_BYTES and expanded_bytes > MAX_RATIO * packed_bytes
    return expanded_bytes > MAX_BYTES or is_out_of_proportion


def _raise_unless_corrupt(error: BaseException) -> None:
    """Let pass what is the machine's fault, such as a full disk: the file may be sound."""
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        raise error


def member_name(info: zipfile.ZipInfo) -> str:
    """The name of a ZIP member as its writer meant it; archives seldom say how names are encoded."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    return _decode_name(info.filename.encode("cp437"))


def _decode_name(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        counts = np.bincount(np.frombuffer(raw, np.uint8), minlength=256)
        return raw.decode(best_single_byte(counts, np.zeros(256, np.int64), ("cp850", "cp1252")), "replace")

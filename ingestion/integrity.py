"""Whether a local file is whole: what can be told from its bytes alone, before anyone asks what they mean."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from catalog.errors import Refused

CHUNK_BYTES = 256 * 1024
GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
# OSError stands for bz2, ValueError for offsets that point before the file.
DAMAGE = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def is_web_page(path: Path) -> bool:
    """Whether a file opens as HTML, after any byte order mark and white space."""
    with path.open("rb") as stream:
        head = stream.read(1024)
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html"))


@dataclass(frozen=True, slots=True)
class ArchiveCheck:
    """What an archive's test found; of a file that is none, nothing.

    ``contents_sha256`` is one digest of all that is inside, whatever its order, dates and compression: members' names
    and bytes for a zip, the bytes for a gzip; None when some member could not be read.
    """

    problem: str | None = None
    contents_sha256: str | None = None


def check_archive(path: Path, max_expanded_bytes: int) -> ArchiveCheck:
    """Expand every byte of a gzip or zip file, told by its first bytes, so that each checksum inside is tested.

    Encrypted members, rare compression methods and names in odd encodings are no damage: whether they can be read is
    the decoder's matter.

    Raises:
        Refused: when it yields more than ``max_expanded_bytes``.
    """
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic.startswith(GZIP_MAGIC):
        kind, parts = "gzip", _gzip_parts(path)
    elif magic == ZIP_MAGIC:
        kind, parts = "zip", _zip_parts(path)
    else:
        return ArchiveCheck()
    try:
        return ArchiveCheck(contents_sha256=_digest_all(kind, parts, max_expanded_bytes))
    except (NotImplementedError, UnicodeDecodeError):
        return ArchiveCheck()
    except DAMAGE as error:
        return ArchiveCheck(f"is a broken {kind} file ({str(error) or type(error).__name__})")


def _digest_all(kind: str, parts: Iterator[tuple[str, Iterator[bytes] | None]], max_bytes: int) -> str | None:
    """One digest of all parts, in no order; None when one of them is unreadable, the others being tested still."""
    expanded_bytes, lines, is_whole = 0, list[str](), True
    for name, chunks in parts:
        digest = hashlib.sha256()
        for chunk in chunks or ():
            expanded_bytes += len(chunk)
            if expanded_bytes > max_bytes:
                raise Refused(f"This {kind} file expands to more than {max_bytes} bytes: not opened.")
            digest.update(chunk)
        lines.append(f"{digest.hexdigest()} {name!r}")
        is_whole = is_whole and chunks is not None
    listing = "\n".join([kind, *sorted(lines)])
    return hashlib.sha256(listing.encode()).hexdigest() if is_whole else None


def _gzip_parts(path: Path) -> Iterator[tuple[str, Iterator[bytes] | None]]:
    with gzip.open(path) as stream:
        yield "", _chunks(stream)


def _zip_parts(path: Path) -> Iterator[tuple[str, Iterator[bytes] | None]]:
    """Name and bytes of each member, folders left out; no bytes for a method Python lacks, or a password."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            try:
                stream = archive.open(member)
            except (NotImplementedError, RuntimeError):
                yield member.filename, None
                continue
            with stream:
                if member.file_size or not member.is_dir():
                    yield member.filename, _chunks(stream)


def _chunks(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk

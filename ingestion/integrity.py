"""Whether a local file is whole: what can be told from its bytes alone, before anyone asks what they mean."""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

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


def archive_problem(path: Path, max_expanded_bytes: int) -> str | None:
    """What is broken in a gzip or zip file, told by its first bytes; None for a sound one or any other kind.

    Every byte is expanded, so that each checksum inside is tested. Encrypted members, rare compression methods and
    names in odd encodings are no damage: whether they can be read is the decoder's matter.

    Raises:
        Refused: when it yields more than ``max_expanded_bytes``.
    """
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic.startswith(GZIP_MAGIC):
        kind, sizes = "gzip", _gzip_sizes(path)
    elif magic == ZIP_MAGIC:
        kind, sizes = "zip", _zip_sizes(path)
    else:
        return None
    expanded_bytes = 0
    try:
        for size in sizes:
            expanded_bytes += size
            if expanded_bytes > max_expanded_bytes:
                raise Refused(f"This {kind} file expands to more than {max_expanded_bytes} bytes: not opened.")
    except (NotImplementedError, UnicodeDecodeError):
        return None
    except DAMAGE as error:
        return f"is a broken {kind} file ({str(error) or type(error).__name__})"
    return None


def _gzip_sizes(path: Path) -> Iterator[int]:
    with gzip.open(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield len(chunk)


def _zip_sizes(path: Path) -> Iterator[int]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            try:
                stream = archive.open(member)
            except (NotImplementedError, RuntimeError):  # a method Python lacks; a password
                continue
            with stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield len(chunk)

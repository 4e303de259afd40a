"""Bytes on their way: written and hashed as they come, and kept when the download is cut, to be continued.

Knows files and digests; what is asked of a server, and whether its answer may be appended, belongs to ``download``.

    <lake>/partial/<digest of the address>          the first bytes
    <lake>/partial/<digest of the address>.json     what their server said of the file, how many bytes are sound
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

CHUNK_BYTES = 256 * 1024
NOTE_SUFFIX = ".json"
KEEP_FROM_BYTES = 1024**2  # a smaller file is sooner asked for again than kept
NOTE_EVERY_BYTES = 8 * 1024**2  # what a killed run may lose
KEEP_SECONDS = 7 * 86400

log = structlog.get_logger(__name__)


class Origin(BaseModel):
    """What a server said of a file when it began to send it, in words that let it be asked for the rest."""

    model_config = ConfigDict(frozen=True)

    validator: str  # a strong ETag or a safe date, for If-Range
    etag: str | None
    last_modified: str | None
    content_type: str | None
    total_bytes: int | None

    def headers(self) -> dict[str, str | None]:
        """What the answer said of the file, by the headers' names."""
        return {"ETag": self.etag, "Last-Modified": self.last_modified, "Content-Type": self.content_type}


class _Note(BaseModel):
    """Beside the kept bytes: where they came from, and which of them are known to be sound."""

    url: str
    origin: Origin
    size_bytes: int
    sha256: str


class Part:
    """The bytes of one download so far; an empty one has no file yet."""

    def __init__(
        self, url: str, into: Path, kept: Path, algorithms: Iterable[str], tell: Callable[[int], None]
    ) -> None:
        self.origin: Origin | None = None
        self.size_bytes = 0
        self._url, self._into, self._kept, self._tell = url, into, kept, tell
        self._algorithms = frozenset(algorithms) | {"sha256"}
        self._digests = self._fresh()
        self._stream: BinaryIO | None = None
        self._noted = 0
        self.path = into / f"{uuid.uuid4().hex}.part"

    @property
    def can_resume(self) -> bool:
        """Whether its server may be asked for the rest only."""
        return self.origin is not None and self.size_bytes > 0

    def hexdigest(self, algorithm: str) -> str:
        """Digest of all the bytes so far."""
        return self._digests[algorithm].hexdigest()

    def start(self, origin: Origin | None) -> None:
        """Begin from the first byte; without ``origin`` a cut will not be continued."""
        self.discard()
        self.origin = origin
        is_large = origin is not None and (origin.total_bytes is None or origin.total_bytes >= KEEP_FROM_BYTES)
        if is_large and (stream := _lock(self._kept)):
            stream.truncate(0)
            self.path, self._stream = self._kept, stream
        else:
            self._stream = self.path.open("xb")

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            ValueError: before ``start``.
        """
        if self._stream is None:
            raise ValueError("a part is written to after it was started")
        self._stream.write(chunk)
        self._count(chunk)
        self._tell(len(chunk))
        if self._is_kept and self.size_bytes - self._noted >= NOTE_EVERY_BYTES:
            self._note()

    def flush(self) -> None:
        """Let others read what was written."""
        if self._stream:
            self._stream.flush()

    def discard(self) -> None:
        """Forget every byte."""
        if self._stream:
            self._remove()
        if self.size_bytes:
            self._tell(-self.size_bytes)
        self.origin, self.size_bytes, self._noted, self._digests = None, 0, 0, self._fresh()

    def finish(self) -> Path:
        """Close the whole file and hand it over, in the folder it was asked into."""
        self.flush()
        target = self._into / f"{uuid.uuid4().hex}.part" if self._is_kept else self.path
        if self._is_kept:
            shutil.move(self.path, target)
            _note_of(self.path).unlink(missing_ok=True)
        self._release()
        self.origin, self.size_bytes = None, 0
        return target

    def close(self) -> None:
        """Keep the bytes for a later run where that helps, else remove them; nothing to do after ``finish``."""
        if self._stream is None:
            return
        if self._is_kept and self.can_resume and self.size_bytes != self._total_bytes:
            self._note()
            self._release()
        else:
            self._remove()

    def recover(self) -> None:
        """Take up what an earlier run left of this address, if every byte of it is still as it was noted."""
        if not _note_of(self._kept).exists() or not (stream := _lock(self._kept)):
            return
        self.path, self._stream = self._kept, stream
        if note := self._sound_note(stream):
            stream.truncate(note.size_bytes)
            stream.seek(0, os.SEEK_END)
            self.origin = note.origin
            self._tell(self.size_bytes)
            log.info("download_recovered", url=self._url, size_bytes=self.size_bytes)
        else:
            self.size_bytes = 0
            self.discard()

    def _sound_note(self, stream: BinaryIO) -> _Note | None:
        """The note, when it is of this address and the first bytes still have its digest."""
        try:
            note = _Note.model_validate_json(_note_of(self._kept).read_bytes())
        except (OSError, ValidationError):
            return None
        stream.seek(0)
        while chunk := stream.read(min(CHUNK_BYTES, note.size_bytes - self.size_bytes)):
            self._count(chunk)
        self._noted = self.size_bytes
        is_sound = note.url == self._url and self.hexdigest("sha256") == note.sha256 and note.size_bytes > 0
        return note if is_sound and self.size_bytes == note.size_bytes else None

    @property
    def _is_kept(self) -> bool:
        return self.path == self._kept

    @property
    def _total_bytes(self) -> int | None:
        return self.origin.total_bytes if self.origin else None

    def _fresh(self) -> dict[str, hashlib._Hash]:
        return {name: hashlib.new(name, usedforsecurity=False) for name in self._algorithms}

    def _count(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        for digest in self._digests.values():
            digest.update(chunk)

    def _note(self) -> None:
        """Say how far the bytes are sound; of a whole file nothing, for there is no rest to ask for."""
        if self.origin is None or self.size_bytes == self._total_bytes:
            return
        self.flush()
        note = _Note(url=self._url, origin=self.origin, size_bytes=self.size_bytes, sha256=self.hexdigest("sha256"))
        draft = _note_of(self._kept).with_suffix(".draft")
        draft.write_text(note.model_dump_json())
        draft.replace(_note_of(self._kept))
        self._noted = self.size_bytes

    def _remove(self) -> None:
        self.path.unlink(missing_ok=True)
        if self._is_kept:
            _note_of(self.path).unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        if self._stream:
            self._stream.close()  # and with it the lock
        self._stream, self.path = None, self._into / f"{uuid.uuid4().hex}.part"


class Partials:
    """The kept parts of a lake, bounded in age and size."""

    def __init__(self, folder: Path, max_bytes: int, now: Callable[[], float] = time.time) -> None:
        self._folder, self._max_bytes, self._now = folder, max_bytes, now
        self._is_swept, self._lock = False, threading.Lock()

    @contextmanager
    def part(self, url: str, into: Path, algorithms: Iterable[str], tell: Callable[[int], None]) -> Iterator[Part]:
        """The bytes an earlier run left of an address, or none yet; what is unfinished at the end is kept if it can be.

        Args:
            into: folder of the finished file.
            algorithms: digests to compute, next to SHA-256.
            tell: told of every chunk's size, and of minus the sum when the bytes are forgotten.
        """
        self._sweep_once()
        part = Part(url, into, self._folder / hashlib.sha256(url.encode()).hexdigest()[:32], algorithms, tell)
        try:
            part.recover()
            yield part
        finally:
            part.close()

    def _sweep_once(self) -> None:
        with self._lock:
            is_due, self._is_swept = not self._is_swept, True
        if is_due and self._folder.exists():
            self.sweep()

    def sweep(self) -> None:
        """Remove what is older than a week, then the oldest until the rest fits; what is being written stays."""
        bytes_kept = 0
        files = [path for path in self._folder.iterdir() if not path.suffix]
        for path in sorted(files, key=_modified, reverse=True):
            bytes_kept += _size(path)
            if self._now() - _modified(path) > KEEP_SECONDS or bytes_kept > self._max_bytes:
                _remove_unlocked(path)
        for note in self._folder.glob("*.*"):
            if self._now() - _modified(note) > KEEP_SECONDS and not note.with_suffix("").exists():
                note.unlink(missing_ok=True)


def _note_of(kept: Path) -> Path:
    return kept.with_name(kept.name + NOTE_SUFFIX)


def _lock(path: Path) -> BinaryIO | None:
    """Open a kept file for one writer; None when another has it, here or in another process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(stream.fileno()).st_ino:  # else its last writer just moved it away
            return stream
    except (BlockingIOError, FileNotFoundError):
        pass
    stream.close()
    return None


def _remove_unlocked(path: Path) -> None:
    if stream := _lock(path):
        with stream:
            path.unlink(missing_ok=True)
            _note_of(path).unlink(missing_ok=True)


def _modified(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0

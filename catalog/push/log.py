"""The log of pushed batches: files that only grow, in which a batch is durable before it is acknowledged.

Each process that takes pushes writes segments of its own, one at a time, and holds a lock on the one it writes. An
entry is framed by its length and checksum: what a crash or a power cut left half written at the end of a segment was
acknowledged to nobody, and is passed over. A segment goes once the ledger knows what became of all its entries.

    <folder>/<UTC time>-<8 hex digits>.log        entries
    <folder>/<UTC time>-<8 hex digits>.drained    how far the ledger knows them, as a text; absent for not at all
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalog.clock import utc_now

MAGIC = b"ODHPUSH1"
SEGMENT_BYTES = 64 << 20  # a segment that has grown beyond is closed, so that it can go
_FRAME = struct.Struct("<II")  # length, checksum of the payload
_NAME = re.compile(r"\d{8}t\d{6}-[0-9a-f]{8}")
_RECEIPT = re.compile(rf"({_NAME.pattern})-([0-9a-f]{{8}})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch of a segment, where it begins and ends."""

    segment: str
    start: int
    end: int
    payload: bytes

    @property
    def receipt(self) -> str:
        """The name under which its sender asks what became of it."""
        return receipt_of(self.segment, self.start)


def receipt_of(segment: str, start: int) -> str:
    """A receipt says where in the log its batch is: no index is needed to find one that is not drained yet."""
    return f"{segment}-{start:08x}"


def place_of(receipt: str) -> tuple[str, int] | None:
    """Segment and start of a receipt's entry; None for a text that is no receipt."""
    found = _RECEIPT.fullmatch(receipt)
    return (found[1], int(found[2], 16)) if found else None


class Segment:
    """A segment being written by this process."""

    def __init__(self, folder: Path, now: datetime) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(4)}"
        self.path = folder / f"{self.name}.log"
        draft = folder / f".{self.name}.part"
        self._file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before it has its name: it must never look left
            _write(self._file, MAGIC)
            os.fsync(self._file)
            draft.rename(self.path)
            _sync_folder(folder)
        except BaseException:
            os.close(self._file)
            draft.unlink(missing_ok=True)
            raise
        self.end = len(MAGIC)

    def append(self, payloads: Sequence[bytes]) -> list[int]:
        """Write entries and return where each begins, once all are durable.

        Raises:
            OSError: none of them is in the log, or none can be relied on.
        """
        starts: list[int] = []
        frames: list[bytes] = []
        end = self.end
        for payload in payloads:
            starts.append(end)
            frames += (_FRAME.pack(len(payload), zlib.crc32(payload)), payload)
            end += _FRAME.size + len(payload)
        try:
            _write(self._file, b"".join(frames))
            os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):  # what remains is half an entry, and passed over
                os.ftruncate(self._file, self.end)
            raise
        self.end = end
        return starts

    def close(self) -> None:
        """Let the segment go: whoever drains it may remove it."""
        os.close(self._file)


class PushLog:
    """The log as one process writes it; nothing is made before the first entry."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder, self.segment_bytes = folder, segment_bytes
        self._segment: Segment | None = None
        self._lock = threading.Lock()

    def append(self, payloads: Sequence[bytes]) -> list[str]:
        """Write entries, all in one go, and return their receipts once all are durable.

        Raises:
            OSError: none is to be relied on; the next call begins another segment.
        """
        with self._lock:
            if self._segment is None:
                self._segment = Segment(self.folder, utc_now())
            segment = self._segment
            try:
                starts = segment.append(payloads)
            except OSError:  # after a failed sync nobody knows what the file holds
                self._close()
                raise
            if segment.end >= self.segment_bytes:
                self._close()
            return [receipt_of(segment.name, start) for start in starts]

    def close(self) -> None:
        """Close the segment being written."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._segment:
            self._segment.close()
            self._segment = None


# Reading, by any process


def segments(folder: Path) -> list[str]:
    """Names of the segments, oldest first."""
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        names = (entry.name.removesuffix(".log") for entry in found if entry.name.endswith(".log"))
        return sorted(name for name in names if _NAME.fullmatch(name))
    return []


def entries(folder: Path, segment: str, start: int = 0, until: int | None = None) -> Iterator[Entry]:
    """The whole entries of a segment from an offset on; half an entry ends them, as does one that was never synced."""
    with suppress(FileNotFoundError), (folder / f"{segment}.log").open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return
        offset = max(start, len(MAGIC))
        stream.seek(offset)
        while until is None or offset < until:
            header = stream.read(_FRAME.size)
            if len(header) < _FRAME.size:
                return
            length, checksum = _FRAME.unpack(header)
            payload = stream.read(length)
            if not length or len(payload) < length or zlib.crc32(payload) != checksum:
                return
            end = offset + _FRAME.size + length
            yield Entry(segment, offset, end, payload)
            offset = end


def entry_at(folder: Path, segment: str, start: int) -> Entry | None:
    """The entry that begins at an offset, if one does."""
    return next(entries(folder, segment, start), None) if start >= len(MAGIC) else None


def drained_until(folder: Path, segment: str) -> int:
    """Where what the ledger knows of a segment ends; as old as the last note, for it is only a note."""
    with suppress(FileNotFoundError, ValueError):
        return int((folder / f"{segment}.drained").read_text("ascii"))
    return len(MAGIC)


def note_drained(folder: Path, segment: str, end: int) -> None:
    """Leave a note for those who count what is waiting, and remove the segment if nothing more can come into it."""
    draft = folder / f".{segment}.drained.part"
    draft.write_text(str(end), "ascii")
    draft.rename(folder / f"{segment}.drained")
    remove_drained(folder, segment, end)


def wipe_drained(folder: Path, segment: str, end: int) -> None:
    """Overwrite the entries up to ``end`` of a segment that is still being written; the ledger knows them all."""
    with suppress(FileNotFoundError), (folder / f"{segment}.log").open("r+b") as stream:
        note_drained(folder, segment, end)  # whoever counts what waits begins behind them
        stream.seek(len(MAGIC))
        for start in range(len(MAGIC), end, 1 << 20):
            stream.write(bytes(min(1 << 20, end - start)))
        stream.flush()
        os.fdatasync(stream.fileno())


def remove_drained(folder: Path, segment: str, end: int) -> bool:
    """Remove a segment that nobody writes any more and whose entries, up to ``end``, are all known to the ledger."""
    path = folder / f"{segment}.log"
    with suppress(FileNotFoundError), path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if next(entries(folder, segment, end), None) is not None:
            return False
        path.unlink()
        (folder / f"{segment}.drained").unlink(missing_ok=True)
        return True
    return False


def _write(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

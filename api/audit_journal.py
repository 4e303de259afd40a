"""Entries of the audit before they are in the ledger, in a file beside it that outlives the process.

Each process writes files of its own and holds a lock on them. What a process that was killed left is taken up by the
next that starts. The file is not synced: a power cut may lose what the system had not written yet.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

SUFFIX = ".jsonl"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Closed:
    """A file nobody writes any more, with the lock that keeps others from it."""

    path: Path
    file: int

    def lines(self) -> list[bytes]:
        """Its whole lines; a kill may have left half of one."""
        with open(self.file, "rb", closefd=False) as stream:
            stream.seek(0)
            return stream.read().split(b"\n")[:-1]

    def remove(self) -> None:
        """Let it go: the ledger has its entries."""
        self.path.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Leave it to the next process that starts."""
        os.close(self.file)


class Journal:
    """The files of one process; calls must not overlap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._current: Closed | None = None
        self._open: dict[int, bytes] = {}

    def begin(self, key: int, line: bytes) -> None:
        """Write an entry; until its end it goes from file to file.

        Raises:
            OSError: it is not written.
        """
        self._open[key] = line
        self._write(line)

    def end(self, key: int) -> None:
        """An entry has ended: it is in the present file, and need not be in the next."""
        self._open.pop(key, None)

    def turn(self) -> Closed | None:
        """Close the present file and return it; None where there is none.

        Raises:
            OSError: what has not ended could not be written to the next; the present file stays.
        """
        closed, self._current = self._current, None
        try:
            if self._open:
                self._write(b"".join(self._open.values()))
        except OSError:
            if closed:
                if self._current:
                    self._current.remove()
                self._current = closed
            raise
        return closed

    def left(self) -> Iterator[Closed]:
        """Files of processes that are no more."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if left := _taken(path):
                yield left

    def _write(self, content: bytes) -> None:
        if self._current is None:
            self._current = self._create()
        written = os.write(self._current.file, content)
        if written < len(content):  # the disk is full: half a line would spoil the next one as well
            os.ftruncate(self._current.file, os.fstat(self._current.file).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _create(self) -> Closed:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{secrets.token_hex(8)}{SUFFIX}"
        draft = path.with_suffix(".part")
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)  # before it has its name: it must never look left
        draft.rename(path)
        return Closed(path, file)


def _taken(path: Path) -> Closed | None:
    """A file nobody else has; None where one writes it, took it up before, or may read it alone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ENOENT:
            log.error("audit_journal_unreadable", path=str(path), reason=str(error))
        return None
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_nlink:  # else another took it up between the two steps
            return Closed(path, file)
    os.close(file)
    return None

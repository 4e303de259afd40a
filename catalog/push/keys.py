"""Idempotency keys while they are remembered: one small file each, which also is the lock of who uses the key.

A process that dies between making a batch durable and remembering its key leaves a batch that the client sends again;
the drain sees that both have the key, and takes the first.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from catalog.push.receipts import KEY_HOURS

FOLDER = "keys"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was done under a key."""

    receipt: str
    body_hash: str
    answer: str  # the JSON that was answered


class Key:
    """One key, held by one request at a time."""

    def __init__(self, log_folder: Path, key_hash: str) -> None:
        self.path = log_folder / FOLDER / key_hash[:2] / key_hash
        self._file = -1

    def take(self) -> bool:
        """Hold the key; False while another request does. It never waits, for it is called on an event loop.

        Raises:
            OSError: its folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.path.stat().st_ino == os.fstat(self._file).st_ino:  # else it was forgotten meanwhile
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(self._file)
        return False

    def free(self) -> None:
        """Let others have the key."""
        os.close(self._file)

    def known(self, now: float) -> Remembered | None:
        """What was done under the key lately."""
        content = os.pread(self._file, 1 << 20, 0)
        with suppress(ValueError, TypeError):
            told = json.loads(content)
            if now - told.pop("at") < KEY_HOURS * 3600:
                return Remembered(**told)
        return None

    def remember(self, done: Remembered, now: float) -> None:
        """Keep what was done."""
        content = json.dumps(
            {"receipt": done.receipt, "body_hash": done.body_hash, "answer": done.answer, "at": now}
        ).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, content, 0)
        os.fsync(self._file)


def forget_keys(log_folder: Path, now: float) -> None:
    """Remove the keys that are no longer remembered, but those in use."""
    for path in (log_folder / FOLDER).glob("??/*"):
        with suppress(FileNotFoundError, BlockingIOError):
            if now - path.stat().st_mtime < KEY_HOURS * 3600:
                continue
            with path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

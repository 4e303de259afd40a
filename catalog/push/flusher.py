"""Who watches the log of pushes to drain it: one process on a machine, while others stand by; anyone may ask."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = "flusher.lock"
STAND_BY_SECONDS = 1.0


def is_flushing(folder: Path) -> bool:
    """Whether a process on this machine watches the log."""
    with suppress(FileNotFoundError), (folder / LOCK).open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def flushing(folder: Path, stop: threading.Event) -> Iterator[bool]:
    """Be the one that watches the log; while another is, stand by. False when told to stop before that."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("ab") as stream:
        while not stop.is_set():
            with suppress(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield True
                return
            stop.wait(STAND_BY_SECONDS)
        yield False

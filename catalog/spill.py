"""Folders for what a query cannot hold in memory: one a process and query, none left of processes that were killed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from catalog.ledger import is_alive
from catalog.settings import Settings


def spill_folder(settings: Settings) -> Path:
    """A folder of this process, not made yet: two processes that share one crash.

    Its name says whose it is, so that it is removed where that process cannot do so any more.
    """
    with suppress(OSError):  # a gateway may have nowhere to write, and then only lacks room to spill
        settings.spill.mkdir(parents=True, exist_ok=True)
    return settings.spill / f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"


def sweep_spill(settings: Settings) -> None:
    """Remove the folders of this machine's processes that are no more."""
    for folder in settings.spill.iterdir() if settings.spill.exists() else ():
        mine = re.fullmatch(rf"{re.escape(socket.gethostname())}\.(\d+)\.\w+", folder.name)
        if mine and not is_alive(int(mine[1])):
            shutil.rmtree(folder, ignore_errors=True)

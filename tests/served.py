"""``odh serve`` as its users run it: a supervisor, its workers and the drain, on a free port."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from lakes import environment

from catalog.settings import Settings


@dataclass
class Served:
    """A running ``odh serve``."""

    process: subprocess.Popen[str]
    client: httpx.Client

    def children(self) -> set[int]:
        """Pids of all its children."""
        task = Path(f"/proc/{self.process.pid}/task")
        found: set[int] = set()
        for one in task.iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
                found |= {int(pid) for pid in (one / "children").read_text().split()}
        return found

    def workers(self) -> set[int]:
        """Pids of those that answer."""
        return {pid for pid in self.children() if b"api.worker" in command_line(pid)}


def command_line(pid: int) -> bytes:
    """What a process was started with; nothing for one that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def command_of(*words: str) -> list[str]:
    """``odh serve`` on a free port."""
    return [sys.executable, "-m", "odh", "serve", "--port", "0", *words]


@contextmanager
def served(settings: Settings, *words: str) -> Iterator[Served]:
    """Run the gateway on a lake, with all its processes, until the block ends."""
    told = {**environment(settings), "TMPDIR": str(settings.lake.parent)}
    with subprocess.Popen(command_of(*words), env=told, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"at (http://\S+)", process.stdout.readline())
            assert address
            with httpx.Client(base_url=address[1], timeout=60, trust_env=False) as client:
                yield Served(process, client)
        finally:
            process.kill()


def fresh(here: Served, path: str, **parameters: Any) -> httpx.Response:
    """An answer on a connection of its own, which any worker may take."""
    return httpx.get(f"{str(here.client.base_url).rstrip('/')}{path}", params=parameters, timeout=60, trust_env=False)

"""What ``odh serve`` does: the socket, the processes that answer on it, and what is made ready for them."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from api.safe_start import refuse_unsafe
from api.shared_rate import shared_file
from api.supervisor import Child, Supervisor
from catalog.errors import PermanentError, UsageError
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.registry import load_registry
from catalog.settings import Settings

BACKLOG = 2048
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def prepare(settings: Settings) -> None:
    """Find here what would stop every worker, and make the tables that two of them would make at once.

    Raises:
        OdhError: whatever keeps the gateway from starting.
    """
    refuse_unsafe(settings, load_registry(settings))
    Ledger(settings).close()
    if settings.api_workers > 1:
        Lakehouse(settings).close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; connections wait in it until a worker takes them.

    Raises:
        PermanentError: the port is taken, or not ours to take.
        UsageError: there is no such address here.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise UsageError(f"{host!r} is no address to listen on: {error.strerror}. Try 127.0.0.1 or 0.0.0.0.") from error
    family, type_, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    # asyncio turns off Nagle's algorithm, 40 ms a small answer, only on sockets whose protocol is named
    listener = socket.socket(family, type_, protocol or socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reasons = {
            errno.EADDRINUSE: f"is taken, by another odh serve perhaps. Stop it, or choose another: --port {port + 1}",
            errno.EACCES: "is not yours to take: choose one above 1023, or give this process the right",
            errno.EADDRNOTAVAIL: "cannot be had: this machine has no such address",
        }
        told = reasons.get(error.errno or 0, f"cannot be listened on: {error.strerror}")
        raise PermanentError(f"Port {port} of {host} {told}.") from error
    return listener


def serve(settings: Settings, listener: socket.socket) -> int:
    """Answer on a socket with as many workers as the settings say, until a signal; the exit code."""
    with _metrics_folder(settings) as (environment, forget), closing(listener), ExitStack() as stack:
        environment = {**os.environ, **settings.as_environment(), **environment}
        shared = [listener.fileno()]
        if settings.api_workers > 1 and settings.api_pace:
            shared.append(stack.enter_context(shared_file()).fileno())
        return Supervisor(children(settings, *shared), environment, forget).run()


def children(settings: Settings, *shared: int) -> list[list[Child]]:
    """The processes of the gateway, in groups: the first to start is the last to stop.

    Args:
        shared: descriptors the workers share: of the socket, and of what they share of rates.
    """
    workers = [
        Child(f"worker {number}", [sys.executable, "-m", "api.worker", *map(str, shared)], shared)
        for number in range(1, settings.api_workers + 1)
    ]
    drain = Child("drain", [sys.executable, "-m", "odh", "drain", "--watch", "--until-eof"])
    takes_pushes = any(feed.is_pushed for feed in load_registry(settings))
    return [[drain], workers] if settings.push_flusher and takes_pushes else [workers]


@contextmanager
def _metrics_folder(settings: Settings) -> Iterator[tuple[dict[str, str], Callable[[int], None]]]:
    """Where several workers keep their counts, so that each can tell those of all."""
    if settings.api_workers == 1:
        yield {}, lambda pid: None
        return
    folder = Path(tempfile.mkdtemp(prefix="odh-metrics-"))

    def forget(pid: int) -> None:
        with suppress(FileNotFoundError):
            for file in folder.glob(f"gauge_live*_{pid}.db"):
                file.unlink()

    try:
        yield {METRICS_FOLDER: str(folder)}, forget
    finally:
        shutil.rmtree(folder, ignore_errors=True)

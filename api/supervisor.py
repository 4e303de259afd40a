"""Keeps the processes of ``odh serve`` running: starts them, starts again what dies, and stops them in order.

It knows nothing of HTTP. A child finds a pipe as its standard input, which ends when the supervisor asks it to stop or
is no more; children that watch it never outlive the supervisor. Each has a process group of its own, so that Ctrl-C
reaches the supervisor alone.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import structlog

from catalog.errors import PermanentError

CANNOT_START = 3  # exit code of a child that would fail again the same way, as uvicorn has it
SETTLED_SECONDS = 10.0  # who lived that long is started again at once; others after a wait that doubles
LONGEST_WAIT_SECONDS = 30.0
WAKING_SECONDS = 0.5
STOPPING = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    pass_fds: tuple[int, ...] = ()


@dataclass(slots=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    began: float
    failures: int


@dataclass(frozen=True, slots=True)
class _Ended:
    running: _Running
    code: int


@dataclass(frozen=True, slots=True)
class _Restart:
    child: Child
    failures: int


@dataclass
class Supervisor:
    """Runs groups of children: started in order, stopped in reverse order, a group when the one after it has ended.

    Args:
        environment: of the children.
        on_end: called with the pid of each child that ended.
    """

    groups: Sequence[Sequence[Child]]
    environment: Mapping[str, str]
    on_end: Callable[[int], None] = lambda pid: None
    _running: list[_Running] = field(default_factory=list)
    _events: SimpleQueue[_Ended | _Restart | int] = field(default_factory=SimpleQueue)
    _is_stopping: bool = False

    def run(self) -> int:
        """Run until a signal, and return 0 when all ended well, or the exit code of one who was killed.

        Raises:
            PermanentError: a child cannot start.
        """
        before = {number: signal.signal(number, lambda got, _: self._events.put(got)) for number in STOPPING}
        try:
            for group in self.groups:
                for child in group:
                    self._start(child, 0)
            return self._keep()
        finally:
            self._kill()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _keep(self) -> int:
        while True:
            match self._next():
                case _Ended() as ended:
                    self._took_leave(ended)
                case _Restart(child, failures):
                    if not self._is_stopping:
                        self._start(child, failures)
                case number if self._is_stopping:
                    log.warning("killed", signal=signal.Signals(number).name)
                    return 128 + number
                case number:
                    log.info("stopping", signal=signal.Signals(number).name)
                    self._is_stopping = True
                    self._stop_next()
            if self._is_stopping and not self._running:
                return 0

    def _next(self) -> _Ended | _Restart | int:
        """What happens next; it wakes now and then, for Python tells a signal to a main thread that runs only."""
        while True:
            with suppress(Empty):
                return self._events.get(timeout=WAKING_SECONDS)

    def _start(self, child: Child, failures: int) -> None:
        process = subprocess.Popen(
            child.command,
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            pass_fds=child.pass_fds,
            process_group=0,
        )
        running = _Running(child, process, time.monotonic(), failures)
        self._running.append(running)
        threading.Thread(target=self._await, args=(running,), daemon=True).start()

    def _await(self, running: _Running) -> None:
        self._events.put(_Ended(running, running.process.wait()))

    def _took_leave(self, ended: _Ended) -> None:
        running = ended.running
        self._running.remove(running)
        _close_input(running)
        self.on_end(running.process.pid)
        if self._is_stopping:
            self._stop_next()
            return
        if ended.code == CANNOT_START and running.failures == 0:
            raise PermanentError(f"The {running.child.name} cannot start; its log above says why.")
        has_settled = time.monotonic() - running.began >= SETTLED_SECONDS
        failures = 1 if has_settled else running.failures + 1
        wait = 0.0 if failures == 1 else min(2.0 ** (failures - 2), LONGEST_WAIT_SECONDS)
        log.error("child_died", child=running.child.name, code=ended.code, again_in_seconds=wait)
        timer = threading.Timer(wait, self._events.put, [_Restart(running.child, failures)])
        timer.daemon = True
        timer.start()

    def _stop_next(self) -> None:
        """Ask the last group that still runs to stop."""
        for group in reversed(self.groups):
            if here := [running for running in self._running if running.child in group]:
                for running in here:
                    running.process.send_signal(signal.SIGTERM)
                    _close_input(running)
                return

    def _kill(self) -> None:
        for running in self._running:
            running.process.kill()
            running.process.wait()


def _close_input(running: _Running) -> None:
    if running.process.stdin:
        with suppress(BrokenPipeError):
            running.process.stdin.close()

"""The processes that run statements: so many at once, so many waiting, each statement until its deadline and no longer.

A process of ``catalog.sandbox`` is kept for each statement that may run at once; it forks a child for each. One whose
statement is cut, because it is late or its client has left, is killed with its child and made anew for the next.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import anyio
from anyio import to_thread
from fastapi import Request

from catalog.errors import TransientError
from catalog.sandbox import Job
from catalog.settings import REPOSITORY, Settings

Answer = dict[str, Any]


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class SqlProcesses:
    """Runs statements in processes of their own; leaving the block ends them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running = anyio.Semaphore(settings.sql_concurrency)
        self._threads = anyio.CapacityLimiter(settings.sql_concurrency + 1)
        self._idle: list[subprocess.Popen[str]] = []
        self._all: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for process in self._all:
                _end(process)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a statement's turn.

        Raises:
            TransientError: too many wait already, or for too long.
        """
        if self._running.value == 0 and self._waiting >= self._settings.sql_queue:
            raise TransientError("Too many statements wait to be run already. Try again in a few seconds.")
        self._waiting += 1
        try:
            with anyio.fail_after(self._settings.sql_timeout_seconds):
                await self._running.acquire()
        except TimeoutError as error:
            raise TransientError("The statement was not run: others took the whole time. Try again later.") from error
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._running.release()

    async def run(self, job: Job, request: Request) -> Answer:
        """Run one statement in its turn and tell what its process answered; ``error`` where it was not well.

        Raises:
            ClientLeft: the client closed the connection, and the statement was cut.
        """
        cut = threading.Event()
        has_left = False

        async def watch() -> None:
            nonlocal has_left
            while (await request.receive())["type"] != "http.disconnect":
                pass
            has_left = True
            cut.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            answer = await to_thread.run_sync(self._run, job, cut, limiter=self._threads)
            tasks.cancel_scope.cancel()
        if has_left:
            raise ClientLeft
        return answer

    def _run(self, job: Job, cut: threading.Event) -> Answer:
        process, line, guard = self._take(), "", None
        try:
            with _Guard(process, cut, job.seconds) as guard:
                line = _ask(process, job)
        finally:
            self._give_back(process, is_well=bool(line) and guard is not None and not guard.has_killed)
        if line:
            answer: Answer = json.loads(line)
            return answer
        if guard.is_late:
            message = (
                f"The statement ran longer than the {job.seconds:g} s it may. Ask for less, or for a part at a time."
            )
            return {"error": {"kind": "limit", "message": message}}
        return {"error": {"kind": "broken", "message": "the process ended"}}

    def _take(self) -> subprocess.Popen[str]:
        """An idle process, or a new one."""
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.poll() is None:
                    return process
                self._all.discard(process)
        return self._start()

    def _give_back(self, process: subprocess.Popen[str], *, is_well: bool) -> None:
        """Keep a process for the next statement, or end it."""
        with self._lock:
            if is_well:
                self._idle.append(process)
                return
            self._all.discard(process)
        _end(process)

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "catalog.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self._settings.log_level == "debug" else subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
            env=_environment(),
            start_new_session=True,  # so that it and its child are killed together
        )
        with self._lock:
            self._all.add(process)
        return process


class _Guard:
    """Kills a process once its time is over or an event says so, as long as the block lasts."""

    def __init__(self, process: subprocess.Popen[str], cut: threading.Event, seconds: float) -> None:
        self.is_late = self.has_killed = False
        self._process, self._cut, self._seconds = process, cut, seconds
        self._lock, self._is_over = threading.Lock(), False
        self._thread = threading.Thread(target=self._watch, name="sql-deadline", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_over = True
        self._cut.set()
        self._thread.join()

    def _watch(self) -> None:
        is_late = not self._cut.wait(self._seconds)
        with self._lock:
            if not self._is_over:
                self.is_late, self.has_killed = is_late, True
                _kill(self._process)


def _ask(process: subprocess.Popen[str], job: Job) -> str:
    """Hand a job to a process and wait for its answer; empty when it ends instead."""
    if process.stdin is None or process.stdout is None:
        return ""
    with suppress(BrokenPipeError):
        process.stdin.write(job.to_json() + "\n")
        process.stdin.flush()
    return process.stdout.readline()


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and its child."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a process and free what it held."""
    _kill(process)
    process.wait()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            if stream:
                stream.close()


def _environment() -> dict[str, str]:
    """What a process of strangers' statements is told: where Python is, and no setting or secret of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

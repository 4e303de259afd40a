"""Group commit: requests that come at once share one write and one sync of the log, made by a thread of its own."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Sequence

from catalog.push.log import PushLog

SWITCHING = 0.001  # seconds, for the whole process
GATHERING = 0.0002  # seconds a write waits for others, for each that the last one had besides its first
MOST_GATHERING = 0.002
_Group = list[tuple[bytes, "asyncio.Future[str]"]]


class GroupCommit:
    """Appends to a log from an event loop, which never waits for the disk."""

    def __init__(self, log: PushLog) -> None:
        self.log = log
        # the writing thread asks for the interpreter after each call of the system: 5 ms each while the loop is busy
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCHING))
        self._loop = asyncio.get_running_loop()
        self._waiting: _Group = []
        self._is_writing = False
        self._groups: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def append(self, payload: bytes) -> asyncio.Future[str]:
        """Write one entry; the future gives its receipt once it is durable, or raises ``OSError``."""
        done: asyncio.Future[str] = self._loop.create_future()
        self._waiting.append((payload, done))
        if not self._is_writing:
            # once the requests that are ready now have been read: they go in one write
            self._is_writing = True
            self._loop.call_soon(self._write_waiting)
        return done

    async def close(self) -> None:
        """Wait until all that was handed over is durable, and close the log."""
        if pending := [done for _, done in self._waiting]:
            await asyncio.wait(pending)
        if self._thread:
            self._groups.put(None)
            await asyncio.to_thread(self._thread.join)
        self.log.close()

    def _write_waiting(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="push-log", daemon=True)
            self._thread.start()
        if not self._waiting:
            self._is_writing = False
            return
        group, self._waiting = self._waiting, []
        self._groups.put(group)

    def _work(self) -> None:
        while (group := self._groups.get()) is not None:
            try:
                outcome: Sequence[str] | OSError = self.log.append([payload for payload, _ in group])
            except OSError as error:
                outcome = error
            self._loop.call_soon_threadsafe(self._end, group, outcome)

    def _end(self, group: _Group, outcome: Sequence[str] | OSError) -> None:
        if self._waiting or len(group) > 1:
            # where several came at once more will: a thread woken for each would cost more than the requests
            self._loop.call_later(min(MOST_GATHERING, GATHERING * (len(group) - 1)), self._write_waiting)
        else:
            self._is_writing = False
        if isinstance(outcome, OSError):
            for _, done in group:
                if not done.done():
                    done.set_exception(outcome)
            return
        for (_, done), receipt in zip(group, outcome, strict=True):
            if not done.done():  # its client may have left
                done.set_result(receipt)

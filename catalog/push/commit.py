"""Group commit: requests that come at once share one write and one sync of the log.

The event loop syncs itself while the disk is quick: handing over to a thread and taking the interpreter back costs more
than a sync of 0.2 ms. A slow one hands over those that follow, so that waiting takes a fiftieth of the loop's time.
"""

from __future__ import annotations

import asyncio
import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence

from catalog.push.log import PushLog

SWITCHING = 0.001  # seconds, for the whole process
BRIEF = 0.001  # seconds of a write and its sync, beyond which those that follow are handed to a thread
REST = 50  # for so many times what it took
GATHERING = 0.0002  # seconds a write waits for others, for each that the last one had besides its first
MOST_GATHERING = 0.002
_Group = list[tuple[bytes, "asyncio.Future[str]"]]


class GroupCommit:
    """Appends to a log from an event loop."""

    def __init__(self, log: PushLog, clock: Callable[[], float] = time.perf_counter) -> None:
        self.log, self._clock = log, clock
        # the writing thread asks for the interpreter after each call of the system: 5 ms each while the loop is busy
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCHING))
        self._loop = asyncio.get_running_loop()
        self._waiting: _Group = []
        self._is_writing = False
        self._groups: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._handed_over_until = -math.inf

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
        if not self._waiting:
            self._is_writing = False
            return
        group, self._waiting = self._waiting, []
        began = self._clock()
        if began >= self._handed_over_until:
            self._end(group, self._write(group))
            took = self._clock() - began
            if took > BRIEF:
                self._handed_over_until = began + REST * took
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="push-log", daemon=True)
            self._thread.start()
        self._groups.put(group)

    def _work(self) -> None:
        while (group := self._groups.get()) is not None:
            self._loop.call_soon_threadsafe(self._end, group, self._write(group))

    def _write(self, group: _Group) -> Sequence[str] | OSError:
        try:
            return self.log.append([payload for payload, _ in group])
        except OSError as error:
            return error

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

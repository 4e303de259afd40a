"""Work in a thread that is stopped when the client leaves before it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
import duckdb
from starlette.requests import Request
from starlette.types import Message

PATIENCE_SECONDS = 0.05  # how long work goes on before anyone looks whether its reader is still there
Found = TypeVar("Found")


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


async def while_connected(request: Request, interrupt: Callable[[], None], work: Callable[[], Found]) -> Found:
    """Do work in a thread; ``interrupt`` is called if the client leaves meanwhile.

    Raises:
        ClientLeft: it did, and the work stopped.
    """
    found: list[Found] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, request, interrupt)
            found.append(await anyio.to_thread.run_sync(work))
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        first = _first(errors)
        if isinstance(first, duckdb.InterruptException):
            raise ClientLeft from first
        raise first from None
    return found[0]


async def _watch(request: Request, interrupt: Callable[[], None]) -> None:
    await anyio.sleep(PATIENCE_SECONDS)
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await request.receive()
    interrupt()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

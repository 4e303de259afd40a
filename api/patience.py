"""Work in a thread that is stopped when the client leaves before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio.to_thread
import duckdb
from starlette.requests import Request
from starlette.types import Message

PATIENCE_SECONDS = 0.05  # how long work goes on before anyone looks whether its reader is still there
Found = TypeVar("Found")


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


async def while_connected(request: Request, interrupt: Callable[[], None], work: Callable[[], Found]) -> Found:
    """Do work in a thread; ``interrupt`` is called, until that ends, if the client leaves meanwhile.

    Raises:
        ClientLeft: it did, and the work stopped.
    """
    working = asyncio.ensure_future(anyio.to_thread.run_sync(work))
    has_left = False
    try:
        await asyncio.wait({working}, timeout=PATIENCE_SECONDS)
        if not working.done():
            leaving = asyncio.ensure_future(_leaving(request))
            try:
                await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
            while not working.done():  # one that falls between two statements stops neither
                has_left = True
                _stop(interrupt)
                await asyncio.wait({working}, timeout=PATIENCE_SECONDS)
        return await working
    except asyncio.CancelledError:
        _stop(interrupt)
        raise
    except Exception as error:  # what is interrupted raises one of several
        if has_left:
            raise ClientLeft from error
        raise


def _stop(interrupt: Callable[[], None]) -> None:
    with suppress(duckdb.Error):  # closed meanwhile
        interrupt()


async def _leaving(request: Request) -> None:
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await request.receive()

"""Lets go, while the gateway runs, of what an erasure took away elsewhere: copies it has open, comparisons it keeps.

It looks every few seconds, so that it happens within a bound also where nobody asks for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog
from anyio import CapacityLimiter, to_thread

LOOK_SECONDS = 2.0
log = structlog.get_logger(__name__)


@asynccontextmanager
async def letting_go(looks: Sequence[Callable[[], None]]) -> AsyncIterator[None]:
    """Take looks, again and again, as long as the block lasts; one that fails is logged and taken again."""
    looking = asyncio.create_task(_look(looks))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _look(looks: Sequence[Callable[[], None]]) -> None:
    own = CapacityLimiter(1)  # requests may hold every other thread
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for look in looks:
            try:
                await to_thread.run_sync(look, limiter=own)
            except Exception as error:
                log.warning("letting_go_failed", reason=str(error))

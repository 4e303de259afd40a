"""One writer at a time: named locks that a crash releases by itself.

On a laptop a lock is an advisory lock on a file of the lake; with a PostgreSQL ledger it is a session-level advisory
lock there, so that writers on several machines exclude each other. Readers take none.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from catalog.errors import LakeBusy
from catalog.ledger import Ledger
from catalog.settings import Settings

POLL_SECONDS = 0.1


@contextmanager
def exclusive(settings: Settings, ledger: Ledger, name: str) -> Iterator[None]:
    """Hold the lock ``name`` while the block runs.

    Raises:
        LakeBusy: another process still holds it after ``lock_timeout_seconds``.
    """
    held = _postgresql(ledger, name, settings) if ledger.engine.dialect.name == "postgresql" else _file(settings, name)
    with held:
        yield


@contextmanager
def _file(settings: Settings, name: str) -> Iterator[None]:
    path = settings.lake / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:

        def taken() -> bool:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        def holder() -> str:
            return f"process {path.read_text().strip() or 'unknown'}"

        _wait(taken, settings, name, holder)
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


@contextmanager
def _postgresql(ledger: Ledger, name: str, settings: Settings) -> Iterator[None]:
    key = {"name": f"odh:{name}"}
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        attempt = sa.text("select pg_try_advisory_lock(hashtextextended(:name, 0))")
        _wait(lambda: bool(connection.execute(attempt, key).scalar()), settings, name, lambda: "another process")
        try:
            yield
        finally:
            connection.execute(sa.text("select pg_advisory_unlock(hashtextextended(:name, 0))"), key)


def _wait(taken: Callable[[], bool], settings: Settings, name: str, holder: Callable[[], str]) -> None:
    deadline = time.monotonic() + settings.lock_timeout_seconds
    while not taken():
        if time.monotonic() >= deadline:
            raise LakeBusy(
                f"The lock {name!r} of the lake {settings.lake} is held by {holder()} for more than "
                f"{settings.lock_timeout_seconds:g} s. Wait for it to end, or set ODH_LOCK_TIMEOUT_SECONDS higher."
            )
        time.sleep(POLL_SECONDS)

"""One writer at a time: named locks that a crash releases by itself.

On a laptop a lock is an advisory lock on a file of the lake, which the system frees with its process; with a PostgreSQL
ledger it is a session-level advisory lock there, so that writers on several machines exclude each other, and the server
frees it with its connection. Neither is a lease that a slow writer could outlive. Readers take none.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import sqlalchemy as sa

from catalog.errors import LakeBusy
from catalog.ledger import Ledger
from catalog.settings import Settings

POLL_SECONDS = 0.1
# A machine that vanishes closes no connection: the server asks after 30 s of silence, and gives up 30 s later.
SESSION = {
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "idle_session_timeout": 0,
}
TAKE = "select pg_try_advisory_lock(hashtextextended(:name, 0))"
FREE = "select pg_advisory_unlock(hashtextextended(:name, 0))"
HOLDER = """
select application_name from pg_stat_activity inner join pg_locks using (pid)
where
    locktype = 'advisory' and granted and objsubid = 1
    and (classid::bigint << 32) | objid::bigint = hashtextextended(:name, 0)
"""
MINE = f"select exists ({HOLDER} and pid = pg_backend_pid())"
SET = "select set_config(name, :value, false) from pg_settings where name = :setting"  # one an old server lacks is left
Verify = Callable[[], None]


@contextmanager
def exclusive(settings: Settings, ledger: Ledger, name: str) -> Iterator[Verify]:
    """Hold the lock ``name`` while the block runs; it gets a function that raises once the lock is lost.

    Raises:
        LakeBusy: another process still holds it after ``lock_timeout_seconds``; or it was lost meanwhile.
    """
    held = _postgresql(ledger, name, settings) if ledger.engine.dialect.name == "postgresql" else _file(settings, name)
    with held as verify:
        yield verify


@contextmanager
def _file(settings: Settings, name: str) -> Iterator[Verify]:
    path = settings.lake / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:

        def holder() -> str:
            return f"process {path.read_text().strip() or 'unknown'}"

        _wait(lambda: is_taken(stream), settings, name, holder)
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield lambda: None  # as long as this process lives


@contextmanager
def _postgresql(ledger: Ledger, name: str, settings: Settings) -> Iterator[Verify]:
    key = {"name": f"odh:{name}"}
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def ask(statement: str) -> Any:
            return connection.execute(sa.text(statement), key).scalar()

        def still_held() -> None:
            with suppress(sa.exc.SQLAlchemyError):  # a connection that ended took the lock with it
                if ask(MINE):
                    return
            raise LakeBusy(
                f"The lock {name!r} was lost, for the connection to the ledger ended; another process may be writing. "
                "Run the same command again."
            )

        introduce(connection)
        _wait(lambda: bool(ask(TAKE)), settings, name, lambda: str(ask(HOLDER)))
        try:
            yield still_held
            still_held()
        finally:
            with suppress(sa.exc.SQLAlchemyError):
                ask(FREE)


def is_taken(stream: IO[str]) -> bool:
    """Lock a file where nobody else has, and say whether that was so; it is free again when it is closed."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def introduce(connection: sa.Connection) -> None:
    """Let others see who holds the lock, and the server notice when this machine is gone."""
    if "is_introduced" in connection.info:  # a pooled connection keeps what it was told
        return
    who = f"odh process {os.getpid()} on {socket.gethostname()}"[:63]
    for setting, value in {**SESSION, "application_name": who}.items():
        connection.execute(sa.text(SET), {"setting": setting, "value": str(value)})
    connection.info["is_introduced"] = True


def _wait(taken: Callable[[], bool], settings: Settings, name: str, holder: Callable[[], str]) -> None:
    deadline = time.monotonic() + settings.lock_timeout_seconds
    while not taken():
        if time.monotonic() >= deadline:
            raise LakeBusy(
                f"The lock {name!r} of the lake {settings.lake} is held by {holder()} for more than "
                f"{settings.lock_timeout_seconds:g} s. Wait for it to end, or set ODH_LOCK_TIMEOUT_SECONDS higher."
            )
        time.sleep(POLL_SECONDS)

"""Slots that all processes of a lake share: so many of a name at once, and a name that all leave alone for a while.

Kept as ``locks`` are: files of the lake on a laptop, session advisory locks on a PostgreSQL ledger, which hold over
machines. A crash frees its slots by itself. How long a name is left alone stands in the ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa
import structlog

from catalog import schema
from catalog.clock import utc_now
from catalog.errors import LedgerAway
from catalog.ledger import Ledger
from catalog.locks import FREE, TAKE, introduce, is_taken
from catalog.settings import Settings

POLL_SECONDS = 0.05
MAX_FILE_NAME = 200  # characters of a name in that of its files; names that end alike beyond share their slots
LEAVE_ALONE = sa.text(
    "insert into rests (name, until) values (:name, :until)"
    " on conflict (name) do update set until = excluded.until where excluded.until > rests.until"
).bindparams(sa.bindparam("until", type_=schema.UtcDateTime))
UNTIL = sa.select(schema.rests.c.until).where(schema.rests.c.name == sa.bindparam("name"))
Free = Callable[[], None]
log = structlog.get_logger(__name__)


class _Source(Protocol):
    def take(self, name: str, count: int) -> Free | None:
        """Take any of a name's slots; None while all are taken."""


class Slots:
    """The slots of a lake; one for a process, to be shared by its threads."""

    def __init__(self, settings: Settings, ledger: Ledger, now: Callable[[], datetime] = utc_now) -> None:
        self._ledger, self._now = ledger, now
        is_shared_by_machines = ledger.engine.dialect.name == "postgresql"
        self._source: _Source = _Session(ledger) if is_shared_by_machines else _Files(settings.lake / "locks")

    @contextmanager
    def hold(self, name: str, count: int) -> Iterator[None]:
        """Hold one of the ``count`` slots of a name while the block runs, however long others have them.

        Raises:
            LedgerAway: the ledger's server gives no answer.
        """
        free = self._source.take(name, count)
        if free is None:
            log.info("slot_awaited", name=name, slots=count)
        while free is None:
            time.sleep(POLL_SECONDS)
            free = self._source.take(name, count)
        try:
            yield
        finally:
            free()

    def leave_alone(self, name: str, seconds: float) -> None:
        """Have every process leave a name alone for so long; asking for less does not shorten it."""
        until = self._now() + timedelta(seconds=seconds)
        with self._ledger.begin() as connection:
            connection.execute(LEAVE_ALONE, {"name": name, "until": until})

    def rest_seconds(self, name: str) -> float:
        """For how long a name is to be left alone from now on."""
        with self._ledger.begin() as connection:
            until = connection.execute(UNTIL, {"name": name}).scalar()
        return max(0.0, (until - self._now()).total_seconds()) if until else 0.0


class _Files:
    """A file a slot, locked while it is taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, name: str, count: int) -> Free | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        plain = quote(name, safe="")[-MAX_FILE_NAME:]
        for number in range(count):
            stream = (self._folder / f"{plain}.{number}.lock").open("a")
            if is_taken(stream):
                return stream.close
            stream.close()
        return None


class _Session:
    """An advisory lock a slot, all in one session for the threads of this process; it is open while one is taken."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._lock = ledger, threading.Lock()
        self._connection: sa.Connection | None = None
        self._taken: set[str] = set()  # a session would be given the same lock a second time

    def take(self, name: str, count: int) -> Free | None:
        slots = [f"odh:{name}.{number}" for number in range(count)]
        with self._lock:
            try:
                connection = self._opened()
                for slot in slots:
                    if slot not in self._taken and _ask(connection, TAKE, slot):
                        self._taken.add(slot)
                        return partial(self._free, slot, connection)
            except sa.exc.SQLAlchemyError as error:
                self._close(is_broken=True)
                reason = getattr(error, "orig", None) or error
                raise LedgerAway(
                    f"The ledger gave no answer when asked for a turn at {name}: {reason}. Is its server up? Run again."
                ) from error
            if not self._taken:
                self._close()
            return None

    def _free(self, slot: str, connection: sa.Connection) -> None:
        with self._lock:
            if connection is not self._connection:  # a session that ended freed all it had
                return
            self._taken.discard(slot)
            with suppress(sa.exc.SQLAlchemyError):
                _ask(connection, FREE, slot)
            if not self._taken:
                self._close()

    def _opened(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            introduce(self._connection)
        return self._connection

    def _close(self, *, is_broken: bool = False) -> None:
        """Give the session back to the pool; one that is broken is ended, which frees what it had."""
        connection, self._connection = self._connection, None
        self._taken.clear()
        with suppress(sa.exc.SQLAlchemyError):
            if connection is not None and is_broken:
                connection.invalidate()
            if connection is not None:
                connection.close()


def _ask(connection: sa.Connection, statement: str, slot: str) -> Any:
    return connection.execute(sa.text(statement), {"name": slot}).scalar()

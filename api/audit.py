"""What was written and what SQL was run through the gateway, by whom: rows of ``ops.audit``.

Requests hand their entry to a thread that writes them to the ledger every second and at the end, so that no answer
waits for the ledger. Before an answer begins, its entry is in a journal (``audit_journal``), from which the next
process takes what a crash kept from the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa
import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import caller
from api.audit_journal import Closed, Journal
from api.outcome import outcome_of
from catalog import schema
from catalog.clock import utc_now
from catalog.ledger import Ledger

DETAIL_LENGTH = 4000
FLUSH_SECONDS = 1.0
MOST_WAITING = 100_000
READING = {"GET", "HEAD", "OPTIONS"}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, or several alike of the same second."""

    at: datetime
    request_id: str | None
    key_id: str | None
    method: str
    path: str
    status: int
    requests: int
    detail: str | None
    rows: int | None
    seconds: float


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def note(request: Request, *, detail: str | None = None, rows: int | None = None) -> None:
    """Say more about the request at hand in its row of the audit; also while its answer is streamed.

    Every POST, PUT, PATCH and DELETE has its row without this; a GET has none.

    Args:
        detail: such as the SQL that was run; cut at ``DETAIL_LENGTH`` characters.
        rows: rows answered or taken.
    """
    told: dict[str, Any] = request.scope.setdefault("odh.audit", {})
    if detail is not None:
        told["detail"] = detail if len(detail) <= DETAIL_LENGTH else f"{detail[: DETAIL_LENGTH - 1]}…"
    if rows is not None:
        told["rows"] = rows


class AuditLog:
    """Writes entries to the ledger behind the requests; leaving the block writes what is left.

    Args:
        folder: of the journal.
    """

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self._ledger, self._journal = ledger, Journal(folder)
        self._waiting: list[Entry | str] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="audit", daemon=True)

    def __enter__(self) -> Self:
        self._take_up()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def begin(self, key: int, entry: Entry) -> None:
        """Have an entry outlive this process from now on; an answer may begin after that.

        Args:
            key: what ``add`` is given when the answer has ended.
        """
        line = _encode(entry) + b"\n"
        try:
            with self._lock:
                self._journal.begin(key, line)
        except OSError as error:  # a full disk: the entry is handed over all the same
            log.error("audit_journal_unwritable", reason=str(error), path=entry.path)

    def add(self, key: int, entry: Entry) -> None:
        """Take an entry to write; it waits for nothing."""
        with self._lock:
            self._journal.end(key)
            is_full = len(self._waiting) >= MOST_WAITING
            if not is_full:
                self._waiting.append(entry)
        if is_full:  # the ledger has not answered for long
            log.error("audit_lost", method=entry.method, path=entry.path, key_id=entry.key_id)

    def note_use(self, key_id: str) -> None:
        """Note that a key is in use."""
        with self._lock:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(key_id)

    def _write_on(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._is_over.wait(FLUSH_SECONDS)
            with self._lock:
                taken, self._waiting = self._waiting, []
                closed = self._turn()
            is_written = not taken or self._write(taken)
            if closed:
                closed.remove() if is_written else closed.leave()

    def _turn(self) -> Closed | None:
        try:
            return self._journal.turn()
        except OSError as error:
            log.error("audit_journal_unwritable", reason=str(error))
            return None

    def _take_up(self) -> None:
        """Write the entries that processes which were killed left."""
        for left in self._journal.left():
            entries = list(_readable(left))
            is_written = self._knows(entries) or self._write(entries)
            left.remove() if is_written else left.leave()

    def _knows(self, entries: Sequence[Entry | str]) -> bool:
        """Whether the ledger has what a journal holds, but what goes on in the next: all went into it in one step."""
        moments = [one.at for one in merged(entry for entry in entries if isinstance(entry, Entry))]
        c = schema.audit.c
        with self._ledger.begin() as connection:
            for start in range(0, len(moments), 500):
                some = c.at.in_(moments[start : start + 500])
                if connection.scalar(sa.select(sa.func.count()).where(some)):
                    return True
        return False

    def _write(self, taken: list[Entry | str]) -> bool:
        keys = {key_id for key_id in taken if isinstance(key_id, str)}
        rows = [
            {name: getattr(entry, name) for name in Entry.__slots__}
            for entry in merged(entry for entry in taken if isinstance(entry, Entry))
        ]
        try:
            with self._ledger.begin() as connection:
                if rows:
                    connection.execute(schema.audit.insert(), rows)
                if keys:
                    c = schema.api_keys.c
                    connection.execute(
                        schema.api_keys.update().where(c.key_id.in_(keys)).values(last_used_at=utc_now())
                    )
        except sa.exc.SQLAlchemyError as error:
            for row in rows:  # the ledger is gone: the log keeps them, and the journal
                log.error("audit_unwritten", **{**row, "at": row["at"].isoformat(), "reason": type(error).__name__})
            return False
        return True


def _readable(left: Closed) -> Iterator[Entry | str]:
    """The entries of a file; a line that is none, as a power cut leaves, is logged and passed over."""
    for line in left.lines():
        try:
            yield _decode(line)
        except msgspec.MsgspecError as error:
            log.error("audit_line_unreadable", path=str(left.path), bytes=len(line), reason=str(error))


def merged(entries: Iterable[Entry]) -> list[Entry]:
    """Entries with those that differ in nothing but their time made one: a busy feed is a row a second."""
    found: dict[Any, Entry] = {}
    for entry in entries:
        is_alone = entry.detail is not None
        key = entry.request_id if is_alone else (entry.key_id, entry.method, entry.path, entry.status)
        if (one := found.get(key)) is None or is_alone:
            found[key] = entry
            continue
        rows = None if one.rows is None and entry.rows is None else (one.rows or 0) + (entry.rows or 0)
        found[key] = replace(
            one,
            at=min(one.at, entry.at),
            request_id=None,
            requests=one.requests + 1,
            rows=rows,
            seconds=one.seconds + entry.seconds,
        )
    return list(found.values())


class Audited:
    """Makes the entry of each request that writes or runs SQL."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; its entry is safe before its answer begins, and added when that ended, however it did."""
        if scope["type"] != "http" or scope["method"] in READING:
            await self.app(scope, receive, send)
            return
        audit_log: AuditLog = scope["app"].state.audit
        key, began = id(scope), utc_now()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                audit_log.begin(key, _entry(scope, began, int(message["status"])))
            await send(message)

        try:
            await self.app(scope, receive, tell)
        finally:
            audit_log.add(key, _entry(scope, began, outcome_of(scope).status))


def _entry(scope: Scope, at: datetime, status: int) -> Entry:
    told: dict[str, Any] = scope.get("odh.audit", {})
    return Entry(
        at=at,
        request_id=scope.get("odh.request_id"),
        key_id=caller().key_id,
        method=scope["method"],
        path=scope["path"],
        status=status,
        requests=1,
        detail=told.get("detail"),
        rows=told.get("rows"),
        seconds=outcome_of(scope).seconds,
    )

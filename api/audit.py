"""What was written and what SQL was run through the gateway, by whom: rows of ``ops.audit``.

Requests hand their entry to a thread that writes them to the ledger every second and at the end, so that no answer
waits for the ledger. A crash loses the last second; what was pushed is in its own log by then.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import sqlalchemy as sa
import structlog
from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import caller
from api.outcome import Outcome, outcome_of
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


def note(request: Request, *, detail: str | None = None, rows: int | None = None) -> None:
    """Say more about the request at hand in its row of the audit; also while its answer is streamed.

    Every POST, PUT, PATCH and DELETE has its row without this; a GET has one if this is called.

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
    """Writes entries to the ledger behind the requests; leaving the block writes what is left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: queue.Queue[Entry | str] = queue.Queue(MOST_WAITING)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="audit", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def add(self, entry: Entry) -> None:
        """Take an entry to write; it waits for nothing."""
        try:
            self._waiting.put_nowait(entry)
        except queue.Full:  # the ledger has not answered for long
            log.error("audit_lost", method=entry.method, path=entry.path, key_id=entry.key_id)

    def note_use(self, key_id: str) -> None:
        """Note that a key is in use."""
        if not self._waiting.full():
            self._waiting.put_nowait(key_id)

    def _write_on(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._is_over.wait(FLUSH_SECONDS)
            taken = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
            if taken:
                self._write(taken)

    def _write(self, taken: list[Entry | str]) -> None:
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
            for row in rows:  # the ledger is gone: the log keeps them
                log.error("audit_unwritten", **{**row, "at": row["at"].isoformat(), "reason": type(error).__name__})


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
            one, request_id=None, requests=one.requests + 1, rows=rows, seconds=one.seconds + entry.seconds
        )
    return list(found.values())


class Audited:
    """Makes the entry of each request that writes, or that a route said something about."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add its entry when its answer has ended, however it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            told: dict[str, Any] | None = scope.get("odh.audit")
            if told is not None or scope["method"] not in READING:
                audit_log: AuditLog = scope["app"].state.audit
                audit_log.add(_entry(scope, outcome_of(scope), told or {}))


def _entry(scope: Scope, outcome: Outcome, told: dict[str, Any]) -> Entry:
    return Entry(
        at=utc_now(),
        request_id=scope.get("odh.request_id"),
        key_id=caller().key_id,
        method=scope["method"],
        path=scope["path"],
        status=outcome.status,
        requests=1,
        detail=told.get("detail"),
        rows=told.get("rows"),
        seconds=outcome.seconds,
    )

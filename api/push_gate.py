"""What stands between a request that pushes records and their log: contracts, the durable write, the way back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
import structlog

from catalog.ledger import Ledger
from catalog.push import receipts
from catalog.push.backlog import waiting_bytes
from catalog.push.batch import Batch, PushRefused, take, told_faults
from catalog.push.commit import GroupCommit
from catalog.push.contract import Contract
from catalog.push.flusher import is_flushing
from catalog.push.keys import Key, Remembered
from catalog.push.log import PushLog
from catalog.registry import Registry
from catalog.settings import Settings

BACKLOG_SECONDS = 1.0  # how old what is known of the backlog may be
KEY_SECONDS = 0.005  # between two tries to have a key that another request holds
START_SECONDS = 20.0  # within which a flusher starts
ASK_SECONDS = 0.1  # between two looks at a receipt that is waited for
FINAL = {"curated", "rejected", "duplicate", "failed"}
log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch that is durable: its receipt, the JSON that says so, and the records this request brought."""

    receipt: str
    answer: bytes
    records: int = 0


class PushGate:
    """The pushing side of one gateway process."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.settings = settings
        self.contracts = {feed.feed: Contract(feed) for feed in registry if feed.is_pushed}
        self._commit: GroupCommit | None = None
        self._backlog_until = 0.0
        self._waiting_bytes = 0

    async def close(self) -> None:
        """Wait until all that was taken is durable."""
        if self._commit:
            await self._commit.close()
            self._commit = None

    async def push(self, body: bytes, *, atomic: bool | None, key: str | None) -> Accepted:
        """Make one batch durable.

        Raises:
            PushRefused: nothing of it was taken, and why.
        """
        batch, payload = take(body, self.contracts, time.time_ns() // 1000, atomic=atomic, key=key)
        self._look_at_backlog()
        if batch.key_hash:
            return await self._push_once(batch, payload)
        return _accepted(await self._append(payload), batch)

    async def _push_once(self, batch: Batch, payload: bytes) -> Accepted:
        """Push a batch unless one with its idempotency key was pushed."""
        held = Key(self.settings.push_log, batch.key_hash)
        try:
            while not held.take():
                await asyncio.sleep(KEY_SECONDS)
        except OSError as error:
            raise _unwritable(error) from error
        try:
            if done := held.known(time.time()):
                if done.body_hash != batch.body_hash:
                    detail = (
                        f"This idempotency key was used with another body, whose receipt is {done.receipt}."
                        " Send the same body again, or another key."
                    )
                    raise PushRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
                return Accepted(done.receipt, done.answer.encode())
            accepted = _accepted(await self._append(payload), batch)
            remembered = Remembered(accepted.receipt, batch.body_hash, accepted.answer.decode())
            try:
                await asyncio.to_thread(held.remember, remembered, time.time())
            except OSError as error:  # the batch is durable: its key is in it, and the drain looks
                log.error("idempotency_key_not_remembered", receipt=accepted.receipt, reason=str(error))
            return accepted
        finally:
            held.free()

    async def _append(self, payload: bytes) -> str:
        if self._commit is None:
            self._commit = GroupCommit(PushLog(self.settings.push_log))
        self._waiting_bytes += len(payload)
        try:
            return await self._commit.append(payload)
        except OSError as error:
            raise _unwritable(error) from error

    def _look_at_backlog(self) -> None:
        """Refuse a push while too much waits to be drained.

        Raises:
            PushRefused: 503.
        """
        now = time.monotonic()
        if now > self._backlog_until:
            try:
                self._waiting_bytes = waiting_bytes(self.settings.push_log)
            except OSError as error:
                raise _unwritable(error) from error
            self._backlog_until = now + BACKLOG_SECONDS
        if self._waiting_bytes > self.settings.push_max_pending_bytes:
            detail = (
                f"{self._waiting_bytes:,} bytes wait to be drained, and ODH_PUSH_MAX_PENDING_BYTES allows"
                f" {self.settings.push_max_pending_bytes:,}. Push again later; GET /health says whether odh drain runs."
            )
            raise PushRefused(HTTPStatus.SERVICE_UNAVAILABLE, "backlog-full", detail)

    # What became of it

    def find(self, ledger: Ledger, receipt: str) -> dict[str, Any] | None:
        """What became of a batch; None for a receipt nobody knows."""
        return receipts.find_receipt(ledger, self.settings.push_log, receipt)

    async def await_release(self, ledger: Callable[[], Ledger], receipt: str) -> dict[str, Any]:
        """What became of a batch, once it is released or it is clear that this takes longer.

        ``waits_for`` in it says why it is not released, where it is not.
        """
        deadline = time.monotonic() + self.settings.push_wait_seconds
        while True:
            found = await asyncio.to_thread(self.find, ledger(), receipt) or {"receipt": receipt, "status": "accepted"}
            if found["status"] in FINAL:
                return found
            if found.get("reason"):
                return {**found, "waits_for": found["reason"]}
            left = deadline - time.monotonic()
            # the one that odh serve runs may be starting
            grace = START_SECONDS if self.settings.push_flusher else 0
            if not is_flushing(self.settings.push_log) and left <= self.settings.push_wait_seconds - grace:
                return {**found, "waits_for": "nobody drains the log on this machine; run odh drain --watch"}
            if left < 0:
                return {**found, "waits_for": f"not released within {self.settings.push_wait_seconds:g} s; ask again"}
            await asyncio.sleep(ASK_SECONDS)


def _accepted(receipt: str, batch: Batch) -> Accepted:
    if not batch.rejected:
        plain = b'{"receipt":"%b","feed":"%b","status":"accepted","accepted":%d,"rejected":0,"errors":[]}'
        return Accepted(receipt, plain % (receipt.encode(), batch.feed.encode(), batch.accepted), batch.accepted)
    status = "accepted" if batch.accepted else "rejected"
    answer = {"receipt": receipt, "feed": batch.feed, "status": status, "accepted": batch.accepted}
    told = {**answer, "rejected": len(batch.rejected), "errors": told_faults(batch.rejected)}
    return Accepted(receipt, _encode(told), batch.accepted)


def _unwritable(error: OSError) -> PushRefused:
    log.error("push_log_unwritable", reason=str(error))
    detail = (
        f"The log of pushed records cannot be written ({error.strerror or type(error).__name__}); nothing was taken."
        " Push the same again later, with an Idempotency-Key if it must not be taken twice."
    )
    return PushRefused(HTTPStatus.SERVICE_UNAVAILABLE, "log-unwritable", detail)

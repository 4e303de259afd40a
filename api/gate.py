"""The gate of the gateway: each request gets a number, a caller and a turn, or a refusal, before any route sees it."""

from __future__ import annotations

import re
from secrets import token_hex

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import iceberg_errors, problems
from api.access import Access, caller, enter, key_in
from api.outcome import outcome_of
from api.rate import Buckets, Moments, Turn, place_of
from catalog.errors import OdhError

UNGUARDED = {"/health", "/health/live"}  # they tell of the ledger's state, so they cannot ask it about keys
log = structlog.get_logger()
REQUEST_ID = re.compile(rb"[\w.-]{1,64}")


class Numbered:
    """Gives each request a number, the caller's own where it sent one: it is in the answer and in every log line.

    Args:
        is_told: whether each request is logged, at the level ``info``.
    """

    def __init__(self, app: ASGIApp, *, is_told: bool) -> None:
        self.app, self.is_told = app, is_told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its number."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number = _number_of(scope)
        header = (b"x-request-id", number.encode())
        scope["odh.request_id"] = number
        structlog.contextvars.bind_contextvars(request_id=number)
        try:
            await self.app(scope, receive, _with([header], send))
        finally:
            if self.is_told:
                outcome = outcome_of(scope)
                facts = {"status": outcome.status, "seconds": round(outcome.seconds, 6)}
                log.info("request", method=scope["method"], path=scope["path"], **facts, key_id=caller().key_id)


def _number_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return token_hex(16)


class Gate:
    """Finds the caller of each request; refuses keys that are none, and callers who ask too fast."""

    def __init__(self, app: ASGIApp, rate: float | None, burst: int, moments: Moments | None = None) -> None:
        self.app, self.buckets = app, Buckets(rate, burst, moments=moments)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in UNGUARDED:
            await self.app(scope, receive, send)
            return
        place, key = place_of(scope.get("client")), key_in(Headers(scope=scope))
        if key and self.buckets.is_empty(f"wrong {place}"):  # it may be trying keys: look none up
            await self._stop(scope, self.buckets.take(f"wrong {place}"), receive, send)
            return
        access: Access = scope["app"].state.access
        try:
            found = await access.identify(key)
        except OdhError as error:
            self.buckets.take(f"wrong {place}")
            await (await _refusal(Request(scope), error))(scope, receive, send)
            return
        enter(found)
        turn = self.buckets.take(f"key {found.key_id}" if found.key_id else place)
        if turn is None:
            await self.app(scope, receive, send)
        elif not turn.is_allowed:
            await self._stop(scope, turn, receive, send)
        else:
            await self.app(scope, receive, _with(turn.headers(), send))

    async def _stop(self, scope: Scope, turn: Turn | None, receive: Receive, send: Send) -> None:
        told = turn.headers() if turn else []
        answer = await problems.too_fast(Request(scope), told)
        await answer(scope, receive, _with(told, send))


def _with(headers: list[tuple[bytes, bytes]], send: Send) -> Send:
    """A way to send that adds headers to an answer."""

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return add


async def _refusal(request: Request, error: OdhError) -> Response:
    if request.url.path.startswith("/iceberg/"):
        return iceberg_errors.answer_error(request, error)
    return await problems.refusal(request, error)

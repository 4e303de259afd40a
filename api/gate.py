"""The gate of the gateway: each request gets a number, and a caller or a refusal, before any route sees it."""

from __future__ import annotations

import re
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import iceberg_errors, problems
from api.access import Access, enter
from catalog.errors import OdhError

UNGUARDED = {"/health", "/health/live"}  # they tell of the ledger's state, so they cannot ask it about keys
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


class Numbered:
    """Gives each request a number, the caller's own where it sent one; it is in the answer and in every log line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its number."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        number = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope["odh.request_id"] = number
        structlog.contextvars.bind_contextvars(request_id=number)

        async def numbered(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = number
            await send(message)

        await self.app(scope, receive, numbered)


class Gate:
    """Finds the caller of each request and refuses keys that are none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in UNGUARDED:
            await self.app(scope, receive, send)
            return
        access: Access = scope["app"].state.access
        try:
            found = await access.identify(Headers(scope=scope))
        except OdhError as error:
            await (await _refusal(Request(scope), error))(scope, receive, send)
            return
        enter(found)
        await self.app(scope, receive, send)


async def _refusal(request: Request, error: OdhError) -> Response:
    if request.url.path.startswith("/iceberg/"):
        return iceberg_errors.answer_error(request, error)
    return await problems.refusal(request, error)

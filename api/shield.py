"""What protects callers and the gateway whatever the route: headers of answers, other sites, and bodies too long."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import anyio
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.access import caller
from catalog.settings import Settings, is_loopback_host

DRAIN_SECONDS = 10.0  # how long a body that was refused may go on arriving, so that its sender sees the answer
DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"
# Swagger's page: a short script within it starts the one that comes with the gateway. No page of the gateway shows what
# a caller sent.
PAGE_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FIXED = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
EXPOSED = ("ETag", "Link", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Request-ID")


def install(app: FastAPI, settings: Settings) -> None:
    """Put all of it around an application."""
    app.add_middleware(BoundedBodies, most_bytes=settings.api_max_body_bytes)
    origins = settings.api_cors_origins.replace(",", " ").split()
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Range", "X-API-Key", "X-Request-ID"],
            expose_headers=EXPOSED,
            max_age=3600,
        )
    if settings.is_open:
        app.add_middleware(OwnPages, host=settings.api_host, origins=frozenset(origins))
    app.add_middleware(SafeHeaders)


class OwnPages:
    """Keeps other sites out of a gateway that asks for no key: a browser on this machine may be made to call it.

    A page whose name was made to lead here (DNS rebinding) sends its own name as ``Host``; a form that another site
    posts, its own as ``Origin``. What is no browser sends neither or the truth.
    """

    def __init__(self, app: ASGIApp, host: str, origins: frozenset[str]) -> None:
        self.app, self.origins = app, origins
        self.is_local = is_loopback_host(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless another site is behind it."""
        if scope["type"] != "http" or (reason := self._reason(Headers(scope=scope), scope["method"])) is None:
            await self.app(scope, receive, send)
            return
        answer = await problems.http_error(Request(scope), HTTPException(403, reason))
        await answer(scope, receive, send)

    def _reason(self, headers: Headers, method: str) -> str | None:
        host, origin = _host_of(headers.get("host", "")), headers.get("origin")
        if self.is_local and not is_loopback_host(host):
            return (
                f"A gateway that is open on loopback answers to localhost, not to {host[:100]!r}. For other names set"
                " ODH_API_ACCESS=keys."
            )
        is_writing = method not in ("GET", "HEAD", "OPTIONS")
        if origin and is_writing and not ({origin, "*"} & self.origins or _host_of(urlsplit(origin).netloc) == host):
            return f"Pages of {origin[:100]!r} may not write here: ODH_API_CORS_ORIGINS names those that may."
        return None


def _host_of(authority: str) -> str:
    """The name of an authority, without its port or brackets."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower()


class SafeHeaders:
    """Says on every answer what a browser and a cache may do with it; a route's own word wins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = dict(message.get("headers", ()))
                told = _told_of(given, message["status"])
                message["headers"] = [*message.get("headers", ()), *(one for one in told if one[0] not in given)]
            await send(message)

        await self.app(scope, receive, add)


def _told_of(given: Mapping[bytes, bytes], status: int) -> list[tuple[bytes, bytes]]:
    is_page = given.get(b"content-type", b"").startswith(b"text/html")
    told = [*FIXED, (b"content-security-policy", PAGE_POLICY if is_page else DATA_POLICY)]
    if status >= 400:
        told.append((b"cache-control", b"no-store"))
    elif caller().key_id is not None:  # X-API-Key tells no cache that an answer is for one caller
        told.append((b"cache-control", b"private, no-cache"))
    return told


class BoundedBodies:
    """Refuses bodies longer than the limit: by what they announce, or as soon as more has come; none is kept."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self.app, self.most_bytes = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self.most_bytes:
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def count() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most_bytes:  # an HTTPException is what FastAPI lets through while it reads a body
                raise self._error()
            return message

        await self.app(scope, count, send)

    def _error(self) -> HTTPException:
        limit = f"{self.most_bytes:,} bytes (ODH_API_MAX_BODY_BYTES)"
        return HTTPException(413, f"The body is longer than {limit}. Send it in several requests.")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer first, then let what comes run out: a connection cut while it sends would hide the answer."""
        answer = await problems.http_error(Request(scope), self._error())
        answer.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": True})
        with anyio.move_on_after(DRAIN_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                continue
        await send({"type": "http.response.body", "body": b"", "more_body": False})

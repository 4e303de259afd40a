"""Every refusal as ``application/problem+json`` (RFC 9457): what happened, to what, and what to do; never a trace."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import duckdb
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import challenge
from api.patience import ClientLeft
from api.tables import Layer
from catalog.errors import (
    AccessDenied,
    KeyNeeded,
    OdhError,
    Restricted,
    StatementRefused,
    TransientError,
    UnknownName,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"
CLIENT_CLOSED_REQUEST = 499  # as nginx names it; for the log, as nobody reads the answer
IN_QUERY = {
    "parameter",
    "column",
    "operator",
    "format",
}  # an unknown one is a bad query; any other unknown name is a bad address
STATEMENT_TITLES = {
    "syntax": "Syntax error",
    "unknown": "Unknown name",
    "refused": "Statement not run",
    "restricted": "Not served",
    "failed": "Statement failed",
    "limit": "Beyond a limit",
}
log = structlog.get_logger()


class Problem(BaseModel):
    """One refusal."""

    type: str = Field(description="kind of problem, a URN; about:blank where the status says it all")
    title: str = Field(description="the kind in words")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="what happened here, and what to do")
    instance: str = Field(description="path that was asked")
    nearest: str | None = Field(None, description="the nearest name that exists")
    line: int | None = Field(None, description="of a statement, from 1: where it is at fault")
    column: int | None = Field(None, description="of that line, from 1")


# Documented once for every route; it also keeps FastAPI's own, different, validation errors out of the document.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused", "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}},
}


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""
    app.add_exception_handler(OdhError, refusal)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(duckdb.IOException, _on_unreadable)
    app.add_exception_handler(OSError, _on_unreadable)
    app.add_exception_handler(ClientLeft, _on_client_left)
    app.add_middleware(AnswerFailures)


class AnswerFailures:
    """Answers what no handler took.

    A handler of ``Exception`` would not do: Starlette raises the error again after it, and the server then cuts the
    connection, which the client may be using for its next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer 500 if that fails before an answer began."""
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            if has_begun or scope["type"] != "http":  # half an answer is out: only a cut connection tells
                raise
            told = await _on_failure(Request(scope), error)
            await told(scope, receive, send)


async def too_fast(request: Request, headers: list[tuple[bytes, bytes]]) -> JSONResponse:
    """Who asks faster than the limit."""
    wait = dict(headers).get(b"retry-after", b"1").decode()
    detail = f"Too many requests: wait {wait} s, and ask for at most what RateLimit-Limit says at once."
    return answer(request, HTTPStatus.TOO_MANY_REQUESTS, "too-fast", "Too many requests", detail)


async def refusal(request: Request, error: Exception) -> JSONResponse:
    """What one of our own errors is answered with."""
    if isinstance(error, UnknownName):
        status = HTTPStatus.BAD_REQUEST if error.kind in IN_QUERY else HTTPStatus.NOT_FOUND
        return answer(request, status, "unknown-name", f"Unknown {error.kind}", str(error), nearest=error.nearest)
    if isinstance(error, StatementRefused):
        return _statement_refused(request, error)
    if isinstance(error, UsageError):
        return answer(request, HTTPStatus.BAD_REQUEST, "bad-query", "Malformed query", str(error))
    if isinstance(error, Restricted):
        return answer(request, HTTPStatus.FORBIDDEN, "restricted", "Not served", str(error))
    if isinstance(error, KeyNeeded):
        headers = {"WWW-Authenticate": challenge(error)}
        return answer(request, HTTPStatus.UNAUTHORIZED, "key-needed", "Key needed", str(error), headers)
    if isinstance(error, AccessDenied):
        headers = {"WWW-Authenticate": challenge(error)}
        return answer(request, HTTPStatus.FORBIDDEN, "scope-missing", "Scope missing", str(error), headers)
    if isinstance(error, TransientError):
        return answer(
            request, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Try again", str(error), {"Retry-After": "5"}
        )
    return await _on_failure(request, error)


def _statement_refused(request: Request, error: StatementRefused) -> JSONResponse:
    """A statement that was not run, or failed: 403 for what the caller may not read, 422 beyond a limit, else 400."""
    statuses = {"restricted": HTTPStatus.FORBIDDEN, "limit": HTTPStatus.UNPROCESSABLE_ENTITY}
    status = statuses.get(error.kind, HTTPStatus.BAD_REQUEST)
    place = (error.line, error.column)
    title = STATEMENT_TITLES[error.kind]
    return answer(request, status, f"sql-{error.kind}", title, str(error), nearest=error.nearest, place=place)


async def _on_bad_parameter(request: Request, error: Exception) -> JSONResponse:
    """A path or query parameter FastAPI could not read."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    if first["loc"][:1] == ("path",):
        return await http_error(request, HTTPException(HTTPStatus.NOT_FOUND))
    name = ".".join(str(part) for part in first["loc"][1:])
    detail = f"{name}={first.get('input')!r}: {first['msg']}."
    return answer(request, HTTPStatus.BAD_REQUEST, "bad-query", "Malformed query", detail)


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """An address that does not exist, or a verb it does not take."""
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    headers = error.headers if isinstance(error, HTTPException) else None
    if status is HTTPStatus.NOT_FOUND:
        unknown = UnknownName("page", request.url.path, _pages(request.app))
        return answer(request, status, "unknown-page", "Unknown page", str(unknown), nearest=unknown.nearest)
    allowed = (headers or {}).get("Allow", "GET")
    detail = f"{request.method} is not served at this address; use {allowed}."
    if status is not HTTPStatus.METHOD_NOT_ALLOWED:
        told = str(getattr(error, "detail", ""))
        detail = told if told and told != status.phrase else f"{status.phrase}: {status.description}."
    return answer(request, status, None, status.phrase, detail, headers)


async def _on_unreadable(request: Request, error: Exception) -> JSONResponse:
    """The store does not give a table's files."""
    log.error("storage_unreadable", path=request.url.path, reason=str(error))
    detail = "The files of this table cannot be read at present; GET /health says which service is at fault."
    return answer(request, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Storage unavailable", detail)


async def _on_client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _on_failure(request: Request, error: Exception) -> JSONResponse:
    """A fault of ours: its trace goes to the log, and the client is told nothing of the inside."""
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    detail = "The gateway failed on this request. Try again; if it lasts, report the address and the time."
    return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, None, "Internal error", detail)


def answer(
    request: Request,
    status: HTTPStatus,
    kind: str | None,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    nearest: str | None = None,
    place: tuple[int | None, int | None] = (None, None),
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """A refusal as a response; ``more`` are members of this kind of problem alone."""
    problem = Problem(
        type=f"urn:problem-type:odh:{kind}" if kind else "about:blank",
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        nearest=nearest,
        line=place[0],
        column=place[1],
    )
    return JSONResponse({**problem.model_dump(exclude_none=True), **(more or {})}, status, headers, MEDIA_TYPE)


def _pages(app: FastAPI) -> list[str]:
    """Addresses to suggest: those without a variable part, and the three layers."""
    fixed = [path for path in app.openapi()["paths"] if "{" not in path]
    return [*fixed, *(f"/{layer}" for layer in Layer), "/docs", "/openapi.json"]

"""Refusals in the error model of the Iceberg REST specification, which its clients turn into their own exceptions."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import duckdb
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.access import challenge
from catalog.errors import AccessDenied, KeyNeeded, OdhError, Restricted, TransientError, UnknownName, UsageError

log = structlog.get_logger()
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

UNKNOWN = {
    "namespace": "NoSuchNamespaceException",
    "table": "NoSuchTableException",
    "view": "NoSuchViewException",
}
OF_STATUS = {
    HTTPStatus.BAD_REQUEST: "BadRequestException",
    HTTPStatus.UNAUTHORIZED: "NotAuthorizedException",
    HTTPStatus.FORBIDDEN: "ForbiddenException",
    HTTPStatus.NOT_FOUND: "NotFoundException",
    HTTPStatus.METHOD_NOT_ALLOWED: "UnsupportedOperationException",
    HTTPStatus.NOT_ACCEPTABLE: "UnsupportedOperationException",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequestsException",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailableException",
}


class ErrorModel(BaseModel):
    """What went wrong."""

    message: str
    type: str = Field(description="name of the exception clients raise, such as NoSuchTableException")
    code: int = Field(description="HTTP status")


class IcebergError(BaseModel):
    """One refusal, as the Iceberg REST specification has it."""

    error: ErrorModel


RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": {"description": "Refused", "model": IcebergError}}


class IcebergRoute(APIRoute):
    """A route whose every refusal is in the specification's model, whatever raised it."""

    def get_route_handler(self) -> Handler:
        """Wrap the route's own handler, dependencies and all."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                return answer_error(request, error)

        return answer


def refusal(
    status: HTTPStatus, message: str, kind: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """One refusal."""
    kind = kind or OF_STATUS.get(status, "InternalServerError")
    told = IcebergError(error=ErrorModel(message=message, type=kind, code=status))
    return JSONResponse(told.model_dump(), status, headers)


def answer_error(request: Request, error: Exception) -> JSONResponse:
    """What an error is answered with."""
    match error:
        case UnknownName():
            return refusal(HTTPStatus.NOT_FOUND, str(error), UNKNOWN.get(error.kind))
        case UsageError():
            return refusal(HTTPStatus.BAD_REQUEST, str(error))
        case AccessDenied():
            status = HTTPStatus.UNAUTHORIZED if isinstance(error, KeyNeeded) else HTTPStatus.FORBIDDEN
            return refusal(status, str(error), headers={"WWW-Authenticate": challenge(error)})
        case Restricted():
            return refusal(HTTPStatus.FORBIDDEN, str(error))
        case RequestValidationError():
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"][1:])
            return refusal(HTTPStatus.BAD_REQUEST, f"{name}={first.get('input')!r}: {first['msg']}.")
        case HTTPException():
            return refusal(HTTPStatus(error.status_code), str(error.detail), headers=error.headers)
        case TransientError():
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "5"})
        case OSError() | duckdb.IOException():
            log.error("storage_unreadable", path=request.url.path, reason=str(error))
            message = "The metadata of this table cannot be read at present; GET /health says which service fails."
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, headers={"Retry-After": "5"})
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    known = f"{error} " if isinstance(error, OdhError) else ""
    message = f"{known}The gateway failed on this request. If it lasts, report the address and the time."
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message)

"""Routes that take records: durable before the answer, or released before the answer; and what became of a batch.

The two that take records read the request themselves: no parameter is parsed and no model is made for a body that goes
to the log as it came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from api import audit, models, problems
from api.access import caller, require
from api.dependencies import RawRoute, TablesDep
from api.push_gate import Accepted, PushGate
from catalog.push.batch import PushRefused, told_faults
from catalog.scopes import Scope

JSON = "application/json"
Handler = Callable[[Request], Awaitable[Response]]


WRITE = [require(Scope.INGEST_WRITE)]
router = APIRouter(responses=problems.RESPONSES, dependencies=WRITE)
pushes = APIRouter(responses=problems.RESPONSES, dependencies=WRITE, route_class=RawRoute)


@pushes.post("/ingest_fast", status_code=202, response_model=models.PushAccepted, summary="Push records, durable")
async def ingest_fast(request: Request) -> Response:
    """Answer once the records are on disk: those that keep the feed's contract are released within seconds, the others
    are listed with what is wrong and kept in `ops.rejects`. With `atomic=true` all are taken or none.
    """
    accepted = await _push(request)
    return _durable(accepted)


@pushes.post("/ingest", response_model=models.PushReceipt, summary="Push records through to the release")
async def ingest(request: Request) -> Response:
    """Answer once the records went the whole road: raw file, bronze, silver, gold, release. 202 with `waits_for` when
    that takes longer than `ODH_PUSH_WAIT_SECONDS`, or cannot be done now: the records are durable then, as with
    `/ingest_fast`.
    """
    gate = _gate(request)
    accepted = await _push(request)
    found = await gate.await_release(lambda: request.app.state.tables.ledger, accepted.receipt)
    is_final = "waits_for" not in found
    status = HTTPStatus.OK if is_final else HTTPStatus.ACCEPTED
    told = models.PushReceipt.model_validate(found).model_dump(mode="json", exclude_none=True)
    if found["status"] == "rejected":
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    return JSONResponse(told, status, {"Location": f"/ingest/{accepted.receipt}"})


@router.get("/ingest/{receipt}", summary="What became of a batch", response_model_exclude_none=True)
def receipt(receipt: str, request: Request, tables: TablesDep) -> models.PushReceipt:
    """`accepted`: durable; `bronze`: in its table as received; `curated`: in a release; `rejected`: no record kept the
    contract; `duplicate`: a batch with the same idempotency key came first; `failed`: it needs a person, see `reason`.
    """
    found = _gate(request).find(tables.ledger, receipt)
    if found is None:
        detail = f"Nobody knows the receipt {receipt!r}; receipts of released batches are kept for a time only."
        raise PushRefused(HTTPStatus.NOT_FOUND, "unknown-receipt", detail)
    return models.PushReceipt.model_validate(found)


def _gate(request: Request) -> PushGate:
    gate: PushGate = request.app.state.push
    return gate


async def _push(request: Request) -> Accepted:
    caller().demand(Scope.INGEST_WRITE)  # nothing runs before the function of a raw route, its dependencies included
    gate, given = _gate(request), request.scope["headers"]
    key = next((value.decode("latin-1") for name, value in given if name == b"idempotency-key"), None)
    atomic = _atomic(request) if request.scope["query_string"] else None
    accepted = await gate.push(await _body(request, gate.settings.push_max_body_bytes), atomic=atomic, key=key)
    audit.note(request, rows=accepted.records)
    return accepted


def _durable(accepted: Accepted) -> Response:
    is_refused = accepted.answer.find(b'"status":"rejected"') >= 0
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_refused else HTTPStatus.ACCEPTED
    return Response(accepted.answer, status, {"Location": f"/ingest/{accepted.receipt}"}, JSON)


def _atomic(request: Request) -> bool | None:
    given = request.query_params
    if unknown := [name for name in given if name != "atomic"]:
        raise PushRefused(400, "bad-query", f"There is no parameter {unknown[0]!r} here; the one there is is 'atomic'.")
    word = given.get("atomic", "").lower()
    if word not in ("true", "false"):
        raise PushRefused(400, "bad-query", f"atomic={word!r}: true or false.")
    return word == "true"


async def _body(request: Request, most: int) -> bytes:
    """The whole body.

    Raises:
        PushRefused: 413 as soon as it is too large.
    """
    receive = request.receive
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            if size > most:
                break
            message = await receive()
            if message["type"] == "http.disconnect":
                raise PushRefused(400, "cut-body", "The body was cut.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        body = b"".join(parts)
    if len(body) > most:
        detail = f"The body is larger than the {most:,} bytes ODH_PUSH_MAX_BODY_BYTES allows; push it in several."
        raise PushRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail)
    return body


async def on_refused(request: Request, error: Exception) -> JSONResponse:
    """A push nothing was taken of, with what is wrong with each record."""
    if not isinstance(error, PushRefused):
        raise error
    status = HTTPStatus(error.status)
    headers = {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    more = {"errors": told_faults(error.faults)} if error.faults else {}
    return problems.answer(request, status, error.kind, status.phrase, str(error), headers, more=more)


def describe(app: FastAPI, gate: PushGate) -> None:
    """Put the contract of each push feed into the API's document."""
    schemas = []
    for name, contract in gate.contracts.items():
        told = {
            "feed": {"const": name},
            "data": {"type": "array", "minItems": 1, "items": contract.json_schema()},
            "atomic": {"type": "boolean", "default": False},
            "idempotency_key": {"type": "string"},
        }
        schemas.append(
            {
                "title": contract.feed.title,
                "type": "object",
                "properties": told,
                "required": ["feed", "data"],
                "additionalProperties": False,
            }
        )
    schema: dict[str, Any] = {"oneOf": schemas} if schemas else {"type": "object"}
    body = {"required": True, "content": {JSON: {"schema": schema}}}
    atomic = {"name": "atomic", "in": "query", "schema": {"type": "boolean"}, "description": "all records or none"}
    key_docs = "the same key and body within a day give the same receipt; another body is refused"
    key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}, "description": key_docs}
    for route in app.routes:
        if isinstance(route, RawRoute) and route.endpoint in (ingest, ingest_fast):
            route.openapi_extra = {"requestBody": body, "parameters": [atomic, key]}

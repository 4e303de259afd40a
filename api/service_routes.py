"""Routes about the service itself: health, stats and metrics."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import PlainTextResponse

from api import models, problems
from api.access import require
from api.dependencies import TablesDep
from api.health import HealthChecks
from api.metrics import exposition
from catalog.scopes import Scope
from catalog.stats import Stats

router = APIRouter(responses=problems.RESPONSES)


def _checks(request: Request) -> HealthChecks:
    checks: HealthChecks = request.app.state.health
    return checks


def _stats(request: Request) -> Stats:
    counted: Stats = request.app.state.stats
    return counted


ChecksDep = Annotated[HealthChecks, Depends(_checks)]
StatsDep = Annotated[Stats, Depends(_stats)]


@router.get("/health/live", summary="Whether the process answers")
async def live() -> models.Alive:
    """Answer at once, without asking any service: for an orchestrator's liveness probe."""
    return models.Alive()


@router.get("/health", summary="State of each service", responses={503: {"model": models.Health}})
def health(checks: ChecksDep, response: Response) -> models.Health:
    """Ask the catalogue, the ledger, the storage, the release, the push log and the disk; 503 as soon as one fails."""
    state = checks.state()
    if state.status == "failed":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return state


@router.get("/stats", summary="How full the lake is", dependencies=[require(Scope.ADMIN_READ)])
def stats(counted: StatsDep) -> models.Stats:
    """Count zones, tables, growth and databases; the same as `odh stats --json`."""
    return models.Stats.model_validate(counted.collect())


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=PlainTextResponse,
    dependencies=[require(Scope.ADMIN_READ)],
)
def metrics(tables: TablesDep, counted: StatsDep, accept: Annotated[str, Header()] = "") -> Response:
    """Give the counts and times of requests and the numbers of the lake, in Prometheus' or OpenMetrics' text."""
    content, media_type = exposition(counted, tables.ledger, accept)
    return Response(content, media_type=media_type)

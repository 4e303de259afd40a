"""Routes about the service itself: health and stats."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response

from api import models, problems
from api.access import require
from api.dependencies import TablesDep
from api.health import check_health
from catalog.scopes import Scope
from catalog.stats import collect_stats

router = APIRouter(responses=problems.RESPONSES)


@router.get("/health/live", summary="Whether the process answers")
async def live() -> models.Alive:
    """Answer at once, without asking any service: for an orchestrator's liveness probe."""
    return models.Alive()


@router.get("/health", summary="State of each service", responses={503: {"model": models.Health}})
def health(tables: TablesDep, response: Response) -> models.Health:
    """Ask the catalogue, the ledger, the storage and the release; 503 as soon as one fails."""
    state = check_health(tables)
    if state.status == "failed":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return state


@router.get("/stats", summary="How full the lake is", dependencies=[require(Scope.ADMIN_READ)])
def stats(tables: TablesDep) -> models.Stats:
    """Count files, rows, bytes and rejects; the same as `odh stats --json`."""
    return models.Stats.model_validate(collect_stats(tables.settings, tables.ledger, tables.lakehouse))

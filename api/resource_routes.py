"""The addresses of data.gouv.fr's tabular API, so that its clients read this lake by another base address."""

from __future__ import annotations

from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from api import models, problems
from api.answers import Asked, answer_rows
from api.dependencies import AsOf, TablesDep
from api.formats import ARRAY, WRITINGS, Format, Writing
from api.grammar import refuse_unknown
from api.layer_routes import FILTERS
from api.paging import Paging, PagingDep
from api.patience import while_connected
from api.profile import profile_of
from api.relations import Relation
from api.resource_swagger import swagger_of
from api.resources import Resources, ResourceTable
from api.tables import ServedTable

OWN = ("as_of", "table")
ROWS: dict[str, Any] = {"parameters": [FILTERS]}
router = APIRouter(prefix="/api/resources/{rid}", responses=problems.RESPONSES)


def _found(
    request: Request,
    rid: Annotated[str, Path(description="id of a resource of the portal")],
    as_of: AsOf = None,
    table: Annotated[str | None, Query(description="bronze table, where the resource fills several")] = None,
) -> ResourceTable:
    resources: Resources = request.app.state.resources
    return resources.find(rid, as_of, table)


FoundDep = Annotated[ResourceTable, Depends(_found)]


@router.get("/", summary="A resource")
def show_resource(request: Request, rid: str, found: FoundDep) -> models.Resource:
    """Tell where a resource came from, when it was first seen, and where its rows are."""
    refuse_unknown(request.query_params, OWN)
    resource = found.resource
    names = ("profile", "data", "swagger")
    return models.Resource(
        created_at=resource.first_seen_at,
        url=resource.source_url,
        links=[models.ResourceLink(href=_link(request, name, rid), rel=name) for name in names],
        dataset_id=resource.dataset_id,
        title=resource.title,
        feed=resource.feed,
        layer=found.table.layer,
        table=found.table.pin.name,
        tables=sorted(resource.tables),
    )


@router.get("/profile/", summary="Profile of a resource's columns")
async def show_resource_profile(request: Request, tables: TablesDep, found: FoundDep) -> models.ResourceProfile:
    """Tell the type of every column and its commonest values, in the shape of csv-detective's profile."""
    refuse_unknown(request.query_params, OWN)
    key = (found.table.pin, found.table.part)
    profile: dict[str, Any] | None = request.app.state.profiles.get(key)
    if profile is None:
        with tables.cursor() as cursor:
            profile = await while_connected(request, cursor.interrupt, lambda: profile_of(cursor, found))
        request.app.state.profiles.put(key, profile)
    return models.ResourceProfile(profile=profile, dataset_id=found.resource.dataset_id)


@router.get("/swagger/", summary="Description of a resource's rows for machines", response_class=Response)
async def show_resource_swagger(request: Request, rid: str, found: FoundDep) -> Response:
    """Describe the parameters each column takes, as OpenAPI in YAML."""
    refuse_unknown(request.query_params, OWN)
    described = swagger_of(found, str(request.base_url).rstrip("/"))
    return Response(yaml.safe_dump(described, allow_unicode=True, sort_keys=False), media_type="application/yaml")


@router.get(
    "/data/",
    summary="Rows of a resource",
    openapi_extra=ROWS,
    responses={200: {"model": models.Page}},
    response_class=Response,
)
async def list_resource_rows(
    request: Request,
    rid: str,
    tables: TablesDep,
    found: FoundDep,
    paging: PagingDep,
) -> Response:
    """Read rows of a resource that meet every filter, a page at a time."""
    links = {name: _link(request, name, rid) for name in ("profile", "swagger")}
    return await answer_rows(_asked(request, tables, found, paging, links))


@router.get("/data/csv/", summary="A resource as CSV", openapi_extra=ROWS, response_class=Response)
async def download_resource_csv(request: Request, rid: str, tables: TablesDep, found: FoundDep) -> Response:
    """Send every row that meets every filter as a CSV file."""
    return await _download(request, rid, tables, found, WRITINGS[Format.CSV], "csv")


@router.get("/data/json/", summary="A resource as JSON", openapi_extra=ROWS, response_class=Response)
async def download_resource_json(request: Request, rid: str, tables: TablesDep, found: FoundDep) -> Response:
    """Send every row that meets every filter as one JSON array."""
    return await _download(request, rid, tables, found, ARRAY, "json")


async def _download(
    request: Request, rid: str, tables: TablesDep, found: ResourceTable, writing: Writing, ending: str
) -> Response:
    asked = _asked(request, tables, found, Paging(), {}, f"{rid}.{ending}")
    return await answer_rows(asked, writing)


def _asked(
    request: Request,
    tables: TablesDep,
    found: ResourceTable,
    paging: Paging,
    links: dict[str, str],
    file_name: str | None = None,
) -> Asked:
    def at_snapshot(table: ServedTable) -> tuple[ServedTable, Relation]:
        resources: Resources = request.app.state.resources
        return resources.at(found.resource, table)

    ignored = frozenset({"table"})
    return Asked(request, tables, lambda: found.table, paging, links, ignored, file_name, at_snapshot)


def _link(request: Request, name: str, rid: str) -> str:
    routes = {
        "profile": "show_resource_profile",
        "data": "list_resource_rows",
        "swagger": "show_resource_swagger",
    }
    return str(request.url_for(routes[name], rid=rid))

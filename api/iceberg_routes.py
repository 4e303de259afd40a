"""The Iceberg REST catalogue protocol, read-only: any engine attaches the lakehouse by URL.

Every address stands twice: bare for the lake as it is, and under the prefix ``/v1/config?warehouse=`` gives for the
lake as a day or a release left it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import demand_layer, require
from api.dependencies import TablesDep
from api.iceberg_errors import RESPONSES, IcebergRoute, refusal
from api.tables import Tables
from catalog.errors import Restricted, UnknownName, UsageError
from catalog.iceberg import BRONZE
from catalog.rest_catalogue import CURRENT, NAMESPACES, RestCatalogue, Warehouse, only_referenced
from catalog.settings import Settings

UNIT_SEPARATOR = "\x1f"  # between the parts of a namespace; those served have one part
PAGE_SIZE_MAX = 1000
TABLES = "namespaces/{namespace}/tables"
VIEWS = "namespaces/{namespace}/views"
ENDPOINTS = (
    "GET /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
    "GET /v1/{prefix}/namespaces/{namespace}/views",
    "GET /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}",
)
COMMENTS = {
    "raw": "What was received, all text, every extraction, with its lineage.",
    "staging": "What was typed; belongs to one release.",
    "curated": "Star schemas; belongs to one release.",
}

PAST: dict[str, Any] = {"include_in_schema": False}  # the same addresses, once more

router = APIRouter(
    prefix="/iceberg/v1", tags=["iceberg"], route_class=IcebergRoute, responses=RESPONSES, dependencies=[require()]
)


class Configuration(BaseModel):
    """What a client is to be set to."""

    defaults: dict[str, str] = Field(description="properties the client's own win over")
    overrides: dict[str, str] = Field(description="properties that win over the client's own")
    endpoints: list[str] = Field(description="what this catalogue serves")


class _Listed(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)

    next_page_token: str | None = Field(None, serialization_alias="next-page-token")


class NamespaceList(_Listed):
    """Namespaces, each a list of its parts."""

    namespaces: list[list[str]]


class Namespace(BaseModel):
    """One namespace."""

    namespace: list[str]
    properties: dict[str, str]


class Identifier(BaseModel):
    """A table's full name."""

    namespace: list[str]
    name: str


class IdentifierList(_Listed):
    """The tables, or the views, of a namespace."""

    identifiers: list[Identifier]


class LoadedTable(BaseModel):
    """A table's metadata, of version 2 of Iceberg's table specification."""

    model_config = ConfigDict(serialize_by_alias=True)

    metadata_location: str = Field(serialization_alias="metadata-location")
    metadata: dict[str, Any]
    config: dict[str, str]


def _catalogue(tables: TablesDep) -> RestCatalogue:
    return tables.rest_catalogue


CatalogueDep = Annotated[RestCatalogue, Depends(_catalogue)]


def _warehouse(catalogue: CatalogueDep, prefix: str = "") -> Warehouse:
    return catalogue.warehouse(prefix)


def _layer(namespace: str) -> str:
    """A namespace's layer, by the gateway's name or by the catalogue's own."""
    layer = NAMESPACES.get(namespace, namespace)
    if layer not in NAMESPACES.values():
        raise UnknownName("namespace", namespace.replace(UNIT_SEPARATOR, "."), NAMESPACES)
    demand_layer(layer)
    return layer


class Page(BaseModel):
    """Which part of a list is asked for: all of it unless a token is given, be it empty."""

    token: str | None
    size: int

    def cut(self, names: Sequence[str]) -> tuple[list[str], str | None]:
        """The names of the page, of sorted ones, and the token of the next."""
        if self.token is None:
            return list(names), None
        after = _decode(self.token)
        left = [name for name in names if name > after]
        shown = left[: self.size]
        return shown, _encode(shown[-1]) if len(left) > len(shown) else None


def _page(
    page_token: Annotated[
        str | None, Query(alias="pageToken", description="of the page before; empty at first")
    ] = None,
    page_size: Annotated[int, Query(alias="pageSize", ge=1, description="names a page")] = PAGE_SIZE_MAX,
) -> Page:
    return Page(token=page_token, size=min(page_size, PAGE_SIZE_MAX))


WarehouseDep = Annotated[Warehouse, Depends(_warehouse)]
LayerDep = Annotated[str, Depends(_layer)]
PageDep = Annotated[Page, Depends(_page)]


@router.get("/config", summary="What a client is to be set to")
def configure(
    tables: TablesDep,
    catalogue: CatalogueDep,
    warehouse: Annotated[str, Query(description="a day or `release-<number>` for the lake as it was then")] = "",
) -> Configuration:
    """Name what is served, and the prefix of the warehouse asked for; no secret is ever among the properties."""
    catalogue.warehouse(warehouse)
    overrides = {} if warehouse in CURRENT else {"prefix": warehouse}
    return Configuration(defaults=_storage(tables.settings), overrides=overrides, endpoints=list(ENDPOINTS))


@router.get("/namespaces", summary="The layers")
@router.get("/{prefix}/namespaces", **PAST)
def list_namespaces(warehouse: WarehouseDep, page: PageDep, parent: str | None = None) -> NamespaceList:
    """List raw, staging and curated; none has namespaces in it."""
    if parent:
        _layer(parent)
    names, token = page.cut([] if parent else sorted(NAMESPACES))
    return NamespaceList(namespaces=[[name] for name in names], next_page_token=token)


@router.get("/namespaces/{namespace}", summary="One layer")
@router.get("/{prefix}/namespaces/{namespace}", **PAST)
def show_namespace(namespace: str, layer: LayerDep, warehouse: WarehouseDep) -> Namespace:
    """Tell what a namespace is for."""
    told = next(comment for name, comment in COMMENTS.items() if NAMESPACES[name] == layer)
    return Namespace(namespace=[namespace], properties={"comment": told})


@router.head("/namespaces/{namespace}", summary="Whether there is such a layer", status_code=204)
@router.head("/{prefix}/namespaces/{namespace}", status_code=204, **PAST)
def has_namespace(layer: LayerDep, warehouse: WarehouseDep) -> None:
    """Answer 204, or 404."""


@router.get(f"/{TABLES}", summary="Tables of a layer, for engines")
@router.get(f"/{{prefix}}/{TABLES}", **PAST)
def list_tables(
    namespace: str, layer: LayerDep, warehouse: WarehouseDep, catalogue: CatalogueDep, tables: TablesDep, page: PageDep
) -> IdentifierList:
    """List the tables that may be read."""
    names = _names(tables, catalogue, warehouse, layer)
    shown, token = page.cut(names)
    found = [Identifier(namespace=[namespace], name=name) for name in shown]
    return IdentifierList(identifiers=found, next_page_token=token)


@router.get(f"/{TABLES}/{{table}}", summary="A table's metadata", response_model=LoadedTable)
@router.get(f"/{{prefix}}/{TABLES}/{{table}}", response_model=LoadedTable, **PAST)
def load_table(
    layer: LayerDep,
    table: str,
    warehouse: WarehouseDep,
    catalogue: CatalogueDep,
    tables: TablesDep,
    snapshots: Annotated[Literal["all", "refs"], Query(description="refs leaves out what nothing points to")] = "all",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Give the metadata of a table: its released snapshots, a tag for each release, and main at the one read."""
    _refuse_unreadable(tables, layer, table)
    try:
        found = catalogue.load(warehouse, layer, table)
    except UnknownName as error:
        raise UnknownName("table", table, _names(tables, catalogue, warehouse, layer)) from error
    metadata = only_referenced(found.metadata) if snapshots == "refs" else found.metadata
    content = {"metadata-location": found.metadata_location, "metadata": metadata, "config": {}}
    body = json.dumps(content, separators=(",", ":")).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if tag in (one.strip().removeprefix("W/") for one in if_none_match.split(",")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return Response(body, media_type="application/json", headers={"ETag": tag})


@router.head(f"/{TABLES}/{{table}}", summary="Whether there is such a table", status_code=204)
@router.head(f"/{{prefix}}/{TABLES}/{{table}}", status_code=204, **PAST)
def has_table(layer: LayerDep, table: str, warehouse: WarehouseDep, catalogue: CatalogueDep, tables: TablesDep) -> None:
    """Answer 204, or 404."""
    _refuse_unreadable(tables, layer, table)
    names = _names(tables, catalogue, warehouse, layer)
    if table not in names:
        raise UnknownName("table", table, names)


@router.post(f"/{TABLES}/{{table}}/metrics", summary="Report of a scan", status_code=204)
@router.post(f"/{{prefix}}/{TABLES}/{{table}}/metrics", status_code=204, **PAST)
def take_metrics(layer: LayerDep, table: str, warehouse: WarehouseDep) -> None:
    """Take what an engine tells of a scan; it is not kept."""


@router.get(f"/{VIEWS}", summary="Views of a layer: none")
@router.get(f"/{{prefix}}/{VIEWS}", **PAST)
def list_views(layer: LayerDep, warehouse: WarehouseDep, page: PageDep) -> IdentifierList:
    """List no view: there is none."""
    return IdentifierList(identifiers=[])


@router.get(f"/{VIEWS}/{{view}}", summary="A view: there is none")
@router.head(f"/{VIEWS}/{{view}}", summary="Whether there is such a view: no")
@router.get(f"/{{prefix}}/{VIEWS}/{{view}}", **PAST)
@router.head(f"/{{prefix}}/{VIEWS}/{{view}}", **PAST)
def load_view(layer: LayerDep, view: str, warehouse: WarehouseDep) -> None:
    """Answer 404."""
    raise UnknownName("view", view, ())


@router.api_route(
    "/{rest:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False, name="refuse"
)
def refuse(request: Request) -> Response:
    """Refuse what is not served: every write, and addresses there are not."""
    if request.method in ("GET", "HEAD"):
        return refusal(HTTPStatus.NOT_FOUND, f"There is no {request.url.path}; GET /iceberg/v1/config lists what is.")
    message = f"{request.method} {request.url.path}: this catalogue is read-only; odh run fills the lake."
    return refusal(HTTPStatus.NOT_ACCEPTABLE, message)


def _storage(settings: Settings) -> dict[str, str]:
    """Where files are, for clients of their own keys; theirs win over these."""
    if not settings.warehouse_root.startswith("s3://"):
        return {}
    place = {"s3.region": settings.s3_region, "client.region": settings.s3_region}
    if settings.s3_endpoint:
        place |= {"s3.endpoint": settings.s3_endpoint, "s3.path-style-access": "true"}
    return place


def _names(tables: Tables, catalogue: RestCatalogue, warehouse: Warehouse, layer: str) -> list[str]:
    """The tables of a layer that the caller at hand may read, by name."""
    return [name for name in catalogue.names(warehouse, layer) if _may_read(tables, layer, name)]


def _may_read(tables: Tables, layer: str, name: str) -> bool:
    try:
        _refuse_unreadable(tables, layer, name)
    except Restricted:
        return False
    return True


def _refuse_unreadable(tables: Tables, layer: str, name: str) -> None:
    if layer == BRONZE:
        tables.refuse_restricted(name)


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token.encode("ascii"), b"-_", validate=True).decode()
    except ValueError as error:
        raise UsageError(f"pageToken={token!r} is none of this catalogue; take next-page-token as it comes.") from error

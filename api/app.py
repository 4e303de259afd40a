"""The gateway: HTTP routes over the tables readers see. A route says what it takes and answers, and little more."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from pydantic import BeforeValidator

from api import models, problems
from api.grammar import parse_query, refuse_unknown
from api.health import check_health
from api.rows import count_rows, read_rows
from api.tables import Layer, ServedTable, Tables
from catalog.registry import load_registry
from catalog.settings import Settings
from catalog.stats import collect_stats

PAGE_SIZE, PAGE_SIZE_MAX = 20, 200
PAGE_MAX = 1_000_000_000  # keeps the offset a 64-bit integer
DESCRIPTION = """
French open data as historised, typed, tested SQL tables. **raw** is what was received, **staging** what was typed,
**curated** the star schemas; staging and curated always belong to one release.

Rows are asked for in the grammar of data.gouv.fr's tabular API, `column__operator=value`. Operators: `exact`,
`differs`, `contains`, `notcontains`, `in`, `notin`, `less`, `greater`, `strictly_less`, `strictly_greater`, `isnull`,
`isnotnull`, and `sort` with `asc` or `desc`.
"""
FILTERS: dict[str, Any] = {
    "name": "filters",
    "in": "query",
    "description": "any number of `column__operator=value`",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}

router = APIRouter(responses=problems.RESPONSES)


def create_app(settings: Settings) -> FastAPI:
    """Make the gateway of one lake; the lake is opened when the server starts and closed when it stops.

    Raises:
        InvalidFeed: a feed file that breaks its schema.
    """
    registry = load_registry(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Tables(settings, registry) as tables:
            app.state.tables = tables
            yield

    app = FastAPI(
        title="OpenDataHub SQL",
        description=DESCRIPTION,
        version=version("opendatahub-sql"),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.include_router(router)
    problems.install(app)
    return app


# What routes take


def _tables(request: Request) -> Tables:
    tables: Tables = request.app.state.tables
    return tables


TablesDep = Annotated[Tables, Depends(_tables)]
# Pydantic would read a bare number as seconds since 1970
Day = Annotated[date, BeforeValidator(date.fromisoformat)]
AsOf = Annotated[Day | None, Query(description="the state as released by that day; for raw, extracted by it")]


def _only_as_of(request: Request) -> None:
    refuse_unknown(request.query_params, ("as_of",))


def _table(layer: Layer, table: str, tables: TablesDep, as_of: AsOf = None) -> ServedTable:
    return tables.get(layer, table, as_of)


TableDep = Annotated[ServedTable, Depends(_table)]


# Routes; the fixed addresses stand before those with a layer


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


@router.get("/stats", summary="How full the lake is")
def stats(tables: TablesDep) -> models.Stats:
    """Count files, rows, bytes and rejects; the same as `odh stats --json`."""
    return models.Stats.model_validate(collect_stats(tables.settings, tables.ledger, tables.lakehouse))


@router.get("/{layer}", summary="Tables of a layer", dependencies=[Depends(_only_as_of)])
def list_tables(request: Request, layer: Layer, tables: TablesDep, as_of: AsOf = None) -> models.TableList:
    """List the tables of a layer, of the newest release or of the one current on a day."""
    release = None if layer is Layer.RAW else tables.release(as_of)
    entries = [_entry(request, tables, table) for table in tables.of_layer(layer, as_of)]
    meta = models.LayerMeta(
        layer=layer,
        release_id=release and release.release_id,
        extraction_date=release and release.extraction_date,
        total=len(entries),
    )
    return models.TableList(data=entries, meta=meta)


@router.get("/{layer}/{table}", summary="Rows of a table", openapi_extra={"parameters": [FILTERS]})
def list_rows(
    request: Request,
    tables: TablesDep,
    table: TableDep,
    columns: Annotated[str | None, Query(description="columns to show, parted by commas")] = None,
    page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
    page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE,
) -> models.Page:
    """Read one page of rows that meet every filter, in the order asked for, else in the table's own."""
    types = tables.meaning(table.pin).types
    query = parse_query(request.query_params.multi_items(), types)
    conditions = (*table.conditions, *query.conditions)
    with tables.cursor() as cursor:
        data = read_rows(cursor, table.pin, types, query, conditions, page, page_size)
        total = count_rows(cursor, table.pin, types, conditions) if conditions else table.rows
    meta = models.PageMeta(page=page, page_size=page_size, total=total)
    return models.Page(data=data, links=_links(request, table, meta), meta=meta)


@router.get("/{layer}/{table}/schema", summary="Columns of a table", dependencies=[Depends(_only_as_of)])
def show_schema(tables: TablesDep, table: TableDep) -> models.TableSchema:
    """Show the columns of a table with their types and meanings."""
    meaning = tables.meaning(table.pin)
    return models.TableSchema(
        name=table.pin.name,
        layer=table.layer,
        description=meaning.description,
        snapshot_id=table.pin.snapshot_id,
        columns=[models.ColumnEntry.model_validate(column, from_attributes=True) for column in meaning.columns],
    )


# What routes answer


def _entry(request: Request, tables: Tables, table: ServedTable) -> models.TableEntry:
    meaning = tables.meaning(table.pin)
    return models.TableEntry(
        name=table.pin.name,
        description=meaning.description,
        domain=table.domain,
        rows=_rows_of(tables, table),
        columns=len(meaning.columns),
        link=str(request.url_for("list_rows", layer=table.layer, table=table.pin.name)),
    )


def _rows_of(tables: Tables, table: ServedTable) -> int:
    """Rows a reader gets: known from the snapshot, unless only a part of it is served."""
    if not table.conditions:
        return table.rows
    with tables.cursor() as cursor:
        return count_rows(cursor, table.pin, tables.meaning(table.pin).types, table.conditions)


def _links(request: Request, table: ServedTable, meta: models.PageMeta) -> models.PageLinks:
    last = max(1, math.ceil(meta.total / meta.page_size))

    def link(page: int) -> str:
        return str(request.url.include_query_params(page=page, page_size=meta.page_size))

    return models.PageLinks(
        profile=str(request.url_for("show_schema", layer=table.layer, table=table.pin.name)),
        next=link(meta.page + 1) if meta.page < last else None,
        prev=link(min(meta.page - 1, last)) if meta.page > 1 else None,
    )

"""Routes over the tables of the three layers: their lists, rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException

from api import models, problems
from api.access import demand_layer, require_layer
from api.answers import Asked, answer_rows
from api.dependencies import AsOf, RawRoute, TablesDep, only_as_of, read_query
from api.formats import WRITINGS, Format
from api.grammar import RowQuery
from api.paging import Paging, PagingDep
from api.tables import Layer, ServedTable, Tables

FILTERS: dict[str, Any] = {
    "name": "filters",
    "in": "query",
    "description": "any number of `column__operator=value`",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}

OTHER_FORMATS: dict[str, Any] = {
    writing.media_type.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
    for form, writing in WRITINGS.items()
    if form is not Format.JSON
}

LAYERS = {layer.value for layer in Layer}

router = APIRouter(responses=problems.RESPONSES, dependencies=[require_layer()])
# the route most asked of all: FastAPI's own reading of its parameters takes as long as a third of its query
rows = APIRouter(responses=problems.RESPONSES, dependencies=[require_layer()], route_class=RawRoute)


@dataclass(frozen=True, slots=True)
class RowsAsked(Paging):
    """Which page of rows is asked for, and of which day."""

    as_of: AsOf = None


_ASKED = TypeAdapter(RowsAsked)


def _table(layer: Layer, table: str, tables: TablesDep, as_of: AsOf = None) -> ServedTable:
    return tables.get(layer, table, as_of)


TableDep = Annotated[ServedTable, Depends(_table)]


@router.get("/{layer}", summary="Tables of a layer", dependencies=[Depends(only_as_of)])
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


async def _documented(layer: Layer, table: str, paging: PagingDep, as_of: AsOf = None) -> None:
    """The parameters of ``list_rows``, which reads them itself."""


@rows.get(
    "/{layer}/{table}",
    summary="Rows of a table",
    openapi_extra={"parameters": [FILTERS]},
    responses={200: {"model": models.Page, "content": OTHER_FORMATS}},
    response_class=Response,
    dependencies=[Depends(_documented)],
)
async def list_rows(request: Request) -> Response:
    """Read rows that meet every filter, in the order asked for, else in the table's own.

    JSON comes a page at a time; the other formats bring the whole result, or the page asked for.
    """
    layer, table = request.path_params["layer"], request.path_params["table"]
    if layer not in LAYERS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    demand_layer(layer)
    paging = read_query(_ASKED, request.query_params)
    tables: Tables = request.app.state.tables
    find = partial(tables.get, Layer(layer), table, paging.as_of)
    links = {"profile": f"{request.base_url}{layer}/{quote(table)}/schema"}
    return await answer_rows(Asked(request, tables, find, paging, links))


@router.get("/{layer}/{table}/schema", summary="Columns of a table", dependencies=[Depends(only_as_of)])
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
        return tables.count(cursor, table, tables.relation(table), RowQuery(()), table.conditions)

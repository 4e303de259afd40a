"""Routes over a table's past: the states it had, and the rows that changed between two of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import duckdb
from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request

from api import models, problems
from api.access import require_layer
from api.comparisons import Comparisons, Question
from api.dependencies import AsOf, TablesDep, only_as_of
from api.grammar import refuse_unknown
from api.paging import PAGE_MAX, PAGE_SIZE, PAGE_SIZE_MAX, page_links
from api.patience import while_connected
from api.tables import Layer
from catalog import table_history
from catalog.clock import utc_now
from catalog.errors import UnknownName
from catalog.table_changes import change_as_json, changes_as_json, point

router = APIRouter(responses=problems.RESPONSES, dependencies=[require_layer()])
STATE = "a day, such as 2024-06-01, as released (for raw: extracted) by then; or the number of a release"


@router.get("/{layer}/{table}/history", summary="States of a table", dependencies=[Depends(only_as_of)])
def show_history(layer: Layer, table: str, tables: TablesDep, as_of: AsOf = None) -> models.TableHistory:
    """List the releases that hold a table, or the extractions loaded into one of raw, the newest first."""
    found: list[models.ReleasedState] | list[models.LoadedState]
    if layer is Layer.RAW:
        tables.get(layer, table, None)
        loaded = table_history.loaded_states(tables.ledger, table, as_of)
        found = [models.LoadedState.model_validate(asdict(one)) for one in loaded]
    else:
        released = table_history.released_states(tables.ledger, layer.zone, table, as_of)
        if not released:
            tables.get(layer, table, as_of)
        found = [models.ReleasedState.model_validate(asdict(one)) for one in released]
    return models.TableHistory(name=table, layer=layer, data=found, meta=models.Total(total=len(found)))


@router.get("/{layer}/{table}/changes", summary="Rows that changed between two states")
async def show_changes(
    request: Request,
    layer: Layer,
    table: str,
    tables: TablesDep,
    start: Annotated[str, Query(alias="from", description=STATE)],
    end: Annotated[str | None, Query(alias="to", description=f"{STATE}; today by default")] = None,
    page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
    page_size: Annotated[int, Query(ge=0, le=PAGE_SIZE_MAX, description="0 only counts")] = PAGE_SIZE,
) -> models.TableChanges:
    """Count the rows inserted, updated and deleted between two states, and show them with their old and new values."""
    refuse_unknown(request.query_params, ("from", "to", "page", "page_size"))
    if layer is Layer.RAW:
        tables.refuse_restricted(table)
    old, new = point(start), point(end) if end is not None else utc_now().date()
    asked = Question(layer, table, old, new, page_size, (page - 1) * page_size)
    comparisons: Comparisons = request.app.state.comparisons
    opened: list[duckdb.DuckDBPyConnection] = []

    def interrupt() -> None:
        for connection in opened:
            connection.interrupt()

    try:
        found, rows = await while_connected(request, interrupt, lambda: comparisons.answer(asked, opened.append))
    except UnknownName as error:
        if error.kind in ("released table", "bronze table"):
            await to_thread.run_sync(tables.get, layer, table, None)  # refuses in the gateway's own words
            mine = [name for name in error.known if name.startswith(f"{layer.zone}.")]
            raise UnknownName(error.kind, f"{layer.zone}.{table}", mine) from error
        raise
    counts = found.changes.counts
    total = counts.inserted + counts.updated + counts.deleted
    meta = models.PageMeta(page=page, page_size=page_size, total=total)
    told = changes_as_json(found) | {"table": f"{layer}.{table}"}
    links = page_links(request, meta) if page_size else models.Neighbours(next=None, prev=None)
    data = [models.ChangedRow.model_validate(change_as_json(row)) for row in rows]
    return models.TableChanges(**told, data=data, links=links, meta=meta)

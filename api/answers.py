"""The answer to one question for rows: a page in the tabular API's envelope, or the result in another format.

It joins what the other modules know: the query, the relation, the cursor and the format. Routes only say which table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import duckdb
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.cursor import Cursor, read_cursor, subject
from api.filters import Filter
from api.formats import (
    BATCH_ROWS,
    COMPRESSED_FROM_BYTES,
    OBJECT_LINES,
    WRITINGS,
    Format,
    Writing,
    chosen_encoding,
    chosen_format,
)
from api.grammar import RowQuery, parse_query
from api.paging import Paging
from api.patience import while_connected
from api.relations import Relation
from api.rendering import is_nested
from api.rows import Page, Part, read_page, whole_select
from api.streaming import Export, ExportResponse, encoder
from api.tables import ServedTable, Tables

VARY = {"Vary": "Accept, Accept-Encoding"}
PAGING = ("page", "page_size", "cursor")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question for rows of a table."""

    request: Request
    tables: Tables
    find: Callable[[], ServedTable]  # may wait for the ledger, so it is called in a thread
    paging: Paging
    links: dict[str, str] = field(default_factory=dict)  # beside next and prev
    ignored: frozenset[str] = frozenset()  # parameters that are the route's own
    file_name: str | None = None  # of a whole result; by default that of the table
    read_from: Callable[[ServedTable], tuple[ServedTable, Relation]] | None = None  # by default the table as it is

    def at(self, table: ServedTable) -> tuple[ServedTable, Relation]:
        """The table at one of its snapshots, and what to read it from."""
        return self.read_from(table) if self.read_from else (table, self.tables.relation(table))


async def answer_rows(asked: Asked, writing: Writing | None = None) -> Response:
    """Answer with a page of JSON, or the whole result in the format asked for, or in one given.

    Raises:
        OdhError: a query that cannot be answered, with what to write instead.
    """
    form = chosen_format(asked.request)
    cursor = asked.tables.cursor()
    if form is Format.JSON and writing is None:
        try:
            return await while_connected(asked.request, cursor.interrupt, partial(_page, asked, cursor))
        finally:
            cursor.close()
    return await while_connected(asked.request, cursor.interrupt, partial(_export, asked, cursor, form, writing))


# Pages


def _page(asked: Asked, connection: duckdb.DuckDBPyConnection) -> Response:
    place = _Place.of(asked)
    query, conditions = place.query, place.conditions
    limit = asked.paging.page_size
    page = read_page(connection, place.relation, query, conditions, limit, place.offset, place.after)
    total = asked.tables.count(connection, place.table, place.relation, query, conditions)
    body = _envelope(page, place.links(page, total), place.meta(total))
    encoding = chosen_encoding(asked.request) if len(body) >= COMPRESSED_FROM_BYTES else None
    headers = dict(VARY)
    if encoding:
        encode = encoder(encoding)
        body, headers["Content-Encoding"] = encode(body) + encode(None), encoding
    return Response(body, media_type="application/json", headers=headers)


def _envelope(page: Page, links: dict[str, Any], meta: dict[str, Any]) -> bytes:
    rows = ",".join(page.rows)
    rest = msgspec.json.encode({"links": links, "meta": meta})
    return b'{"data":[' + rows.encode() + b"]," + rest[1:]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: the table at the snapshot to read, what of it is asked for, and the rows before the page.

    A cursor keeps to its snapshot; with the number of another page than its own, it is that page of the same snapshot.
    """

    asked: Asked
    table: ServedTable
    relation: Relation
    query: RowQuery
    conditions: tuple[Filter, ...]
    about: bytes
    offset: int
    after: int | None

    @classmethod
    def of(cls, asked: Asked) -> _Place:
        """Read the parameters of a request.

        Raises:
            UsageError: a cursor that cannot be used.
        """
        tables = asked.tables
        table, source = asked.at(asked.find())
        query = _query(asked, source)
        conditions = (*table.conditions, *query.conditions)
        about = subject(tables.settings.api_secret, (table.layer, table.pin.name, table.part), conditions, query)
        offset, after = (asked.paging.page - 1) * asked.paging.page_size, None
        if asked.paging.cursor is not None:
            at = read_cursor(asked.paging.cursor, about)
            is_its_page = "page" not in asked.request.query_params or offset == at.offset
            offset, after = (at.offset, at.row) if is_its_page else (offset, None)
            if at.snapshot_id != table.pin.snapshot_id:
                table, source = asked.at(tables.at_snapshot(table, at.snapshot_id))
                query = _query(asked, source)
        after = after if source.row is not None and not query.is_aggregated else None
        return cls(asked, table, source, query, conditions, about, offset, after)

    @property
    def number(self) -> int:
        """The page, from 1."""
        return self.offset // self.asked.paging.page_size + 1

    def meta(self, total: int) -> dict[str, Any]:
        """Where the page stands."""
        return {"page": self.number, "page_size": self.asked.paging.page_size, "total": total}

    def links(self, page: Page, total: int) -> dict[str, Any]:
        """Addresses of the pages around; they stay with the snapshot of this one."""
        following = self.offset + len(page.rows)
        last = max(1, math.ceil(total / self.asked.paging.page_size))
        before = max(0, min(self.number - 1, last) - 1) * self.asked.paging.page_size
        return {
            **self.asked.links,
            "next": self._link(following, page.last) if page.rows and following < total else None,
            "prev": self._link(before, None) if self.number > 1 else None,
        }

    def _link(self, offset: int, row: int | None) -> str:
        size = self.asked.paging.page_size
        around: dict[str, Any] = {"page": offset // size + 1, "page_size": size}
        if self.table.pin.snapshot_id is not None:
            around["cursor"] = Cursor(self.table.pin.snapshot_id, offset, row).token(self.about)
        return str(self.asked.request.url.include_query_params(**around))


def _query(asked: Asked, relation: Relation) -> RowQuery:
    given = [one for one in asked.request.query_params.multi_items() if one[0] not in asked.ignored]
    return parse_query(given, relation.columns, relation.shown)


# Other formats


def _export(asked: Asked, cursor: duckdb.DuckDBPyConnection, form: Format, given: Writing | None) -> Response:
    """The whole result; only a page of it where one is asked for. Its response closes the cursor."""
    try:
        place = _Place.of(asked)
        writing = given or WRITINGS[form]
        if form is Format.NDJSON and _has_nested(place.relation, place.query):
            writing = OBJECT_LINES
        select = whole_select(cursor, place.relation, place.query, place.conditions, writing.form)
        if any(name in asked.request.query_params for name in PAGING):
            select = _paged(select, place)
        reader = cursor.execute(select.sql, select.values).to_arrow_reader(BATCH_ROWS)
    except BaseException:
        cursor.close()
        raise
    export = Export(cursor, reader, writing.render)
    try:
        encoding = None if writing.is_packed else chosen_encoding(asked.request)
        name = asked.file_name or f"{place.table.pin.name}.{form}"
        headers = {**VARY, "Content-Disposition": f'attachment; filename="{name}"'}
        return ExportResponse(export, writing.media_type, headers, encoding)
    except BaseException:
        export.close()
        raise


def _paged(select: Part, place: _Place) -> Part:
    """The rows of one page, in the order pages have."""
    order = f" order by {', '.join(place.relation.order)}"
    is_ordered = place.query.sorts or place.query.is_aggregated or place.relation.row is not None
    return Part(
        f"{select.sql}{'' if is_ordered else order} limit ? offset ?",
        (*select.values, place.asked.paging.page_size, place.offset),
    )


def _has_nested(relation: Relation, query: RowQuery) -> bool:
    named: Sequence[str] = query.groups if query.is_aggregated else query.columns
    is_wide = any(one.function == "sum" for one in query.aggregates)  # polars has no number so large
    return is_wide or any(
        is_nested(relation.columns[name].type) or "HUGEINT" in relation.columns[name].type for name in named
    )

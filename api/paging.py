"""Pages: the parameters that ask for one of a table's rows, their bounds, and the addresses of the pages around."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request

from api.models import Neighbours, PageMeta

PAGE_SIZE, PAGE_SIZE_MAX = 20, 200
PAGE_MAX = 1_000_000_000  # keeps the offset a 64-bit integer
PageNumber = Annotated[int, Query(ge=1, le=PAGE_MAX)]
PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of rows is asked for; a cursor says where it begins, whatever the number."""

    page: PageNumber = 1
    page_size: PageSize = PAGE_SIZE
    cursor: str | None = None


async def _paging(
    columns: Annotated[str | None, Query(description="columns to show, parted by commas")] = None,
    page: PageNumber = 1,
    page_size: PageSize = PAGE_SIZE,
    cursor: Annotated[str | None, Query(description="where a page begins, as links.next says")] = None,
    format: Annotated[  # noqa: A002 - the name of the parameter
        str | None, Query(description="json, csv, ndjson, parquet or arrow; by default as `Accept` says")
    ] = None,
) -> Paging:
    """Check and document the parameters of every list of rows; columns and format are read where rows are."""
    return Paging(page, page_size, cursor)


PagingDep = Annotated[Paging, Depends(_paging)]


def page_links(request: Request, meta: PageMeta) -> Neighbours:
    """Addresses of the next page and the one before; past the end, that is the last one."""
    last = max(1, math.ceil(meta.total / meta.page_size))

    def link(page: int) -> str:
        return str(request.url.include_query_params(page=page, page_size=meta.page_size))

    return Neighbours(
        next=link(meta.page + 1) if meta.page < last else None,
        prev=link(min(meta.page - 1, last)) if meta.page > 1 else None,
    )

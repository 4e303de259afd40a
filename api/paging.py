"""Pages of lists that are counted and read by number: their bounds, and the addresses of the pages around."""

from __future__ import annotations

import math

from fastapi import Request

from api.models import Neighbours, PageMeta

PAGE_SIZE, PAGE_SIZE_MAX = 20, 200
PAGE_MAX = 1_000_000_000  # keeps the offset a 64-bit integer


def page_links(request: Request, meta: PageMeta) -> Neighbours:
    """Addresses of the next page and the one before; past the end, that is the last one."""
    last = max(1, math.ceil(meta.total / meta.page_size))

    def link(page: int) -> str:
        return str(request.url.include_query_params(page=page, page_size=meta.page_size))

    return Neighbours(
        next=link(meta.page + 1) if meta.page < last else None,
        prev=link(min(meta.page - 1, last)) if meta.page > 1 else None,
    )

"""Routes over the raw zone: feeds and their extractions, the files of a feed, and the very bytes of a file."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from http import HTTPStatus
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse

from api import models, problems
from api.access import require
from api.byte_ranges import NotSatisfiable, is_known, wanted_range
from api.dependencies import Day, TablesDep
from api.grammar import refuse_unknown
from api.paging import PAGE_MAX, PAGE_SIZE, PAGE_SIZE_MAX, page_links
from api.tables import Tables
from catalog import raw_files
from catalog.errors import UnknownName
from catalog.manifests import Manifest
from catalog.scopes import Scope
from catalog.storage import Store, raw_store

CHUNK_BYTES = 512 * 1024
ASKED_BYTES = 8 << 20  # of an object store at a time: of 50 MiB, as it is by itself, a range leaves most unread
BINARY: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file, in the media type its server gave it", "content": BINARY},
    206: {"description": "The range asked for", "content": BINARY},
    304: {"description": "The client has these bytes"},
    416: problems.RESPONSES["4XX"] | {"description": "No byte lies in the range"},
}
router = APIRouter(prefix="/raw/files", responses=problems.RESPONSES, dependencies=[require(Scope.RAW_READ)])


@router.get("", summary="Feeds with raw files, and their extractions")
def list_extractions(request: Request, tables: TablesDep) -> models.RawFeeds:
    """List every feed that has raw files and its extractions, the newest first."""
    refuse_unknown(request.query_params, ())
    found = raw_files.extractions(tables.ledger, _restricted(tables))
    feeds = [
        models.RawFeed(
            feed=feed,
            link=str(request.url_for("list_raw_files", feed=feed)),
            extractions=[models.RawExtraction.model_validate(asdict(one)) for one in days],
        )
        for feed, days in groupby(found, key=lambda one: one.feed)
    ]
    return models.RawFeeds(data=feeds, meta=models.Total(total=len(feeds)))


@router.get("/{feed}", summary="Raw files of a feed")
def list_raw_files(
    request: Request,
    feed: str,
    tables: TablesDep,
    extraction_date: Annotated[Day | None, Query(description="of this extraction only")] = None,
    page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
    page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE,
) -> models.RawFiles:
    """List the files of a feed with their sha256 and size, the newest extraction first."""
    refuse_unknown(request.query_params, ("extraction_date", "page", "page_size"))
    tables.refuse_restricted(feed)
    found, total = raw_files.files_of(tables.ledger, feed, extraction_date, page_size, (page - 1) * page_size)
    if not total and feed not in tables.registry.feeds:
        raise UnknownName("feed", feed, {one.feed for one in raw_files.extractions(tables.ledger, _restricted(tables))})
    meta = models.PageMeta(page=page, page_size=page_size, total=total)
    data = [models.RawFile(**asdict(one), link=_link(request, one)) for one in found]
    return models.RawFiles(data=data, links=page_links(request, meta), meta=meta)


@router.head("/{feed}/{extraction_date}/{path:path}", include_in_schema=False, response_class=Response)
@router.get(
    "/{feed}/{extraction_date}/{path:path}",
    summary="The very bytes of a raw file",
    response_class=Response,
    responses=BYTES,
)
async def read_raw_file(request: Request, feed: str, extraction_date: Day, path: str, tables: TablesDep) -> Response:
    """Send a file as it was received: whole, or the range asked for, with its checksum as ETag."""
    tables.refuse_restricted(feed)
    store = raw_store(tables.settings)
    manifest = await to_thread.run_sync(raw_files.find_manifest, store, feed, extraction_date, path)
    size = await to_thread.run_sync(store.size, manifest.key)
    return _answer(request, store, manifest, size)


def _restricted(tables: Tables) -> list[str]:
    return [feed.feed for feed in tables.registry if tables.is_restricted(feed.feed)]


def _answer(request: Request, store: Store, manifest: Manifest, size: int) -> Response:
    headers = _headers(manifest)
    if is_known(request.headers, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    try:
        part = wanted_range(request.headers, headers["ETag"], size)
    except NotSatisfiable:
        bounds = {"Content-Range": f"bytes */{size}"}
        raise HTTPException(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=bounds) from None
    start, end = (part.start, part.end) if part else (0, size)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = int(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_chunks(store, manifest.key, start, end), status, headers)


def _headers(manifest: Manifest) -> dict[str, str]:
    sha256 = manifest.sha256_now or manifest.sha256
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    return {
        "Content-Type": _media_type(manifest.content_type),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(manifest.file_name)}",
        "ETag": f'"{sha256}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "X-Checksum-SHA256": sha256,
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",  # an erasure may change the bytes
    }


def _media_type(told: str | None) -> str:
    """What the file's server called it, where that is a media type at all."""
    name = (told or "").partition(";")[0].strip().lower()
    is_one = re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+*-]+", name)
    return told.strip() if told and is_one and told.isascii() and told.isprintable() else "application/octet-stream"


async def _chunks(store: Store, key: str, start: int, end: int) -> AsyncIterator[bytes]:
    stream = await to_thread.run_sync(store.open, key, min(end - start, ASKED_BYTES))
    try:
        if start:
            await to_thread.run_sync(stream.seek, start)
        left = end - start
        while left:
            chunk = await to_thread.run_sync(stream.read, min(CHUNK_BYTES, left))
            if not chunk:
                raise OSError(f"{key} ends {left} bytes early")
            left -= len(chunk)
            yield chunk
    finally:
        stream.close()


def _link(request: Request, one: raw_files.RawFile) -> str:
    day = one.extraction_date.isoformat()
    return str(request.url_for("read_raw_file", feed=one.feed, extraction_date=day, path=one.path))

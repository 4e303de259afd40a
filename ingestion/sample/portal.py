"""A small portal over a sample folder: the part of data.gouv.fr's API that ingestion calls, and the files.

Owns HTTP only: shapes come from ``answers``. Metadata is read once, when the app is made. Refuses writes, accounts
and faults made on purpose.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from email.utils import parsedate
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.staticfiles import NotModifiedResponse

from catalog.errors import UsageError
from ingestion.sample.answers import (
    Publication,
    apply_mask,
    as_v2,
    count_facets,
    parse_mask,
    select_datasets,
    sort_datasets,
)

Json = dict[str, Any]
NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling "
    "and try again."
)
SORTS = {"created", "last_update", "title"}
SEARCHED = ("title", "description", "acronym", "tags")
SEARCH_WINDOW = 10_000  # results; the portal's search engine gives no page beyond
MIMES = {".csv": "text/csv", ".gz": "application/gzip", ".zip": "application/zip"}


def create_app(folder: Path, as_of: date | None = None) -> Starlette:
    """Make the ASGI app that serves a sample folder as it stood at the end of ``as_of``, or in its newest state."""
    entries = json.loads((folder / "portal.json").read_text(encoding="utf-8"))["datasets"]
    app = Starlette(
        routes=[
            Route("/api/1/datasets/", list_datasets),
            Route("/api/1/datasets/r/{rid}", redirect_to_file),
            Route("/api/1/datasets/{key}/", show_dataset),
            Route("/api/2/datasets/search/", search_datasets),
            Route("/api/2/datasets/resources/{rid}/", show_resource),
            Route("/api/2/datasets/{key}/", show_dataset_v2),
            Route("/api/2/datasets/{key}/resources/", list_resources),
            Route("/{path:path}", send_file),
        ],
        exception_handlers={HTTPException: explain},
    )
    app.state.publication = Publication(entries, folder / "datasets", as_of)
    return app


def _publication(request: Request) -> Publication:
    publication: Publication = request.app.state.publication
    return publication


def _base(request: Request) -> str:
    """Scheme and host as the client called them: every absolute URL follows."""
    return str(request.base_url).rstrip("/")


def _answer(request: Request, data: Json) -> JSONResponse:
    try:
        return JSONResponse(apply_mask(data, parse_mask(request.headers.get("x-fields", ""))))
    except ValueError as wrong:
        raise HTTPException(400, str(wrong)) from wrong


async def explain(request: Request, exc: Exception) -> Response:
    """Answer an error as the API does: JSON with a message."""
    status, message = (exc.status_code, exc.detail) if isinstance(exc, HTTPException) else (500, str(exc))
    return JSONResponse({"message": message}, status)


def _positive(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise HTTPException(400, f"{name}: {text} is not a positive integer")
    return int(text)


def _page(request: Request, items: list[Json], size: int = 20) -> Json:
    """Cut the page asked for, with links to its neighbours."""
    page, size = _positive(request, "page", 1), _positive(request, "page_size", size)

    def link(number: int) -> str:
        return str(request.url.remove_query_params("page").include_query_params(page=number))

    return {
        "data": items[(page - 1) * size : page * size],
        "next_page": link(page + 1) if page * size < len(items) else None,
        "page": page,
        "page_size": size,
        "previous_page": link(page - 1) if page > 1 else None,
        "total": len(items),
    }


def _select(request: Request, searched: tuple[str, ...]) -> list[Json]:
    sort = request.query_params.get("sort") or "-created"
    if sort.removeprefix("-") not in SORTS:
        raise HTTPException(400, f"The value '{sort}' is not a valid choice for 'sort'.")
    shapes = _publication(request).datasets(_base(request))
    return sort_datasets(select_datasets(shapes, request.query_params.multi_items(), searched), sort)


async def list_datasets(request: Request) -> Response:
    """``GET /api/1/datasets/``: a page past the end is a 404."""
    page = _page(request, _select(request, ("title",)))
    if not page["data"] and page["page"] > 1:
        raise HTTPException(404, NOT_FOUND)
    return _answer(request, page)


async def search_datasets(request: Request) -> Response:
    """``GET /api/2/datasets/search/``: v2 shapes and facets; a page past the end is empty."""
    found = _select(request, SEARCHED)
    page = _page(request, found)
    if page["page"] * page["page_size"] > SEARCH_WINDOW:
        raise HTTPException(400, f"Result window is too large: at most {SEARCH_WINDOW} results.")
    data = [as_v2(shape, _base(request)) for shape in page["data"]]
    return _answer(request, {**page, "data": data, "facets": count_facets(found)})


def _find(request: Request) -> Json:
    shape = _publication(request).dataset(request.path_params["key"], _base(request))
    if shape is None:
        raise HTTPException(404, NOT_FOUND)
    return shape


async def show_dataset(request: Request) -> Response:
    """``GET /api/1/datasets/{id or slug}/``."""
    return _answer(request, _find(request))


async def show_dataset_v2(request: Request) -> Response:
    """``GET /api/2/datasets/{id or slug}/``."""
    return _answer(request, as_v2(_find(request), _base(request)))


async def list_resources(request: Request) -> Response:
    """``GET /api/2/datasets/{id or slug}/resources/``, by ``type`` and ``q`` in the title; 50 a page."""
    kind, words = request.query_params.get("type", ""), request.query_params.get("q", "").lower()
    resources = [r for r in _find(request)["resources"] if kind in ("", r["type"]) and words in r["title"].lower()]
    return _answer(request, _page(request, resources, size=50))


def _find_resource(request: Request, message: str) -> tuple[Json, str]:
    found = _publication(request).resource(request.path_params["rid"], _base(request))
    if found is None:
        raise HTTPException(404, message)
    return found


async def show_resource(request: Request) -> Response:
    """``GET /api/2/datasets/resources/{rid}/``; the portal ignores ``X-Fields`` here."""
    resource, dataset_id = _find_resource(request, "Resource does not exist")
    return JSONResponse({"resource": resource, "dataset_id": dataset_id})


async def redirect_to_file(request: Request) -> Response:
    """``GET /api/1/datasets/r/{rid}``: the stable URL of a resource leads to its newest file."""
    return RedirectResponse(_find_resource(request, "Resource not found")[0]["url"], 302)


async def send_file(request: Request) -> Response:
    """Send a published file, whole or in part, or 304; an API path without its last slash is moved, as there."""
    path = request.url.path
    if path.startswith("/api/") and not path.endswith("/"):
        return RedirectResponse(request.url.replace(path=f"{path}/"), 308)
    file = _publication(request).files.get(path)
    if file is None:
        raise HTTPException(404, NOT_FOUND)
    mime = MIMES.get(file.suffix, "application/octet-stream")
    headers = {"Content-Type": mime}  # given as a header, for Starlette would add a charset the file may not have
    response = FileResponse(file, headers=headers, filename=file.name, stat_result=file.stat())
    return NotModifiedResponse(response.headers) if _has_copy(request.headers, response.headers) else response


def _has_copy(asked: Headers, sent: Headers) -> bool:
    """Whether the client's copy is still good; ``If-None-Match`` outranks ``If-Modified-Since``."""
    if (known := asked.get("if-none-match")) is not None:
        return known.strip() == "*" or sent["etag"] in [tag.strip().removeprefix("W/") for tag in known.split(",")]
    since, modified = parsedate(asked.get("if-modified-since", "")), parsedate(sent["last-modified"])
    return since is not None and modified is not None and since >= modified


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, app: Starlette, on_start: Callable[[], None]) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as taken:
        raise UsageError(f"Cannot listen on {host}:{port} ({taken.strerror}): choose another --port, or 0.") from taken


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def serve(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    as_of: date | None = None,
    port_file: Path | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; port 0 takes a free one.

    Once the portal listens, its port is in ``port_file`` and ``on_start`` is called with its URL.

    Raises:
        UsageError: the port is taken.
    """
    listener = _listen(host, port)

    def announce() -> None:
        if port_file:
            _write_whole(port_file, f"{listener.getsockname()[1]}\n")
        if on_start:
            on_start(_url(listener))

    # uvicorn stops on either signal, then raises it again: both then end here, quietly
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _Server(create_app(folder, as_of), announce).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()


def _write_whole(path: Path, text: str) -> None:
    """Write so that a reader who polls never sees half of it."""
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


@contextmanager
def running_portal(folder: Path, as_of: date | None = None, port: int = 0) -> Iterator[str]:
    """Run the portal in a background thread on a loopback port, a free one by default; yields its base URL."""
    listener, listening = _listen("127.0.0.1", port), threading.Event()
    server = _Server(create_app(folder, as_of), listening.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sample-portal", daemon=True)
    thread.start()
    try:
        if not listening.wait(timeout=30):
            raise RuntimeError("The sample portal did not start within 30 seconds.")
        yield _url(listener)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listener.close()

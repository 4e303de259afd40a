"""Routes over the gateway's own description: OpenAPI, and Swagger on it, whose script comes from here as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
import msgspec
from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from api.access import CallerDep
from api.document import Documents

ASSETS = "/docs/assets"
# a page whose table is not asked for is not drawn, for a lake has hundreds
SWAGGER: dict[str, Any] = {"docExpansion": "none", "defaultModelsExpandDepth": -1, "filter": True}
router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Serve the page's script and style from the package that brings them: no browser asks anyone else."""
    app.mount(ASSETS, StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")), name="docs_assets")
    app.include_router(router)


@router.get("/openapi.json")
async def show_document(request: Request, caller: CallerDep) -> Response:
    """Describe every route, and every table of the release the caller may read."""
    documents: Documents = request.app.state.documents
    document = await to_thread.run_sync(documents.document, caller)
    return Response(msgspec.json.encode(document), media_type="application/json")


@router.get("/docs")
async def show_page(request: Request) -> HTMLResponse:
    """Show the description to people."""
    root = str(request.scope.get("root_path", ""))
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=f"{request.app.title}: what it answers",
        swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
        swagger_ui_parameters=SWAGGER,
    )

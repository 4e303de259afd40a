"""The gateway as `odh serve` runs it, with a route that does nothing and one that sends a plain file to measure by."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.responses import FileResponse

from api.app import create_app
from api.worker import spare_the_collector
from catalog.logs import configure_logs
from catalog.settings import Settings


def serve(lake: Path, plain: Path) -> None:
    """Serve until killed, on a port of the system's choice, which is printed first."""
    settings = Settings(lake=lake)
    configure_logs(settings)
    app = create_app(settings)
    _measure_by(app, plain)
    # asyncio turns off Nagle's algorithm only on sockets whose protocol is named
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    spare_the_collector()
    config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none")
    uvicorn.Server(config).run(sockets=[listener])


def _measure_by(app: FastAPI, plain: Path) -> None:
    before = list(app.router.routes)

    @app.get("/bench/noop")
    async def do_nothing() -> dict[str, str]:
        return {}

    @app.get("/bench/file")
    async def send_file() -> FileResponse:
        return FileResponse(plain)

    # the gateway's own routes would take these addresses for a layer's
    app.router.routes.sort(key=before.__contains__)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))

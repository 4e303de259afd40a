"""The gateway as one worker of `odh serve` runs it, with a route that does nothing to measure pushes by."""

from __future__ import annotations

import socket

import uvicorn

from api.app import create_app
from api.worker import spare_the_collector
from catalog.logs import configure_logs
from catalog.settings import Settings


def serve() -> None:
    """Serve until killed, on a port of the system's choice, which is printed first."""
    settings = Settings()
    configure_logs(settings)
    app = create_app(settings)
    before = list(app.router.routes)

    @app.post("/bench/noop")
    async def do_nothing() -> dict[str, str]:
        return {}

    # first, where the pushes are too: the gateway's own routes would take this address for a layer's
    app.router.routes.sort(key=before.__contains__)
    # asyncio turns off Nagle's algorithm only on sockets whose protocol is named
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        print(listener.getsockname()[1], flush=True)
        spare_the_collector()
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve()

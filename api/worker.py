"""One worker of the gateway: ``python -m api.worker FD [FD]`` serves on a socket that its supervisor listens with, and
shares the second file with the other workers: it says how much each caller may ask.

``uvicorn --factory api.worker:app`` serves the same application under another supervisor.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

from catalog.logs import configure_logs
from catalog.settings import Settings, load_settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

YOUNG_OBJECTS = 10_000  # made before the collector looks for cycles among them; CPython's 700 are one request or two


def app() -> FastAPI:
    """Make the gateway that the environment's settings describe."""
    from api.app import create_app

    return create_app(load_settings())


def main() -> None:
    """Serve until SIGTERM, or until standard input ends: then the supervisor is no more."""
    settings = load_settings()
    configure_logs(settings)
    listener = socket.socket(fileno=int(sys.argv[1]))
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    server = server_of(settings, int(sys.argv[2]) if len(sys.argv) > 2 else None)
    server.run(sockets=[listener])


def server_of(settings: Settings, rates: int | None) -> uvicorn.Server:
    """The HTTP server; answers in flight are ended before it stops, for as long as the settings allow."""
    import uvicorn

    from api.app import create_app
    from api.shared_rate import SharedMoments

    def make() -> FastAPI:
        made = create_app(settings, SharedMoments(rates) if rates is not None else None)
        spare_the_collector()
        return made

    config = uvicorn.Config(
        make,
        factory=True,
        log_level=settings.log_level,
        access_log=False,  # the gateway logs each request itself, with its number
        server_header=False,
        timeout_graceful_shutdown=settings.api_stop_seconds,
        ws="none",
    )
    return uvicorn.Server(config)


def spare_the_collector() -> None:
    """Leave what the process holds for good out of garbage collection, and collect more seldom.

    With many requests in flight the collector went through all modules, models and routes again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _stop_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()

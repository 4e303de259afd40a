"""The dashboard's command: it starts Streamlit with the dashboard's own settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

APP = Path(__file__).with_name("app.py")
GATEWAY = "DASHBOARD_GATEWAY"  # what the pages read
STOP_SECONDS = 3.0
OPTIONS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "runner.magicEnabled": "false",
    "theme.primaryColor": "#2b5ea7",
}


def register(app: typer.Typer) -> None:
    """Add the dashboard's command to the root command."""
    app.command("dashboard")(dashboard)


def dashboard(
    url: Annotated[
        str | None, typer.Option(help="Gateway to ask; default the one of ODH_API_HOST and ODH_API_PORT.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8501,
) -> None:
    """Serve the supervision dashboard until Ctrl-C; it asks a running gateway, with the key in ODH_API_KEY."""
    gateway = url or _own_gateway()
    if not gateway.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{gateway!r} is no address such as http://127.0.0.1:8000.", param_hint="--url")
    typer.echo(f"Dashboard at http://{f'[{host}]' if ':' in host else host}:{port} over {gateway}; Ctrl-C stops.")
    sys.stdout.flush()
    if _run(command(host, port), {**os.environ, GATEWAY: gateway}):
        raise typer.Exit(1)


def _run(words: list[str], environment: dict[str, str]) -> int:
    """Run Streamlit until it ends or is told to, and tell how it ended: 0 when it was told.

    After visits it does not always end by itself. It holds nothing to lose, so it is not waited for long.
    """
    with subprocess.Popen(words, env=environment) as process:
        told = threading.Event()

        def stop(*_: object) -> None:
            told.set()
            process.terminate()
            late = threading.Timer(STOP_SECONDS, process.kill)
            late.daemon = True
            late.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        code = process.wait()
    return 0 if told.is_set() else code


def command(host: str, port: int) -> list[str]:
    """What starts Streamlit. An address is always given: without one it asks the internet for its own."""
    options = {"server.address": host, "server.port": str(port), **OPTIONS}
    return [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(APP),
        *(f"--{name}={value}" for name, value in options.items()),
    ]


def _own_gateway() -> str:
    host = os.environ.get("ODH_API_HOST") or "127.0.0.1"
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - not bound: asked on this machine
    return f"http://{f'[{host}]' if ':' in host else host}:{os.environ.get('ODH_API_PORT') or 8000}"

"""The gateway's command: serve."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the gateway's command to the root command."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default ODH_API_HOST, loopback.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port; default ODH_API_PORT, 8000.")] = None,
) -> None:
    """Serve the lake over HTTP until Ctrl-C: rows, schemas, health and stats, with Swagger at /docs."""
    import uvicorn

    from api.app import create_app
    from catalog.logs import configure_logs
    from catalog.settings import is_loopback, load_settings
    from catalog.terminal import console

    settings = load_settings()
    configure_logs(settings)
    host, port = host or settings.api_host, port or settings.api_port
    app = create_app(settings)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    console.print(f"Serving {settings.lake.resolve()} at {address} (Swagger at {address}/docs); Ctrl-C stops.")
    if not is_loopback(address):
        console.print("[yellow]Anyone who reaches this address reads every table: there is no access control yet.[/]")
    uvicorn.run(app, host=host, port=port, log_level=settings.log_level, ws="none")

"""The gateway's commands: serve; those of its keys are in ``keys_cli``."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the gateway's commands to the root command."""
    from api.keys_cli import keys_app

    app.add_typer(keys_app, name="keys")
    app.command("serve")(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default ODH_API_HOST, loopback.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port; default ODH_API_PORT, 8000.")] = None,
) -> None:
    """Serve the lake over HTTP until Ctrl-C: rows, schemas, health and stats, with Swagger at /docs."""
    import uvicorn

    from api.app import create_app
    from catalog.logs import configure_logs
    from catalog.settings import is_loopback_host, load_settings
    from catalog.terminal import console

    given = {"api_host": host, "api_port": port}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    configure_logs(settings)
    host, port = settings.api_host, settings.api_port
    app = create_app(settings)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    console.print(f"Serving {settings.lake.resolve()} at {address} (Swagger at {address}/docs); Ctrl-C stops.")
    if not settings.is_open:
        console.print(f"Without a key: {settings.api_public}. Keys for more: odh keys create NAME --scope SCOPE.")
    elif is_loopback_host(host):
        console.print("Open: whoever uses this machine may do everything without a key (ODH_API_ACCESS=keys ends it).")
    else:
        console.print("[yellow]Open: anyone who reaches this address may do everything. Set ODH_API_ACCESS=keys.[/]")
    uvicorn.run(app, host=host, port=port, log_level=settings.log_level, ws="none")

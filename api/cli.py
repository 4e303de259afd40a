"""The gateway's commands: serve; those of its keys are in ``keys_cli``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from catalog.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the gateway's commands to the root command."""
    from api.keys_cli import keys_app

    app.add_typer(keys_app, name="keys")
    app.command("serve")(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default ODH_API_HOST, loopback.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; default ODH_API_PORT, 8000; 0 takes a free one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that answer; default ODH_API_WORKERS, 1.")
    ] = None,
) -> None:
    """Serve the lake over HTTP until Ctrl-C: rows, schemas, health and stats, with Swagger at /docs."""
    from api.serve import listen, prepare
    from api.serve import serve as serve_on
    from catalog.logs import configure_logs
    from catalog.settings import load_settings

    given = {"api_host": host, "api_port": port, "api_workers": workers}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    configure_logs(settings)
    prepare(settings)
    listener = listen(settings.api_host, settings.api_port)
    _print_banner(settings, listener.getsockname()[1])
    raise typer.Exit(serve_on(settings, listener))


def _print_banner(settings: Settings, port: int) -> None:
    from catalog.settings import is_loopback_host
    from catalog.terminal import console

    host = settings.api_host
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    console.print(f"Serving {settings.lake.resolve()} at {address} (Swagger at {address}/docs); Ctrl-C stops.")
    if settings.api_workers > 1:
        console.print(f"{settings.api_workers} workers; the log is on standard error, ODH_LOG_LEVEL says how much.")
    if not settings.is_open:
        console.print(f"Without a key: {settings.api_public}. Keys for more: odh keys create NAME --scope SCOPE.")
    elif is_loopback_host(host):
        console.print("Open: whoever uses this machine may do everything without a key (ODH_API_ACCESS=keys ends it).")
    else:
        console.print("[yellow]Open: anyone who reaches this address may do everything. Set ODH_API_ACCESS=keys.[/]")

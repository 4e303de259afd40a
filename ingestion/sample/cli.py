"""The command ``odh sample-portal``: make the sample, serve it, say how to use it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def sample_portal(
    scale: Annotated[float, typer.Option(min=0.001, help="Size: 1 is about 30,000 rows in all.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other rows; the same one, the same bytes.")] = 0,
    data: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder to make the sample in, and reuse; default: the cache.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Serve the portal as it was at the end of this day.")
    ] = None,
    port_file: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the port here once the portal listens.")
    ] = None,
) -> None:
    """Serve a made-up data.gouv.fr here: accidents, charging points, communes and their points, holidays."""
    from rich.console import Console

    from ingestion.sample.generator import ensure_sample
    from ingestion.sample.portal import serve

    console = Console(stderr=True)
    folder = data or default_folder(scale, seed)
    with console.status(f"Making the sample (scale {scale:g}, seed {seed})…"):
        is_new = ensure_sample(folder, scale=scale, seed=seed)

    def announce(url: str) -> None:
        print(f"Sample portal on {url} ({'made' if is_new else 'reused'}: {folder})", flush=True)
        print(f"Use it:  ODH_PORTAL_URL={url} odh run accidents irve        Stop it: Ctrl-C", flush=True)

    serve(folder, host, port, as_of.date() if as_of else None, port_file, announce)


def default_folder(scale: float, seed: int) -> Path:
    """Return where a sample is kept between runs: the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "opendatahub-sql" / f"sample-scale-{scale:g}-seed-{seed}"

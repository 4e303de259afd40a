"""The commands about releases: list them, show one, go back to one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from catalog.iceberg import Lakehouse
    from catalog.ledger import Ledger
    from catalog.releases import Release
    from catalog.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="Number of a release.")]

releases_app = typer.Typer(help="List releases, show one, or go back to one.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(releases_app, name="releases")


@releases_app.command("list")
def list_them(
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most releases to list, the newest; default 20.")] = 20,
    json: Json = False,
) -> None:
    """List the releases, the newest first, and which one readers see."""
    from catalog.release_history import list_releases
    from catalog.terminal import print_json, print_table

    with _opened() as (_, ledger, _):
        found = list_releases(ledger, limit)
    if json:
        print_json({"releases": [asdict(one) for one in found]})
        return
    columns = ("release", "of", "status", "published (UTC)", "made by", "tables", "rows", "")
    rows = [
        (
            one.release_id,
            one.extraction_date,
            one.status,
            f"{one.published_at:%Y-%m-%d %H:%M}" if one.published_at else None,
            one.made_by,
            one.tables,
            one.rows,
            "current" if one.is_current else None,
        )
        for one in found
    ]
    print_table(columns, rows)


@releases_app.command("show")
def show(release_id: Id, json: Json = False) -> None:
    """Show one release: its tables, which of them changed, and the bronze it was made from."""
    from catalog.release_history import tables_of
    from catalog.releases import find_release
    from catalog.terminal import console, print_json, print_table

    with _opened() as (_, ledger, _):
        release = find_release(ledger, release_id)
        tables = tables_of(ledger, release)
    if json:
        print_json({**_as_json(release), "tables": [asdict(one) for one in tables]})
        return
    console.print(f"Release {release.release_id} of {release.extraction_date}")
    rows = [
        (one.layer, one.name, one.domain, one.rows, one.rows_before, "changed" if one.is_changed else "carried over")
        for one in tables
    ]
    print_table(("layer", "table", "domain", "rows", "rows before", ""), rows)
    if release.inputs:
        print_table(("made from bronze", "snapshot"), [(pin.name, str(pin.snapshot_id)) for pin in release.inputs])


@releases_app.command("rollback")
def rollback(release_id: Id, json: Json = False) -> None:
    """Make an earlier release what readers see again, as a new release with its tables."""
    from catalog.release_history import roll_back
    from catalog.terminal import console, print_json

    with _opened() as (settings, ledger, lakehouse):
        release = roll_back(settings, ledger, lakehouse, release_id)
    if json:
        print_json({**_as_json(release), "tables_of": release_id})
    else:
        console.print(f"Readers see the tables of release {release_id}, as release [bold]{release.release_id}[/bold].")


def _as_json(release: Release) -> dict[str, Any]:
    inputs = [{"table": pin.name, "snapshot_id": pin.snapshot_id} for pin in release.inputs]
    return {"release_id": release.release_id, "extraction_date": release.extraction_date, "made_from": inputs}


@contextmanager
def _opened() -> Iterator[tuple[Settings, Ledger, Lakehouse]]:
    from catalog.iceberg import Lakehouse
    from catalog.ledger import Ledger
    from catalog.settings import load_settings

    settings = load_settings()
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        yield settings, ledger, lakehouse

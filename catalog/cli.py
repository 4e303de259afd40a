"""The catalogue's commands: build, sql and stats; those about feeds are in ``feeds_cli``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.clock import utc_now

if TYPE_CHECKING:
    from catalog.build import BuildResult

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
FeedNames = Annotated[list[str] | None, typer.Argument(metavar="[FEED]...", help="Feeds; none means all enabled.")]
Day = Annotated[
    datetime | None,
    typer.Option("--extraction-date", formats=["%Y-%m-%d"], help="Logical day of the extraction; default today (UTC)."),
]


def register(app: typer.Typer) -> None:
    """Add the catalogue's commands to the root command."""
    from catalog import changes_cli, maintain_cli, releases_cli
    from catalog.feeds_cli import feeds_app  # here, for they take their options from this module

    app.add_typer(feeds_app, name="feeds")
    maintain_cli.register(app)
    releases_cli.register(app)
    changes_cli.register(app)
    app.command("build")(build)
    app.command("sql")(sql)
    app.command("stats")(stats)


def logical_day(given: datetime | None) -> date:
    """The extraction date a command works on."""
    return (given or utc_now()).date()


def build(feeds: FeedNames = None, extraction_date: Day = None, json: Json = False) -> None:
    """Build silver and gold of the feeds' domains, test them and publish a release."""
    from catalog.runs import recorded_run
    from catalog.terminal import print_json

    with recorded_run("build", feeds or [], logical_day(extraction_date), is_tolerant=True) as run:
        result = build_release(run)
    if json:
        print_json(build_as_json(result))
    else:
        print_build(result)
    if run.errors:
        raise typer.Exit(1)


def build_release(run: Any) -> BuildResult:
    """Build what a run's feeds feed, with a progress bar; failed domains become errors of the run."""
    from catalog.build import Builder
    from catalog.terminal import progress_bar

    builder = Builder(run.settings, run.registry, run.ledger, run.lakehouse, run.run_id)
    with progress_bar() as on_progress:
        result = builder.build(run.feeds, run.extraction_date, on_progress)
    run.errors += [f"domain {domain.domain}: {domain.reason}" for domain in result.domains if domain.status == "failed"]
    return result


def build_as_json(result: BuildResult) -> dict[str, Any]:
    """A build for machines."""
    from dataclasses import asdict

    return {"release_id": result.release_id, "domains": [asdict(domain) for domain in result.domains]}


def print_build(result: BuildResult) -> None:
    """Print a build for people."""
    from catalog.terminal import console, print_table

    columns = (
        "domain",
        "status",
        "tests passed",
        "warned",
        "failed",
        "tables",
        "changed",
        "values rejected",
        "seconds",
    )
    rows = [
        (
            d.domain,
            d.status,
            d.tests_passed,
            d.tests_warned,
            d.tests_failed,
            d.tables,
            d.tables_changed,
            d.values_rejected,
            f"{d.seconds:.1f}",
        )
        for d in result.domains
    ]
    print_table(columns, rows, title="Built and tested")
    for domain in result.domains:
        if domain.status == "failed":
            console.print(f"[red]{domain.domain} failed and keeps its previous release:[/red]")
            console.print(f"  {domain.reason}", markup=False)
        elif domain.status == "waiting":
            console.print(f"{domain.domain} is not built: {domain.reason}", markup=False)
    if any(domain.values_rejected for domain in result.domains):
        console.print(
            "Rejected values do not fit their columns: odh sql \"select * from ops.rejects where stage = 'type'\""
        )
    if result.release_id is not None:
        console.print(f"Published release [bold]{result.release_id}[/bold].")
    else:
        console.print("No new release: nothing changed, or nothing passed.")


def sql(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="Over schemas raw, bronze, silver, gold, ops.")],
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Silver and gold as released by that day.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Gateway to run it on, in place of the lake here.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Key for that gateway; default ODH_API_KEY.")] = None,
    json: Json = False,
) -> None:
    """Run SQL over the lakehouse: a table on a terminal, {"columns", "rows"} elsewhere or with --json."""
    from catalog.errors import UsageError
    from catalog.settings import load_settings
    from catalog.terminal import print_json, print_rows

    settings, day = load_settings(), as_of.date() if as_of else None
    rows: Sequence[Sequence[Any]]
    if url is None:
        from catalog.session import open_session

        if key is not None:
            raise UsageError("--key is for a gateway; give its address with --url.")
        with open_session(settings, day) as session:
            columns, rows = session.fetch(statement)
    else:
        from catalog.sql_client import fetch_from

        known = settings.api_key.get_secret_value() if settings.api_key else None
        columns, rows, is_cut = fetch_from(url, statement, settings, key or known, day.isoformat() if day else None)
        if is_cut:
            typer.echo(f"There was more; these are the first {len(rows):,} rows.", err=True)
    if json or not sys.stdout.isatty():
        print_json({"columns": columns, "rows": rows})
    else:
        print_rows(columns, rows)


def stats(json: Json = False) -> None:
    """Show how full the lake is: zones, rows, bytes and rejects per table, growth, databases, disk."""
    from catalog.iceberg import Lakehouse
    from catalog.ledger import Ledger
    from catalog.settings import load_settings
    from catalog.stats import collect_stats
    from catalog.terminal import console, print_json, print_table, size

    settings = load_settings()
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        found = collect_stats(settings, ledger, lakehouse)
    if json:
        print_json(found)
        return
    for name, zone in found["zones"].items():
        console.print(f"{name}: {zone['objects']} objects, {size(zone['bytes'])} in {zone['root']}")
    for name, bytes_ in found["databases"].items():
        console.print(f"{name.removesuffix('_bytes')}: {size(bytes_)}")
    console.print(f"disk: {size(found['disk']['free_bytes'])} free of {size(found['disk']['total_bytes'])}")
    columns = ("layer", "table", "rows", "files", "size", "rejects", "extraction_date")
    rows = [
        (t["layer"], t["table"], t["rows"], t["files"], size(t["bytes"]), t["rejects"], t["extraction_date"])
        for t in found["tables"]
    ]
    print_table(columns, rows)
    release = found["release"]
    console.print("release: " + (f"{release['release_id']} of {release['extraction_date']}" if release else "none yet"))

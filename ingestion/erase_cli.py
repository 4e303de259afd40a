"""The command that erases a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.cli import Json
from catalog.clock import utc_now

if TYPE_CHECKING:
    from catalog.runs import Run

Where = Annotated[list[str], typer.Option("--where", help="column=value that names the person; several must all hold.")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would be removed, and remove nothing.")]


def erase(
    table: Annotated[str, typer.Argument(help="Table that names the person, such as my_feed.my_table.")],
    where: Where,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit: a request's number, not a name.")],
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Erase a person from raw, bronze, silver, gold, every retained release and the rejects, and prove it.

    Exit code 1 when something is left. Later files that name the person again do not bring them back to silver.
    """
    from catalog.errors import UsageError
    from catalog.runs import recorded_run
    from catalog.terminal import print_json

    values = dict(one.partition("=")[::2] for one in where)
    if not values or not all(column and value.strip() for column, value in values.items()):
        raise UsageError("Give --where column=value, with a value.")
    feed, _, name = table.partition(".")
    with recorded_run("erase", [feed], utc_now().date()) as run:
        report = _erase(run, feed, name, values, reason, is_dry=dry_run)
        if not dry_run and not report["is_proven"]:
            run.errors.append(f"erasure {report['erasure_id']}: something is left: {report['left']}")
    print_json(report) if json else _print(report)
    if run.errors:
        raise typer.Exit(1)


def _erase(run: Run, feed: str, name: str, values: Mapping[str, str], reason: str, *, is_dry: bool) -> dict[str, Any]:
    from contextlib import ExitStack

    from catalog.locks import exclusive
    from ingestion.erase import erase_person
    from ingestion.erase_pushed import drain_first

    found = run.registry.get(feed)
    with ExitStack() as held:
        if found.is_pushed:
            held.enter_context(exclusive(run.settings, run.ledger, "push"))
            run.errors += [] if is_dry else drain_first(run, feed)
        for lock in ("build", f"feed-{feed}"):
            held.enter_context(exclusive(run.settings, run.ledger, lock))
        return erase_person(run, found, name, values, reason, is_dry=is_dry)


def _print(report: dict[str, Any]) -> None:
    from catalog.terminal import console, print_table

    found = report["found" if report["dry_run"] else "removed"]
    rows = [(place, count, report["left"].get(place)) for place, count in found.items()]
    print_table(("place", "to be removed" if report["dry_run"] else "removed", "left"), rows)
    for change in report["raw"]:
        console.print(f"{change['key']}: {change['why']}", markup=False)
    if report["unsearched"]:
        listed = ", ".join(report["unsearched"])
        console.print(f"Nothing of the person leads to {listed}: the next build makes them without.", markup=False)
    if not report["dry_run"]:
        told = "nothing is left" if report["is_proven"] else "something is left: see above"
        console.print(f"Erasure {report['erasure_id']}: {told}.", markup=False)

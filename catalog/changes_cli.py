"""The command ``odh changes``: which rows of a table came, changed and went between two releases or days."""

from __future__ import annotations

import json as json_text
import sys
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.changes import Change
    from catalog.table_changes import State, TableChanges

SHOWN = 40  # changes on a terminal


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("changes")(changes)


def changes(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Table, such as gold.fct_charging_point.")],
    start: Annotated[str, typer.Option("--from", metavar="DAY|RELEASE", help="As released by this day, or release.")],
    end: Annotated[str, typer.Option("--to", metavar="DAY|RELEASE", help="As released by this day, or release.")],
    summary: Annotated[bool, typer.Option("--summary", help="Only count them.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the rows of a table inserted, updated and deleted between two releases or days."""
    from catalog.iceberg import Lakehouse
    from catalog.ledger import Ledger
    from catalog.registry import load_registry
    from catalog.session import open_duckdb
    from catalog.settings import load_settings
    from catalog.table_changes import ChangeFinder, point

    settings = load_settings()
    with (
        closing(Ledger(settings)) as ledger,
        closing(Lakehouse(settings)) as lakehouse,
        closing(open_duckdb(settings)) as connection,
    ):
        finder = ChangeFinder(connection, ledger, lakehouse, load_registry(settings))
        found = finder.between(table, point(start), point(end))
        if json or not sys.stdout.isatty():
            _stream_json(found, with_rows=not summary)
        else:
            print_changes(found, with_rows=not summary)


def _stream_json(found: TableChanges, *, with_rows: bool) -> None:
    """Write one JSON object, its rows as they come."""
    from catalog.table_changes import change_as_json, changes_as_json

    head = json_text.dumps(changes_as_json(found), ensure_ascii=False, allow_nan=False)
    if not with_rows:
        sys.stdout.write(head + "\n")
        return
    sys.stdout.write(head[:-1] + ', "changes": [')
    for number, change in enumerate(found.changes.rows()):
        sys.stdout.write((", " if number else "") + json_text.dumps(change_as_json(change), ensure_ascii=False))
    sys.stdout.write("]}\n")


def print_changes(found: TableChanges, *, with_rows: bool) -> None:
    """Print a comparison for people."""
    from catalog.terminal import console, print_table

    how, counts = found.changes.how, found.changes.counts
    console.print(f"{found.layer}.{found.name}, from {_named(found.old)} to {_named(found.new)}", markup=False)
    sums = f"{counts.old} rows + {counts.inserted} inserted - {counts.deleted} deleted = {counts.new} rows"
    console.print(f"{sums}; {counts.updated} updated", markup=False)
    if how.by_content:
        console.print(f"Rows are matched by content, so none is updated: {how.by_content}.", markup=False)
    for what, columns in (("came", how.came), ("went", how.went)):
        if columns:
            console.print(f"Columns that {what}, not compared: {', '.join(columns)}", markup=False)
    for one in how.retyped:
        console.print(f"Column {one.name} was {one.old} and is {one.new}.", markup=False)
    changed = counts.inserted + counts.updated + counts.deleted
    if with_rows and changed:
        rows = islice(found.changes.rows(SHOWN), SHOWN)
        print_table(("change", "key", "values"), [(one.kind, _listed(one.key), _told(one)) for one in rows])
        if changed > SHOWN:
            console.print(f"… and {changed - SHOWN} more; --json writes them all.")


def _named(state: State) -> str:
    release = f"release {state.release_id} of " if state.release_id is not None else ""
    return f"{release}{state.extraction_date}"


def _told(change: Change) -> str:
    """The values of a row that came or went, or what they were and are."""
    if change.old is None or change.new is None:
        values = change.old or change.new or {}
        return _listed({name: value for name, value in values.items() if name not in change.key})
    return ", ".join(f"{name}: {_shown(change.old[name])} → {_shown(change.new[name])}" for name in change.old)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in values.items() if value is not None)


def _shown(value: Any, limit: int = 60) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= limit else text[:limit] + "…"

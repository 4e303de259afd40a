"""What people are told of a sync: what was pulled feed by feed, what was loaded table by table, errors last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from catalog.terminal import console, print_table, size
from ingestion.bronze import Load
from ingestion.sync import FeedResult

MOST_REFUSALS = 20
Row = tuple[object, ...]


def print_results(results: Sequence[FeedResult]) -> None:
    """Print the results of the feeds of one run."""
    pulled = ("feed", "files stored", "unchanged", "already there", "size", "errors", "")
    print_table(pulled, pulled_rows(results), title="Pulled into raw")
    loaded = ("bronze table", "files", "status", "rows", "rejects")
    print_table(loaded, loaded_rows(results), title="Loaded into bronze")
    if refused := refused_rows(results):
        print_table(("feed", "file", "why"), refused[:MOST_REFUSALS], title="Left aside: no tables")
        if len(refused) > MOST_REFUSALS:
            console.print(f"… and {len(refused) - MOST_REFUSALS} more, in ops.loads where status = 'refused'")
    changed = [
        (result.feed, load.place, change) for result in results for load in result.loads for change in load.changes
    ]
    if changed:
        print_table(
            ("feed", "file", "change"), changed[:MOST_REFUSALS], title="Changed shape: what reads these may break"
        )
        if len(changed) > MOST_REFUSALS:
            console.print(f"… and {len(changed) - MOST_REFUSALS} more, in ops.schema_changes")
    for result in results:
        for error in result.errors:
            console.print(f"[red]error[/red] {result.feed}: ", end="")
            console.print(error, markup=False)


def pulled_rows(results: Sequence[FeedResult]) -> list[Row]:
    """One row a feed; what an earlier run of the same date pulled is not counted as stored."""
    return [(r.feed, r.stored, r.unchanged, r.already, size(r.size_bytes), len(r.errors), r.note) for r in results]


def loaded_rows(results: Sequence[FeedResult]) -> list[Row]:
    """One row a bronze table, whatever the number of its files."""
    tables: dict[str, list[Load]] = {}
    for result in results:
        for load in result.loads:
            if load.status != "refused":
                tables.setdefault(load.table_name, []).append(load)
    return [
        (
            name,
            len(loads),
            _told(Counter(load.status for load in loads)),
            sum(load.rows_loaded for load in loads),
            sum(load.rows_rejected for load in loads),
        )
        for name, loads in tables.items()
    ]


def refused_rows(results: Sequence[FeedResult]) -> list[Row]:
    """Files and members in which no table was to be found, and dead links; what is an error is told as such."""
    gone = [(result.feed, title, reason) for result in results for title, reason in result.gone]
    refused = [
        (result.feed, load.place, load.reason)
        for result in results
        for load in result.loads
        if load.status == "refused" and not load.is_error
    ]
    return [*refused, *gone]


def _told(statuses: Counter[str]) -> str:
    if len(statuses) == 1:
        return next(iter(statuses))
    return ", ".join(f"{count} {status}" for status, count in statuses.most_common())

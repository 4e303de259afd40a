"""The commands that keep a lake in order: maintain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from catalog.cli import Json
from catalog.clock import utc_now

if TYPE_CHECKING:
    from catalog.maintain import Maintainer, Maintenance

DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be done, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.command("maintain")(maintain)


def maintain(dry_run: DryRun = False, json: Json = False) -> None:
    """Compact small files, expire snapshots no release pins, and remove files nothing names any more.

    Readers are not disturbed: what a release pins stays, and files that were let go of stay for some days more.
    """
    from catalog.maintain import as_json
    from catalog.terminal import print_json, progress_bar

    with _maintainer(is_dry=dry_run) as maintainer, progress_bar() as on_progress:
        done = maintainer.run(on_progress)
    if json:
        print_json({"dry_run": dry_run, **as_json(done)})
    else:
        print_maintenance(done, is_dry=dry_run)


@contextmanager
def _maintainer(*, is_dry: bool) -> Iterator[Maintainer]:
    """A maintainer of the lake, its run recorded in the ledger; a dry one leaves no trace there."""
    from catalog.iceberg import Lakehouse
    from catalog.ledger import Ledger
    from catalog.maintain import Maintainer
    from catalog.registry import load_registry
    from catalog.runs import recorded_run
    from catalog.settings import load_settings

    now = utc_now()
    if not is_dry:
        with recorded_run("maintain", [], now.date()) as run:
            yield Maintainer(run.settings, run.registry, run.ledger, run.lakehouse, run.run_id, now)
        return
    settings = load_settings()
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        yield Maintainer(settings, load_registry(settings), ledger, lakehouse, None, now)


def print_maintenance(done: Maintenance, *, is_dry: bool) -> None:
    """Print a maintenance for people."""
    from catalog.terminal import console, print_table, size

    columns = (
        "table",
        "small files",
        "made",
        "manifests merged",
        "snapshots expired",
        "files waiting",
        "removed",
        "size",
    )
    rows = [
        (
            f"{plan.layer}.{plan.name}",
            sum(len(group.files) for group in plan.small_files),
            len(plan.small_files),
            plan.manifests_merged,
            len(plan.letting.snapshots),
            len(plan.unnamed),
            len(plan.removed),
            size(sum(plan.removed.values())),
        )
        for plan in done.tables
    ]
    if rows:
        print_table(columns, rows, title="To be done" if is_dry else "Done")
    elif not done.removed:
        console.print("Nothing to do: every table is in order.")
    if done.removed:
        kinds = [
            (one.what, one.table_name or one.key, one.extraction_date, one.rows, one.reason) for one in done.removed
        ]
        print_table(("what", "where", "extraction_date", "rows", "why"), kinds, title="Beyond retention")
    for feed in done.busy:
        console.print(f"{feed} is being synced; its bronze tables are left for the next time.", markup=False)

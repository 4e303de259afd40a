"""The commands about quality: report, snapshot and training-set."""

from __future__ import annotations

import json as json_module
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.cli import Json

if TYPE_CHECKING:
    from catalog.lake_report import LakeReport

LAKE = "lake"  # in place of a run: the whole lake


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.command("report")(report)
    app.command("snapshot")(snapshot)
    app.command("training-set")(training_set)


def report(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Run to tell of; default: the newest; lake: every feed and table instead."),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Print where the report's page is.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one line a table; of the lake only.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Put the page here; with --json or --csv, that.", dir_okay=False),
    ] = None,
    json: Json = False,
) -> None:
    """Show the validation report of a run: checks, rows it found, statistics; or, of the lake, each feed and table."""
    from catalog.errors import UsageError
    from catalog.quality.report import find_report
    from catalog.settings import load_settings
    from catalog.terminal import print_json

    if run == LAKE:
        report_lake(html, csv, output, json)
        return
    if csv:
        raise UsageError("--csv tells of the lake: odh report lake --csv. A run's report is JSON or a page.")
    path = find_report(load_settings(), run)
    page = path.with_suffix(".html")
    if output:
        shutil.copyfile(path if json else page, output)
        page = output
    told = json_module.loads(path.read_text("utf-8"))
    if html:
        typer.echo(str(page))
    elif json and not output:
        print_json(told)
    elif not output:
        print_report(told, page)


def report_lake(html: bool, csv: bool, output: Path | None, json: bool) -> None:
    """Tell of every feed and table: on the terminal, or as a page, CSV or JSON."""
    from contextlib import closing

    from catalog import lake_report
    from catalog.errors import UsageError
    from catalog.iceberg import Lakehouse
    from catalog.ledger import Ledger
    from catalog.registry import load_registry
    from catalog.settings import load_settings
    from catalog.values import json_value

    if html + csv + json > 1:
        raise UsageError("Give one of --html, --csv and --json: a report has one form.")
    settings = load_settings()
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        found = lake_report.make_report(settings, load_registry(settings), ledger, lakehouse)
    if csv:
        text = lake_report.as_csv(found)
    elif json:
        text = json_module.dumps(json_value(found.as_json()), ensure_ascii=False, allow_nan=False) + "\n"
    elif html or output:
        text = lake_report.as_html(found)
        output = output or settings.reports / f"{LAKE}.html"
    else:
        _print_lake(found)
        return
    if output is None:
        typer.echo(text, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, "utf-8")
    if html:
        typer.echo(str(output))


def _print_lake(found: LakeReport) -> None:
    from catalog.lake_report import FEED_COLUMNS, TABLE_COLUMNS, feed_cells, table_cells
    from catalog.terminal import console, print_table

    print_table(FEED_COLUMNS, [feed_cells(feed) for feed in found.feeds], title="Feeds")
    for layer in dict.fromkeys(table.layer for table in found.tables):
        rows = [table_cells(table) for table in found.tables if table.layer == layer]
        print_table(TABLE_COLUMNS, rows, title=f"Tables of {layer}")
    console.print(f"release: {found.release_id if found.release_id is not None else 'none yet'}")


def snapshot(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Gold tables; none means all that are kept so.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="Day whose release is copied; default today (UTC)."),
    ] = None,
    json: Json = False,
) -> None:
    """Keep named, unchanging copies of gold tables as of a day, if they pass the gate."""
    from dataclasses import asdict

    from catalog.cli import logical_day
    from catalog.clock import utc_now
    from catalog.quality.examine import REFUSED
    from catalog.quality.snapshots import SnapshotTaker
    from catalog.runs import recorded_run
    from catalog.terminal import print_json, print_table

    day = logical_day(as_of)
    with recorded_run("snapshot", [], day) as run:
        taker = SnapshotTaker(run.settings, run.registry, run.ledger, run.lakehouse, run.run_id, utc_now().date())
        taken = taker.take(day, tables or [])
        run.errors += [f"{one.name}: {one.reason}" for one in taken if one.status == REFUSED]
    if json:
        print_json({"as_of": day, "snapshots": [asdict(one) for one in taken]})
    else:
        print_table(
            ("snapshot", "status", "rows", "why"), [(one.name, one.status, one.rows, one.reason) for one in taken]
        )
    if any(one.status == REFUSED for one in taken):
        raise typer.Exit(1)


def training_set(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write: .csv or .parquet.")],
    labels: Annotated[str, typer.Option("--labels", help="Labels: a CSV or parquet file, or SQL over the lakehouse.")],
    key: Annotated[list[str], typer.Option("--key", help="Column that labels and features share; repeat for more.")],
    time: Annotated[str, typer.Option("--time", help="The labels' column of days or moments.")],
    features: Annotated[
        list[str], typer.Option("--features", help="Table of snapshots, as TABLE or TABLE:COLUMN,COLUMN; repeatable.")
    ],
    json: Json = False,
) -> None:
    """Join labels to the features known before each of them, and write one row a label."""
    from dataclasses import asdict

    from catalog.quality.training import Features, make_training_set
    from catalog.session import open_session
    from catalog.settings import load_settings
    from catalog.terminal import console, print_json

    with open_session(load_settings()) as session:
        wanted = [Features.parse(one) for one in features]
        made = make_training_set(session, labels, key, time, wanted, output)
    if json:
        print_json({**asdict(made), "file": str(made.file)})
        return
    console.print(f"{made.rows} rows of {len(made.columns)} columns in {made.file}", markup=False)
    for table, matched in made.matched.items():
        console.print(f"{table}: {matched} of {made.rows} labels found their key in a snapshot before them")


def print_report(told: Mapping[str, Any], page: Path) -> None:
    """Print a report for people: its outcome, the domains, and the checks to look at."""
    from catalog.quality.page import WORDS
    from catalog.terminal import console, print_table

    console.print(f"{told['kind']} of {told['extraction_date']}, run {told['run_id']}", markup=False)
    console.print(WORDS[told["outcome"]])
    rows = [(one["domain"], one["status"], _told_of(told, one["domain"]), one["reason"]) for one in told["domains"]]
    if rows:
        print_table(("domain", "status", "checks", "why"), rows)
    found = [
        (c["status"], c["table"] or c["domain"], c["column"], c["failures"], c["name"])
        for c in told["checks"]
        if c["status"] != "pass"
    ]
    if found:
        print_table(("status", "table", "column", "found", "check"), sorted(found, key=str), title="Checks to look at")
    console.print(f"The whole report, with rows and distributions: {page}", markup=False, soft_wrap=True)


def _told_of(told: Mapping[str, Any], domain: str) -> str:
    counts = Counter(check["status"] for check in told["checks"] if check["domain"] == domain)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))

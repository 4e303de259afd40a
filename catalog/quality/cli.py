"""The commands about quality: report."""

from __future__ import annotations

import json as json_module
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from catalog.cli import Json


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.command("report")(report)


def report(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Run to tell of; default: the newest.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Print where the report's page is.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="Copy the page here; with --json, the JSON.", dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """Show the validation report of a run: checks, offending rows, statistics of the tables that changed."""
    from catalog.quality.report import find_report
    from catalog.settings import load_settings
    from catalog.terminal import print_json

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

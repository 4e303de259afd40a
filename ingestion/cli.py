"""The commands that bring data in: discover, sync, run and the sample portal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.cli import Day, FeedNames, Json, build_as_json, build_release, logical_day, print_build
from catalog.feeds_cli import feeds_app
from ingestion.discover_cli import add_feed, discover
from ingestion.drain_cli import drain
from ingestion.erase_cli import erase
from ingestion.sample.cli import sample_portal

if TYPE_CHECKING:
    from catalog.runs import Run
    from ingestion.sync import FeedResult


def register(app: typer.Typer) -> None:
    """Add ingestion's commands to the root command."""
    app.command("discover")(discover)
    feeds_app.command("add")(add_feed)
    app.command("sync")(sync)
    app.command("run")(run)
    app.command("drain")(drain)
    app.command("erase")(erase)
    app.command("sample-portal")(sample_portal)


def sync(
    feeds: FeedNames = None,
    extraction_date: Day = None,
    from_raw: Annotated[
        bool, typer.Option("--from-raw", help="Load what raw holds of the day; ask the portal nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Take the feeds' files from the portal into raw, and load them into bronze."""
    from catalog.runs import recorded_run
    from catalog.terminal import print_json

    with recorded_run("sync", feeds or [], logical_day(extraction_date), is_tolerant=True) as current:
        results = _sync_all(current, from_raw=from_raw)
    if json:
        print_json({"feeds": [_as_json(result) for result in results]})
    else:
        _print_results(results)
    if current.errors:
        raise typer.Exit(1)


def run(feeds: FeedNames = None, extraction_date: Day = None, json: Json = False) -> None:
    """Do the whole road: sync, build, test, release."""
    from catalog.runs import recorded_run
    from catalog.terminal import print_json

    with recorded_run("run", feeds or [], logical_day(extraction_date), is_tolerant=True) as current:
        results = _sync_all(current)
        if not json:
            _print_results(results)
        built = build_release(current)
    if json:
        report = {"run_id": current.run_id, "feeds": [_as_json(result) for result in results]}
        print_json({**report, **build_as_json(built)})
    else:
        print_build(built)
    if current.errors:
        raise typer.Exit(1)


def _sync_all(current: Run, *, from_raw: bool = False) -> list[FeedResult]:
    from catalog.terminal import progress_bar
    from ingestion.sync import Syncer

    syncer = Syncer(current.settings, current.ledger, current.lakehouse, current.run_id, registry=current.registry)
    with progress_bar() as on_progress:
        results = [syncer.sync(feed, current.extraction_date, on_progress, from_raw=from_raw) for feed in current.feeds]
    current.errors += [f"{result.feed}: {error}" for result in results for error in result.errors]
    return results


def _as_json(result: FeedResult) -> dict[str, Any]:
    return {**asdict(result), "rows_loaded": result.rows_loaded, "rows_rejected": result.rows_rejected}


def _print_results(results: list[FeedResult]) -> None:
    from ingestion.summary import print_results

    print_results(results)

"""The commands ``odh discover`` and ``odh feeds add``: what is found on the portal, shown or made a feed."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.cli import Json

if TYPE_CHECKING:
    from rich.table import Table

    from ingestion.discover import Discovery, Outcome
    from ingestion.listing import Terms

DEFAULT_LIMIT = 20
ROWS_AT_ONCE = 100  # printed together, so that the list of a whole portal is never held
WIDEST = 120  # characters; longer lines are hard to read
NAME_WIDTH = 40


def discover(
    query: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]...", help="Words to find; none lists the newest datasets.")
    ] = None,
    organization: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this organisation's: its id, or the slug of its page.")
    ] = None,
    tag: Annotated[str | None, typer.Option(metavar="T", help="Only those with this tag.")] = None,
    resource_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="Only those with a resource of this format, as csv.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most datasets to list; default 20.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that match; with no term, all there are.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Make each a feed in the lake, unless a feed follows it.")] = False,
    json: Json = False,
) -> None:
    """Find datasets on the portal, and with --add make each a feed that takes all its tables."""
    from catalog.errors import UsageError
    from ingestion.listing import Terms

    if everything and limit is not None:
        raise UsageError("Give --all or --limit, not both: --all has no limit.")
    terms = Terms(" ".join(query or []).strip() or None, organization, tag, resource_format)
    discovery = _open()
    outcomes = discovery.find(terms, None if everything else limit or DEFAULT_LIMIT, adds=add)
    if json:
        _stream_json(discovery, outcomes)
    elif add:
        _print_added(discovery, outcomes, terms)
    else:
        _print_found(discovery, outcomes, terms)


def add_feed(
    dataset: Annotated[str, typer.Argument(help="Its id, its slug, or the address of its page.")], json: Json = False
) -> None:
    """Make one dataset of the portal a feed of the lake that takes all its tables."""
    from catalog.terminal import console, print_json

    outcome = _open().add(dataset)
    if json:
        print_json(_as_json(outcome))
    elif outcome.added is None:
        console.print(f"Nothing to add: {_followed(outcome)}.", markup=False)
    else:
        console.print(f"Added {outcome.added}: {_lake_file(outcome.added)}", markup=False, soft_wrap=True)
        if outcome.followed_by:
            console.print(f"It takes the files that {', '.join(outcome.followed_by)} leaves aside.", markup=False)
        console.print(f"Take it in with: odh run {outcome.added}", markup=False, soft_wrap=True)


def _open() -> Discovery:
    from catalog.logs import configure_logs
    from catalog.registry import load_registry
    from catalog.settings import load_settings
    from ingestion.discover import Discovery

    settings = load_settings()
    configure_logs(settings)
    return Discovery(settings, load_registry(settings))


def _lake_file(feed: str) -> str:
    from catalog.feed_files import lake_feeds
    from catalog.settings import load_settings

    return str(lake_feeds(load_settings()) / f"{feed}.yml")


# For people: a list


def _print_found(discovery: Discovery, outcomes: Iterable[Outcome], terms: Terms) -> None:
    from catalog.terminal import console

    rows, is_first = iter(outcomes), True
    while some := list(islice(rows, ROWS_AT_ONCE)):
        console.print(_table(some, min(console.width, WIDEST), is_first))
        is_first = False
    for line in _remarks(discovery, terms):
        console.print(line, markup=False, soft_wrap=True)


def _table(outcomes: list[Outcome], width: int, has_header: bool) -> Table:
    """One part of the list; parts have equal widths, so that they read as one."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, width=width, show_header=has_header, header_style="bold")
    table.add_column("dataset", ratio=5, overflow="fold")
    table.add_column("files", ratio=3, overflow="fold")
    for outcome in outcomes:
        dataset = outcome.listed.dataset
        name = Text.assemble((_plain(dataset.title), "bold"), f"\n{dataset.slug}")
        name.append(f"\n{_plain(outcome.listed.owner or 'unknown publisher')}")
        updated = outcome.listed.updated
        about = [
            _files(outcome),
            f"updated {updated:%Y-%m-%d}" if updated else "",
            f"licence {dataset.license or 'notspecified'}",
            _followed(outcome) if outcome.followed_by else "",
        ]
        table.add_row(name, Text("\n".join(filter(None, about)) + "\n"))
    return table


def _files(outcome: Outcome) -> str:
    listed = outcome.listed
    counted = f"{listed.resource_count:,} file{'' if listed.resource_count == 1 else 's'}"
    return f"{counted}: {', '.join(listed.formats)}" if listed.formats else counted


def _followed(outcome: Outcome) -> str:
    return f"followed by {', '.join(outcome.followed_by)}"


def _plain(text: str) -> str:
    from ingestion.new_feed import one_line

    return one_line(text)


def _remarks(discovery: Discovery, terms: Terms) -> Iterator[str]:
    """What the list does not show."""
    found, left_out, total = discovery.tally["found"], discovery.tally["withdrawn"], discovery.total
    if not found:
        yield "No dataset matches."
    elif total is not None and total > found + left_out:
        yield f"{found:,} of {total:,} datasets; more with --limit N or --all."
    else:
        yield f"{found:,} dataset{'' if found == 1 else 's'}."
    yield from _limits(discovery, terms)
    if found:
        yield "Follow them with --add, or one with: odh feeds add SLUG"


def _limits(discovery: Discovery, terms: Terms) -> Iterator[str]:
    from ingestion.listing import SEARCH_WINDOW

    if left_out := discovery.tally["withdrawn"]:
        yield f"{left_out:,} left out: archived, deleted or private."
    if terms.query and discovery.total is not None and discovery.total >= SEARCH_WINDOW:
        yield (
            f"The portal's search shows its first {SEARCH_WINDOW:,} results only. Narrow it, or leave the words out:"
            " a list by --organization, --tag or --format has no end."
        )


# For people: feeds made


def _print_added(discovery: Discovery, outcomes: Iterable[Outcome], terms: Terms) -> None:
    from catalog.errors import OdhError
    from catalog.terminal import console

    try:
        for outcome in outcomes:
            console.print(_line(outcome), no_wrap=True, overflow="ellipsis", crop=True)
    except OdhError:
        if discovery.tally["found"]:
            _print_summary(discovery, terms)
            console.print("Stopped before the end; the same command goes on, and adds nothing twice.")
        raise
    _print_summary(discovery, terms)
    if discovery.tally["added"]:
        console.print("Take them in with: odh run")


def _line(outcome: Outcome) -> Any:
    from rich.text import Text

    what, name = ("added   ", outcome.added) if outcome.added else ("followed", ", ".join(outcome.followed_by))
    return Text(f"{what} {name or '':<{NAME_WIDTH}} {_plain(outcome.listed.dataset.title)}")


def _print_summary(discovery: Discovery, terms: Terms) -> None:
    from catalog.terminal import console

    tally = discovery.tally
    console.print(
        f"{tally['found']:,} datasets: {tally['added']:,} added to {discovery.folder}, {tally['followed']:,} followed"
        " before.",
        markup=False,
        soft_wrap=True,
    )
    for line in _limits(discovery, terms):
        console.print(line, markup=False, soft_wrap=True)


# For machines


def _stream_json(discovery: Discovery, outcomes: Iterable[Outcome]) -> None:
    """Print one object, dataset by dataset; an error on the way is in it, and still ends the command."""
    from catalog.errors import OdhError

    rows = iter(outcomes)
    first = next(rows, None)  # what fails before it leaves standard output empty, as everywhere
    failure: OdhError | None = None
    sys.stdout.write('{"datasets": [')
    try:
        for number, outcome in enumerate(chain([first] if first else [], rows)):
            sys.stdout.write((", " if number else "") + json_text.dumps(_as_json(outcome), ensure_ascii=False))
    except OdhError as error:
        failure = error
    tally = {name: discovery.tally[name] for name in ("found", "added", "followed", "withdrawn")}
    rest = {**tally, "total": discovery.total, "error": str(failure) if failure else None}
    sys.stdout.write("], " + json_text.dumps(rest, ensure_ascii=False)[1:] + "\n")
    if failure:
        raise failure


def _as_json(outcome: Outcome) -> dict[str, Any]:
    listed, dataset = outcome.listed, outcome.listed.dataset
    return {
        "id": dataset.id,
        "slug": dataset.slug,
        "title": dataset.title,
        "organization": listed.owner,
        "license": dataset.license,
        "frequency": listed.text("frequency") or None,
        "resources": listed.resource_count,
        "formats": listed.formats,
        "updated": listed.updated.isoformat() if listed.updated else None,
        "followed_by": list(outcome.followed_by),
        "added": outcome.added,
    }

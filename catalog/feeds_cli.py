"""The commands about feeds: what is followed, checked, switched, put away and adopted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catalog.cli import Json

if TYPE_CHECKING:
    from rich.table import Table

    from catalog.feed import Feed

feeds_app = typer.Typer(help="What the lakehouse follows: one YAML file a feed.", no_args_is_help=True)

FeedName = Annotated[str, typer.Argument(help="Feed of the lake's own feeds folder.")]
NARROW = 110  # characters; below, the list leaves out what `odh feeds show` tells


@feeds_app.command("list")
def list_feeds(
    domain: Annotated[str | None, typer.Option(metavar="D", help="Only the feeds of this domain.")] = None,
    json: Json = False,
) -> None:
    """List the feeds and what they fill."""
    from catalog.errors import UnknownName
    from catalog.registry import load_registry
    from catalog.settings import load_settings
    from catalog.terminal import console, print_json

    registry = load_registry(load_settings())
    feeds = [feed for feed in registry if domain in (None, feed.domain)]
    if domain and not feeds:
        raise UnknownName("domain", domain, registry.domains())
    if json:
        print_json({"feeds": [feed.model_dump(mode="json") for feed in feeds]})
        return
    console.print(_table(feeds, console.width))
    off = sum(not feed.enabled for feed in feeds)
    console.print(f"{len(feeds):,} feed{'' if len(feeds) == 1 else 's'}" + (f", {off:,} disabled" if off else ""))


def _table(feeds: Iterable[Feed], width: int) -> Table:
    """One line a feed, whatever the width: the name is whole, the rest is cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    is_narrow = width < NARROW
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", width=width, pad_edge=False)
    table.add_column("feed", no_wrap=True, min_width=max((len(feed.feed) for feed in feeds), default=4))
    if not is_narrow:
        table.add_column("domain", no_wrap=True, overflow="ellipsis", max_width=20)
    table.add_column("schedule", no_wrap=True, min_width=8)
    table.add_column("tables", no_wrap=True, overflow="ellipsis", min_width=6, max_width=6 if is_narrow else 24)
    table.add_column("title", no_wrap=True, overflow="ellipsis", ratio=1)
    for feed in feeds:
        tables = " ".join(table.name for table in feed.declared)
        cells = [
            feed.feed,
            *([] if is_narrow else ["" if feed.domain == feed.feed else feed.domain]),
            feed.schedule if feed.enabled else "disabled",
            "auto" if feed.is_auto else str(len(feed.declared)) if is_narrow else tables,
            feed.title,
        ]
        table.add_row(*map(Text, cells))
    return table


@feeds_app.command("show")
def show_feed(feed: str, json: Json = False) -> None:
    """Show one feed as declared."""
    import yaml

    from catalog.registry import load_registry
    from catalog.settings import load_settings
    from catalog.terminal import console, print_json

    found = load_registry(load_settings()).get(feed).model_dump(mode="json", exclude_defaults=True)
    if json:
        print_json(found)
    else:
        console.print(yaml.safe_dump(found, allow_unicode=True, sort_keys=False), end="", markup=False)


@feeds_app.command("validate")
def validate_feeds(
    files: Annotated[list[Path] | None, typer.Argument(help="Feed files; none means all of the registry.")] = None,
) -> None:
    """Check feed files; every mistake is named with its file and line, and the exit code is then 2."""
    from catalog.registry import check_feeds, feed_files, load_registry
    from catalog.settings import load_settings
    from catalog.terminal import console

    settings = load_settings()
    check_feeds(settings, files or feed_files(settings))
    if not files:
        load_registry(settings)
    console.print(f"{len(files or feed_files(settings))} feed files are valid.")


@feeds_app.command("enable")
def enable_feed(feed: FeedName) -> None:
    """Let a feed run again with the others: one line of its file changes."""
    _switch(feed, enabled=True)


@feeds_app.command("disable")
def disable_feed(feed: FeedName) -> None:
    """Let a feed run only when named, or needed by another: one line of its file changes."""
    _switch(feed, enabled=False)


def _switch(feed: str, enabled: bool) -> None:
    from catalog.feed_files import own_file, switch
    from catalog.settings import load_settings

    settings = load_settings()
    word = "enabled" if enabled else "disabled"
    has_changed = switch(settings, feed, enabled)
    _say(f"{feed} is {word}{'' if has_changed else ' already'}: {own_file(settings, feed)}")


@feeds_app.command("archive")
def archive_feed(feed: FeedName) -> None:
    """Put a feed's file away so that no command runs it; its raw files and its tables stay."""
    from contextlib import closing

    from catalog.feed_files import archive, lake_feeds
    from catalog.ledger import Ledger
    from catalog.loads import bronze_tables_of
    from catalog.registry import load_registry
    from catalog.settings import load_settings

    settings = load_settings()
    target = archive(settings, load_registry(settings), feed)
    with closing(Ledger(settings)) as ledger:
        tables = bronze_tables_of(ledger, feed)
    _say(f"{feed} is archived: {target}. To have it again, move the file back to {lake_feeds(settings)}.")
    filled = (
        f"its bronze tables {', '.join(tables)}, and what was built of them" if tables else "it has filled no table"
    )
    _say(f"Kept: its raw files under {settings.raw_root}; {filled}.")


@feeds_app.command("adopt")
def adopt_table(
    table: Annotated[str, typer.Argument(help="Table whose model is generated, such as my_feed.my_table.")],
) -> None:
    """Move a table's generated model into the dbt project, to be written by hand from then on."""
    from catalog.contracts.adopt import adopt
    from catalog.registry import load_registry
    from catalog.settings import load_settings

    settings = load_settings()
    for path in adopt(settings, load_registry(settings), table):
        _say(str(path))


def _say(text: str) -> None:
    """Print one line as it is, so that a path can be copied from any terminal."""
    from catalog.terminal import console

    console.print(text, markup=False, soft_wrap=True)

"""The feed files of a lake: written whole or not at all, switched on and off in place, put away.

Owns how a file of ``<lake>/feeds`` changes; what it says is ``catalog.feed``'s, and which feeds exist the registry's.
Files of the package are never touched: they belong to the project, not to a lake.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import yaml

from catalog.errors import InvalidFeed, UnknownName, UsageError
from catalog.feed import Feed
from catalog.registry import FEEDS_FOLDER, Registry, feed_files, read_feed
from catalog.settings import Settings

ARCHIVED = "archived"


def lake_feeds(settings: Settings) -> Path:
    """Folder of the lake's own feeds."""
    return settings.lake / "feeds"


def archived_feeds(settings: Settings) -> Path:
    """Folder of the feeds that were put away; no command reads them as feeds."""
    return lake_feeds(settings) / ARCHIVED


def write_new(path: Path, text: str) -> bool:
    """Write a file that is not there yet; False, and nothing touched, when one of this name already is.

    A reader sees the whole file or none, and two writers never write over one another.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, text)
    try:
        os.link(draft, path)  # unlike a rename, fails when the name is taken
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def own_file(settings: Settings, feed: str) -> Path:
    """The lake's file that declares a feed.

    Raises:
        UnknownName: no feed has this name.
        UsageError: the feed is one of the project's.
    """
    by_name = {path.stem: path for path in feed_files(settings)}
    if feed not in by_name:
        put_away = archived_feeds(settings) / f"{feed}.yml"
        if put_away.is_file():
            raise UsageError(
                f"Feed {feed!r} is archived. Move {put_away} back to {lake_feeds(settings)} to have it again."
            )
        raise UnknownName("feed", feed, by_name)
    if by_name[feed].parent == FEEDS_FOLDER:
        raise UsageError(
            f"Feed {feed!r} is shipped with the project ({by_name[feed]}), not declared in the lake {settings.lake}:"
            " a lake cannot switch it. Name the feeds you want instead, as in 'odh run my_feed', or edit that file."
        )
    return by_name[feed]


def switch(settings: Settings, feed: str, enabled: bool) -> bool:
    """Set ``enabled`` in a feed's file, every other byte kept; False when it already was so.

    Raises:
        InvalidFeed: the file's form does not allow to change that one line.
    """
    path = own_file(settings, feed)
    before = read_feed(path)
    if before.enabled == enabled:
        return False
    text = path.read_bytes().decode("utf-8")  # as it is: reading as text would change its line ends
    draft = _draft(path, _with_enabled(text, enabled))
    try:
        if not _says(draft, before.model_copy(update={"enabled": enabled})):
            raise InvalidFeed(
                f"{path}: cannot set enabled in a file of this form; write 'enabled: {_yaml(enabled)}' there."
            )
        shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def archive(settings: Settings, registry: Registry, feed: str) -> Path:
    """Put a feed's file away, and say where; its data stay.

    Raises:
        UsageError: another feed needs it, or one of its name was put away before.
    """
    path, target = own_file(settings, feed), archived_feeds(settings) / f"{feed}.yml"
    if needing := [one.feed for one in registry if feed in (*one.depends_on, *one.source.leave_to)]:
        raise UsageError(
            f"Feed {feed!r} is named by {', '.join(needing)} (depends_on or source.leave_to). Archive or change them"
            f" first, or run 'odh feeds disable {feed}'."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise UsageError(f"{target} is there from an earlier time. Remove or rename it, then archive again.")
    return path.rename(target)


def _with_enabled(text: str, enabled: bool) -> str:
    """The text of a feed file with its ``enabled`` changed, or added at its end."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        if key.value == "enabled":
            return text[: value.start_mark.index] + _yaml(enabled) + text[value.end_mark.index :]
    end = "\r\n" if "\r\n" in text else "\n"
    return text + ("" if text.endswith("\n") else end) + f"enabled: {_yaml(enabled)}{end}"


def _says(path: Path, wanted: Feed) -> bool:
    try:
        return Feed.model_validate(yaml.safe_load(path.read_text("utf-8"))) == wanted
    except (ValueError, yaml.YAMLError):
        return False


def _yaml(value: bool) -> str:
    return "true" if value else "false"


def _draft(path: Path, text: str) -> Path:
    """The text in a file beside its place, under a name that no reader of feeds looks at."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.write_bytes(text.encode("utf-8"))
    return draft

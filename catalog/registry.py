"""The feeds registry: one YAML file a feed, checked against one model, from the package and the lake's own folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from catalog.errors import InvalidFeed, UnknownName
from catalog.feed import FORMS, Feed, FeedTable
from catalog.settings import Settings

FEEDS_FOLDER = Path(__file__).parent / "feeds"
SCHEMA_FILE = Path(__file__).parent / "feed.schema.json"
# libyaml reads 1,000 feeds in 0.12 s where Python's own loader takes 0.7 s; a build of PyYAML may lack it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Registry:
    """Every valid feed, by name."""

    def __init__(self, feeds: Iterable[Feed], files: Iterable[Path] = ()) -> None:
        self.feeds = {feed.feed: feed for feed in feeds}
        self._files = {path.stem: path for path in files}
        for feed in self.feeds.values():
            self._check_references(feed, [])
        self.domains()

    def __iter__(self) -> Iterator[Feed]:
        return iter(self.feeds.values())

    def get(self, name: str) -> Feed:
        """One feed by name.

        Raises:
            UnknownName: with the nearest feed that exists.
        """
        if name not in self.feeds:
            raise UnknownName("feed", name, self.feeds)
        return self.feeds[name]

    def select(self, names: Iterable[str] = ()) -> list[Feed]:
        """The feeds to run, each after those it depends on; no names means every enabled feed.

        A domain is built whole, so a feed brings every feed of the domains it depends on but the optional ones.
        """
        chosen: dict[str, Feed] = {}

        def add(feed: Feed) -> None:
            for domain in dict.fromkeys(self.feeds[needed].domain for needed in feed.depends_on):
                for sibling in self:
                    is_needed = sibling.domain == domain != feed.domain and not sibling.optional
                    if is_needed or sibling.feed in feed.depends_on:
                        add(sibling)
            chosen.setdefault(feed.feed, feed)

        for feed in [self.get(name) for name in names] or [feed for feed in self if feed.enabled]:
            add(feed)
        return list(chosen.values())

    def domains(self) -> dict[str, list[Feed]]:
        """Feeds by domain, each domain after those any of its feeds depends on."""
        members: dict[str, list[Feed]] = {}
        for feed in self:
            members.setdefault(feed.domain, []).append(feed)
        ordered: dict[str, list[Feed]] = {}

        def add(domain: str, path: list[str]) -> None:
            if domain in path:
                circle = " → ".join([*path, domain])
                there = next(feed.feed for feed in members[path[-1]] if self._needs(feed, domain))
                place = self._place(there)
                raise InvalidFeed(
                    f"{place}Domains depend on each other in a circle: {circle}. Break it in their depends_on."
                )
            for needed in dict.fromkeys(
                self.feeds[name].domain for feed in members[domain] for name in feed.depends_on
            ):
                if needed != domain:
                    add(needed, [*path, domain])
            ordered.setdefault(domain, members[domain])

        for domain in members:
            add(domain, [])
        return ordered

    def domains_reading(self, names: Iterable[str]) -> list[str]:
        """The domains of some feeds and all that read them, directly or not, each after those it depends on."""
        reached = {self.get(name).domain for name in names}
        for domain, feeds in self.domains().items():
            if any(self.feeds[needed].domain in reached for feed in feeds for needed in feed.depends_on):
                reached.add(domain)
        return [domain for domain in self.domains() if domain in reached]

    def feed_of(self, bronze_table: str) -> Feed | None:
        """The feed that fills a bronze table; no feed's name holds two underscores in a row."""
        return self.feeds.get(bronze_table.partition("__")[0])

    def bronze_tables(self) -> dict[str, FeedTable]:
        """Every declared bronze table."""
        return {name: table for feed in self for name, table in feed.bronze_names().items()}

    def _check_references(self, feed: Feed, path: list[str]) -> None:
        if feed.feed in path:
            circle = " → ".join([*path, feed.feed])
            raise InvalidFeed(f"{self._place(path[-1])}Feeds depend on each other in a circle: {circle}. Break it.")
        for needed in feed.depends_on:
            if needed not in self.feeds:
                unknown = UnknownName("feed", needed, self.feeds)
                raise InvalidFeed(f"{self._place(feed.feed)}Feed {feed.feed!r}, depends_on: {unknown}")
            self._check_references(self.feeds[needed], [*path, feed.feed])

    def _needs(self, feed: Feed, domain: str) -> bool:
        return any(self.feeds[name].domain == domain for name in feed.depends_on)

    def _place(self, feed: str) -> str:
        """File and line of what a feed depends on, for a message; empty for a feed of no file."""
        path = self._files.get(feed)
        return f"{path}:{line_of(path.read_text('utf-8'), ('depends_on',))}: " if path else ""


def read_feed(path: Path) -> Feed:
    """Read one feed file.

    Raises:
        InvalidFeed: naming the file, the line and the field.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InvalidFeed(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidFeed(f"{path}: not UTF-8 text; save it as UTF-8.") from error
    try:
        feed = Feed.model_validate(yaml.load(text, _LOADER))  # noqa: S506 - a safe loader either way
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InvalidFeed(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {error}") from error
    except ValidationError as error:
        places = [(tuple(part for part in one["loc"] if part not in FORMS), one["msg"]) for one in error.errors()]
        mistakes = (
            f"{path}:{line_of(text, place)}: {'.'.join(map(str, place)) or 'the file'}: {message}."
            for place, message in places
        )
        raise InvalidFeed("\n".join(mistakes)) from error
    if feed.feed != path.stem:
        line = line_of(text, ("feed",))
        raise InvalidFeed(f"{path}:{line}: feed is {feed.feed!r} but the file is named {path.stem!r}; make them equal.")
    return feed


def feed_files(settings: Settings) -> list[Path]:
    """Feed files of the package, then those of the lake."""
    folders = (FEEDS_FOLDER, settings.lake / "feeds")
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.yml"))]


def load_registry(settings: Settings) -> Registry:
    """Read every feed file.

    Raises:
        InvalidFeed: for the first file that is wrong, or a name declared twice.
    """
    files = feed_files(settings)
    by_name = {path.stem: path for path in reversed(files)}
    if doubled := [path for path in files if by_name[path.stem] != path]:
        raise InvalidFeed(f"{doubled[0]}: a feed of this name is already declared in {by_name[doubled[0].stem]}.")
    return Registry((read_feed(path) for path in files), files)


def check_feeds(settings: Settings, files: Iterable[Path]) -> None:
    """Check feed files, one by one and with what they depend on in the registry.

    Raises:
        InvalidFeed: every mistake, each with its file and line.
    """
    mistakes: list[str] = []
    found: dict[str, tuple[Feed, Path]] = {}
    given = {path.stem: path for path in files}
    for path in [*given.values(), *(path for path in feed_files(settings) if path.stem not in given)]:
        try:
            found[path.stem] = (read_feed(path), path)
        except InvalidFeed as error:
            if path.stem in given:
                mistakes.append(str(error))
    if mistakes:
        raise InvalidFeed("\n".join(mistakes))
    Registry((feed for feed, _ in found.values()), (path for _, path in found.values()))


def json_schema() -> dict[str, Any]:
    """JSON schema of a feed file, for editors; kept in ``catalog/feed.schema.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Feed.model_json_schema()}


def line_of(text: str, location: tuple[Any, ...]) -> int:
    """Line, from 1, of the deepest part of a validation location that stands in the text."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")

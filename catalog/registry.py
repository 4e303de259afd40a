"""The feeds registry: one YAML file a feed, checked against one model, from the package and the lake's own folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from catalog.errors import InvalidFeed, UnknownName
from catalog.names import bronze_table
from catalog.settings import Settings

FEEDS_FOLDER = Path(__file__).parent / "feeds"
SCHEMA_FILE = Path(__file__).parent / "feed.schema.json"


def _is_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=63)]
Pattern = Annotated[str, AfterValidator(_is_regex)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mode(StrEnum):
    """How successive extractions of a table relate."""

    OVERWRITE = "overwrite"
    APPEND = "append"
    UPSERT = "upsert"


class Search(_Strict):
    """A selection of datasets, in the portal's own search terms."""

    query: str | None = None
    organization: str | None = Field(None, description="organisation id")
    tag: str | None = None
    format: str | None = None

    @model_validator(mode="after")
    def _not_everything(self) -> Search:
        if not any((self.query, self.organization, self.tag, self.format)):
            raise ValueError("a search needs at least one of 'query', 'organization', 'tag' and 'format'")
        return self


class Source(_Strict):
    """What to follow on the portal: one dataset, or every dataset a search finds."""

    dataset: str | None = Field(None, description="dataset id (stable) or slug")
    search: Search | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Source:
        if (self.dataset is None) == (self.search is None):
            raise ValueError("give exactly one of 'dataset' and 'search'")
        return self


class Retention(_Strict):
    """How much of the past to keep in raw; nothing set keeps everything."""

    extractions: int | None = Field(None, ge=1)
    days: int | None = Field(None, ge=1)


class FeedTable(_Strict):
    """One table of a feed and the resources that fill it."""

    name: Name
    description: str
    resources: Pattern = Field(description="regular expression searched in a resource's title and file name")
    members: Pattern | None = Field(None, description="regular expression an archive's member names must match")
    mode: Mode = Mode.OVERWRITE
    keys: list[Name] = Field(default_factory=list, description="columns that identify a row, for upserts and changes")
    columns: list[Name] = Field(default_factory=list, description="columns the models rely on, present even if empty")

    def accepts(self, title: str, file_name: str) -> bool:
        """Whether a resource belongs to this table."""
        return any(re.search(self.resources, text, re.IGNORECASE) for text in (title, file_name))

    def accepts_member(self, member: str | None) -> bool:
        """Whether an archive's member belongs to this table."""
        return member is None or self.members is None or bool(re.search(self.members, member, re.IGNORECASE))

    @model_validator(mode="after")
    def _keys_for_mode(self) -> FeedTable:
        if self.mode is Mode.UPSERT and not self.keys:
            raise ValueError(f"table {self.name!r}: mode 'upsert' needs 'keys'")
        if unknown := [key for key in self.keys if self.columns and key not in self.columns]:
            raise ValueError(f"table {self.name!r}: keys {unknown} are not among its columns")
        return self


class Feed(_Strict):
    """One declared thing to follow."""

    feed: Name
    title: str
    description: str
    owner: str
    license: str = Field(description="licence id as the portal names it, such as lov2")
    domain: Name = Field(description="warehouse domain whose models read this feed")
    source: Source
    tables: list[FeedTable] = Field(min_length=1)
    depends_on: list[Name] = Field(default_factory=list, description="feeds whose tables the same models join")
    schedule: str = "@daily"
    retention: Retention = Retention()
    enabled: bool = True

    @model_validator(mode="after")
    def _unique_tables(self) -> Feed:
        names = [table.name for table in self.tables]
        if len(set(names)) < len(names):
            raise ValueError("two tables have the same name")
        return self

    def table(self, name: str) -> FeedTable:
        """One table by name.

        Raises:
            UnknownName: with the tables that exist.
        """
        for table in self.tables:
            if table.name == name:
                return table
        raise UnknownName("table", name, [table.name for table in self.tables])

    def table_of(self, title: str, file_name: str) -> FeedTable | None:
        """The first table that takes a resource, or None when the feed leaves it aside."""
        return next((table for table in self.tables if table.accepts(title, file_name)), None)

    def bronze_names(self) -> dict[str, FeedTable]:
        """Bronze table names of this feed."""
        return {bronze_table(self.feed, table.name): table for table in self.tables}


class Registry:
    """Every valid feed, by name."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self.feeds = {feed.feed: feed for feed in feeds}
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

        A domain is built whole, so a feed brings every feed of the domains it depends on.
        """
        chosen: dict[str, Feed] = {}

        def add(feed: Feed) -> None:
            for domain in dict.fromkeys(self.feeds[needed].domain for needed in feed.depends_on):
                for sibling in self:
                    if sibling.domain == domain != feed.domain or sibling.feed in feed.depends_on:
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
                raise InvalidFeed(f"Domains depend on each other in a circle: {circle}. Break it in their depends_on.")
            for needed in dict.fromkeys(
                self.feeds[name].domain for feed in members[domain] for name in feed.depends_on
            ):
                if needed != domain:
                    add(needed, [*path, domain])
            ordered.setdefault(domain, members[domain])

        for domain in members:
            add(domain, [])
        return ordered

    def bronze_tables(self) -> dict[str, FeedTable]:
        """Every declared bronze table."""
        return {name: table for feed in self for name, table in feed.bronze_names().items()}

    def _check_references(self, feed: Feed, path: list[str]) -> None:
        if feed.feed in path:
            raise InvalidFeed(f"Feeds depend on each other in a circle: {' → '.join([*path, feed.feed])}. Break it.")
        for needed in feed.depends_on:
            if needed not in self.feeds:
                raise InvalidFeed(f"Feed {feed.feed!r}, depends_on: {UnknownName('feed', needed, self.feeds)}")
            self._check_references(self.feeds[needed], [*path, feed.feed])


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
        feed = Feed.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InvalidFeed(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {error}") from error
    except ValidationError as error:
        mistakes = (
            f"{path}:{_line_of(text, one['loc'])}: {'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}."
            for one in error.errors()
        )
        raise InvalidFeed("\n".join(mistakes)) from error
    if feed.feed != path.stem:
        line = _line_of(text, ("feed",))
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
    return Registry(read_feed(path) for path in files)


def json_schema() -> dict[str, Any]:
    """JSON schema of a feed file, for editors; kept in ``catalog/feed.schema.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Feed.model_json_schema()}


def _line_of(text: str, location: tuple[Any, ...]) -> int:
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

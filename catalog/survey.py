"""The feeds registry when a file of it is wrong: that feed is left out and told of, and no other is in its way.

Commands about the feeds themselves stop at the first mistake, by ``registry.load_registry``; those that run feeds, and
a scheduler, go on with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from catalog.errors import InvalidFeed
from catalog.feed import Feed
from catalog.registry import Registry, feed_files, line_of, read_feed
from catalog.settings import Settings


@dataclass(frozen=True, slots=True)
class Survey:
    """What the feed files give when a wrong one stands in no other's way."""

    registry: Registry
    mistakes: Mapping[str, str] = field(default_factory=dict)  # feed left out → what is wrong with it

    def demand(self, names: Iterable[str]) -> None:
        """Refuse to go on with a feed that was asked for by name and is wrong.

        Raises:
            InvalidFeed: what is wrong with it.
        """
        for name in names:
            if name in self.mistakes:
                raise InvalidFeed(self.mistakes[name])


def survey_feeds(settings: Settings) -> Survey:
    """Read every feed file, leaving out those that are wrong and those that need what was left out."""
    mistakes: dict[str, str] = {}
    waiting: dict[str, tuple[Feed, Path]] = {}
    first: dict[str, Path] = {}
    for path in feed_files(settings):
        if path.stem in first:
            mistakes[path.stem] = f"{path}: a feed of this name is already declared in {first[path.stem]}."
            continue
        first[path.stem] = path
        try:
            waiting[path.stem] = (read_feed(path), path)
        except InvalidFeed as error:
            mistakes[path.stem] = str(error)
    sound = _in_order(waiting)
    mistakes |= {name: _why_left(*waiting[name], mistakes) for name in waiting if name not in sound}
    try:
        return Survey(Registry((feed for feed, _ in sound.values()), (path for _, path in sound.values())), mistakes)
    except InvalidFeed:  # domains in a circle: the feed that closes it is left out
        return _grown(sound, mistakes)


def _in_order(waiting: Mapping[str, tuple[Feed, Path]]) -> dict[str, tuple[Feed, Path]]:
    """The feeds all of whose needs are there, each after them."""
    sound: dict[str, tuple[Feed, Path]] = {}
    left = dict(waiting)
    while ready := [name for name, (feed, _) in left.items() if all(needed in sound for needed in feed.depends_on)]:
        sound.update({name: left.pop(name) for name in ready})
    return {name: waiting[name] for name in waiting if name in sound}


def _why_left(feed: Feed, path: Path, mistakes: Mapping[str, str]) -> str:
    line = line_of(path.read_text("utf-8"), ("depends_on",))
    wrong = [needed for needed in feed.depends_on if needed in mistakes]
    why = f"the file of {wrong[0]} is wrong" if wrong else "they are not there, or wait for one another"
    return f"{path}:{line}: feed {feed.feed!r} needs {', '.join(feed.depends_on)}: {why}."


def _grown(sound: Mapping[str, tuple[Feed, Path]], mistakes: dict[str, str]) -> Survey:
    """A registry of as many feeds as go together, taken in one by one."""
    taken: dict[str, tuple[Feed, Path]] = {}
    for name in _chained(sound):
        candidate = {**taken, name: sound[name]}
        try:
            Registry((feed for feed, _ in candidate.values()), (path for _, path in candidate.values()))
        except InvalidFeed as error:
            mistakes[name] = str(error)
        else:
            taken = candidate
    return Survey(Registry((feed for feed, _ in taken.values()), (path for _, path in taken.values())), mistakes)


def _chained(sound: Mapping[str, tuple[Feed, Path]]) -> list[str]:
    """Names of feeds, each after those it depends on."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        for needed in sound[name][0].depends_on:
            add(needed)
        ordered.setdefault(name)

    for name in sound:
        add(name)
    return list(ordered)

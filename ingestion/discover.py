"""Finds datasets on the portal and makes feeds of them in the lake.

Each dataset is dealt with before the next page is asked for: what was added stays when the portal then fails, and a
portal of any size is walked in the memory of one page. A dataset that a feed follows gets no second one, unless
that feed's tables leave data of it aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from catalog.errors import ResourceGone, UsageError
from catalog.feed import Feed
from catalog.feed_files import archived_feeds, lake_feeds, write_new
from catalog.registry import Registry, read_feed
from catalog.settings import Settings
from ingestion.listing import Listed, Terms, dataset_key, is_id, list_datasets, look_up, organization_id
from ingestion.new_feed import feed_name, feed_text, is_document, make_feed
from ingestion.portal import PAGE_SIZE, PortalClient


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one dataset: who followed it before, and the feed that was made of it."""

    listed: Listed
    followed_by: tuple[str, ...] = ()
    added: str | None = None


class Follows:
    """Which feeds follow a dataset, and which names are taken.

    Args:
        feeds: those of the registry.
        archived: those that were put away: their datasets are not taken up again.
        find_id: the id of a dataset by slug, asked only for feeds that name a slug; None when there is none.
    """

    def __init__(self, feeds: Iterable[Feed], archived: Iterable[Feed], find_id: Callable[[str], str | None]) -> None:
        self._by_key: dict[str, list[Feed]] = {}
        self._slugs: list[str] = []
        self._taken: set[str] = set()
        self._added: dict[str, str] = {}
        self._find_id = find_id
        put_away = list(archived)
        self.archived = {feed.feed for feed in put_away}
        for feed in (*feeds, *put_away):
            self.note(feed)

    def note(self, feed: Feed) -> None:
        """Take one more feed into account."""
        # A feed named like another's domain would be a domain of its own name, and so join that one.
        self._taken |= {feed.feed, feed.domain}
        if key := feed.source.dataset:
            followers = self._by_key.setdefault(key, [])
            followers.append(feed)
            if not is_id(key) and len(followers) == 1:
                self._slugs.append(key)

    def note_added(self, dataset_id: str, name: str) -> None:
        """Take a feed made for a dataset into account: names only, for there may be one for each of the portal's."""
        self._added[dataset_id] = name
        self._taken.add(name)

    def added_for(self, dataset_id: str) -> str | None:
        """The feed made for a dataset before, in this walk: pages that shift show a dataset twice."""
        return self._added.get(dataset_id)

    def is_taken(self, name: str) -> bool:
        """Whether a feed or a domain has this name."""
        return name in self._taken

    def of(self, listed: Listed) -> list[Feed]:
        """The feeds that follow a dataset, by its id, its slug or a former slug."""
        while self._slugs:  # asked once, and by the first dataset: no dataset, no request
            slug = self._slugs.pop()
            if found := self._find_id(slug):
                self._by_key.setdefault(found, []).extend(self._by_key[slug])
        keys = (listed.dataset.id, listed.dataset.slug)
        by_name = {feed.feed: feed for key in keys for feed in self._by_key.get(key, ())}
        return list(by_name.values())


class Discovery:
    """One look around the portal; ``total`` and ``tally`` say, along the way, what was found."""

    def __init__(self, settings: Settings, registry: Registry, portal: PortalClient | None = None) -> None:
        self._settings = settings
        self._portal = portal or PortalClient(settings)
        archived = (read_feed(path) for path in sorted(archived_feeds(settings).glob("*.yml")))
        self._follows = Follows(registry, archived, self._id_of)
        self.folder = lake_feeds(settings)
        self.total: int | None = None
        self.tally: Counter[str] = Counter()

    def find(self, terms: Terms, limit: int | None, *, adds: bool = False) -> Iterator[Outcome]:
        """Datasets that match, one by one, each made a feed first if ``adds``.

        Args:
            terms: ``organization`` by id or slug.
            limit: most datasets to give; None for all.

        Raises:
            UsageError: when the portal refuses a term.
            PortalUnavailable: after every retry; what was added stays.
        """
        if terms.organization:
            organization = organization_id(self._portal, terms.organization)
            terms = Terms(terms.query, organization, terms.tag, terms.format)
        for listed in islice(self._visible(terms, limit), limit):
            shown = self._with_formats(listed, limit)
            outcome = self._add(shown) if adds else Outcome(shown, self._names(self._follows.of(shown)))
            self.tally.update(["found", *(["added"] if outcome.added else ["followed"] if outcome.followed_by else [])])
            yield outcome

    def add(self, text: str) -> Outcome:
        """Make a feed of one dataset.

        Args:
            text: its id, slug, former slug, or the address of its page.

        Raises:
            UsageError: when the portal has none of that name, or it is not there for everyone.
        """
        key = dataset_key(text)
        try:
            listed = look_up(self._portal, key)
        except ResourceGone as error:
            raise UsageError(
                f"The portal at {self._settings.portal_url} has no dataset {key!r}, or has it no more. Find it with"
                " 'odh discover WORDS'."
            ) from error
        if listed.withdrawn:
            raise UsageError(f"Dataset {key!r} is {listed.withdrawn} on the portal: no feed is made of it.")
        return self._add(listed)

    def _visible(self, terms: Terms, limit: int | None) -> Iterator[Listed]:
        size = min(PAGE_SIZE, limit or PAGE_SIZE)
        for items, total in list_datasets(self._portal, terms, page_size=size, newest_first=limit is not None):
            self.total = total
            for listed in items:
                if listed.withdrawn:
                    self.tally["withdrawn"] += 1
                else:
                    yield listed

    def _with_formats(self, listed: Listed, limit: int | None) -> Listed:
        """A search shows no formats: they cost a request a dataset, which only a short list is worth."""
        if listed.resources is not None or limit is None or limit > PAGE_SIZE:
            return listed
        try:
            return look_up(self._portal, listed.dataset.id)
        except ResourceGone:  # withdrawn since it was indexed
            return listed

    def _add(self, listed: Listed) -> Outcome:
        if before := self._follows.added_for(listed.dataset.id):
            return Outcome(listed, (before,))
        followers = self._follows.of(listed)
        names = self._names(followers)
        if followers and not self._leave_data_aside(followers, listed):
            return Outcome(listed, names)
        leave_to = tuple(feed.feed for feed in followers)
        while True:
            name = feed_name(listed.dataset.slug, listed.dataset.id, self._follows.is_taken)
            feed = make_feed(listed, name, leave_to)
            path = self.folder / f"{name}.yml"
            if write_new(path, feed_text(feed, listed.dataset.slug, self._settings.portal_url)):
                self._follows.note_added(listed.dataset.id, name)
                return Outcome(listed, names, name)
            theirs = read_feed(path)  # written by another process since the registry was read
            self._follows.note(theirs)
            if theirs.source.dataset == listed.dataset.id:
                return Outcome(listed, (*names, name))

    def _leave_data_aside(self, followers: list[Feed], listed: Listed) -> bool:
        """Whether tables that were declared, and only they, leave resources aside that may be data."""
        if any(feed.is_auto or feed.feed in self._follows.archived for feed in followers):
            return False
        resources = listed.resources
        if resources is None:
            resources = look_up(self._portal, listed.dataset.id).resources or ()
        return any(
            not is_document(resource) and not any(feed.takes(resource.title, resource.file_name) for feed in followers)
            for resource in resources
        )

    def _names(self, followers: list[Feed]) -> tuple[str, ...]:
        return tuple(
            f"{feed.feed} (archived)" if feed.feed in self._follows.archived else feed.feed for feed in followers
        )

    def _id_of(self, slug: str) -> str | None:
        try:
            return self._portal.dataset(slug).id
        except ResourceGone:
            return None

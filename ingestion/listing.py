"""What the portal lists: datasets with what a reader needs to choose among them, page by page.

Two lists of the portal serve. Without words it is the plain list, which has no end and shows resources; with words it
is the search, which ranks, counts resources without showing them, and ends at its 10,000th result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from pydantic import BaseModel, Field

from catalog.errors import ResourceGone, UsageError
from ingestion.portal import PAGE_SIZE, Dataset, PortalClient, Resource, parse_moment, read_dataset, read_resource

SEARCH_WINDOW = 10_000  # results of a search that the portal shows, whatever it found
_ID = re.compile(r"[0-9a-f]{24}", re.I)
_ABOUT = (
    "id,slug,title,description,organization{id,name,slug},owner{first_name,last_name},license,frequency,"
    "last_modified,last_update,archived,deleted,private"
)
_LISTED = f"{_ABOUT},resources{{id,title,url,format,mime,type,filetype}}"
_LIST_PAGE = f"total,data{{{_LISTED}}},next_page"
_SEARCH_PAGE = f"total,data{{{_ABOUT},resources{{total}}}},next_page"
_WITHDRAWN = ("deleted", "archived", "private")


@dataclass(frozen=True, slots=True)
class Terms:
    """What to list; nothing given is the whole portal."""

    query: str | None = None
    organization: str | None = None
    tag: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One dataset of a list; ``resources`` is None where the list only counts them."""

    dataset: Dataset
    resource_count: int
    resources: tuple[Resource, ...] | None

    @property
    def owner(self) -> str | None:
        """The organisation, else the person, that publishes it."""
        person = self.dataset.metadata.get("owner") or {}
        name = " ".join(str(person[key]) for key in ("first_name", "last_name") if person.get(key))
        return self.dataset.organization or name or None

    @property
    def updated(self) -> datetime | None:
        """When its content last changed, as far as the portal knows."""
        return parse_moment(self.dataset.metadata.get("last_update")) or self.dataset.last_modified

    @property
    def formats(self) -> list[str] | None:
        """Formats its resources declare, in lower case."""
        if self.resources is None:
            return None
        return sorted({resource.format.lower() for resource in self.resources if resource.format})

    @property
    def withdrawn(self) -> str | None:
        """``deleted``, ``archived`` or ``private`` when it is not there for everyone."""
        return next((word for word in _WITHDRAWN if self.dataset.metadata.get(word)), None)

    def text(self, name: str) -> str:
        """One text of its metadata; empty when it has none."""
        value = self.dataset.metadata.get(name)
        return value if isinstance(value, str) else ""


def read_listed(body: Mapping[str, Any]) -> Listed:
    """Turn a dataset's JSON, with its resources (API v1) or their number (v2), into a Listed.

    Raises:
        ValidationError: when it is no dataset at all.
    """
    given = body.get("resources")
    if isinstance(given, list):
        resources = tuple(read_resource(one) for one in given)
        return Listed(read_dataset(body), len(resources), resources)
    total = given.get("total") if isinstance(given, Mapping) else None
    return Listed(read_dataset(body), total if isinstance(total, int) else 0, None)


def list_datasets(
    portal: PortalClient, terms: Terms, *, page_size: int = PAGE_SIZE, newest_first: bool = False
) -> Iterator[tuple[list[Listed], int | None]]:
    """Datasets that match every term, page by page, each page with how many there are in all.

    Best first for words, which stop at the 10,000th; else by date of creation: oldest first keeps the pages steady
    while datasets are added.

    Raises:
        UsageError: when the portal refuses a term.
        PortalUnavailable: after every retry.
    """
    sort = None if terms.query else "-created" if newest_first else "created"
    given = {"q": terms.query, "organization": terms.organization, "tag": terms.tag, "format": terms.format}
    asked = {**given, "sort": sort, "page_size": str(page_size)}
    query = urlencode({name: value for name, value in asked.items() if value})
    if not terms.query:
        yield from portal.pages(f"/api/1/datasets/?{query}", "list", read_listed, _LIST_PAGE)
        return
    shown = 0
    for items, total in portal.pages(f"/api/2/datasets/search/?{query}", "search", read_listed, _SEARCH_PAGE):
        yield items, total
        shown += page_size
        if shown + page_size > SEARCH_WINDOW:  # the portal refuses the page after
            return


def look_up(portal: PortalClient, key: str) -> Listed:
    """One dataset, with its resources, by id, slug or former slug.

    Raises:
        ResourceGone: when the portal has it no more, or never had.
    """
    return portal.get(f"/api/1/datasets/{quote(key, safe='')}/", f"dataset {key!r}", read_listed, _LISTED)


def is_id(key: str) -> bool:
    """Whether a text is an identifier of the portal, as opposed to a slug."""
    return _ID.fullmatch(key) is not None


class _Organization(BaseModel):
    id: str = Field(min_length=1)


def organization_id(portal: PortalClient, key: str) -> str:
    """An organisation's id, by id (nothing is then asked) or slug.

    Raises:
        UsageError: when the portal has none of this slug.
    """
    if is_id(key):
        return key.lower()
    path = f"/api/1/organizations/{quote(key, safe='')}/"
    try:
        return portal.get(path, f"organisation {key!r}", _Organization.model_validate, "id,name").id
    except ResourceGone as error:
        raise UsageError(
            f"The portal has no organisation {key!r}. Give its id, or the slug in the address of its page:"
            " /organizations/<slug>/."
        ) from error


def dataset_key(text: str) -> str:
    """A dataset's id or slug, from itself or from the address of its page or of its JSON.

    Raises:
        UsageError: for a text that names no dataset.
    """
    try:
        path = urlsplit(text.strip()).path
    except ValueError:
        path = "/"
    if path and "/" not in path:
        return path
    found = re.search(r"/datasets/(?!r/|search/)([^/]+)", path)
    if not found:
        raise UsageError(
            f"{text!r} names no dataset. Give its id, its slug, or the address of its page, such as"
            " https://www.data.gouv.fr/datasets/<slug>/."
        )
    return unquote(found[1])

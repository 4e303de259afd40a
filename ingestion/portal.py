"""The portal's API: datasets, resources and search; its paging and its JSON. What its lists show is in ``listing``."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit

import requests
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from catalog.clock import utc_now
from catalog.errors import PermanentError, ResourceGone, UsageError
from catalog.manifests import Checksum as Checksum
from catalog.settings import Settings
from ingestion.courtesy import Hosts, Pace, Patience, TryAgain, new_session, open_url, sort_failure

ADVICE = "The portal may be down or busy: run again later, or check ODH_PORTAL_URL."
PAGE_SIZE = 100
DATASET_FIELDS = (
    "id,slug,title,acronym,description,organization{id,name,slug},license,frequency,tags,extras,harvest,"
    "created_at,last_modified,last_update,internal,archived,deleted,private"
)
# Left out: counters of views and the like, which change every day and would make equal manifests differ.
RESOURCE_FIELDS = (
    "id,title,description,url,latest,format,mime,type,filetype,filesize,checksum,schema,extras,harvest,"
    "created_at,last_modified,internal"
)
MAX_FILE_NAME = 150  # characters; file systems stop at 255 bytes, unfinished files carry a longer name


@dataclass(frozen=True, slots=True)
class Resource:
    """One file of a dataset, as the portal announces it.

    ``kind`` is ``file`` when the portal hosts the bytes and so vouches for size and checksum, ``remote`` when
    another server does: there both are what somebody once typed or harvested.
    """

    id: str
    title: str
    url: str
    format: str | None
    mime: str | None
    kind: Literal["file", "remote"]
    file_name: str
    checksum: Checksum | None
    size_bytes: int | None
    last_modified: datetime | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset of the portal, without its resources."""

    id: str
    slug: str
    title: str
    organization: str | None
    license: str | None
    last_modified: datetime | None
    metadata: Mapping[str, Any]


def parse_moment(value: object) -> datetime | None:
    """Read a portal's timestamp as aware UTC: with or without zone (then UTC), ``Z``, fractions; else None."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def safe_file_name(url: str, fallback: str) -> str:
    """A plain, visible file name from a URL's path: ASCII letters, digits, ``.``, ``_`` and ``-`` only."""
    try:
        last = unquote(urlsplit(url.strip()).path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    except ValueError:
        last = ""
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).lstrip("._-")
    return name[-MAX_FILE_NAME:].lstrip("._-") or re.sub(r"[^A-Za-z0-9-]+", "-", fallback).strip("-") or "file"


def _size_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text_or_none(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _mapping_or_none(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _text_or_empty(value: object) -> str:
    return _text_or_none(value) or ""


Text = Annotated[str, BeforeValidator(_text_or_empty)]
OptionalText = Annotated[str | None, BeforeValidator(_text_or_none)]
Moment = Annotated[datetime | None, BeforeValidator(parse_moment)]
Size = Annotated[int | None, BeforeValidator(_size_or_none)]
Part = Annotated[dict[str, Any] | None, BeforeValidator(_mapping_or_none)]


class _ResourceBody(BaseModel):
    """What is read of a resource's JSON: only ``id`` is demanded, whatever else is odd counts as not given."""

    id: str = Field(min_length=1)
    title: Text = ""
    url: Text = ""
    format: OptionalText = None
    mime: OptionalText = None
    filetype: OptionalText = None
    filesize: Size = None
    checksum: Part = None
    last_modified: Moment = None


class _DatasetBody(BaseModel):
    """What is read of a dataset's JSON, whichever API version wrote it."""

    id: str = Field(min_length=1)
    slug: Text = ""
    title: Text = ""
    organization: Part = None
    license: OptionalText = None
    last_modified: Moment = None


class _Page(BaseModel):
    """One page of any of the portal's lists."""

    data: list[dict[str, Any]]
    next_page: OptionalText = None
    total: Size = None


def read_resource(body: Mapping[str, Any]) -> Resource:
    """Turn a resource's JSON, of API v1 or v2, into a Resource.

    Raises:
        ValidationError: when it is no resource at all.
    """
    seen = _ResourceBody.model_validate(body)
    algorithm, value = ((seen.checksum or {}).get(key) for key in ("type", "value"))
    checksum = Checksum(str(algorithm).lower(), str(value).strip().lower()) if algorithm and value else None
    return Resource(
        id=seen.id,
        title=seen.title,
        url=seen.url,
        format=seen.format,
        mime=seen.mime,
        kind="file" if seen.filetype == "file" else "remote",
        file_name=safe_file_name(seen.url, fallback=seen.id),
        checksum=checksum,
        size_bytes=seen.filesize,
        last_modified=seen.last_modified,
        metadata=body,
    )


def read_dataset(body: Mapping[str, Any]) -> Dataset:
    """Turn a dataset's JSON, of API v1 or v2, into a Dataset.

    Raises:
        ValidationError: when it is no dataset at all.
    """
    seen = _DatasetBody.model_validate(body)
    return Dataset(
        id=seen.id,
        slug=seen.slug or seen.id,
        title=seen.title,
        organization=_text_or_none((seen.organization or {}).get("name")),
        license=seen.license,
        last_modified=seen.last_modified,
        metadata=body,
    )


T = TypeVar("T")


class PortalClient:
    """Reads the portal's public API, at its pace and with patience."""

    def __init__(
        self,
        settings: Settings,
        session: requests.Session | None = None,
        *,
        page_size: int = PAGE_SIZE,
        hosts: Hosts | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._base = settings.portal_url.rstrip("/")
        self._timeout_seconds = settings.http_timeout_seconds
        self._session = session or new_session()
        self._pace = Pace(settings.portal_pace, clock, sleep)
        self._patience = Patience(settings, sleep, now)
        self._hosts = hosts or Hosts(settings.downloads_per_host, clock=clock, sleep=sleep)
        self._now, self._first_wait = now, settings.http_backoff_seconds
        self._page_size = page_size

    def dataset(self, key: str) -> Dataset:
        """Look up a dataset by id, slug or former slug.

        Raises:
            ResourceGone: when the portal has it no more, or never had.
            PortalUnavailable: after every retry.
        """
        return self.get(f"/api/2/datasets/{quote(key, safe='')}/", f"dataset {key!r}", read_dataset, DATASET_FIELDS)

    def resources(self, dataset_id: str) -> Iterator[Resource]:
        """Every resource of a dataset, page by page.

        Raises:
            ResourceGone: when the portal has the dataset no more.
            PortalUnavailable: after every retry.
        """
        path = f"/api/2/datasets/{quote(dataset_id, safe='')}/resources/?page_size={self._page_size}"
        return self._items(path, f"dataset {dataset_id!r}", read_resource, RESOURCE_FIELDS)

    def search(
        self,
        *,
        query: str | None = None,
        organization: str | None = None,
        tag: str | None = None,
        format: str | None = None,  # noqa: A002 - the portal's own word for it
        limit: int | None = None,
    ) -> Iterator[Dataset]:
        """Datasets that match every given term, best first for a query, else oldest first.

        Args:
            organization: its id of 24 hexadecimal digits.
            limit: most datasets to return; the portal itself shows no more than the first 10,000.

        Raises:
            UsageError: when the portal refuses a term.
            PortalUnavailable: after every retry.
        """
        # Oldest first keeps pages steady while datasets are added; a query is ranked by the portal.
        sort = None if query else "created"
        terms = {"q": query, "organization": organization, "tag": tag, "format": format, "sort": sort}
        size = min(self._page_size, limit or self._page_size)
        given = {name: value for name, value in terms.items() if value} | {"page_size": str(size)}
        path = f"/api/2/datasets/search/?{urlencode(given)}"
        return islice(self._items(path, "search", read_dataset, DATASET_FIELDS), limit)

    def get(self, path: str, what: str, read: Callable[[Mapping[str, Any]], T], fields: str) -> T:
        """Read one thing of the portal's API.

        Args:
            path: its path and query.
            what: what it is called in messages.
            fields: those to ask for, as an ``X-Fields`` mask.

        Raises:
            ResourceGone: when the portal does not have it.
            PortalUnavailable: after every retry.
        """
        return self._get(self._base + path, what, read, fields)

    def pages(
        self, path: str, what: str, read: Callable[[Mapping[str, Any]], T], fields: str
    ) -> Iterator[tuple[list[T], int | None]]:
        """Read a list page by page, each with ``total`` when ``fields`` asks for it and the portal tells it.

        Links are followed by path on the portal's own address, whatever host they name.
        """

        def read_page(body: Mapping[str, Any]) -> tuple[list[T], int | None, str | None]:
            page = _Page.model_validate(body)
            return [read(item) for item in page.data], page.total, page.next_page

        seen: set[str] = set()
        following: str | None = self._base + path
        while following:
            if following in seen:
                raise PermanentError(f"{following} comes back as its own next page. Report it to the portal.")
            seen.add(following)
            items, total, link = self._get(following, what, read_page, fields)
            yield items, total
            following = self._own(link) if link else None

    def _items(self, path: str, what: str, read: Callable[[Mapping[str, Any]], T], fields: str) -> Iterator[T]:
        pages = self.pages(path, what, read, f"data{{{fields}}},next_page")
        return (item for items, _ in pages for item in items)

    def _own(self, link: str) -> str:
        parts = urlsplit(link)
        return urljoin(self._base, f"/{parts.path.lstrip('/')}?{parts.query}")

    def _get(self, url: str, what: str, read: Callable[[Mapping[str, Any]], T], fields: str) -> T:
        """GET one JSON object and read it, trying again while the portal makes no sense."""

        def attempt() -> T:
            try:
                body = self._json(url, what, fields)
                if not isinstance(body, dict):
                    raise TryAgain(f"{url} answered JSON that is no object", ADVICE)
                return read(body)
            except requests.RequestException as error:
                raise TryAgain(f"{url} gave no usable answer: {error}", ADVICE) from error
            except ValidationError as error:
                raise TryAgain(f"{url} answered JSON of another shape: {error.errors()[0]}", ADVICE) from error

        return self._patience.insist(attempt)

    def _json(self, url: str, what: str, fields: str) -> Any:
        headers = {"Accept": "application/json", "X-Fields": fields}
        with open_url(
            self._session, url, check=self._before, timeout_seconds=self._timeout_seconds, headers=headers
        ) as response:
            self._hosts.spare(response, self._now, self._first_wait)
            sort_failure(response, ADVICE)
            if response.status_code in (404, 410):
                raise ResourceGone(
                    f"The portal has no {what} (HTTP {response.status_code}, {url}). Check its id or slug, and whether"
                    " its publisher withdrew it; then correct or disable the feed."
                )
            if response.status_code != 200:
                kind = UsageError if response.status_code in (400, 422) else PermanentError
                raise kind(f"The portal refused {url} (HTTP {response.status_code}): {_complaint(response)}.")
            return response.json()

    def _before(self, url: str) -> None:
        """Let a request go to the portal itself only, at the agreed pace."""
        if urlsplit(url).netloc.lower() != urlsplit(self._base).netloc.lower():
            raise PermanentError(
                f"The portal at {self._base} redirects to {url}. If it has moved there, set ODH_PORTAL_URL to it."
            )
        self._hosts.wait_for(url)
        self._pace.wait()


def _complaint(response: requests.Response) -> str:
    """What the portal did not like: the refused fields when it names them, else its message."""
    try:
        body = response.json()
    except requests.RequestException:
        body = None
    body = body if isinstance(body, dict) else {}
    errors = body.get("errors")
    fields = "; ".join(f"{name}: {reason}" for name, reason in errors.items()) if isinstance(errors, dict) else ""
    return (fields or str(body.get("message") or "no reason given")).rstrip(".")

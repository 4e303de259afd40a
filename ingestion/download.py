"""One resource's bytes, brought to a local file and checked against everything that was announced.

Knows nothing of where they are kept afterwards (``raw``) nor of what they hold (``decode``).
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests
import structlog
from urllib3.response import HTTPResponse

from catalog.clock import utc_now
from catalog.errors import BadDownload, Refused, ResourceGone
from catalog.settings import Settings
from ingestion.addresses import AddressRule, Resolver, resolve_host
from ingestion.courtesy import Patience, TryAgain, new_session, open_url, sort_failure
from ingestion.integrity import archive_problem, is_web_page
from ingestion.portal import Resource

CHUNK_BYTES = 256 * 1024
CHECKSUMS = frozenset({"md5", "sha1", "sha256"})
EXPANDED_FACTOR = 20  # an archive whose test yields more than this many times the size limit is not opened
DOWN = "Its server may be down or busy: run again later."
REPORT = "Run again later; if it lasts, report it to the dataset's publisher."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said of the copy we have, to ask whether it changed."""

    etag: str | None
    last_modified: str | None

    def headers(self) -> dict[str, str]:
        """The conditional request's headers; a server that knows both must prefer the ETag (RFC 9110, 13.2.2)."""
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Download:
    """A verified local file and how it came."""

    path: Path
    size_bytes: int
    sha256: str
    etag: str | None
    last_modified: str | None  # the header's text, to be sent back as it came
    http_status: int
    content_type: str | None
    final_url: str
    started_at: datetime
    finished_at: datetime


class Downloader:
    """Fetches resources; may be shared by threads."""

    def __init__(
        self,
        settings: Settings,
        session: requests.Session | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
        resolve: Resolver = resolve_host,
    ) -> None:
        self.now = now
        self._session = session or new_session()
        self._patience = Patience(settings, sleep, now)
        self._addresses = AddressRule(settings.portal_url, resolve)
        self._timeout_seconds, self._max_bytes = settings.http_timeout_seconds, settings.download_max_bytes

    def fetch(
        self,
        resource: Resource,
        into: Path,
        *,
        known: Validators | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Download | None:
        """Download a resource to a new file under ``into``; None when the server says it has not changed.

        Args:
            known: what the server said of the copy we have.
            on_bytes: told of every chunk's size, and of minus the sum when a try is given up.

        Raises:
            ResourceGone: for 404 and 410.
            Refused: when no further try can help: too large, not a public http(s) address, redirects in a circle.
            PortalUnavailable: when its server gave no answer, after every retry.
            BadDownload: when the bytes were not what was announced, after every retry.
        """
        into.mkdir(parents=True, exist_ok=True)
        return self._patience.insist(lambda: self._attempt(resource, into, known, on_bytes or (lambda _: None)))

    def _attempt(
        self, resource: Resource, into: Path, known: Validators | None, on_bytes: Callable[[int], None]
    ) -> Download | None:
        started_at = self.now()
        part = into / f"{uuid.uuid4().hex}.part"
        with self._open(resource, known) as response, ExitStack() as undo:
            if response.status_code == 304:
                return None
            undo.callback(part.unlink, missing_ok=True)
            received = _Received(resource, part, self._max_bytes)
            undo.callback(lambda: on_bytes(-received.size_bytes))
            received.write(response, on_bytes)
            received.verify(_content_length(response))
            undo.pop_all()
        return Download(
            path=part,
            size_bytes=received.size_bytes,
            sha256=received.sha256,
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
            http_status=response.status_code,
            content_type=response.headers.get("Content-Type"),
            final_url=response.url,
            started_at=started_at,
            finished_at=self.now(),
        )

    def _open(self, resource: Resource, known: Validators | None) -> requests.Response:
        """Ask for the resource; the answer is either its bytes or a 304 that was asked for."""
        conditions = known.headers() if known else {}
        try:
            response = open_url(
                self._session,
                resource.url.strip(),
                check=self._addresses.check,
                timeout_seconds=self._timeout_seconds,
                headers={"Accept": "*/*", "Accept-Encoding": "identity", **conditions},
            )
        except requests.RequestException as error:
            raise TryAgain(f"{resource.url} gave no answer: {error}", DOWN) from error
        with ExitStack() as undo:
            undo.callback(response.close)
            self._accept(response, resource, conditional=bool(conditions))
            undo.pop_all()
        return response

    def _accept(self, response: requests.Response, resource: Resource, conditional: bool) -> None:
        """Let only a usable answer through."""
        sort_failure(response, DOWN)
        status = response.status_code
        if status in (404, 410):
            raise ResourceGone(
                f"Resource {resource.id} ({resource.title!r}) is not at {response.url} (HTTP {status}). If it was just"
                " replaced, run again; else its publisher has to mend the link."
            )
        if status != 200 and not (status == 304 and conditional):
            raise Refused(f"{response.url} answered HTTP {status} {response.reason or ''}: not open to us. {REPORT}")
        length = _content_length(response)
        if length is not None and length > self._max_bytes:
            raise _too_large(resource, length, self._max_bytes)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity", *HTTPResponse.CONTENT_DECODERS):
            raise Refused(f"{response.url} came encoded as {encoding!r}, though asked for plain bytes. {REPORT}")


class _Received:
    """The bytes of one try: written, counted and hashed while they come, then judged."""

    def __init__(self, resource: Resource, path: Path, max_bytes: int) -> None:
        self.size_bytes = 0
        self._resource, self._path, self._max_bytes = resource, path, max_bytes
        # Only the portal's own hosting vouches for size and checksum; elsewhere they go stale unseen.
        self._size = resource.size_bytes if resource.kind == "file" else None
        self._checksum = resource.checksum if resource.kind == "file" else None
        if self._checksum and self._checksum.algorithm not in CHECKSUMS:
            log.info("checksum_not_understood", resource_id=resource.id, algorithm=self._checksum.algorithm)
            self._checksum = None
        algorithms = {"sha256"} | ({self._checksum.algorithm} if self._checksum else set())
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}

    @property
    def sha256(self) -> str:
        return self._digests["sha256"].hexdigest()

    def write(self, response: requests.Response, on_bytes: Callable[[int], None]) -> None:
        with self._path.open("xb") as out:
            for chunk in _chunks(response):
                self.size_bytes += len(chunk)
                if self.size_bytes > self._max_bytes:
                    raise _too_large(self._resource, self.size_bytes, self._max_bytes)
                for digest in self._digests.values():
                    digest.update(chunk)
                out.write(chunk)
                on_bytes(len(chunk))

    def verify(self, announced_bytes: int | None) -> None:
        """Compare with what was announced, the most telling difference first.

        Raises:
            TryAgain: for bytes that another try may bring whole.
            Refused: for a broken file that is the very file the publisher uploaded.
        """
        if problem := self._web_page() or self._size_differs(announced_bytes) or self._checksum_differs():
            raise self._bad(problem)
        problem = "is empty" if not self.size_bytes else archive_problem(self._path, EXPANDED_FACTOR * self._max_bytes)
        if problem and self._checksum:
            raise Refused(f"{self._resource.url} {problem}, as it was published. Its publisher has to replace it.")
        if problem:
            raise self._bad(problem)

    def _bad(self, problem: str) -> TryAgain:
        return TryAgain(f"{self._resource.url} {problem}", REPORT, BadDownload)

    def _web_page(self) -> str | None:
        declared = (self._resource.format or self._resource.mime or "").lower()
        if "htm" not in declared and is_web_page(self._path):
            return f"is a web page, not the {declared or 'data'} announced"
        return None

    def _size_differs(self, announced_bytes: int | None) -> str | None:
        for source, expected in (("its server", announced_bytes), ("the portal", self._size)):
            if expected is not None and expected != self.size_bytes:
                return f"brought {self.size_bytes} bytes where {source} announced {expected}"
        return None

    def _checksum_differs(self) -> str | None:
        if self._checksum is None:
            return None
        algorithm, expected = self._checksum.algorithm, self._checksum.value
        found = self._digests[algorithm].hexdigest()
        return None if found == expected else f"has {algorithm} {found} where the portal announced {expected}"


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK_BYTES)
    except requests.RequestException as error:
        raise TryAgain(f"{response.url} stopped before its end: {error}", REPORT, BadDownload) from error


def _content_length(response: requests.Response) -> int | None:
    """Announced size of the file; None when the header counts encoded bytes, or is missing."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and not response.headers.get("Content-Encoding") else None


def _too_large(resource: Resource, size_bytes: int, max_bytes: int) -> Refused:
    return Refused(
        f"Resource {resource.id} ({resource.title!r}) has {size_bytes} bytes or more; the limit is {max_bytes}."
        " Raise ODH_DOWNLOAD_MAX_BYTES to take it."
    )

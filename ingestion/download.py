"""One resource's bytes, brought to a local file and checked against everything that was announced.

Knows nothing of where they are kept afterwards (``raw``) nor of what they hold (``decode``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests
import structlog
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from catalog.clock import utc_now
from catalog.errors import BadDownload, PermanentError, Refused, ResourceGone
from catalog.settings import Settings
from ingestion.addresses import AddressRule, Resolver, resolve_host
from ingestion.announced import (
    PLAIN,
    REPORT,
    content_encoding,
    is_continuation,
    origin_of,
    verify,
    vouched_checksum,
    whole_bytes,
)
from ingestion.connections import guarded_session
from ingestion.courtesy import Hosts, Patience, TryAgain, open_url, sort_failure
from ingestion.partial import CHUNK_BYTES, Part, Partials
from ingestion.portal import Resource

PROGRESS_BYTES = 1024**2  # a cut try that brought this much, to be continued, does not count among the tries
DOWN = "Its server may be down or busy: run again later."

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
    sha1: str
    contents_sha256: str | None  # of what an archive holds, whatever its packing
    etag: str | None
    last_modified: str | None  # the header's text, to be sent back as it came
    http_status: int
    content_type: str | None
    final_url: str
    started_at: datetime
    finished_at: datetime


@dataclass(slots=True)
class _Job:
    """One download in progress, over all its tries."""

    resource: Resource
    part: Part
    conditions: dict[str, str]
    started_at: datetime
    deadline: float | None = None  # set when its server is first asked: a turn waited for is not held against it


class Downloader:
    """Fetches resources; one for a process, to be shared by its threads, so that every server is spared."""

    def __init__(
        self,
        settings: Settings,
        session: requests.Session | None = None,
        *,
        partials: Partials | None = None,
        hosts: Hosts | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolver = resolve_host,
    ) -> None:
        self.now, self._clock = now, clock
        self._addresses = AddressRule(settings.portal_url, resolve)
        self._session = session or guarded_session(self._addresses)
        self._patience = Patience(settings, sleep, now)
        self._hosts = hosts or Hosts(settings.downloads_per_host, clock=clock, sleep=sleep)
        self._partials = partials or Partials(settings.partial, settings.download_max_bytes)
        self._settings, self._max_bytes = settings, settings.download_max_bytes

    def fetch(
        self,
        resource: Resource,
        into: Path,
        *,
        known: Validators | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Download | None:
        """Download a resource to a new file under ``into``; None when the server says it has not changed.

        A try that was cut is continued where the server lets it; the bytes of one that failed for good, or was
        killed, are kept for the next run. The finished file is judged whole.

        Args:
            known: what the server said of the copy we have.
            on_bytes: told of every chunk's size, and of minus the sum when the bytes are given up.

        Raises:
            ResourceGone: for 404 and 410.
            Refused: when no further try can help: too large, not a public http(s) address, redirects in a circle.
            PortalUnavailable: when its server gave no answer, after every retry.
            BadDownload: when the bytes were not what was announced, after every retry, or came too slowly.
        """
        if resource.kind == "file" and (resource.size_bytes or 0) > self._max_bytes:
            raise _too_large(resource, resource.size_bytes or 0, self._max_bytes)
        into.mkdir(parents=True, exist_ok=True)
        checksum = vouched_checksum(resource)
        algorithms = {"sha1"} | ({checksum.algorithm} if checksum else set())
        tell = on_bytes or (lambda _: None)
        with self._partials.part(resource.url.strip(), into, algorithms, tell) as part:
            job = _Job(resource, part, known.headers() if known else {}, self.now())
            try:
                return self._patience.insist(lambda: self._attempt(job))
            except PermanentError:
                part.discard()
                raise

    def _attempt(self, job: _Job) -> Download | None:
        with self._hosts.visit() as enter, self._open(job, enter) as response:
            if response.status_code == 304:
                job.part.discard()
                return None
            part = job.part
            if response.status_code != 206:
                part.start(origin_of(response))
            self._receive(response, job)
        return self._judge(response, job)

    def _open(self, job: _Job, enter: Callable[[str], None]) -> requests.Response:
        """Ask for the resource; the answer is its bytes, the rest of them, or a 304, whichever was asked for."""

        def before(url: str) -> None:
            self._addresses.check(url)
            enter(url)
            job.deadline = job.deadline or self._clock() + self._settings.download_timeout_seconds
            self._hurry(job)

        try:
            response = open_url(
                self._session,
                job.resource.url.strip(),
                check=before,
                timeout_seconds=self._settings.http_timeout_seconds,
                headers={"Accept": "*/*", "Accept-Encoding": "identity", **job.conditions, **_rest_of(job.part)},
            )
        except requests.RequestException as error:
            raise TryAgain(f"{job.resource.url} gave no answer: {error}", DOWN) from error
        with ExitStack() as undo:
            undo.callback(response.close)
            self._accept(response, job)
            undo.pop_all()
        return response

    def _accept(self, response: requests.Response, job: _Job) -> None:
        """Let only a usable answer through."""
        status, resource, part = response.status_code, job.resource, job.part
        self._hosts.spare(response, self.now, self._settings.http_backoff_seconds)
        sort_failure(response, DOWN)
        if status in (404, 410):
            raise ResourceGone(
                f"Resource {resource.id} ({resource.title!r}) is not at {response.url} (HTTP {status}). If it was just"
                " replaced, run again; else its publisher has to mend the link."
            )
        if (status == 206 and not is_continuation(response, part)) or (status == 416 and part.can_resume):
            part.discard()
            raise TryAgain(f"{response.url} could not be continued (HTTP {status})", REPORT, BadDownload)
        if status not in (200, 206) and not (status == 304 and job.conditions):
            raise Refused(f"{response.url} answered HTTP {status} {response.reason or ''}: not open to us. {REPORT}")
        length = whole_bytes(response)
        if length is not None and length > self._max_bytes:
            raise _too_large(resource, length, self._max_bytes)
        encoding = content_encoding(response)
        if encoding not in PLAIN and encoding not in HTTPResponse.CONTENT_DECODERS:
            raise Refused(f"{response.url} came encoded as {encoding!r}, though asked for plain bytes. {REPORT}")

    def _receive(self, response: requests.Response, job: _Job) -> None:
        """Append the body to the part; what came of a cut one stays there if it can be continued."""
        part, before = job.part, job.part.size_bytes
        decode = content_encoding(response) not in PLAIN
        try:
            # read1 and not read: a server that drips must be seen to, not waited for until a whole chunk is there.
            while chunk := response.raw.read1(CHUNK_BYTES, decode_content=decode):
                if part.size_bytes + len(chunk) > self._max_bytes:
                    raise _too_large(job.resource, part.size_bytes + len(chunk), self._max_bytes)
                part.write(chunk)
                self._hurry(job)
        except HTTPError as error:
            progressed = part.can_resume and part.size_bytes - before >= PROGRESS_BYTES
            if not part.can_resume:
                part.discard()
            reason = f"{response.url} stopped before its end: {error}"
            raise TryAgain(reason, REPORT, BadDownload, progressed=progressed) from error

    def _hurry(self, job: _Job) -> None:
        if job.deadline is not None and self._clock() > job.deadline:
            raise BadDownload(
                f"{job.resource.url} brought {job.part.size_bytes} bytes in"
                f" {self._settings.download_timeout_seconds:g} seconds and was given up. Run again later, or raise"
                " ODH_DOWNLOAD_TIMEOUT_SECONDS."
            )

    def _judge(self, response: requests.Response, job: _Job) -> Download:
        """Accept the received bytes, or forget them: bad bytes are never continued."""
        part, headers = job.part, response.headers
        before = job.part.origin.headers() if job.part.origin else {}  # which the rest of a file need not repeat
        try:
            contents_sha256 = verify(part, job.resource, whole_bytes(response), self._max_bytes)
        except TryAgain:
            part.discard()
            raise
        size_bytes, sha256, sha1 = part.size_bytes, part.hexdigest("sha256"), part.hexdigest("sha1")
        return Download(
            path=part.finish(),
            size_bytes=size_bytes,
            sha256=sha256,
            sha1=sha1,
            contents_sha256=contents_sha256,
            etag=headers.get("ETag", before.get("ETag")),
            last_modified=headers.get("Last-Modified", before.get("Last-Modified")),
            http_status=response.status_code,
            content_type=headers.get("Content-Type", before.get("Content-Type")),
            final_url=response.url,
            started_at=job.started_at,
            finished_at=self.now(),
        )


def _rest_of(part: Part) -> dict[str, str]:
    """Headers that ask for the bytes not yet there, and for all of them if the file is another by now."""
    if not part.can_resume or part.origin is None:
        return {}
    return {"Range": f"bytes={part.size_bytes}-", "If-Range": part.origin.validator}


def _too_large(resource: Resource, size_bytes: int, max_bytes: int) -> Refused:
    return Refused(
        f"Resource {resource.id} ({resource.title!r}) has {size_bytes} bytes or more; the limit is {max_bytes}."
        " Raise ODH_DOWNLOAD_MAX_BYTES to take it."
    )

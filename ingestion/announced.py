"""What was announced of a file against what came: the bytes are judged here, once they are all there."""

from __future__ import annotations

import re

import requests
import structlog

from catalog.errors import BadDownload, Refused
from catalog.manifests import Checksum
from ingestion.changes import CHECKSUMS
from ingestion.courtesy import TryAgain, parse_http_date
from ingestion.integrity import check_archive, is_web_page
from ingestion.partial import Origin, Part
from ingestion.portal import Resource

EXPANDED_FACTOR = 20  # an archive whose test yields more than this many times the size limit is not opened
REPORT = "Run again later; if it lasts, report it to the dataset's publisher."
PLAIN = ("", "identity")
SAFE_DATE_SECONDS = 60  # a file may change twice within the second its date shows (RFC 9110, 8.8.2.2)

log = structlog.get_logger(__name__)


def vouched_checksum(resource: Resource) -> Checksum | None:
    """The checksum to hold the bytes against: the portal vouches for what it hosts, elsewhere it goes stale unseen."""
    checksum = resource.checksum if resource.kind == "file" else None
    if checksum and checksum.algorithm not in CHECKSUMS:
        log.info("checksum_not_understood", resource_id=resource.id, algorithm=checksum.algorithm)
        return None
    return checksum


def verify(part: Part, resource: Resource, announced_bytes: int | None, max_bytes: int) -> str | None:
    """Compare with what was announced, the most telling difference first; the digest of an archive's contents.

    Raises:
        TryAgain: for bytes that another try may bring whole.
        Refused: for a broken file that is the very file the publisher uploaded.
    """
    part.flush()
    checksum = vouched_checksum(resource)
    if problem := (
        _web_page(part, resource)
        or _size_differs(part, resource, announced_bytes)
        or (_checksum_differs(part, checksum) if checksum else None)
    ):
        raise _bad(resource, problem)
    check = check_archive(part.path, EXPANDED_FACTOR * max_bytes)
    problem = check.problem if part.size_bytes else "is empty"
    if problem and checksum:
        raise Refused(f"{resource.url} {problem}, as it was published. Its publisher has to replace it.")
    if problem:
        raise _bad(resource, problem)
    return check.contents_sha256


def origin_of(response: requests.Response) -> Origin | None:
    """What to send to be given the rest of this answer; None where no rest could be trusted to be of the same file.

    A weak ETag says that bytes may differ; a date is safe only well before the answer's own.
    """
    etag, date = response.headers.get("ETag"), response.headers.get("Last-Modified")
    if content_encoding(response) not in PLAIN:
        return None
    validator = etag if etag is not None else date if _is_safe_date(date, response.headers.get("Date")) else None
    if validator is None or (etag is not None and not re.fullmatch(r'"[^"]*"', etag.strip())):
        return None
    return Origin(
        validator=validator,
        etag=etag,
        last_modified=date,
        content_type=response.headers.get("Content-Type"),
        total_bytes=whole_bytes(response),
    )


def is_continuation(response: requests.Response, part: Part) -> bool:
    """Whether a 206 goes on exactly where the part stops, to the end, and of the same file."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if part.origin is None or found is None or content_encoding(response) not in PLAIN:
        return False
    first, last = int(found[1]), int(found[2])
    total = part.origin.total_bytes if found[3] == "*" else int(found[3])
    same_file = part.origin.etag == response.headers.get("ETag") and response.headers.get("Last-Modified") in (
        None,
        part.origin.last_modified,
    )
    same_size = part.origin.total_bytes in (None, total)
    return same_file and same_size and first == part.size_bytes and total is not None and last == total - 1


def whole_bytes(response: requests.Response) -> int | None:
    """Announced size of the whole file; None when the header counts encoded bytes, or is missing."""
    if response.status_code == 206:
        total = response.headers.get("Content-Range", "").rpartition("/")[2].strip()
        return int(total) if total.isdecimal() else None
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and content_encoding(response) in PLAIN else None


def content_encoding(response: requests.Response) -> str:
    """How the bytes are packed for the journey; ``gzip`` on a file that is itself a gzip says only that it is one."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    is_gzip_file = response.url.partition("?")[0].lower().endswith((".gz", ".tgz"))
    return "" if encoding in ("gzip", "x-gzip") and is_gzip_file else encoding


def _is_safe_date(last_modified: str | None, date: str | None) -> bool:
    modified, said = parse_http_date(last_modified), parse_http_date(date)
    return bool(modified and said and (said - modified).total_seconds() >= SAFE_DATE_SECONDS)


def _bad(resource: Resource, problem: str) -> TryAgain:
    return TryAgain(f"{resource.url} {problem}", REPORT, BadDownload)


def _web_page(part: Part, resource: Resource) -> str | None:
    declared = (resource.format or resource.mime or "").lower()
    if part.size_bytes and "htm" not in declared and is_web_page(part.path):
        return f"is a web page, not the {declared or 'data'} announced"
    return None


def _size_differs(part: Part, resource: Resource, announced_bytes: int | None) -> str | None:
    by_portal = resource.size_bytes if resource.kind == "file" else None
    for source, expected in (("its server", announced_bytes), ("the portal", by_portal)):
        if expected is not None and expected != part.size_bytes:
            return f"brought {part.size_bytes} bytes where {source} announced {expected}"
    return None


def _checksum_differs(part: Part, checksum: Checksum) -> str | None:
    found = part.hexdigest(checksum.algorithm)
    if found == checksum.value:
        return None
    return f"has {checksum.algorithm} {found} where the portal announced {checksum.value}"

"""Manifests of the raw zone: what one extraction found at one resource, and where its bytes are.

``ingestion.raw`` writes them; here is how they look and how they are read.

    <feed>/extraction_date=YYYY-MM-DD/<resource_id>/<file_name>
    <feed>/extraction_date=YYYY-MM-DD/<resource_id>.manifest.json
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from catalog.errors import PermanentError, Refused
from catalog.storage import Store

DATE_PREFIX = "extraction_date="
MANIFEST_SUFFIX = ".manifest.json"


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest announced by the portal; both parts in lower case."""

    algorithm: str
    value: str


class RawErasure(BaseModel):
    """What an erasure changed in the bytes of a file; without a checksum after, the file was removed whole."""

    model_config = ConfigDict(frozen=True)

    erasure_id: int
    lines: int | None
    sha256_before: str
    sha256_after: str | None
    erased_at: datetime


class Manifest(BaseModel):
    """What one extraction found at one resource.

    ``unchanged`` refers by ``key`` to the bytes of an earlier extraction; what the server said then (status, ETag…)
    is repeated when nothing was asked or nothing new was said. ``http_status`` is None when no request was needed.
    ``evidence`` is the sign that decided (see ``changes``); None in manifests written before it was kept.
    ``sha256`` is that of the bytes as received, also where ``erasures`` says what was taken out of them since.
    """

    model_config = ConfigDict(frozen=True)

    feed: str
    dataset_id: str
    extraction_date: date
    resource_id: str
    title: str
    status: Literal["stored", "unchanged"]
    evidence: str | None = None
    key: str
    file_name: str
    source_url: str
    final_url: str
    sha256: str
    size_bytes: int
    sha1: str | None = None  # of the bytes last received, which ``key`` may hold in another packing
    contents_sha256: str | None = None  # of what an archive holds, whatever its packing
    checksum: Checksum | None
    etag: str | None
    last_modified: str | None
    unsteady_etag: bool = False  # seen to change while bytes and date stayed: of no use to ask with
    http_status: int | None
    content_type: str | None
    started_at: datetime
    finished_at: datetime
    portal: dict[str, Any]
    erasures: tuple[RawErasure, ...] = ()

    @property
    def sha256_now(self) -> str | None:
        """Checksum of the bytes as they are now; None once they were removed whole."""
        return self.erasures[-1].sha256_after if self.erasures else self.sha256


def read_manifest(store: Store, key: str) -> Manifest:
    """Read one manifest.

    Raises:
        PermanentError: it cannot be read, with what to do.
    """
    try:
        return Manifest.model_validate_json(store.read_bytes(key))
    except ValidationError as error:
        raise PermanentError(
            f"Raw manifest {key} cannot be read: {error.errors()[0]['msg']}. Put the file back from a backup, or"
            " remove it to have the resource extracted again."
        ) from error


def extraction_dates(store: Store, feed: str) -> list[date]:
    """Extraction dates of a feed, oldest first."""
    names = (name.removeprefix(DATE_PREFIX) for name in store.children(feed) if name.startswith(DATE_PREFIX))
    return sorted(date.fromisoformat(name) for name in names if re.fullmatch(r"\d{4}-\d{2}-\d{2}", name))


def folder_of(feed: str, extraction_date: date) -> str:
    """Folder of one extraction of a feed."""
    return f"{feed}/{DATE_PREFIX}{extraction_date.isoformat()}"


def manifest_key(feed: str, extraction_date: date, resource_id: str) -> str:
    """Where the manifest of a resource is."""
    return f"{folder_of(feed, extraction_date)}/{plain_name(resource_id)}{MANIFEST_SUFFIX}"


def plain_name(name: str) -> str:
    """Let a name become part of a path, or refuse it: ids and file names come from outside.

    Refusing rather than rewriting keeps two names from ever meeting in one path.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", name) or name.endswith(MANIFEST_SUFFIX):
        raise Refused(f"{name!r} cannot name a file of the raw zone. Report the resource to the portal.")
    return name

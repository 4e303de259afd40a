"""The raw zone: every file exactly as it came, by feed, extraction date and resource, with a manifest each.

The manifest is written last and is the commit: bytes without one were never taken in and may be replaced, bytes with
one never change. Nothing here opens a file's contents.

    <feed>/extraction_date=YYYY-MM-DD/<resource_id>/<file_name>
    <feed>/extraction_date=YYYY-MM-DD/<resource_id>.manifest.json
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import structlog

from catalog.manifests import (
    MANIFEST_SUFFIX,
    Manifest,
    RawErasure,
    extraction_dates,
    folder_of,
    manifest_key,
    plain_name,
    read_manifest,
)
from catalog.storage import Store
from ingestion.changes import Evidence, Verdict, announced_change, received_change
from ingestion.download import Download, Downloader, Validators
from ingestion.portal import Dataset, Resource

__all__ = ["Manifest", "RawErasure", "RawZone"]
PUSHED = "push"  # stands for the dataset, the address and the evidence of what the gateway received
_OF_THE_BYTES = {"key", "sha256", "size_bytes", "sha1", "contents_sha256"}
_OF_THE_ANSWER = {"final_url", "etag", "last_modified", "unsteady_etag", "content_type"}

log = structlog.get_logger(__name__)


class RawZone:
    """Immutable files of a store, local or S3."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def manifest(self, feed: str, extraction_date: date, resource_id: str) -> Manifest | None:
        """What an extraction committed for a resource; None when it committed nothing."""
        key = manifest_key(feed, extraction_date, resource_id)
        return read_manifest(self._store, key) if self._store.exists(key) else None

    def previous(self, feed: str, resource_id: str, before: date) -> Manifest | None:
        """The newest manifest of a resource from an earlier extraction date."""
        for day in reversed(extraction_dates(self._store, feed)):
            if day < before and (found := self.manifest(feed, day, resource_id)):
                return found
        return None

    def manifests(self, feed: str | None = None, extraction_date: date | None = None) -> Iterator[Manifest]:
        """Every committed manifest of a feed and date, or of all, in order."""
        for name in self._store.children() if feed is None else [feed]:
            for day in extraction_dates(self._store, name) if extraction_date is None else [extraction_date]:
                folder = folder_of(name, day)
                for child in self._store.children(folder):
                    if child.endswith(MANIFEST_SUFFIX):
                        yield read_manifest(self._store, f"{folder}/{child}")

    def holds(self, manifest: Manifest) -> bool:
        """Whether a manifest's bytes are there: retention or an erasure may have removed them."""
        return self._store.exists(manifest.key)

    def replace_erased(self, key: str, cleaned: Path | None, feed: str, note: RawErasure) -> None:
        """Put bytes without a person in the place of a file, or none, and say so in every manifest that names it.

        Args:
            cleaned: a finished local file, gone afterwards; None removes the file.
        """
        for manifest in self.manifests(feed):
            if manifest.key == key:
                noted = manifest.model_copy(update={"erasures": (*manifest.erasures, note)})
                place = manifest_key(manifest.feed, manifest.extraction_date, manifest.resource_id)
                self._store.put_bytes(noted.model_dump_json(indent=2).encode(), place)
        if cleaned is None:
            self._store.delete(key)
        else:
            self._store.put_file(cleaned, key)

    def local_file(self, manifest: Manifest, scratch: Path) -> Path:
        """A local file with the manifest's bytes; in the raw zone itself when that is local, so only to be read."""
        return self._store.local_copy(manifest.key, scratch)

    def extract(
        self,
        feed: str,
        dataset: Dataset,
        resource: Resource,
        extraction_date: date,
        downloader: Downloader,
        scratch: Path,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Manifest:
        """Take in a resource as it is now, for one feed and date, with as little traffic as can be.

        One look is final: a second call for the same date returns the first one's manifest and asks nothing. Only one
        process at a time may extract a feed.

        Raises:
            OdhError: whatever ``Downloader.fetch`` raises; nothing is then committed.
        """
        if committed := self.manifest(feed, extraction_date, resource.id):
            return committed
        previous = self.previous(feed, resource.id, extraction_date)
        if previous and not self._store.exists(previous.key):
            previous = None  # its bytes are gone: nothing to refer to
        facts: dict[str, Any] = {
            "feed": feed,
            "dataset_id": dataset.id,
            "extraction_date": extraction_date,
            "resource_id": resource.id,
            "title": resource.title,
            "file_name": resource.file_name,
            "source_url": resource.url,
            "checksum": resource.checksum,
            "portal": dict(resource.metadata),
            "started_at": downloader.now(),
        }
        announced = announced_change(resource, previous) if previous else Verdict("changed", "new")
        if previous and announced.outcome == "unchanged":
            return self._refer(facts, previous, downloader.now(), None, "portal_checksum")
        # Where a change is proven, the server is not asked whether there is one: it may not have noticed.
        known = _validators(resource, previous) if previous and announced.outcome == "unknown" else None
        download = downloader.fetch(resource, scratch, known=known, on_bytes=on_bytes)
        if download is None:  # only where an earlier copy's validators were sent
            return self._refer(facts, cast(Manifest, previous), downloader.now(), 304, "not_modified")
        return self._keep(facts, download, previous, announced)

    def keep_pushed(
        self, feed: str, extraction_date: date, resource_id: str, title: str, path: Path, **facts: Any
    ) -> Manifest:
        """Take in records that were pushed, written to a local file, which is gone after.

        Doing it again changes nothing: what was committed under the id is returned.

        Args:
            facts: ``started_at`` and ``finished_at``, and whatever else is to be known of where they came from.
        """
        if committed := self.manifest(feed, extraction_date, resource_id):
            path.unlink(missing_ok=True)
            return committed
        content = path.read_bytes()
        key = f"{folder_of(feed, extraction_date)}/{plain_name(resource_id)}/{plain_name(path.name)}"
        moments = {name: facts.pop(name) for name in ("started_at", "finished_at")}
        manifest = Manifest(
            feed=feed,
            dataset_id=PUSHED,
            extraction_date=extraction_date,
            resource_id=resource_id,
            title=title,
            status="stored",
            evidence=PUSHED,
            key=key,
            file_name=path.name,
            source_url=f"{PUSHED}:{feed}",
            final_url=f"{PUSHED}:{feed}",
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            checksum=None,
            etag=None,
            last_modified=None,
            http_status=None,
            content_type="application/x-ndjson",
            portal=facts,
            **moments,
        )
        self._store.put_file(path, key)
        return self._commit(manifest)

    def _refer(
        self,
        facts: dict[str, Any],
        previous: Manifest,
        finished_at: datetime,
        http_status: int | None,
        evidence: Evidence,
    ) -> Manifest:
        """Commit that the bytes are those of an earlier extraction, which nobody sent again."""
        seen = previous.model_dump(include=_OF_THE_BYTES | _OF_THE_ANSWER)
        outcome = {"status": "unchanged", "evidence": evidence, "http_status": http_status, "finished_at": finished_at}
        return self._commit(Manifest(**facts, **seen, **outcome))

    def _keep(
        self, facts: dict[str, Any], download: Download, previous: Manifest | None, announced: Verdict
    ) -> Manifest:
        """Commit downloaded bytes, stored only if they differ from the last ones; the local file is gone after."""
        seen = {field.name: getattr(download, field.name) for field in fields(download) if field.name != "path"}
        verdict = received_change(download.sha256, download.contents_sha256, previous) if previous else announced
        try:
            if previous and verdict.outcome == "unchanged":
                same = previous.model_dump(include={"key", "sha256", "size_bytes", "contents_sha256"})
                same["unsteady_etag"] = previous.unsteady_etag or _is_unsteady(download, previous)
                manifest = Manifest(**facts | seen | same, status="unchanged", evidence=verdict.evidence)
            else:
                folder = folder_of(facts["feed"], facts["extraction_date"])
                key = f"{folder}/{plain_name(facts['resource_id'])}/{plain_name(facts['file_name'])}"
                evidence = announced.evidence or verdict.evidence
                manifest = Manifest(**facts | seen, status="stored", evidence=evidence, key=key)
                self._store.put_file(download.path, key)
        finally:
            download.path.unlink(missing_ok=True)
        return self._commit(manifest)

    def _commit(self, manifest: Manifest) -> Manifest:
        key = manifest_key(manifest.feed, manifest.extraction_date, manifest.resource_id)
        self._store.put_bytes(manifest.model_dump_json(indent=2).encode(), key)
        facts = manifest.model_dump(
            include={"resource_id", "status", "evidence", "http_status", "size_bytes", "sha256"}
        )
        log.info("resource_extracted", **facts)
        return manifest


def _validators(resource: Resource, previous: Manifest) -> Validators | None:
    """What to send to be told of changes only; nothing once the address has changed."""
    if previous.source_url != resource.url:
        return None
    return Validators(None if previous.unsteady_etag else previous.etag, previous.last_modified)


def _is_unsteady(download: Download, previous: Manifest) -> bool:
    """Whether the server gave the same bytes of the same date another ETag, as a row of servers behind one name does.

    Asked with such a tag, it would send everything each time; asked with the date, it need not.
    """
    same_date = download.last_modified is not None and download.last_modified == previous.last_modified
    same_file = download.sha256 == previous.sha256 and download.final_url == previous.final_url
    return same_file and same_date and None not in (download.etag, previous.etag) and download.etag != previous.etag

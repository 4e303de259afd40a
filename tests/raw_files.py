"""Files in the raw zone without a portal: each is extracted from an answer written down beforehand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime

from scripted_http import Answer, scripted_session

from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.download import Downloader
from ingestion.portal import read_dataset, read_resource
from ingestion.raw import Manifest, RawZone

NOW = datetime(2024, 1, 1, 12, tzinfo=UTC)


def put_raw(settings: Settings, feed: str, day: date, file_name: str, content: bytes, resource: str = "r1") -> Manifest:
    """Extract a file as a resource of a feed on a day, over whatever earlier days hold of it."""
    announced = read_resource({"id": resource, "title": file_name, "url": f"https://elsewhere.example/{file_name}"})
    downloader = Downloader(
        settings,
        scripted_session(Answer(200, content))[0],
        sleep=lambda _: None,
        now=lambda: NOW,
        resolve=lambda host: ["198.41.0.4"],
    )
    dataset = read_dataset({"id": "d1"})
    scratch = settings.scratch / "download"
    scratch.mkdir(parents=True, exist_ok=True)
    return RawZone(raw_store(settings)).extract(feed, dataset, announced, day, downloader, scratch)


def zipped(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A ZIP archive of members, whose names may repeat."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()

"""The raw zone on a real S3 server keeps the promises it keeps on a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import services
from scripted_http import Answer, scripted_session

from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.download import Downloader
from ingestion.portal import read_dataset, read_resource
from ingestion.raw import Manifest, RawZone

pytestmark = pytest.mark.services

DATASET = read_dataset({"id": "d1"})
RESOURCE = read_resource({"id": "r1", "url": "https://elsewhere.example/communes.csv"})
OLD, NEW = b"a;b\n1;2\n", b"a;b\n1;3\n" * 100_000
DAYS = [date(2024, 2, day) for day in (26, 27, 28)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.S3Server]:
    with services.or_skip(services.s3(tmp_path_factory.mktemp("ceph"))) as running:
        yield running


@pytest.fixture
def settings(server: services.S3Server, tmp_path: Path) -> Settings:
    return Settings(lake=tmp_path, raw_url=f"s3://{server.bucket}/raw", **server.settings)


def extract(settings: Settings, day: date, answer: Answer) -> Manifest:
    """One extraction by a process of its own: nothing remembered of the bucket."""
    downloader = Downloader(
        settings,
        scripted_session(answer)[0],
        sleep=lambda _: None,
        now=lambda: datetime(2024, 2, 29, tzinfo=UTC),
        resolve=lambda host: ["198.41.0.4"],
    )
    return RawZone(raw_store(settings)).extract("communes", DATASET, RESOURCE, day, downloader, settings.scratch)


def test_extractions_are_kept_referred_to_and_listed(settings: Settings, tmp_path: Path) -> None:
    answers = [Answer(200, OLD, {"ETag": '"1"'}), Answer(304), Answer(200, NEW, {"ETag": '"2"'})]
    written = [extract(settings, day, answer) for day, answer in zip(DAYS, answers, strict=True)]
    assert [manifest.status for manifest in written] == ["stored", "unchanged", "stored"]
    assert extract(settings, DAYS[0], Answer(200, NEW)) == written[0]
    zone = RawZone(raw_store(settings))
    assert list(zone.manifests()) == written
    assert zone.previous("communes", "r1", before=DAYS[2]) == written[1]
    for manifest in written:
        content = zone.local_file(manifest, tmp_path / "copies").read_bytes()
        assert hashlib.sha256(content).hexdigest() == manifest.sha256
    assert not list(tmp_path.rglob("*.part"))

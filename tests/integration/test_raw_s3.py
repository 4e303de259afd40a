"""The raw zone on a real S3 server keeps the promises it keeps on a folder, and the gateway serves its files."""

from __future__ import annotations

import hashlib
import uuid
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
import services
from api_lake import serving
from raw_files import put_raw
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


LARGE = bytes(range(256)) * 50_000  # 12.8 MB, sent in chunks of 512 KiB
SHA256 = hashlib.sha256(LARGE).hexdigest()
ETAG = f'"{SHA256}"'
FILE = "/raw/files/accidents/2024-02-26/r1/lieux.csv"


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    """The gateway over a raw zone in a folder of its own on the server."""
    served = settings.model_copy(update={"raw_url": f"{settings.raw_url}/{uuid.uuid4().hex}"})
    put_raw(served, "accidents", DAYS[0], "lieux.csv", LARGE)
    put_raw(served, "accidents", DAYS[1], "lieux.csv", LARGE)
    with serving(served) as client:
        yield client


def test_the_gateway_sends_a_file_of_the_server_with_its_checksum(client: httpx.Client) -> None:
    for path in (FILE, FILE.replace("-26/", "-27/")):  # the second extraction refers to the file of the first
        answer = client.get(path)
        assert (answer.status_code, hashlib.sha256(answer.content).hexdigest()) == (200, SHA256)
        assert (answer.headers["etag"], answer.headers["x-checksum-sha256"]) == (ETAG, SHA256)
        assert answer.headers["repr-digest"] == f"sha-256=:{b64encode(bytes.fromhex(SHA256)).decode()}:"
        assert answer.headers["content-length"] == str(len(LARGE))
    told = client.head(FILE)
    assert (told.status_code, told.content, told.headers["content-length"]) == (200, b"", str(len(LARGE)))


def test_the_gateway_sends_a_range_of_a_file_of_the_server(client: httpx.Client) -> None:
    size = len(LARGE)
    for asked, start, end in (
        ("0-0", 0, 1),
        ("600000-1900000", 600_000, 1_900_001),
        (f"{size - 3}-", size - 3, size),
        ("-7", size - 7, size),
    ):
        answer = client.get(FILE, headers={"Range": f"bytes={asked}", "If-Range": ETAG})
        assert (answer.status_code, answer.headers["content-range"]) == (206, f"bytes {start}-{end - 1}/{size}")
        assert answer.content == LARGE[start:end]
    beyond = client.get(FILE, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_the_server_is_asked_for_little_more_than_a_range(settings: Settings) -> None:
    store = raw_store(settings)
    store.put_bytes(LARGE, "large")
    with store.open("large", 100) as stream:
        stream.seek(5_000_000)
        assert stream.read(100) == LARGE[5_000_000:5_000_100]
        assert stream.cache.total_requested_bytes <= 200  # type: ignore[attr-defined]


def test_the_gateway_tells_a_client_that_has_the_bytes_of_the_server(client: httpx.Client) -> None:
    known, other = (client.get(FILE, headers={"If-None-Match": one}) for one in (ETAG, '"other"'))
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", ETAG)
    assert (other.status_code, other.content == LARGE) == (200, True)
    for path in (FILE.replace("lieux", "autre"), FILE.replace("/r1/", "/r9/")):
        assert client.get(path).status_code == 404

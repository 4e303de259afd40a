"""The raw zone on a local folder: what is committed, referred to, asked for and never touched again."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from scripted_http import Answer, scripted_session

from catalog.errors import BadDownload, PermanentError, Refused, ResourceGone
from catalog.settings import Settings
from catalog.storage import Store, raw_store
from ingestion.download import Downloader
from ingestion.portal import Dataset, Resource, read_dataset, read_resource
from ingestion.raw import Manifest, RawZone

NOON = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
MONDAY, TUESDAY, WEDNESDAY = date(2024, 2, 26), date(2024, 2, 27), date(2024, 2, 28)
OLD, NEW = b"a;b\n1;2\n", b"a;b\n1;3\n"
DATASET: Dataset = read_dataset({"id": "d1", "slug": "communes"})


def resource(content: bytes = OLD, **changes: Any) -> Resource:
    """A hosted resource as the portal announces it: a new version has a new address."""
    sha1 = hashlib.sha1(content).hexdigest()
    announced = {"filetype": "file", "checksum": {"type": "sha1", "value": sha1}, "filesize": len(content)}
    url = f"https://static.example/{sha1[:6]}/communes.csv"
    return read_resource({"id": "r1", "title": "Communes", "url": url, "format": "csv", **announced, **changes})


def remote() -> Resource:
    """The same from elsewhere: one address for ever, nothing announced."""
    return resource(filetype="remote", checksum=None, filesize=None, url="https://elsewhere.example/communes.csv")


class Lake:
    """A raw zone, and extractions into it from written-down answers."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(lake=folder, http_retries=1, http_backoff_seconds=0)
        self.store: Store = raw_store(self.settings)
        self.zone = RawZone(self.store)

    def extract(
        self, day: date, of: Resource, *answers: Answer | Exception, feed: str = "communes"
    ) -> tuple[Manifest, list[requests.PreparedRequest]]:
        session, asked = scripted_session(*answers or (AssertionError("no request was expected"),))
        downloader = Downloader(
            self.settings, session, sleep=lambda _: None, now=lambda: NOON, resolve=lambda host: ["198.41.0.4"]
        )
        return self.zone.extract(feed, DATASET, of, day, downloader, self.settings.scratch), asked

    def files(self) -> list[str]:
        root = self.settings.lake
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_first_look_stores_the_bytes_and_says_whence(lake: Lake) -> None:
    headers = {"ETag": '"1"', "Last-Modified": "Mon, 26 Feb 2024 00:00:00 GMT", "Content-Type": "text/csv"}
    manifest, _ = lake.extract(MONDAY, resource(), Answer(200, OLD, headers))
    folder = "communes/extraction_date=2024-02-26"
    assert lake.files() == [f"raw/{folder}/r1.manifest.json", f"raw/{folder}/r1/communes.csv"]
    assert manifest.status == "stored"
    assert manifest.key == f"{folder}/r1/communes.csv"
    assert lake.store.read_bytes(manifest.key) == OLD
    assert (manifest.sha256, manifest.size_bytes) == (hashlib.sha256(OLD).hexdigest(), len(OLD))
    assert (manifest.etag, manifest.last_modified, manifest.content_type) == tuple(headers.values())
    assert (manifest.dataset_id, manifest.title, manifest.http_status) == ("d1", "Communes", 200)
    assert manifest.checksum == resource().checksum
    assert manifest.portal["format"] == "csv"


def test_manifest_reads_back_as_it_was_written(lake: Lake) -> None:
    manifest, _ = lake.extract(MONDAY, resource(title="Élus – «Œuilly»"), Answer(200, OLD))
    assert lake.zone.manifest("communes", MONDAY, "r1") == manifest
    assert manifest.started_at.tzinfo is not None
    with pytest.raises(ValueError, match="frozen"):
        manifest.sha256 = "0"


def test_one_look_is_final(lake: Lake) -> None:
    first, _ = lake.extract(MONDAY, resource(), Answer(200, OLD))
    again, asked = lake.extract(MONDAY, resource(NEW), Answer(200, NEW))
    assert again == first
    assert asked == []
    assert lake.store.read_bytes(first.key) == OLD


def test_same_announced_checksum_costs_no_request(lake: Lake) -> None:
    first, _ = lake.extract(MONDAY, resource(), Answer(200, OLD, {"ETag": '"1"'}))
    second, asked = lake.extract(TUESDAY, resource())
    assert asked == []
    assert (second.status, second.key, second.sha256) == ("unchanged", first.key, first.sha256)
    assert (second.http_status, second.etag) == (None, '"1"')
    third, _ = lake.extract(WEDNESDAY, resource())
    assert third.key == first.key  # never a reference to a reference
    assert len(lake.files()) == 4


def test_new_version_is_stored_beside_the_old(lake: Lake) -> None:
    first, _ = lake.extract(MONDAY, resource(), Answer(200, OLD, {"ETag": '"1"'}))
    second, asked = lake.extract(TUESDAY, resource(NEW), Answer(200, NEW))
    assert "If-None-Match" not in asked[0].headers  # another address: the old validators say nothing of it
    assert second.status == "stored"
    assert [lake.store.read_bytes(manifest.key) for manifest in (first, second)] == [OLD, NEW]


def test_remote_file_is_asked_for_changes_only(lake: Lake) -> None:
    first, _ = lake.extract(MONDAY, remote(), Answer(200, OLD, {"ETag": '"1"'}))
    second, asked = lake.extract(TUESDAY, remote(), Answer(304))
    assert asked[0].headers["If-None-Match"] == '"1"'
    assert (second.status, second.http_status, second.key) == ("unchanged", 304, first.key)
    third, asked = lake.extract(WEDNESDAY, remote(), Answer(200, NEW, {"ETag": '"2"'}))
    assert asked[0].headers["If-None-Match"] == '"1"'  # kept over the day nothing was sent
    assert (third.status, third.etag) == ("stored", '"2"')


def test_same_bytes_sent_again_are_not_stored_again(lake: Lake) -> None:
    first, _ = lake.extract(MONDAY, remote(), Answer(200, OLD, {"ETag": '"1"'}))
    second, _ = lake.extract(TUESDAY, remote(), Answer(200, OLD, {"ETag": '"2"'}))
    assert (second.status, second.key, second.http_status, second.etag) == ("unchanged", first.key, 200, '"2"')
    assert len(lake.files()) == 3  # and the scratch folder is empty


def test_checksum_of_a_remote_file_proves_nothing(lake: Lake) -> None:
    announced = resource(filetype="remote")
    lake.extract(MONDAY, announced, Answer(200, OLD))
    second, asked = lake.extract(TUESDAY, announced, Answer(200, NEW))
    assert len(asked) == 1
    assert second.status == "stored"


def test_checksum_nobody_could_verify_proves_nothing(lake: Lake) -> None:
    announced = resource(checksum={"type": "crc", "value": "0"}, filesize=None)
    lake.extract(MONDAY, announced, Answer(200, OLD))
    _, asked = lake.extract(TUESDAY, announced, Answer(200, NEW))
    assert len(asked) == 1


def test_earlier_bytes_that_are_lost_are_fetched_again(lake: Lake) -> None:
    first, _ = lake.extract(MONDAY, resource(), Answer(200, OLD))
    Path(lake.store.url(first.key)).unlink()
    second, _ = lake.extract(TUESDAY, resource(), Answer(200, OLD))
    assert second.status == "stored"
    assert lake.store.read_bytes(second.key) == OLD


def test_bytes_without_manifest_were_never_taken_in(lake: Lake) -> None:
    left_by_a_crash = Path(lake.store.url("communes/extraction_date=2024-02-26/r1/communes.csv"))
    left_by_a_crash.parent.mkdir(parents=True)
    left_by_a_crash.write_bytes(b"a;b\n1")
    assert lake.zone.manifest("communes", MONDAY, "r1") is None
    manifest, _ = lake.extract(MONDAY, resource(), Answer(200, OLD))
    assert lake.store.read_bytes(manifest.key) == OLD


@pytest.mark.parametrize(
    ("answer", "error"),
    [(Answer(404), ResourceGone), (Answer(401), Refused), (Answer(200, OLD[:-1]), BadDownload)],
    ids=["gone", "refused", "cut"],
)
def test_failed_extraction_commits_nothing(lake: Lake, answer: Answer, error: type[Exception]) -> None:
    with pytest.raises(error):
        lake.extract(MONDAY, resource(), answer)
    assert lake.files() == []


def test_interruption_before_the_manifest_commits_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as power_cut:
        power_cut.setattr(lake.store, "put_bytes", lambda content, key: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lake.extract(MONDAY, resource(), Answer(200, OLD))
    assert lake.zone.manifest("communes", MONDAY, "r1") is None
    manifest, _ = lake.extract(MONDAY, resource(), Answer(200, OLD))
    assert manifest.status == "stored"
    assert len(lake.files()) == 2


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "é", "r1.manifest.json", "x" * 300])
def test_resource_id_that_is_no_plain_name_is_refused(lake: Lake, name: str) -> None:
    odd = Resource(**{field: getattr(resource(), field) for field in Resource.__slots__} | {"id": name})
    with pytest.raises(Refused, match="cannot name a file of the raw zone"):
        lake.extract(MONDAY, odd, Answer(200, OLD))
    assert lake.files() == []


def test_previous_is_the_newest_before_the_date(lake: Lake) -> None:
    lake.extract(MONDAY, resource(), Answer(200, OLD))
    lake.extract(WEDNESDAY, resource(NEW), Answer(200, NEW))
    lake.extract(TUESDAY, resource(id="r2"), Answer(200, OLD))

    def found(day: date) -> date | None:
        manifest = lake.zone.previous("communes", "r1", before=day)
        return manifest.extraction_date if manifest else None

    assert [found(MONDAY), found(TUESDAY), found(WEDNESDAY), found(date(2030, 1, 1))] == [
        None,
        MONDAY,
        MONDAY,
        WEDNESDAY,
    ]


def test_extraction_of_an_earlier_date_leaves_the_later_alone(lake: Lake) -> None:
    later, _ = lake.extract(WEDNESDAY, resource(NEW), Answer(200, NEW))
    earlier, asked = lake.extract(MONDAY, resource(NEW), Answer(200, NEW))
    assert len(asked) == 1
    assert (earlier.status, earlier.key != later.key) == ("stored", True)


def test_manifests_are_listed_by_feed_and_date(lake: Lake) -> None:
    lake.extract(TUESDAY, resource(id="r2"), Answer(200, OLD))
    lake.extract(MONDAY, resource(), Answer(200, OLD))
    lake.extract(MONDAY, resource(), Answer(200, OLD), feed="autres")
    (lake.settings.lake / "raw" / "communes" / "notes").mkdir()  # not ours, not in the way
    zone = lake.zone

    def listed(feed: str | None = None, day: date | None = None) -> list[tuple[str, str, str]]:
        return [(m.feed, str(m.extraction_date), m.resource_id) for m in zone.manifests(feed, day)]

    mine = [("communes", "2024-02-26", "r1"), ("communes", "2024-02-27", "r2")]
    other = ("autres", "2024-02-26", "r1")
    assert listed() == [other, *mine]
    assert listed("communes") == mine
    assert listed(day=MONDAY) == [other, mine[0]]
    assert listed("communes", WEDNESDAY) == []
    assert listed("unknown") == []


def test_local_file_holds_the_bytes(lake: Lake, tmp_path: Path) -> None:
    first, _ = lake.extract(MONDAY, resource(), Answer(200, OLD))
    second, _ = lake.extract(TUESDAY, resource())
    for manifest in (first, second):
        assert lake.zone.local_file(manifest, tmp_path).read_bytes() == OLD


def test_spoilt_manifest_is_told_not_guessed(lake: Lake) -> None:
    lake.extract(MONDAY, resource(), Answer(200, OLD))
    lake.store.put_bytes(b'{"feed": "communes"}', "communes/extraction_date=2024-02-26/r1.manifest.json")
    with pytest.raises(PermanentError, match=r"r1\.manifest\.json cannot be read"):
        lake.zone.manifest("communes", MONDAY, "r1")

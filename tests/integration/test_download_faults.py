"""The downloader and the raw zone against the stand-in portal, with every fault it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from shared_portal import DATA, ControlledPortal, requires_shared, shared_portal

from catalog.errors import BadDownload, PortalUnavailable, Refused, ResourceGone
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.download import Downloader, Validators
from ingestion.portal import PortalClient, Resource
from ingestion.raw import RawZone

pytestmark = [requires_shared, pytest.mark.real]

COG = "code-officiel-geographique"
ZIP, HOSTED, REMOTE = "france2018-txt.zip", "regions.csv", "departement2021.csv"
FUEL = "prix-des-carburants-en-france-flux-instantane"  # one remote address whose zip changes every few minutes


@pytest.fixture(scope="module")
def running() -> Iterator[ControlledPortal]:
    with shared_portal() as portal:
        yield portal


@pytest.fixture
def portal(running: ControlledPortal) -> ControlledPortal:
    running.mend()
    return running


def settings_of(portal: ControlledPortal, lake: Path, **settings: Any) -> Settings:
    return Settings(portal_url=portal.url, lake=lake, **{"http_retries": 2, "http_backoff_seconds": 0.01, **settings})


def resource_named(portal: ControlledPortal, name: str, dataset: str = COG) -> Resource:
    client = PortalClient(settings_of(portal, Path("unused")))
    return next(r for r in client.resources(client.dataset(dataset).id) if r.file_name == name)


def path_of(resource: Resource) -> str:
    return resource.url.partition("//")[2].partition("/")[2]


def fetch(portal: ControlledPortal, resource: Resource, into: Path, **settings: Any) -> bytes:
    download = Downloader(settings_of(portal, into, **settings)).fetch(resource, into)
    assert download is not None
    return download.path.read_bytes()


@pytest.mark.parametrize(
    ("name", "file"),
    [(HOSTED, "2021/regions.csv"), (REMOTE, "2021/departements.csv"), (ZIP, "2018/France2018-txt.zip")],
    ids=["hosted", "remote", "zip"],
)
def test_file_comes_byte_for_byte(portal: ControlledPortal, tmp_path: Path, name: str, file: str) -> None:
    content = fetch(portal, resource_named(portal, name), tmp_path)
    assert content == (DATA / "datasets" / COG / file).read_bytes()


TRANSIENT = [
    pytest.param({"kind": "status", "status": 503, "retry_after": 0}, HOSTED, PortalUnavailable, id="unavailable"),
    pytest.param({"kind": "status", "status": 429}, HOSTED, PortalUnavailable, id="too-many"),
    pytest.param({"kind": "drop"}, HOSTED, PortalUnavailable, id="hang-up"),
    pytest.param({"kind": "drop", "after": 300}, HOSTED, BadDownload, id="hang-up-in-the-body"),
    pytest.param({"kind": "drop", "after": 300}, REMOTE, BadDownload, id="hang-up-in-a-remote-body"),
    pytest.param({"kind": "length", "delta": 100}, HOSTED, BadDownload, id="announced-too-long"),
    pytest.param({"kind": "length", "delta": 100}, REMOTE, BadDownload, id="remote-announced-too-long"),
    pytest.param({"kind": "length", "delta": -100}, HOSTED, BadDownload, id="end-hidden"),
    pytest.param({"kind": "length", "delta": -100}, ZIP, BadDownload, id="end-of-zip-hidden"),
    pytest.param({"kind": "corrupt"}, HOSTED, BadDownload, id="corrupt"),
    pytest.param({"kind": "corrupt"}, ZIP, BadDownload, id="corrupt-zip"),
    pytest.param({"kind": "html"}, HOSTED, BadDownload, id="web-page"),
    pytest.param({"kind": "html"}, REMOTE, BadDownload, id="web-page-for-a-remote-file"),
]


@pytest.mark.parametrize(("fault", "name", "error"), TRANSIENT)
def test_fault_is_outlived_or_reported_and_leaves_nothing(
    portal: ControlledPortal, tmp_path: Path, fault: dict[str, Any], name: str, error: type[Exception]
) -> None:
    resource = resource_named(portal, name)
    rule = {"match": path_of(resource), **fault}
    portal.break_with({**rule, "times": 2})
    assert fetch(portal, resource, tmp_path / "mended")
    assert len(portal.requests()) == 3
    portal.break_with(rule)
    with pytest.raises(error, match="tried 3 times") as caught:
        fetch(portal, resource, tmp_path / "broken")
    assert resource.url in str(caught.value)
    assert len(portal.requests()) == 3
    assert list((tmp_path / "broken").iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "error", "requests_made"),
    [
        pytest.param({"kind": "gone"}, ResourceGone, 1, id="gone"),
        pytest.param({"kind": "status", "status": 404}, ResourceGone, 1, id="not-found"),
        pytest.param({"kind": "status", "status": 403}, Refused, 1, id="forbidden"),
        pytest.param({"kind": "loop"}, Refused, 6, id="circle"),
        pytest.param({"kind": "redirect"}, Refused, 1, id="to-cloud-metadata"),
        pytest.param({"kind": "redirect", "location": "http://10.0.0.1/"}, Refused, 1, id="to-a-private-address"),
        pytest.param({"kind": "redirect", "location": "file:///etc/passwd"}, Refused, 1, id="to-a-local-file"),
    ],
)
def test_permanent_fault_is_reported_at_once(
    portal: ControlledPortal, tmp_path: Path, fault: dict[str, Any], error: type[Exception], requests_made: int
) -> None:
    resource = resource_named(portal, HOSTED)
    portal.break_with({"match": path_of(resource), **fault})
    with pytest.raises(error):
        fetch(portal, resource, tmp_path)
    assert len(portal.requests()) == requests_made
    assert list(tmp_path.iterdir()) == []


def test_redirect_on_this_machine_is_followed(portal: ControlledPortal, tmp_path: Path) -> None:
    resource = resource_named(portal, HOSTED)
    latest = Resource(
        **{field: getattr(resource, field) for field in Resource.__slots__} | {"url": resource.metadata["latest"]}
    )
    download = Downloader(settings_of(portal, tmp_path)).fetch(latest, tmp_path)
    assert download is not None
    assert download.final_url == resource.url


def test_checksum_that_stays_wrong_is_reported(portal: ControlledPortal, tmp_path: Path) -> None:
    portal.break_with({"match": "regions.csv", "kind": "checksum"})
    resource = resource_named(portal, HOSTED)
    portal.control(clear=True)
    with pytest.raises(BadDownload, match="where the portal announced"):
        fetch(portal, resource, tmp_path)
    assert len(portal.requests()) == 3


def test_slow_server_is_waited_for(portal: ControlledPortal, tmp_path: Path) -> None:
    resource = resource_named(portal, HOSTED)
    portal.break_with({"match": path_of(resource), "kind": "slow", "bytes_per_second": 4000})
    told: list[int] = []
    downloader = Downloader(settings_of(portal, tmp_path, http_timeout_seconds=0.2))
    assert downloader.fetch(resource, tmp_path, on_bytes=told.append)  # longer in all than the timeout of one read
    assert sum(told) == resource.size_bytes


def test_silent_server_is_given_up(portal: ControlledPortal, tmp_path: Path) -> None:
    resource = resource_named(portal, HOSTED)
    portal.break_with({"match": path_of(resource), "kind": "slow", "bytes_per_second": 1})
    with pytest.raises(BadDownload, match=r"stopped before its end.*timed out"):
        fetch(portal, resource, tmp_path, http_timeout_seconds=0.1, http_retries=0)


@pytest.mark.parametrize("kind", ["no-range", "no-etag", "changed", "type"])
def test_harmless_oddity_does_no_harm(portal: ControlledPortal, tmp_path: Path, kind: str) -> None:
    resource = resource_named(portal, HOSTED)
    portal.break_with({"match": path_of(resource), "kind": kind})
    assert fetch(portal, resource, tmp_path)


@pytest.mark.parametrize("faults", [[], [{"match": REMOTE, "kind": "no-etag"}]], ids=["etag", "date-only"])
def test_unchanged_file_is_not_sent_again(
    portal: ControlledPortal, tmp_path: Path, faults: list[dict[str, Any]]
) -> None:
    resource = resource_named(portal, REMOTE)
    portal.break_with(*faults)
    downloader = Downloader(settings_of(portal, tmp_path))
    first = downloader.fetch(resource, tmp_path)
    assert first is not None
    assert (first.etag is None) == bool(faults)
    assert downloader.fetch(resource, tmp_path, known=Validators(first.etag, first.last_modified)) is None
    assert [entry["status"] for entry in portal.requests()] == [200, 304]


def extract_all(
    portal: ControlledPortal, lake: Path, now: str, dataset_key: str = COG
) -> list[tuple[str, str, int | None]]:
    """Extract a dataset's live resources as the portal was then: each file's name, status and HTTP status."""
    portal.control(as_of=now, clear=True)
    settings = settings_of(portal, lake)
    client, zone, downloader = PortalClient(settings), RawZone(raw_store(settings)), Downloader(settings)
    dataset, day = client.dataset(dataset_key), date.fromisoformat(now[:10])
    manifests = [
        zone.extract("feed", dataset, resource, day, downloader, settings.scratch)
        for resource in client.resources(dataset.id)
        if resource.format != "html"  # a dead link
    ]
    return sorted((manifest.file_name, manifest.status, manifest.http_status) for manifest in manifests)


def test_raw_zone_follows_a_dataset_through_its_years(portal: ControlledPortal, tmp_path: Path) -> None:
    """First everything is new; then no byte is sent; then only what was published since."""
    assert extract_all(portal, tmp_path, "2019-06-01") == [
        ("communes-2019.csv.gz", "stored", 200),
        ("departement2019.csv", "stored", 200),
        ("france2018-txt.zip", "stored", 200),
        ("regions.csv", "stored", 200),
    ]
    assert extract_all(portal, tmp_path, "2020-06-01") == [
        ("communes-2019.csv.gz", "unchanged", 304),
        ("departement2019.csv", "unchanged", 304),
        ("france2018-txt.zip", "unchanged", None),
        ("regions.csv", "unchanged", None),
    ]
    assert sum(entry["bytes"] for entry in portal.requests("^/(remote|resources)/")) == 0
    assert extract_all(portal, tmp_path, "2022-06-01") == [
        ("commune_2022.csv", "stored", 200),
        ("departement2021.csv", "stored", 200),
        ("france2018-txt.zip", "unchanged", None),
        ("regions.csv", "stored", 200),
    ]
    zone = RawZone(raw_store(settings_of(portal, tmp_path)))
    manifests = list(zone.manifests("feed"))
    assert len(manifests) == 12
    assert len({manifest.key for manifest in manifests}) == 7
    for manifest in manifests:
        content = zone.local_file(manifest, tmp_path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == manifest.sha256


def test_remote_file_changing_at_one_address_is_kept_in_each_state(portal: ControlledPortal, tmp_path: Path) -> None:
    states = [
        extract_all(portal, tmp_path, now, FUEL)
        for now in ("2023-11-22T23:40:00", "2023-11-23T00:10:00", "2023-11-24T00:00:00")
    ]
    assert states == [
        [("instantane", "stored", 200)],
        [("instantane", "unchanged", 304)],
        [("instantane", "stored", 200)],
    ]


def test_failed_resource_leaves_the_raw_zone_as_it_was(portal: ControlledPortal, tmp_path: Path) -> None:
    portal.break_with({"match": "/resources/.*regions", "kind": "corrupt"})
    with pytest.raises(BadDownload):
        extract_all(portal, tmp_path, "2022-06-01")
    assert not [path for path in tmp_path.rglob("*") if "regions" in path.name or path.suffix == ".part"]
    portal.break_with()
    assert len(extract_all(portal, tmp_path, "2022-06-01")) == 4

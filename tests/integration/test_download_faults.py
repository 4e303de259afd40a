"""The downloader and the raw zone against the stand-in portal, with every fault it knows."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from shared_portal import DATA, ControlledPortal, requires_shared

from catalog.errors import BadDownload, PortalUnavailable, Refused, ResourceGone
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.download import Downloader, Validators
from ingestion.portal import PortalClient, Resource
from ingestion.raw import RawZone

pytestmark = [requires_shared, pytest.mark.real]

COG = "code-officiel-geographique"
ZIP, HOSTED, REMOTE = "france2018-txt.zip", "regions.csv", "departement2021.csv"
ROOT = Path(__file__).resolve().parents[2]
ACCIDENTS = "bases-de-donnees-annuelles-des-accidents-corporels-de-la-circulation-routiere"
FUEL = "prix-des-carburants-en-france-flux-instantane"  # one remote address whose zip changes every few minutes


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


def ranges(portal: ControlledPortal) -> list[tuple[str | None, int]]:
    """What each request asked for, and what it was answered with."""
    return [(entry["headers"].get("range"), entry["status"]) for entry in portal.requests()]


@pytest.mark.parametrize("name", [HOSTED, REMOTE, ZIP], ids=["hosted", "remote", "zip"])
def test_cut_download_goes_on_where_it_stopped(portal: ControlledPortal, tmp_path: Path, name: str) -> None:
    resource = resource_named(portal, name)
    whole = fetch(portal, resource, tmp_path / "whole")
    portal.break_with({"match": path_of(resource), "kind": "drop", "after": 300, "times": 2})
    told: list[int] = []
    download = Downloader(settings_of(portal, tmp_path)).fetch(resource, tmp_path, on_bytes=told.append)
    assert download is not None
    assert download.path.read_bytes() == whole
    assert ranges(portal) == [(None, 200), ("bytes=300-", 206), ("bytes=600-", 206)]
    assert sum(entry["bytes"] for entry in portal.requests()) == len(whole) == sum(told)
    assert min(told) > 0


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        pytest.param([{"kind": "no-etag"}], [(None, 200), ("bytes=300-", 206)], id="date-serves-too"),
        pytest.param([{"kind": "no-range"}], [(None, 200), ("bytes=300-", 200)], id="server-sends-all-again"),
        pytest.param([{"kind": "changed"}], [(None, 200), ("bytes=300-", 206)], id="other-head"),
        pytest.param(
            [{"kind": "corrupt", "skip": 1, "times": 1}],
            [(None, 200), ("bytes=300-", 206), (None, 200)],
            id="rest-corrupt",
        ),
        pytest.param(
            [{"kind": "html", "skip": 1, "times": 1}],
            [(None, 200), ("bytes=300-", 200), (None, 200)],
            id="web-page-in-between",
        ),
    ],
)
def test_cut_download_ends_well_whatever_the_server_then_does(
    portal: ControlledPortal, tmp_path: Path, faults: list[dict[str, Any]], expected: list[tuple[str | None, int]]
) -> None:
    resource = resource_named(portal, HOSTED)
    whole = fetch(portal, resource, tmp_path / "whole")
    match = path_of(resource)
    drop = {"match": match, "kind": "drop", "after": 300, "times": 1}
    portal.break_with(drop, *({"match": match, **fault} for fault in faults))
    assert fetch(portal, resource, tmp_path / "broken") == whole
    assert ranges(portal) == expected


def test_file_replaced_while_it_was_cut_is_taken_new(portal: ControlledPortal, tmp_path: Path) -> None:
    """One address, another file by the time the rest is asked for: nothing of the two is mixed."""
    portal.control(as_of="2023-11-22T23:40:00")
    resource = resource_named(portal, "instantane", FUEL)
    portal.break_with({"match": path_of(resource), "kind": "drop", "after": 70_000, "times": 1})
    downloader = Downloader(
        settings_of(portal, tmp_path), sleep=lambda _: portal.control(as_of="2023-11-24"), resolve=lambda host: []
    )
    download = downloader.fetch(resource, tmp_path)
    assert download is not None
    newest = sorted((DATA / "datasets" / FUEL).rglob("*20231123*.zip"))[-1]
    assert download.path.read_bytes() == newest.read_bytes()
    assert ranges(portal) == [(None, 200), ("bytes=70000-", 200)]


KILLED = """
import os, signal, sys
from pathlib import Path
from catalog.settings import Settings
from ingestion.download import Downloader
from ingestion.portal import PortalClient

lake, url, dataset, name, enough = sys.argv[1:]
settings, received = Settings(lake=Path(lake), portal_url=url), 0

def on_bytes(count):
    global received
    received += count
    if received > int(enough):
        os.kill(os.getpid(), signal.SIGKILL)

client = PortalClient(settings)
resource = next(r for r in client.resources(client.dataset(dataset).id) if r.file_name == name)
Downloader(settings).fetch(resource, settings.scratch / "run", on_bytes=on_bytes)
"""


def test_download_of_a_killed_run_is_continued(portal: ControlledPortal, tmp_path: Path) -> None:
    resource = resource_named(portal, "usagers-2023.csv", ACCIDENTS)
    command = [sys.executable, "-c", KILLED, str(tmp_path), portal.url, ACCIDENTS, resource.file_name, "9000000"]
    killed = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    portal.control(clear=True)
    download = Downloader(settings_of(portal, tmp_path)).fetch(resource, tmp_path / "tmp" / "next")
    assert download is not None
    assert download.size_bytes == resource.size_bytes
    (entry,) = portal.requests()
    start = int(entry["headers"]["range"].removeprefix("bytes=").rstrip("-"))
    assert (entry["status"], entry["bytes"]) == (206, download.size_bytes - start)
    assert start >= 8 * 1024**2 - 2 * 256 * 1024
    assert list((tmp_path / "partial").iterdir()) == []


def test_threads_share_a_downloader_and_spare_the_server(portal: ControlledPortal, tmp_path: Path) -> None:
    client = PortalClient(settings_of(portal, tmp_path))
    resources = [r for r in client.resources(client.dataset(ACCIDENTS).id) if r.kind == "file"]
    portal.break_with({"match": "^/resources/", "kind": "drop", "after": 50_000, "times": 5})
    downloader = Downloader(settings_of(portal, tmp_path, http_retries=5))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda resource: downloader.fetch(resource, tmp_path / "tmp"), resources))
    digests = [download and download.sha1 for download in found]
    assert digests == [resource.checksum and resource.checksum.value for resource in resources]
    assert len(list((tmp_path / "tmp").iterdir())) == len(resources) >= 8


def test_drip_is_given_up_in_the_end(portal: ControlledPortal, tmp_path: Path) -> None:
    resource = resource_named(portal, HOSTED)
    portal.break_with({"match": path_of(resource), "kind": "slow", "bytes_per_second": 100})
    with pytest.raises(BadDownload, match=r"bytes in 0\.2 seconds and was given up"):
        fetch(portal, resource, tmp_path, download_timeout_seconds=0.2)
    assert len(portal.requests()) == 1


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


def look_at_everything(portal: ControlledPortal, lake: Path, day: str) -> Counter[str]:
    """Extract every resource of every dataset, dead links aside; the signs that decided."""
    settings = settings_of(portal, lake, http_retries=0)
    client, zone, downloader = PortalClient(settings), RawZone(raw_store(settings)), Downloader(settings)
    signs: Counter[str] = Counter()
    found = [(dataset, r) for dataset in list(client.search()) for r in list(client.resources(dataset.id))]
    portal.control(clear=True)
    for dataset, resource in found:
        with suppress(ResourceGone):
            manifest = zone.extract(
                "all", dataset, resource, date.fromisoformat(day), downloader, settings.scratch / "run"
            )
            signs[str(manifest.evidence)] += 1
    return signs


def test_second_look_at_everything_costs_at_most_one_small_request_each_and_no_bytes(
    portal: ControlledPortal, tmp_path: Path
) -> None:
    first = look_at_everything(portal, tmp_path, "2024-12-30")
    assert set(first) == {"new"}
    assert first.total() >= 45
    second = look_at_everything(portal, tmp_path, "2024-12-31")
    assert second.total() == first.total()
    assert set(second) == {"portal_checksum", "not_modified"}
    asked = portal.requests()
    of_files = [entry for entry in asked if entry["status"] != 404]  # dead links are asked for again
    assert max(Counter(entry["path"] for entry in asked).values()) == 1
    assert {entry["status"] for entry in of_files} == {304}
    assert len(of_files) == second["not_modified"] < first.total() / 3
    assert sum(entry["bytes"] for entry in of_files) == 0


def test_failed_resource_leaves_the_raw_zone_as_it_was(portal: ControlledPortal, tmp_path: Path) -> None:
    portal.break_with({"match": "/resources/.*regions", "kind": "corrupt"})
    with pytest.raises(BadDownload):
        extract_all(portal, tmp_path, "2022-06-01")
    assert not [path for path in tmp_path.rglob("*") if "regions" in path.name or path.suffix == ".part"]
    portal.break_with()
    assert len(extract_all(portal, tmp_path, "2022-06-01")) == 4

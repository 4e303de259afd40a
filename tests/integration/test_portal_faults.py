"""The portal client against the stand-in portal, well and ill."""

from __future__ import annotations

from typing import Any

import pytest
from shared_portal import ControlledPortal, requires_shared

from catalog.errors import PermanentError, PortalUnavailable, Refused, ResourceGone, UsageError
from catalog.settings import Settings
from ingestion.portal import PortalClient

pytestmark = [requires_shared, pytest.mark.real]

ACCIDENTS = "53698f4ca3a729239d2036df"
ACCIDENTS_SLUG = "bases-de-donnees-annuelles-des-accidents-corporels-de-la-circulation-routiere"
FORMER_SLUG = "base-de-donnees-accidents-corporels-de-la-circulation"
DELETED = "lieux-de-covoiturage-jeu-retire"


def client(portal: ControlledPortal, page_size: int = 100, **settings: Any) -> PortalClient:
    chosen = {"http_retries": 2, "http_backoff_seconds": 0.01, **settings}
    return PortalClient(Settings(portal_url=portal.url, **chosen), page_size=page_size)


@pytest.mark.parametrize("key", [ACCIDENTS, ACCIDENTS_SLUG, FORMER_SLUG], ids=["id", "slug", "former-slug"])
def test_dataset_is_found_by_any_of_its_names(portal: ControlledPortal, key: str) -> None:
    dataset = client(portal).dataset(key)
    assert (dataset.id, dataset.slug) == (ACCIDENTS, ACCIDENTS_SLUG)
    assert dataset.organization == "Ministère de l'Intérieur et des Outre-Mer"
    assert dataset.license is not None
    assert dataset.last_modified is not None
    assert "resources" not in dataset.metadata


@pytest.mark.parametrize(("key", "status"), [(DELETED, 410), ("no-such-dataset", 404)])
def test_dataset_that_is_not_there_is_gone(portal: ControlledPortal, key: str, status: int) -> None:
    with pytest.raises(ResourceGone, match=f"HTTP {status}"):
        client(portal).dataset(key)
    assert len(portal.requests()) == 1


def test_dataset_was_there_before_it_was_deleted(portal: ControlledPortal) -> None:
    portal.control(as_of="2022-01-01")
    dataset = client(portal).dataset(DELETED)
    assert list(client(portal).resources(dataset.id)) == []


def test_resources_come_page_by_page(portal: ControlledPortal) -> None:
    whole = list(client(portal).resources(ACCIDENTS))
    paged = list(client(portal, page_size=3).resources(ACCIDENTS))
    assert paged == whole
    assert len({resource.id for resource in paged}) == 11
    assert len(portal.requests("page_size=3")) == 4
    caract = next(resource for resource in whole if resource.file_name == "caract-2023.csv")
    assert (caract.kind, caract.size_bytes, caract.format) == ("file", 6579852, "csv")
    assert caract.checksum is not None
    assert caract.checksum.value == "dd09171b4c5b11c221a44ebb3828e1317c3edd3e"
    assert [resource.kind for resource in whole].count("remote") == 1


def test_masks_cut_what_is_sent(portal: ControlledPortal) -> None:
    list(client(portal).search(limit=20))
    masked = portal.requests("search")[-1]
    client(portal)._session.get(f"{portal.url}/api/2/datasets/search/?page_size=20")  # as anyone else would ask
    assert masked["bytes"] < 0.6 * portal.requests("search")[-1]["bytes"]


def test_search_reads_every_page_in_a_steady_order(portal: ControlledPortal) -> None:
    everything = [dataset.id for dataset in client(portal).search()]
    assert [dataset.id for dataset in client(portal, page_size=5).search()] == everything
    assert len(everything) == len(set(everything)) > 20
    assert [dataset.id for dataset in client(portal, page_size=5).search(limit=7)] == everything[:7]


def test_search_filters(portal: ControlledPortal) -> None:
    search = client(portal).search
    assert ACCIDENTS in [dataset.id for dataset in search(query="accidents corporels")]
    of_insee = list(
        search(organization=client(portal).dataset("code-officiel-geographique").metadata["organization"]["id"])
    )
    assert {dataset.organization for dataset in of_insee} == {of_insee[0].organization}
    assert {dataset.slug for dataset in search(format="parquet")} == {"accidents-2023-parquet", "cog-parquet"}
    assert list(search(query="zzqqxxjjkkllzz")) == []


def test_search_term_the_portal_refuses_is_told(portal: ControlledPortal) -> None:
    with pytest.raises(UsageError, match="Organization arg must be an identifier"):
        list(client(portal).search(organization="insee"))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "status", "status": 503, "retry_after": 0}, id="unavailable"),
        pytest.param({"kind": "status", "status": 500}, id="broken"),
        pytest.param({"kind": "status", "status": 429}, id="too-many"),
        pytest.param({"kind": "drop"}, id="hang-up"),
        pytest.param({"kind": "drop", "after": 40}, id="hang-up-in-the-body"),
        pytest.param({"kind": "length", "delta": 100}, id="announced-too-long"),
        pytest.param({"kind": "length", "delta": -20}, id="announced-too-short"),
        pytest.param({"kind": "corrupt"}, id="corrupt-json"),
    ],
)
def test_failure_is_outlived_or_reported(portal: ControlledPortal, fault: dict[str, Any]) -> None:
    rule = {"match": "/api/2/", **fault}
    portal.break_with({**rule, "times": 2})
    assert client(portal).dataset(ACCIDENTS).id == ACCIDENTS
    assert len(portal.requests()) == 3
    portal.break_with(rule)
    with pytest.raises(PortalUnavailable, match="tried 3 times"):
        client(portal).dataset(ACCIDENTS)
    assert len(portal.requests()) == 3


def test_second_page_failing_is_outlived(portal: ControlledPortal) -> None:
    portal.break_with({"match": "page=2", "kind": "status", "status": 502, "times": 2})
    assert len(list(client(portal, page_size=4).resources(ACCIDENTS))) == 11


def test_silent_portal_is_given_up(portal: ControlledPortal) -> None:
    portal.break_with({"match": "/api/2/", "kind": "slow", "bytes_per_second": 1})
    with pytest.raises(PortalUnavailable, match="timed out"):
        client(portal, http_timeout_seconds=0.2, http_retries=0).dataset(ACCIDENTS)


def test_portal_that_is_down_is_reported_with_its_address() -> None:
    settings = Settings(portal_url="http://127.0.0.1:9", http_retries=1, http_backoff_seconds=0.01)
    with pytest.raises(PortalUnavailable, match=r"http://127\.0\.0\.1:9/.*tried 2 times.*ODH_PORTAL_URL"):
        PortalClient(settings).dataset(ACCIDENTS)


@pytest.mark.parametrize(
    ("kind", "error", "requests_made"),
    [("loop", Refused, 6), ("redirect", PermanentError, 1), ("gone", ResourceGone, 1)],
)
def test_permanent_fault_is_reported_at_once(
    portal: ControlledPortal, kind: str, error: type[Exception], requests_made: int
) -> None:
    portal.break_with({"match": "/api/2/", "kind": kind})
    with pytest.raises(error):
        client(portal).dataset(ACCIDENTS)
    assert len(portal.requests()) == requests_made


def test_history_shows_the_resource_of_the_day(portal: ControlledPortal) -> None:
    def councillors(day: str) -> tuple[str, bool]:
        portal.control(as_of=day)
        dataset = client(portal).dataset("repertoire-national-des-elus-1")
        resource = next(r for r in client(portal).resources(dataset.id) if r.id.startswith("601ef073"))
        return resource.file_name, resource.last_modified is not None

    assert councillors("2019-06-01") == ("3-rne-cd.txt", True)
    assert councillors("2023-12-01") == ("elus-conseillers-departementaux-cd.csv", True)

"""The portal's JSON and API, without a portal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from pydantic import ValidationError
from scripted_http import Answer, scripted_session

from catalog.errors import PermanentError, PortalUnavailable, Refused, ResourceGone, UsageError
from catalog.settings import Settings
from ingestion.portal import Checksum, PortalClient, parse_moment, read_dataset, read_resource, safe_file_name

BASE = "https://portal.example"


def as_json(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


def client(
    *answers: Answer | Exception, waits: list[float] | None = None, **settings: Any
) -> tuple[PortalClient, list[requests.PreparedRequest]]:
    session, asked = scripted_session(*answers)
    chosen = Settings(**{"portal_url": BASE, "http_retries": 2, "http_backoff_seconds": 0.0, **settings})
    sleep = (waits if waits is not None else []).append
    return PortalClient(chosen, session, clock=lambda: 0.0, sleep=sleep), asked


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2024-10-21T09:12:04+00:00", datetime(2024, 10, 21, 9, 12, 4, tzinfo=UTC), id="zone"),
        pytest.param("2024-10-21T09:12:04+02:00", datetime(2024, 10, 21, 7, 12, 4, tzinfo=UTC), id="other-zone"),
        pytest.param("2019-01-08T17:34:26.423000", datetime(2019, 1, 8, 17, 34, 26, 423000, UTC), id="naive-is-utc"),
        pytest.param("2019-01-08T17:34:26Z", datetime(2019, 1, 8, 17, 34, 26, tzinfo=UTC), id="zulu"),
        pytest.param(" 2019-01-08 ", datetime(2019, 1, 8, tzinfo=UTC), id="date-only-with-spaces"),
        pytest.param("[redacted]", None, id="garbage"),
        pytest.param("2023-02-30T00:00:00", None, id="no-such-day"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before-the-first-year"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param(1546968866, None, id="number"),
    ],
)
def test_timestamp_is_read_or_left_out(text: object, moment: datetime | None) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("url", "name"),
    [
        pytest.param("https://h/r/20241021-091204/caract-2023.csv", "caract-2023.csv", id="plain"),
        pytest.param("https://h/dl?format=csv&a=/b", "dl", id="query-ignored"),
        pytest.param("https://h/Donn%C3%A9es%20%C3%A9lus.CSV", "Donnees_elus.CSV", id="accents-and-spaces"),
        pytest.param("https://h/folder/", "folder", id="trailing-slash"),
        pytest.param("https://h/", "id-1", id="no-name"),
        pytest.param("https://h", "id-1", id="no-path"),
        pytest.param("", "id-1", id="no-url"),
        pytest.param("https://h/..", "id-1", id="parent"),
        pytest.param("https://h/a/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "passwd", id="escaped-climb"),
        pytest.param("https://h/a%5C..%5Cwin.ini", "win.ini", id="backslash"),
        pytest.param("https://h/.htaccess", "htaccess", id="hidden"),
        pytest.param("https://h/%00%0a", "id-1", id="control-characters"),
        pytest.param("https://h/数据", "id-1", id="nothing-in-ascii"),
        pytest.param("https://h/" + "x" * 400 + ".csv.gz", "x" * 143 + ".csv.gz", id="long-keeps-the-ending"),
        pytest.param("http://[::1/f.csv", "id-1", id="malformed"),
    ],
)
def test_file_name_is_plain_visible_and_never_empty(url: str, name: str) -> None:
    assert safe_file_name(url, fallback="id 1") == name


def test_file_name_survives_an_empty_fallback() -> None:
    assert safe_file_name("https://h/", fallback="../") == "file"


def test_resource_needs_only_an_id() -> None:
    resource = read_resource({"id": "a", "brand_new_field": {"deep": [1]}})
    assert (resource.title, resource.url, resource.kind, resource.file_name) == ("", "", "remote", "a")
    assert resource.checksum is resource.size_bytes is resource.last_modified is resource.format is None
    assert resource.metadata["brand_new_field"] == {"deep": [1]}


@pytest.mark.parametrize(
    ("body", "checksum"),
    [
        pytest.param({"type": "SHA1", "value": " AB12 "}, Checksum("sha1", "ab12"), id="normalised"),
        pytest.param({"type": "sha1", "value": None}, None, id="no-value"),
        pytest.param({"value": "ab12"}, None, id="no-type"),
        pytest.param("ab12", None, id="text"),
        pytest.param(None, None, id="null"),
    ],
)
def test_checksum_is_read_or_left_out(body: Any, checksum: Checksum | None) -> None:
    assert read_resource({"id": "a", "checksum": body}).checksum == checksum


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (12, 12), (-1, None), ("12", None), (True, None), (1.5, None)])
def test_size_is_a_count_or_left_out(size: Any, expected: int | None) -> None:
    assert read_resource({"id": "a", "filesize": size}).size_bytes == expected


def test_odd_texts_count_as_absent() -> None:
    resource = read_resource({"id": "a", "title": None, "format": " ", "mime": 7, "url": " https://h/f.csv "})
    assert (resource.title, resource.format, resource.mime, resource.url) == ("", None, None, "https://h/f.csv")


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": None}])
def test_thing_without_id_is_no_resource(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_resource(body)


def test_dataset_of_a_person_has_no_organization() -> None:
    dataset = read_dataset({"id": "a", "organization": None, "owner": {"slug": "x"}, "last_modified": "[redacted]"})
    assert (dataset.slug, dataset.organization, dataset.last_modified) == ("a", None, None)
    assert read_dataset({"id": "a", "organization": {"name": "INSEE"}}).organization == "INSEE"


def test_dataset_key_cannot_change_the_path() -> None:
    portal, asked = client(as_json({"id": "a"}))
    portal.dataset("a/../b?x=1#y")
    assert asked[0].url == f"{BASE}/api/2/datasets/a%2F..%2Fb%3Fx%3D1%23y/"


def test_request_says_who_asks_for_what() -> None:
    portal, asked = client(as_json({"data": []}))
    assert list(portal.resources("a")) == []
    assert asked[0].headers["X-Fields"].startswith("data{id,title,")
    assert asked[0].headers["X-Fields"].endswith("},next_page")


def test_pages_are_followed_on_the_portal_itself() -> None:
    pages = [
        as_json({"data": [{"id": "1"}], "next_page": "http://elsewhere.example/api/2/datasets/a/resources/?page=2"}),
        as_json({"data": [{"id": "2"}], "next_page": None}),
    ]
    portal, asked = client(*pages)
    assert [resource.id for resource in portal.resources("a")] == ["1", "2"]
    assert asked[1].url == f"{BASE}/api/2/datasets/a/resources/?page=2"


def test_pages_in_a_circle_stop() -> None:
    portal, asked = client(as_json({"data": [{"id": "1"}], "next_page": f"{BASE}/api/2/x/?page=1"}))
    with pytest.raises(PermanentError, match="its own next page"):
        list(portal.resources("a"))
    assert len(asked) == 2


def test_search_sends_the_given_terms_only() -> None:
    portal, asked = client(as_json({"data": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}))
    found = portal.search(query="accidents & co", tag="route", limit=2)
    assert [dataset.id for dataset in found] == ["1", "2"]
    assert asked[0].url == f"{BASE}/api/2/datasets/search/?q=accidents+%26+co&tag=route&page_size=2"
    portal, asked = client(as_json({"data": []}))
    list(portal.search(organization="5" * 24, format="csv"))
    assert (
        asked[0].url == f"{BASE}/api/2/datasets/search/?organization={'5' * 24}&format=csv&sort=created&page_size=100"
    )


@pytest.mark.parametrize("status", [404, 410])
def test_dataset_that_is_gone_says_what_to_do(status: int) -> None:
    portal, asked = client(as_json({"message": "gone"}, status))
    with pytest.raises(ResourceGone, match=rf"dataset 'former-slug' \(HTTP {status}.*correct or disable the feed"):
        portal.dataset("former-slug")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        pytest.param({"errors": {"page_size": "must be positive"}, "message": "no"}, "page_size: must be", id="field"),
        pytest.param({"message": "Organization arg must be an identifier"}, "Organization arg must", id="message"),
        pytest.param(["odd"], "no reason given", id="no-object"),
    ],
)
def test_refused_field_is_named(body: Any, complaint: str) -> None:
    portal, asked = client(as_json(body, 400))
    with pytest.raises(UsageError, match=complaint):
        list(portal.search(organization="insee"))
    assert len(asked) == 1


def test_refusal_in_html_is_told_too() -> None:
    portal, _ = client(Answer(403, b"<html>Request Rejected", {"Content-Type": "text/html"}))
    with pytest.raises(PermanentError, match="HTTP 403"):
        portal.dataset("a")


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Answer(503), id="unavailable"),
        pytest.param(Answer(429, headers={"Retry-After": "0"}), id="too-many"),
        pytest.param(requests.ConnectionError("refused"), id="connection"),
        pytest.param(requests.ReadTimeout("silence"), id="timeout"),
        pytest.param(Answer(200, b"<html>maintenance</html>"), id="no-json"),
        pytest.param(Answer(200, b'{"id": "a", "tit'), id="truncated-json"),
        pytest.param(Answer(200, b'{"id"', announced=400), id="cut-body"),
        pytest.param(Answer(200, b"[]"), id="no-object"),
        pytest.param(Answer(200, b"{}"), id="no-dataset"),
    ],
)
def test_passing_failure_is_tried_again_and_a_lasting_one_reported(broken: Answer | Exception) -> None:
    portal, asked = client(broken, broken, as_json({"id": "a"}))
    assert portal.dataset("a").id == "a"
    assert len(asked) == 3
    portal, asked = client(broken)
    with pytest.raises(PortalUnavailable, match=r"https://portal\.example/api/2/.*tried 3 times.*ODH_PORTAL_URL"):
        portal.dataset("a")
    assert len(asked) == 3


def test_server_asking_for_time_gets_it() -> None:
    waits: list[float] = []
    portal, _ = client(Answer(429, headers={"Retry-After": "40"}), as_json({"id": "a"}), waits=waits)
    portal.dataset("a")
    assert waits[0] == 40.0


def test_every_request_keeps_the_pace_retries_and_redirects_included() -> None:
    waits: list[float] = []
    moved = Answer(308, headers={"Location": "/api/2/datasets/b/"})
    portal, asked = client(
        Answer(500), moved, as_json({"id": "b"}), waits=waits, portal_requests_per_second=4, http_backoff_seconds=0
    )
    assert portal.dataset("a").id == "b"
    assert len(asked) == 3
    assert [wait for wait in waits if wait] == [0.25, 0.5]


def test_real_portal_is_asked_at_most_twice_a_second() -> None:
    waits: list[float] = []
    portal, _ = client(as_json({"id": "a"}), waits=waits)
    portal.dataset("a")
    portal.dataset("a")
    assert waits == [0.5]


def test_redirect_away_from_the_portal_is_not_followed() -> None:
    portal, asked = client(Answer(302, headers={"Location": "http://169.254.169.254/latest/"}))
    with pytest.raises(PermanentError, match="redirects to http://169"):
        portal.dataset("a")
    assert len(asked) == 1


def test_redirect_circle_is_left() -> None:
    portal, asked = client(Answer(302, headers={"Location": f"{BASE}/api/2/datasets/a/"}))
    with pytest.raises(Refused, match="redirects more than 5 times"):
        portal.dataset("a")
    assert len(asked) == 6

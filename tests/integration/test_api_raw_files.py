"""Raw files over HTTP: which there are, their very bytes, ranges and conditions, and what is refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_lake import LakeWriter, serving
from raw_files import put_raw

from catalog.manifests import Manifest
from catalog.settings import Settings

CONTENT = b"num_acc;voie\n" + bytes(range(256)) * 5000  # three chunks
FIRST, SECOND = date(2024, 1, 1), date(2024, 2, 1)
HERE = "/raw/files/accidents"
FILE = f"{HERE}/2024-01-01/r1/lieux.csv"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
RESTRICTED_FEED = """
feed: people
title: People
description: People by name.
owner: us
license: lov2
domain: people
source: {dataset: abc}
restricted: true
tables:
  - {name: people, description: One person a row., resources: "."}
"""


def note(lake: LakeWriter, manifest: Manifest) -> None:
    """Tell the ledger of a file, as the loader does."""
    facts = manifest.model_dump(include={"feed", "extraction_date", "resource_id", "title", "status", "file_name"})
    more = manifest.model_dump(include={"sha256", "size_bytes", "source_url", "finished_at"})
    lake.ledger.record_extraction(**facts, **more, run_id="test", table_name="lieux", raw_key=manifest.key)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("raw_files"))
    for day in (FIRST, SECOND):
        note(writer, put_raw(writer.settings, "accidents", day, "lieux.csv", CONTENT))
    note(writer, put_raw(writer.settings, "accidents", SECOND, "empty.csv", b"x", "r2"))
    feeds = writer.settings.lake / "feeds"
    feeds.mkdir()
    (feeds / "people.yml").write_text(RESTRICTED_FEED, encoding="utf-8")
    note(writer, put_raw(writer.settings, "people", FIRST, "people.csv", b"name\nA\n"))
    return writer


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    return problem


def test_feeds_are_listed_with_their_extractions(client: httpx.Client) -> None:
    found = client.get("/raw/files").json()
    assert found["meta"] == {"total": 1}  # the restricted one is not told of
    (feed,) = found["data"]
    assert (feed["feed"], feed["link"]) == ("accidents", f"{client.base_url}{HERE}")
    assert feed["extractions"] == [
        {"extraction_date": "2024-02-01", "files": 2, "new_files": 1, "bytes": len(CONTENT) + 1},
        {"extraction_date": "2024-01-01", "files": 1, "new_files": 1, "bytes": len(CONTENT)},
    ]


def test_files_of_a_feed_are_listed_with_checksum_size_and_address(client: httpx.Client) -> None:
    found = client.get(HERE, params={"page_size": 2}).json()
    assert found["meta"] == {"page": 1, "page_size": 2, "total": 3}
    assert [(one["path"], one["status"]) for one in found["data"]] == [
        ("r2/empty.csv", "stored"),
        ("r1/lieux.csv", "unchanged"),
    ]
    (last,) = client.get(found["links"]["next"]).json()["data"]
    assert (last["sha256"], last["size_bytes"], last["link"]) == (SHA256, len(CONTENT), f"{client.base_url}{FILE}")
    assert client.get(last["link"]).content == CONTENT
    of_a_day = client.get(HERE, params={"extraction_date": "2024-01-01"}).json()
    assert [one["path"] for one in of_a_day["data"]] == ["r1/lieux.csv"]


def test_a_file_comes_with_the_bytes_and_checksum_that_were_stored(client: httpx.Client) -> None:
    answer = client.get(FILE)
    assert (answer.status_code, answer.content == CONTENT) == (200, True)
    headers = answer.headers
    assert headers["etag"] == ETAG
    assert headers["x-checksum-sha256"] == SHA256
    assert headers["repr-digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"
    assert headers["content-length"] == str(len(CONTENT))
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''lieux.csv"


def test_an_unchanged_extraction_gives_the_bytes_of_the_earlier_one(client: httpx.Client) -> None:
    answer = client.get(FILE.replace("2024-01-01", "2024-02-01"))
    assert (answer.content == CONTENT, answer.headers["etag"]) == (True, ETAG)


def test_head_tells_what_get_would_and_sends_nothing(client: httpx.Client) -> None:
    answer = client.head(FILE)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["content-length"], answer.headers["etag"]) == (str(len(CONTENT)), ETAG)
    part = client.head(FILE, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.headers["content-length"]) == (206, "5")


SIZE = len(CONTENT)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-14", 5, 15),
        ("bytes=600000-1200000", 600_000, 1_200_001),
        (f"bytes={SIZE - 3}-", SIZE - 3, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        (f"bytes=10-{SIZE * 2}", 10, SIZE),
    ],
)
def test_a_range_is_that_part(client: httpx.Client, asked: str, start: int, end: int) -> None:
    answer = client.get(FILE, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.content == CONTENT[start:end]
    assert answer.headers["etag"] == ETAG


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_a_range_past_the_end_is_a_416_that_tells_the_size(client: httpx.Client, asked: str) -> None:
    answer = client.get(FILE, headers={"Range": asked})
    problem_of(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes 0-5"])
def test_a_range_that_is_none_gives_the_whole(client: httpx.Client, asked: str) -> None:
    answer = client.get(FILE, headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, SIZE)


@pytest.mark.parametrize(
    ("condition", "status"),
    [(ETAG, 206), ('"other"', 200), (f"W/{ETAG}", 200), ("Mon, 01 Jan 2024 00:00:00 GMT", 200)],
)
def test_a_download_goes_on_only_with_the_bytes_it_began_with(
    client: httpx.Client, condition: str, status: int
) -> None:
    answer = client.get(FILE, headers={"Range": "bytes=10-", "If-Range": condition})
    assert answer.status_code == status
    assert answer.content == (CONTENT[10:] if status == 206 else CONTENT)


@pytest.mark.parametrize(
    ("known", "status"), [(ETAG, 304), (f'"a", W/{ETAG}', 304), ("*", 304), ('"a"', 200), (SHA256, 200)]
)
def test_a_client_that_has_the_bytes_is_told_so(client: httpx.Client, known: str, status: int) -> None:
    answer = client.get(FILE, headers={"If-None-Match": known})
    assert (answer.status_code, answer.headers["etag"]) == (status, ETAG)
    assert (answer.content == b"") == (status == 304)


@pytest.mark.parametrize(
    "path",
    [
        f"{HERE}/2024-01-01/r1/other.csv",
        f"{HERE}/2024-01-01/r9/lieux.csv",
        f"{HERE}/2024-01-02/r1/lieux.csv",
        f"{HERE}/yesterday/r1/lieux.csv",
        f"{HERE}/2024-01-01/r1",
        f"{HERE}/2024-01-01/r1.manifest.json",
        f"{HERE}/2024-01-01/r1.manifest.json/lieux.csv",
        f"{HERE}/2024-01-01/..%2F..%2Fledger.db",
        f"{HERE}/2024-01-01/%2Fetc%2Fpasswd",
        f"{HERE}/2024-01-01/r1/..%2Flieux.csv",
        f"{HERE}/2024-01-01/r1%00/lieux.csv",
        "/raw/files/..%2Faccidents/2024-01-01/r1/lieux.csv",
        "/raw/files/../2024-01-01/r1/lieux.csv",
        "/raw/files/acidents",
    ],
)
def test_what_is_not_a_file_of_the_raw_zone_is_a_404(client: httpx.Client, lake: LakeWriter, path: str) -> None:
    answer = client.get(httpx.URL(str(client.base_url) + path))
    assert str(lake.folder) not in str(problem_of(answer, 404))


def test_raw_files_of_a_restricted_feed_are_refused(client: httpx.Client) -> None:
    for path in ("/raw/files/people", "/raw/files/people/2024-01-01/r1/people.csv"):
        assert problem_of(client.get(path), 403)["type"] == "urn:problem-type:odh:restricted"


def test_bytes_that_are_gone_are_a_404_that_says_so(tmp_path: Path) -> None:
    lake = LakeWriter(tmp_path)
    manifest = put_raw(lake.settings, "accidents", FIRST, "lieux.csv", CONTENT)
    Path(lake.settings.raw_root, manifest.key).unlink()
    with serving(lake.settings) as client:
        assert "any more" in problem_of(client.get(FILE), 404)["detail"]


def test_raw_files_need_their_scope_where_keys_are_asked_for(lake: LakeWriter) -> None:
    settings: Settings = lake.settings.model_copy(update={"api_access": "keys"})
    with serving(settings) as client:
        for path in ("/raw/files", HERE, FILE):
            assert problem_of(client.get(path), 401)["type"] == "urn:problem-type:odh:key-needed"

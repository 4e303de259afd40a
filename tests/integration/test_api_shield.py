"""What stands around every route: the pace of callers, other sites, headers of answers, and bodies too long."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pyarrow as pa
import pytest
from api_lake import LakeWriter, serving
from fastapi import FastAPI, Request
from structlog.testing import capture_logs

from api import problems, shield
from catalog.api_keys import create_key
from catalog.clock import utc_now
from catalog.scopes import Scope
from catalog.settings import Settings

CURATED = "/curated/mart_day"
SITE = "https://data.example.fr"
LIMIT = 64 * 1024


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("shield"))
    writer.release(date(2024, 1, 1), {("gold", "mart_day"): pa.table({"n": [1]})}, {})
    return writer


def settings_of(lake: LakeWriter, **given: Any) -> Settings:
    return lake.settings.model_copy(update={"api_access": "keys", **given})


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(settings_of(lake, api_rate=0, api_cors_origins=SITE, api_max_body_bytes=LIMIT)) as client:
        yield client


def test_who_asks_too_fast_is_told_when_to_come_back_and_others_are_not_kept_waiting(lake: LakeWriter) -> None:
    key = create_key(lake.ledger, "patient", [Scope.RAW_READ], utc_now())[1]
    with serving(settings_of(lake, api_rate=0.01, api_burst=3)) as client:
        answers = [client.get(CURATED) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-remaining"] == "2"
        assert answers[3].json()["type"] == "urn:problem-type:odh:too-fast"
        assert answers[3].headers["ratelimit-remaining"] == "0"
        assert int(answers[3].headers["retry-after"]) >= 90
        assert client.get(CURATED, headers={"X-API-Key": key}).status_code == 200
        assert client.get("/health/live").status_code == 200


def test_who_tries_keys_is_stopped_before_they_are_looked_up(lake: LakeWriter) -> None:
    with serving(settings_of(lake, api_rate=0.01, api_burst=3)) as client:
        tried = [client.get(CURATED, headers={"X-API-Key": f"odh_{n:010d}_x"}).status_code for n in range(5)]
        assert tried == [401, 401, 401, 429, 429]
        assert client.get(CURATED).status_code == 200


@pytest.mark.parametrize("path", [CURATED, "/health", "/nowhere/at/all", "/docs", "/raw"])
def test_every_answer_has_the_headers_that_protect_its_reader(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert ("script-src 'self'" in policy) is (path == "/docs")
    assert "http" not in policy


def test_the_docs_page_asks_for_nothing_its_policy_forbids(client: httpx.Client) -> None:
    page = client.get("/docs")
    wanted = {word for word in page.text.split('"') if word.startswith(("https://", "/docs/"))}
    assert wanted
    for address in wanted:
        assert (urlsplit(address).hostname, client.get(address).status_code) == (None, 200)


def test_what_a_key_is_answered_is_kept_by_no_shared_cache(client: httpx.Client, lake: LakeWriter) -> None:
    key = create_key(lake.ledger, "private", [Scope.CURATED_READ], utc_now())[1]
    assert client.get(CURATED, headers={"X-API-Key": key}).headers["cache-control"] == "private, no-cache"
    assert client.get("/raw").headers["cache-control"] == "no-store"


def test_pages_of_the_sites_named_may_call_and_no_others(client: httpx.Client) -> None:
    ask = {"Origin": SITE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-API-Key"}
    assert client.options("/raw", headers=ask).headers["access-control-allow-origin"] == SITE
    assert client.get(CURATED, headers={"Origin": SITE}).headers["access-control-allow-origin"] == SITE
    for answer in (
        client.options("/raw", headers={**ask, "Origin": "https://evil.example"}),
        client.get(CURATED, headers={"Origin": "https://evil.example"}),
    ):
        assert "access-control-allow-origin" not in answer.headers


def test_no_site_may_call_unless_settings_name_it(lake: LakeWriter) -> None:
    with serving(lake.settings) as client:
        assert "access-control-allow-origin" not in client.get(CURATED, headers={"Origin": SITE}).headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8000"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost:8000"}, 405),
        ({"Host": "[::1]:8000"}, 405),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 405),
    ],
    ids=str,
)
def test_a_gateway_without_keys_is_not_for_the_pages_of_other_sites(
    lake: LakeWriter, headers: dict[str, str], status: int
) -> None:
    with serving(lake.settings) as client:
        assert client.post("/raw", headers=headers).status_code == status
        assert client.get(CURATED, headers=headers).status_code == (
            403 if headers.get("Host") and status == 403 else 200
        )


def test_a_body_of_100_mb_is_refused_by_what_it_announces(client: httpx.Client) -> None:
    url = client.base_url
    with closing(socket.create_connection((url.host, url.port or 80), 10)) as connection:
        head = f"POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: {100 * 1024**2}\r\n\r\n"
        connection.sendall(head.encode())  # and not one byte of the body
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "application/problem+json" in answer


def test_a_client_that_sends_all_100_mb_reads_the_refusal(client: httpx.Client) -> None:
    answer = client.post("/raw", content=bytes(100 * 1024**2))
    assert (answer.status_code, answer.json()["status"]) == (413, 413)
    assert f"{LIMIT:,} bytes" in answer.json()["detail"]
    assert client.get(CURATED).status_code == 200


def test_a_body_without_a_length_is_cut_where_it_passes_the_limit() -> None:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(shield.BoundedBodies, most_bytes=LIMIT)

    @app.post("/raw-body")
    async def raw_body(request: Request) -> int:
        return len(await request.body())

    @app.post("/json")
    async def json_body(values: list[int]) -> int:
        return len(values)

    async def body(chunks: int) -> AsyncIterator[bytes]:
        for _ in range(chunks):
            yield b" " * 1024

    async def ask(path: str, chunks: int) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post(path, content=body(chunks))

    assert anyio.run(ask, "/raw-body", LIMIT // 1024).json() == LIMIT
    for path in ("/raw-body", "/json"):
        answer = anyio.run(ask, path, LIMIT // 1024 + 1)
        assert (answer.status_code, answer.json()["type"]) == (413, "about:blank"), answer.text


def test_the_log_tells_each_request_with_its_number(lake: LakeWriter) -> None:
    with serving(settings_of(lake, log_level="info")) as client, capture_logs() as logged:
        client.get(CURATED, headers={"X-Request-ID": "mine"})
    [told] = [one for one in logged if one["event"] == "request"]
    assert (told["method"], told["path"], told["status"]) == ("GET", CURATED, 200)

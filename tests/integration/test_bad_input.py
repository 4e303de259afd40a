"""Whatever is sent to the gateway, the answer is clear and its own: no 5xx, bounded cost, and it goes on serving."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
import schemathesis
from api_lake import LakeWriter, serving
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

DAY = date(2024, 1, 1)
TABLE = "/curated/mart_day"
EXAMPLES = 12  # an operation; the same ones each time
KNOWN = {
    "layer": ["raw", "staging", "curated"],
    "table": ["mart_day", "f__t", "stg_f__t"],
    "feed": ["f"],
    "rid": ["r1"],
    "namespace": ["raw", "staging", "curated"],
    "extraction_date": ["2024-01-01"],
    "path": ["f.csv"],
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("bad"))
    writer.load("f__t", [{"a": "1"}, {"a": "é\N{SNOWMAN}'\""}], DAY)
    mart = pa.table({"n": [1, 2], "text": ["a", None], "day": [DAY, None], "part": [{"x": 1}, None], "more": [[1], []]})
    writer.release(DAY, {("gold", "mart_day"): mart, ("silver", "stg_f__t"): pa.table({"a": ["1"]})}, {})
    return writer


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def test_nothing_the_document_allows_or_forbids_makes_the_gateway_fail(client: httpx.Client) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 15
    failures = {label: told for operation in operations for label, told in failures_of(operation, client).items()}
    assert not failures, "\n\n".join(f"{label}\n{told}" for label, told in failures.items())
    assert client.get("/health").status_code == 200


def failures_of(operation: Any, client: httpx.Client) -> dict[str, str]:
    """What of one operation went wrong, by status: a request that shows it, and the answer."""
    failures: dict[str, str] = {}
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, data=st.data())
    def send(case: Any, data: Any) -> None:
        known = {name: values for name, values in KNOWN.items() if name in (case.path_parameters or {})}
        if known and data.draw(st.booleans()):  # names at random find nothing
            case.path_parameters.update({name: data.draw(st.sampled_from(of)) for name, of in known.items()})
        answer = case.call(base_url=str(client.base_url), timeout=30)
        media_type = answer.headers.get("content-type", [""])[0]
        if answer.status_code >= 500 or not is_clear(answer.status_code, media_type, answer.content):
            failures[f"{operation.label} {answer.status_code}"] = f"{case.as_curl_command()}\n{answer.text[:500]}"

    send()
    return failures


def is_clear(status: int, media_type: str, body: bytes) -> bool:
    """Whether a refusal says what is wrong, in words and in one of the two forms."""
    if status < 400 or not body:
        return True
    told = json.loads(body)
    is_problem = media_type.startswith("application/problem+json") and told["detail"]
    return bool(is_problem or ("error" in told and told["error"]["message"]) or "services" in told)


# Named tricks


@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"n__exact={number}" for number in range(2_000)),
        "n__in=" + ",".join(map(str, range(5_000))),
        "or=" + "(" * 5_000 + ")" * 5_000,
        "or=(" + ",".join(f"n__exact.{number}" for number in range(2_000)) + ")",
        "columns=" + ",".join(f"n{number}" for number in range(5_000)),
        "page=999999999999999999999",
        "page_size=201",
        "page=-1",
        "page=1e3",
        "n__exact=1; drop table x",
        "n__exact=%00",
        "n__exact=NaN",
        "n__exact=99999999999999999999999999",
        "day__exact=2024-13-45",
        "cursor=AAAA",
        "cursor=" + "A" * 10_000,
        "as_of=9999-99-99",
        "format=exe",
        '"n"__exact=1',
        "__exact=1",
        "n__sort=sideways",
    ],
    ids=lambda query: query[:30],
)
def test_queries_that_cannot_be_are_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"{TABLE}?{query}")
    assert answer.status_code in (400, 414, 431), answer.text[:300]
    assert is_clear(answer.status_code, answer.headers["content-type"], answer.content)


def test_ten_thousand_filters_are_refused_at_little_cost(client: httpx.Client) -> None:
    query = "&".join(f"n__exact={number}" for number in range(10_000))
    status, _ = raw_request(client, f"GET {TABLE}?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status in (400, 414, 431)
    assert client.get(TABLE).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/raw/files/../../../etc/passwd",
        "/raw/files/f/2024-01-01/../../../../etc/passwd",
        "/raw/files/f/2024-01-01/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/raw/files/f/2024-01-01/..%2f..%2f..%2fledger.db",
        "/raw/files/f/2024-01-01//etc/passwd",
        "/raw/files/f/2024-01-01/%00",
        "/raw/files/..%2f/2024-01-01/ledger.db",
        "/curated/..%2f..%2fetc%2fpasswd",
        "/curated/mart_day%00",
        "/curated/" + "x" * 5_000,
        "/iceberg/v1/namespaces/..%2f..%2f/tables/x",
        "/api/resources/..%2f..%2f/data/",
        "//curated/mart_day",
        "/%",
        "/curated/%ff%fe",
        "/curated/mart_day/../../health",
    ],
    ids=lambda path: path[:40],
)
def test_paths_lead_nowhere_but_where_they_say(client: httpx.Client, lake: LakeWriter, path: str) -> None:
    status, body = raw_request(client, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert 400 <= status < 500, body[:300]
    assert b"root:" not in body
    assert str(lake.folder).encode() not in body


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + "a" * 100_000 + "\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n" + "X-A: b\r\n" * 5_000 + "Connection: close\r\n\r\n",
        "GET " + TABLE + " HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-0,1-1,2-2\r\nConnection: close\r\n\r\n",
        "GET " + TABLE + " HTTP/1.1\r\nHost: localhost\r\nAccept: \xff\xfe\r\nConnection: close\r\n\r\n",
        "GET " + TABLE + ' HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: """\r\nConnection: close\r\n\r\n',
        "GET " + TABLE + ' HTTP/1.1\r\nHost: \xff"><script>\r\nConnection: close\r\n\r\n',
        "GET " + TABLE + " HTTP/1.1\r\nHost: evil.example:99999\r\nConnection: close\r\n\r\n",
        "GET " + TABLE + " HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n",
        "GET "
        + TABLE
        + " HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: \xff, 1.2.3.4, []\r\nConnection: close\r\n\r\n",
        "GET " + TABLE + " HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: gopher\r\nConnection: close\r\n\r\n",
        "GET "
        + TABLE
        + " HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: zstd;q=x, *;q=9\r\nConnection: close\r\n\r\n",
        "GET " + TABLE + " HTTP/1.1\r\nConnection: close\r\n\r\n",
        "BREW /raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00",
        "GET / HTTP/9.9\r\n\r\n",
    ],
    ids=lambda head: repr(head[-60:]),
)
def test_headers_that_are_tricks_harm_nothing(client: httpx.Client, head: str) -> None:
    status, body = raw_request(client, head)
    assert status < 500, body[:300]
    assert client.get(TABLE).status_code == 200


def raw_request(client: httpx.Client, head: str) -> tuple[int, bytes]:
    """Send these very bytes; a status of 0 is of a connection that was closed without a word."""
    with closing(socket.create_connection((client.base_url.host, client.base_url.port or 80), 30)) as connection:
        connection.sendall(head.encode("latin-1"))
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
        except (http.client.BadStatusLine, ConnectionResetError):
            return 0, b""
        return answer.status, answer.read()


DEEP = 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"select 1"',
        b"{}",
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"sql": ' + b"[" * DEEP,
        b'{"feed": "f", "data": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"sql": 1, "feed": 2, "data": 3}',
        b'{"sql": NaN, "feed": Infinity, "data": [1e999]}',
        b'{"sql": "select 1", "sql": "drop table x", "feed": "f", "data": [{"a": "\\ud800"}]}',
        b"\xff\xfe{\x00}\x00",
        b'{"sql": "\x00", "feed": "\x00", "data": []}',
        b'{"feed": "../../etc/passwd", "data": [{}]}',
        b" " * 40 * 1024**2,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_bodies_that_cannot_be_are_refused(client: httpx.Client, body: bytes) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    taking = [path for path, verbs in paths.items() if "{" not in path and "post" in verbs]
    assert taking
    for path in taking:
        for media_type in ("application/json", "text/plain", "application/x-www-form-urlencoded", "x"):
            answer = client.post(path, content=body, headers={"Content-Type": media_type})
            assert 400 <= answer.status_code < 500, f"{path} {media_type}: {answer.status_code} {answer.text[:300]}"
            assert is_clear(answer.status_code, answer.headers["content-type"], answer.content)
    assert client.get(TABLE).status_code == 200


def test_a_slow_client_keeps_no_other_waiting(client: httpx.Client) -> None:
    place = (client.base_url.host, client.base_url.port or 80)
    slow = [socket.create_connection(place, 30) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(b"POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        assert client.get(TABLE).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_lake_that_was_sent_all_this_is_whole(client: httpx.Client, lake: LakeWriter) -> None:
    assert client.get("/health").status_code == 200
    assert client.get(TABLE).json()["meta"]["total"] == 2
    assert not list(Path(lake.settings.lake).rglob("passwd"))

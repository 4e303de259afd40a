"""Who may do what over HTTP: callers without a key, keys and their scopes, restricted feeds, and what is left of it."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pyarrow as pa
import pytest
import sqlalchemy as sa
from api_lake import PEOPLE_FEED, LakeWriter, serving
from typer.testing import CliRunner

import odh
from api import access
from catalog import schema
from catalog.api_keys import create_key, list_keys, revoke_key
from catalog.clock import utc_now
from catalog.errors import KeyNeeded
from catalog.scopes import Scope
from catalog.settings import Settings

RAW, CURATED, RESTRICTED = "/raw/f__t", "/curated/mart_day", "/raw/people__t"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("access"))
    writer.load("f__t", [{"a": "1"}], date(2024, 1, 1))
    writer.load("people__t", [{"name": "x"}], date(2024, 1, 1))
    file = {"resource_id": "r1", "run_id": "test", "status": "stored", "file_name": "f.csv", "size_bytes": 1}
    writer.ledger.record_extraction(feed="people", extraction_date=date(2024, 1, 1), **file)
    writer.release(date(2024, 1, 1), {("gold", "mart_day"): pa.table({"n": [1]})}, {})
    feeds = writer.settings.lake / "feeds"
    feeds.mkdir()
    (feeds / "people.yml").write_text(PEOPLE_FEED)
    return writer


@pytest.fixture(scope="module")
def settings(lake: LakeWriter) -> Settings:
    return lake.settings.model_copy(update={"api_access": "keys"})


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with serving(settings) as client:
        yield client


def key_for(lake: LakeWriter, *scopes: Scope, days: float | None = None) -> str:
    now = utc_now()
    expires_at = now + timedelta(days=days) if days else None
    return create_key(lake.ledger, f"key {time.monotonic_ns()}", scopes, now, expires_at)[1]


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refused(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"urn:problem-type:odh:{kind}"
    return problem


@pytest.mark.parametrize("path", ["/staging", CURATED, f"{CURATED}/schema", "/health", "/docs", "/openapi.json"])
def test_without_a_key_what_is_released_is_read(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/raw", RAW, f"{RAW}/schema", "/stats"])
def test_without_a_key_the_rest_is_refused_and_says_how_to_ask(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert "odh keys create NAME --scope" in refused(answer, 401, "key-needed")["detail"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="odh"'


OPEN = {"/health", "/health/live", "/iceberg/v1/config", "/iceberg/v1/namespaces"}
OPEN |= {"/curated/mart_day"}  # a table of a public layer, which the document tells of by name
NAMES = {"layer": "raw", "namespace": "raw", "table": "f__t", "feed": "f", "rid": "r1", "view": "v"}


def test_every_address_of_the_document_takes_a_key_but_those_that_are_open(client: httpx.Client) -> None:
    """A route that somebody adds is closed, or is added to the list above on purpose."""
    refused_to: dict[str, set[int]] = {}
    for path, verbs in client.get("/openapi.json").json()["paths"].items():
        address = path.format_map(defaultdict(lambda: "x", NAMES))
        for verb in verbs:
            answer = client.request(verb, address, content=b"{}" if verb == "post" else None)
            refused_to.setdefault(path, set()).add(answer.status_code)
    named = {path: found for path, found in refused_to.items() if "{rid}" not in path}
    assert {path for path, found in named.items() if found != {401}} == OPEN
    assert all(found in ({401}, {404}) for path, found in refused_to.items() if "{rid}" in path)


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_opens_what_its_scopes_name_and_no_more(client: httpx.Client, lake: LakeWriter, header: str) -> None:
    key = key_for(lake, Scope.RAW_READ)
    headers = {header: f"Bearer {key}" if header == "Authorization" else key}
    assert client.get(RAW, headers=headers).status_code == 200
    assert client.get(CURATED, headers=headers).status_code == 200
    answer = client.get("/stats", headers=headers)
    assert "admin:read" in refused(answer, 403, "scope-missing")["detail"]
    assert 'scope="admin:read"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("tail", ["", "x", "_", "é"])
def test_a_key_that_is_none_is_refused_everywhere(client: httpx.Client, lake: LakeWriter, tail: str) -> None:
    key = key_for(lake, Scope.RAW_READ)
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B") if not tail else f"{key}{tail}"
    for path in (RAW, CURATED):
        answer = client.get(path, headers={b"X-API-Key": wrong.encode()})
        refused(answer, 401, "key-needed")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("given", ["", "Bearer", "Basic dTpw", "Bearer odh_", "Bearer " + "odh_" * 2000])
def test_headers_that_hold_no_key_open_nothing(client: httpx.Client, given: str) -> None:
    assert client.get(RAW, headers={"Authorization": given}).status_code == 401


def test_an_expired_key_is_refused(client: httpx.Client, lake: LakeWriter) -> None:
    key = create_key(lake.ledger, "old", [Scope.RAW_READ], utc_now(), utc_now() - timedelta(seconds=1))[1]
    assert "is expired" in refused(client.get(RAW, headers=bearing(key)), 401, "key-needed")["detail"]


def test_a_revoked_key_is_refused_once_its_lookup_is_old(settings: Settings, lake: LakeWriter) -> None:
    now = [0.0]
    key = key_for(lake, Scope.RAW_READ)
    doors = access.Access(settings, lake.ledger, clock=lambda: now[0])

    def found() -> access.Caller:
        return anyio.run(doors.identify, key)

    assert found().allows(Scope.RAW_READ)
    revoke_key(lake.ledger, key.split("_")[1], utc_now())
    now[0] = access.LOOKUP_SECONDS / 2
    assert found().allows(Scope.RAW_READ)
    now[0] = access.LOOKUP_SECONDS
    with pytest.raises(KeyNeeded, match="is revoked"):
        found()


def test_raw_data_of_a_restricted_feed_needs_its_own_scope(client: httpx.Client, lake: LakeWriter) -> None:
    some, all_ = key_for(lake, Scope.RAW_READ), key_for(lake, Scope.RAW_READ, Scope.RESTRICTED_READ)
    problem = refused(client.get(RESTRICTED, headers=bearing(some)), 403, "restricted")
    assert "restricted:read" in problem["detail"]
    assert client.get(RESTRICTED, headers=bearing(all_)).json()["data"][0]["name"] == "x"

    def listed(key: str) -> set[str]:
        return {table["name"] for table in client.get("/raw", headers=bearing(key)).json()["data"]}

    assert (listed(all_), listed(some)) == ({"f__t", "people__t"}, {"f__t"})


def test_a_test_of_a_restricted_table_tells_its_message_to_those_who_may_read_it(
    client: httpx.Client, lake: LakeWriter
) -> None:
    named = {"run_id": "r", "test_id": "t", "domain": "people", "test_name": "a test", "table_name": "people__t"}
    told = {"severity": "error", "status": "error", "message": "'a value of x' is no date", "tested_at": utc_now()}
    lake.ledger.record_quality([{**named, **told}])
    for scopes, is_told in (((Scope.ADMIN_READ,), False), ((Scope.ADMIN_READ, Scope.RESTRICTED_READ), True)):
        key = key_for(lake, *scopes)
        for path in ("/quality", "/feeds/people"):
            answer = client.get(path, headers=bearing(key))
            assert "a test" in answer.text
            assert ("a value of x" in answer.text) == is_told, path


ICEBERG_RAW = "/iceberg/v1/namespaces/raw/tables"


@pytest.mark.parametrize(
    "path", ["/raw/peple__t", "/raw/peple__t/history", "/raw/files/peple", f"{ICEBERG_RAW}/peple__t"]
)
def test_no_hint_names_what_the_list_keeps_from_a_caller(client: httpx.Client, lake: LakeWriter, path: str) -> None:
    some, all_ = key_for(lake, Scope.RAW_READ), key_for(lake, Scope.RAW_READ, Scope.RESTRICTED_READ)
    refused_to_some, told_to_all = (client.get(path, headers=bearing(key)) for key in (some, all_))
    assert (refused_to_some.status_code, told_to_all.status_code) == (404, 404)
    assert "people" in told_to_all.text
    assert "people" not in refused_to_some.text


def test_no_hint_names_tables_of_a_layer_the_caller_may_not_read(settings: Settings, lake: LakeWriter) -> None:
    early = lake.release(date(2023, 1, 1), {("silver", "stg_kept"): pa.table({"n": [1]})}, {})
    path = f"{CURATED}/changes?from={early}&to={early}"
    with serving(settings.model_copy(update={"api_public": "curated:read"})) as client:
        assert "stg_kept" not in str(refused(client.get(path), 404, "unknown-name"))
        assert client.get("/staging/stg_kept").status_code == 401


def test_open_access_needs_no_key_and_keeps_restricted_feeds(lake: LakeWriter) -> None:
    with serving(lake.settings) as client:
        assert client.get(RAW).status_code == 200
        assert client.get("/stats").status_code == 200
        refused(client.get(RESTRICTED), 403, "restricted")


def test_engines_are_asked_for_keys_in_their_own_words(client: httpx.Client, lake: LakeWriter) -> None:
    tables = "/iceberg/v1/namespaces/{}/tables"
    assert client.get(tables.format("curated")).status_code == 200
    for answer in (
        client.get(tables.format("bronze")),
        client.get(tables.format("curated"), headers={"X-API-Key": "n"}),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "NotAuthorizedException")
    some = bearing(key_for(lake, Scope.RAW_READ))
    assert client.get(tables.format("raw") + "/f__t", headers=some).status_code == 200
    assert client.get(tables.format("raw") + "/people__t", headers=some).json()["error"]["code"] == 403


def test_the_document_tells_of_keys(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"http", "apiKey"}
    assert document["paths"]["/stats"]["get"]["security"]
    assert "security" not in document["paths"]["/health"]["get"]


def test_every_answer_has_a_number_and_takes_the_callers(client: httpx.Client) -> None:
    assert client.get("/health/live", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    theirs = client.get("/health/live", headers={"X-Request-ID": "a b" * 50}).headers["x-request-id"]
    assert len(theirs) == 32


def test_what_is_written_is_audited_when_the_gateway_has_stopped(settings: Settings, lake: LakeWriter) -> None:
    key = key_for(lake, Scope.RAW_READ)
    with serving(settings) as client:
        client.post(CURATED, headers=bearing(key))
        for _ in range(3):
            client.delete("/a/b/c/d")
        client.get(CURATED)
    rows = lake.ledger.arrow("audit").to_pylist()
    told = {(row["method"], row["path"], row["status"]): (row["key_id"], row["requests"]) for row in rows}
    assert told[("POST", CURATED, 405)] == (key.split("_")[1], 1)
    assert told[("DELETE", "/a/b/c/d", 404)][0] is None
    assert sum(row["requests"] for row in rows if row["method"] == "DELETE") == 3
    assert not any(row["method"] == "GET" for row in rows)
    used = {one.key_id: one.last_used_at for one in list_keys(lake.ledger)}
    assert used[key.split("_")[1]] is not None


# The commands


def odh_keys(settings: Settings, *words: str) -> Any:
    answer = CliRunner().invoke(odh.app, ["keys", *words, "--json"], env=settings.as_environment())
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return json.loads(answer.stdout)


def test_a_key_is_shown_once_and_kept_as_a_hash(settings: Settings, lake: LakeWriter, client: httpx.Client) -> None:
    made = odh_keys(settings, "create", "loader", "--scope", "raw:read", "--scope", "sql:run", "--expires-days", "7")
    key = made["key"]
    assert len(key) >= 43 + len("odh_")
    assert client.get(RAW, headers=bearing(key)).status_code == 200
    listed = odh_keys(settings, "list")["keys"]
    [mine] = [one for one in listed if one["name"] == "loader"]
    assert (mine["status"], mine["scopes"]) == ("live", ["raw:read", "sql:run"])
    secret = key.split("_", 2)[2]
    assert secret not in json.dumps(listed)
    with lake.ledger.begin() as connection:
        assert secret not in str(connection.execute(sa.select(schema.api_keys)).all())
    assert not any(secret.encode() in file.read_bytes() for file in database_files(settings.lake))
    assert odh_keys(settings, "revoke", "loader")["key_id"] == made["key_id"]
    assert [one["status"] for one in odh_keys(settings, "list")["keys"] if one["name"] == "loader"] == ["revoked"]


def database_files(folder: Path) -> Sequence[Path]:
    files = sorted(folder.glob("ledger.db*"))
    assert files
    return files


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "n", "--scope", "raw:raed"), "Did you mean 'raw:read'"),
        (("create", " ", "--scope", "raw:read"), "needs a name"),
        (("revoke", "nobody"), "no live key named 'nobody'"),
    ],
    ids=["scope", "name", "key"],
)
def test_keys_that_cannot_be_are_refused(settings: Settings, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(Exception, match=told):
        odh_keys(settings, *words)


def test_two_live_keys_never_share_a_name(settings: Settings) -> None:
    odh_keys(settings, "create", "twin", "--scope", "raw:read")
    with pytest.raises(Exception, match="live key named 'twin'"):
        odh_keys(settings, "create", "twin", "--scope", "raw:read")
    odh_keys(settings, "revoke", "twin")
    odh_keys(settings, "create", "twin", "--scope", "raw:read")

"""What the gateway tells of itself: its health, its stats, its OpenAPI document and Swagger."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from accidents_lake import ACCIDENT, FILES, ROWS_PER_FILE, SCHEMA, write_accidents
from api_lake import LakeWriter, serving

from catalog.stats import collect_stats
from catalog.values import json_value


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    return write_accidents(tmp_path_factory.mktemp("reads"))


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def test_health_names_each_service(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert {name: state["status"] for name, state in answer.json()["services"].items()} == {
        "catalogue": "ok",
        "ledger": "ok",
        "storage": "ok",
        "release": "ok",
        "ingest": "ok",
        "disk": "ok",
    }
    assert answer.json()["services"]["release"]["detail"] == "release 2 of 2024-02-29"
    assert client.get("/health/live").json() == {"status": "ok"}


def test_stats_are_those_of_the_command(client: httpx.Client, lake: LakeWriter) -> None:
    found = client.get("/stats").json()
    expected = collect_stats(lake.settings, lake.ledger, lake.lakehouse)
    assert found["release"]["release_id"] == 2
    counted = {(table["layer"], table["table"]): table for table in found["tables"]}
    assert counted["bronze", "accidents__lieux"]["rows"] == FILES * ROWS_PER_FILE
    assert found["tables"] == json_value(expected["tables"])
    assert found.keys() == expected.keys()
    assert found["zones"] == json_value(expected["zones"])
    assert found["growth"] == json_value(expected["growth"])


def test_the_openapi_document_describes_every_route_and_its_refusals(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    mine = {address: path for address, path in document["paths"].items() if not address.startswith("/iceberg/")}
    assert set(mine) >= {
        "/health/live",
        "/health",
        "/stats",
        "/metrics",
        "/{layer}",
        "/{layer}/{table}",
        "/{layer}/{table}/schema",
        "/{layer}/{table}/history",
        "/{layer}/{table}/changes",
        "/raw/files",
        "/raw/files/{feed}",
        "/raw/files/{feed}/{extraction_date}/{path}",
        *(f"/api/resources/{{rid}}/{end}" for end in ("", "profile/", "swagger/", "data/", "data/csv/", "data/json/")),
    }
    for responses in (operation["responses"] for path in mine.values() for operation in path.values()):
        assert "application/problem+json" in responses["4XX"]["content"]
        assert "422" not in responses
    rows = {parameter["name"] for parameter in document["paths"]["/{layer}/{table}"]["get"]["parameters"]}
    assert rows == {"layer", "table", "as_of", "columns", "page", "page_size", "cursor", "format", "filters"}


def test_the_openapi_document_describes_every_released_table(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    accident = document["paths"][ACCIDENT]["get"]
    assert "What fct_accident holds." in accident["description"]
    taken = {parameter["name"]: parameter for parameter in accident["parameters"]}
    assert {"page", "page_size", "cursor", "format", "as_of", "columns", "injured__exact"} <= taken.keys()
    assert taken["injured__exact"]["description"].startswith("People injured.")
    row = document["components"]["schemas"]["curated.fct_accident"]["properties"]
    assert list(row) == SCHEMA.names
    assert row["injured"] == {"type": ["integer", "null"], "title": "INTEGER", "description": "People injured."}
    assert row["occurred_on"] == {"type": ["string", "null"], "format": "date", "title": "DATE"}
    assert (row["amount"]["type"], row["length_km"]["type"]) == (["string", "null"], ["number", "null"])
    assert "/staging/stg_accidents__lieux" in document["paths"]


def test_swagger_asks_no_one_but_the_gateway(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert (answer.status_code, "http" in answer.text.replace("http-equiv", "")) == (200, False)
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', answer.text):
        assert client.get(address).status_code == 200, address
    assert "script-src 'self'" in answer.headers["content-security-policy"]

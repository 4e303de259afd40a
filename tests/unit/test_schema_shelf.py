"""Which Table Schema a resource declares, fetched once from a server of this test, or brought by the feed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings

from catalog.feed import Feed
from catalog.settings import Settings
from ingestion.table_schemas import MAX_BYTES, SchemaShelf

SCHEMA = {"fields": [{"name": "a", "type": "string"}]}


class Site:
    """A schema.data.gouv.fr of a few pages, which remembers what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []


@pytest.fixture
def site() -> Iterator[tuple[Site, str]]:
    pages = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages.asked.append(self.path)
            page = pages.pages.get(self.path)
            body = json.dumps(page).encode()
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        listed = [
            {
                "name": "etalab/schema-x",
                "schema_type": "tableschema",
                "schema_url": f"{address}/latest.json",
                "versions": [{"version_name": "1.0.0", "schema_url": f"{address}/1.json"}],
            },
            {"name": "etalab/schema-json", "schema_type": "jsonschema", "schema_url": f"{address}/latest.json"},
        ]
        pages.pages = {"/schemas.json": {"schemas": listed}, "/latest.json": SCHEMA, "/1.json": SCHEMA, "/bad.json": []}
        yield pages, address
        server.shutdown()


@pytest.fixture
def lake(tmp_path: Path, site: tuple[Site, str]) -> Settings:
    return lake_settings(tmp_path / "lake", schemas_url=f"{site[1]}/schemas.json")


def feed(**more: object) -> Feed:
    told: dict[str, Any] = {"feed": "f", "title": "f", "description": "f", "owner": "o", "license": "lov2",
                            "domain": "f", "source": {"dataset": "d"}, "tables": "auto"}  # fmt: skip
    return Feed.model_validate({**told, **more})


def declared(name: str | None, version: str | None = None, url: str | None = None) -> dict[str, Any]:
    return {"schema": {"name": name, "version": version, "url": url}}


@pytest.mark.parametrize("portal", [{}, {"schema": None}, {"schema": "x"}, declared(None)])
def test_a_resource_that_declares_nothing_asks_nothing(
    lake: Settings, site: tuple[Site, str], portal: dict[str, Any]
) -> None:
    assert SchemaShelf(lake).facts(feed(), portal) == {}
    assert site[0].asked == []


def test_a_version_is_found_in_the_catalogue_and_kept(lake: Settings, site: tuple[Site, str]) -> None:
    place = {"table_schema": "etalab/schema-x/1.0.0/schema.json"}
    shelf = SchemaShelf(lake)
    assert shelf.facts(feed(), declared("etalab/schema-x", "1.0.0")) == place
    assert json.loads((lake.table_schemas / place["table_schema"]).read_text("utf-8")) == SCHEMA
    assert shelf.facts(feed(), declared("etalab/schema-x", "1.0.0")) == place
    assert SchemaShelf(lake).facts(feed(), declared("etalab/schema-x", "1.0.0")) == place
    assert site[0].asked == ["/schemas.json", "/1.json"]


def test_no_version_means_the_latest(lake: Settings, site: tuple[Site, str]) -> None:
    found = SchemaShelf(lake).facts(feed(), declared("etalab/schema-x"))
    assert found == {"table_schema": "etalab/schema-x/latest/schema.json"}
    assert site[0].asked == ["/schemas.json", "/latest.json"]


def test_a_schema_on_the_shelf_is_never_asked_for(lake: Settings, site: tuple[Site, str]) -> None:
    own = lake.table_schemas / "etalab/schema-y/2.0/schema.json"
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps(SCHEMA), "utf-8")
    assert SchemaShelf(lake).facts(feed(), declared("etalab/schema-y", "2.0")) == {
        "table_schema": "etalab/schema-y/2.0/schema.json"
    }
    (lake.table_schemas / "mine.json").write_text(json.dumps(SCHEMA), "utf-8")
    assert SchemaShelf(lake).facts(feed(table_schema="mine.json"), {}) == {"table_schema": "mine.json"}
    assert site[0].asked == []


@pytest.mark.parametrize(
    ("portal", "told"),
    [
        (declared("etalab/schema-none"), "lists no schema"),
        (declared("etalab/schema-x", "9.9"), "no version 9.9"),
        (declared("etalab/schema-json"), "jsonschema"),
        (declared("../../etc/passwd"), "no name of a schema"),
        (declared(None, None, "file:///etc/passwd"), "no http"),
        (declared(None, None, "{site}/bad.json"), "no Table Schema"),
        (declared(None, None, "{site}/gone.json"), "404"),
    ],
)
def test_what_cannot_be_had_is_told_and_stops_nothing(
    lake: Settings, site: tuple[Site, str], portal: dict[str, Any], told: str
) -> None:
    url = portal["schema"]["url"]
    portal["schema"]["url"] = url.replace("{site}", site[1]) if url else None
    found = SchemaShelf(lake).facts(feed(), portal)
    assert set(found) == {"table_schema_problem"}
    assert told in found["table_schema_problem"]


def test_a_feed_may_not_leave_the_shelf(lake: Settings) -> None:
    found = SchemaShelf(lake).facts(feed(table_schema="../ledger.db"), {})
    assert "there is no file" in found["table_schema_problem"]


def test_a_catalogue_that_is_down_is_asked_once(lake: Settings, site: tuple[Site, str]) -> None:
    del site[0].pages["/schemas.json"]
    shelf = SchemaShelf(lake)
    for name in ("etalab/schema-x", "etalab/schema-z"):
        assert "table_schema_problem" in shelf.facts(feed(), declared(name))
    assert site[0].asked == ["/schemas.json"]


def test_fetching_a_schema_leaves_the_kept_bytes_of_large_files_alone(lake: Settings) -> None:
    lake.partial.mkdir(parents=True)
    kept = lake.partial / "0123abcd"
    with kept.open("wb") as file:
        file.truncate(2 * MAX_BYTES)
    assert "table_schema" in SchemaShelf(lake).facts(feed(), declared("etalab/schema-x"))
    assert kept.exists()

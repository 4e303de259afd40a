"""The Iceberg REST catalogue, read by clients nobody here wrote: pyiceberg's and DuckDB's, over loopback HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest
import services
from api_lake import LakeWriter, serving
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table.metadata import TableMetadataUtil

from catalog import releases
from catalog.iceberg import BRONZE, STAGING
from catalog.release_history import roll_back
from catalog.session import extension_file

JANUARY, FEBRUARY, MARCH = date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)
ROOT = "/iceberg/v1"
ACCIDENT = "namespaces/curated/tables/fct_accident"
FIRST = pa.table({"accident_id": ["a", "b"], "injured": [1, 2]})
SECOND = pa.table({"accident_id": ["a", "b", "c"], "injured": [1, 2, 3], "speed": [50.0, None, 90.5]})
FEED = """\
feed: secrets
title: Secrets
description: What nobody may read as received.
owner: tests
license: lov2
domain: secrets
restricted: true
source: {dataset: secrets}
tables: [{name: lines, description: One line., resources: .}]
"""


@dataclass(frozen=True)
class Served:
    """The lake, the gateway over it, and where its catalogue is."""

    lake: LakeWriter
    client: httpx.Client

    @property
    def uri(self) -> str:
        return f"{str(self.client.base_url).rstrip('/')}/iceberg"

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.client.get(f"{ROOT}/{path}", params=parameters)

    def metadata(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["metadata"]
        return found


def write_lake(lake: LakeWriter) -> None:
    """Two extractions of bronze, three releases, the last of a day gone by, and one left half-way by a crash."""
    feeds = lake.settings.lake / "feeds"
    feeds.mkdir(parents=True, exist_ok=True)
    (feeds / "secrets.yml").write_text(FEED)
    lake.load("secrets__lines", [{"name": "x"}], JANUARY)
    lake.load("accidents__lieux", [{"numero": "1", "voie": "rue"}], JANUARY)
    release(lake, JANUARY, {("gold", "fct_accident"): FIRST})
    lake.load("accidents__lieux", [{"numero": "2", "voie": "quai"}], MARCH)
    release(lake, MARCH, {("gold", "fct_accident"): SECOND, ("silver", "stg_accidents__lieux"): FIRST})
    release(lake, FEBRUARY, {("gold", "fct_accident"): FIRST.slice(0, 1)})
    lake._stage("gold", "fct_accident", pa.table({"accident_id": ["z"], "leaked": ["unreleased"]}), {})


def release(lake: LakeWriter, day: date, tables: dict[tuple[str, str], pa.Table]) -> None:
    """Publish tables made from the bronze there is."""
    staged = [lake._stage(layer, name, content, {}) for (layer, name), content in tables.items()]
    inputs = [pin for name in lake.lakehouse.names(BRONZE) if (pin := lake.lakehouse.pin(BRONZE, name))]
    releases.publish(
        lake.ledger, lake.lakehouse, releases.stage(lake.ledger, "test", day, staged, {"domain": "mark"}, inputs)
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    lake = LakeWriter(tmp_path_factory.mktemp("rest"))
    write_lake(lake)
    with serving(lake.settings) as client:
        yield Served(lake, client)


@contextmanager
def pyiceberg(served: Served, warehouse: str | None = None, **properties: str) -> Iterator[RestCatalog]:
    chosen = {"warehouse": warehouse} if warehouse else {}
    with closing(RestCatalog("odh", uri=served.uri, **chosen, **properties)) as catalog:
        yield catalog


@contextmanager
def attached(uri: str, warehouse: str = "", options: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, with nothing of the lakehouse but its address."""
    with duckdb.connect() as connection:
        for name in ("avro", "httpfs", "iceberg"):
            connection.execute(f"load '{extension_file(name)}'")
        given = f"type iceberg, endpoint '{uri}', authorization_type 'none'"
        connection.execute(f"attach '{warehouse}' as lake ({given}{options})")
        yield connection


# pyiceberg


def test_pyiceberg_lists_the_layers_and_their_tables(served: Served) -> None:
    with pyiceberg(served) as catalog:
        assert catalog.list_namespaces() == [("curated",), ("raw",), ("staging",)]
        assert catalog.list_namespaces("raw") == []
        assert catalog.list_tables("curated") == [("curated", "fct_accident")]
        assert catalog.list_tables("gold") == [("gold", "fct_accident")]
        assert catalog.list_tables("staging") == [("staging", "stg_accidents__lieux")]
        assert catalog.list_tables("raw") == [("raw", "accidents__lieux")]
        assert catalog.list_views("curated") == []
        assert "Star schemas" in catalog.load_namespace_properties("curated")["comment"]
        assert catalog.namespace_exists("raw")
        assert not catalog.namespace_exists("nope")
        assert catalog.table_exists("curated.fct_accident")
        assert not catalog.table_exists("curated.fct_acident")
        assert not catalog.view_exists("curated.fct_accident")


def test_pyiceberg_reads_what_the_current_release_holds(served: Served) -> None:
    with pyiceberg(served) as catalog:
        table = catalog.load_table("curated.fct_accident")
        assert table.scan().to_arrow().to_pylist() == SECOND.to_pylist()
        assert table.scan("injured > 1", selected_fields=("accident_id",)).to_arrow().num_rows == 2
        assert catalog.load_table("raw.accidents__lieux").scan().to_arrow()["voie"].to_pylist() == ["quai", "rue"]


def test_pyiceberg_travels_by_tag_and_by_time(served: Served) -> None:
    with pyiceberg(served) as catalog:
        table = catalog.load_table("curated.fct_accident")
        rows = {}
        for tag in ("release-1", "release-2", "release-3"):
            snapshot = table.snapshot_by_name(tag)
            assert snapshot is not None
            rows[tag] = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows
        assert rows == {"release-1": 2, "release-2": 3, "release-3": 1}
        first, last = table.history()
        assert table.snapshot_as_of_timestamp(last.timestamp_ms - 1).snapshot_id == first.snapshot_id  # type: ignore[union-attr]
        assert table.snapshot_as_of_timestamp(first.timestamp_ms - 1) is None
        assert table.snapshot_as_of_timestamp(last.timestamp_ms) == table.current_snapshot()


def test_raw_tables_are_tagged_with_what_each_release_was_made_from(served: Served) -> None:
    with pyiceberg(served) as catalog:
        table = catalog.load_table("raw.accidents__lieux")
        snapshot = table.snapshot_by_name("release-1")
        assert snapshot is not None
        assert table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()["voie"].to_pylist() == ["rue"]


@pytest.mark.parametrize(
    ("warehouse", "rows", "tags"),
    [
        ("2024-01-31", 2, ["release-1"]),
        ("release-1", 2, ["release-1"]),
        ("2024-03-01", 1, ["release-1", "release-3"]),
        ("2030-01-01", 3, ["release-1", "release-2", "release-3"]),
        ("lake", 3, ["release-1", "release-2", "release-3"]),
    ],
)
def test_a_warehouse_is_the_lake_as_a_day_or_a_release_left_it(
    served: Served, warehouse: str, rows: int, tags: list[str]
) -> None:
    with pyiceberg(served, warehouse) as catalog:
        table = catalog.load_table("curated.fct_accident")
        assert table.scan().to_arrow().num_rows == rows
        assert sorted(name for name in table.refs() if name != "main") == tags
        assert table.history()[-1].snapshot_id == table.current_snapshot().snapshot_id  # type: ignore[union-attr]


def test_the_raw_tables_of_a_past_state_are_those_it_was_made_from(served: Served) -> None:
    with pyiceberg(served, "2024-01-31") as catalog:
        assert catalog.load_table("raw.accidents__lieux").scan().to_arrow()["voie"].to_pylist() == ["rue"]
    with pyiceberg(served, "2023-01-01") as catalog:
        assert catalog.list_tables("raw") == catalog.list_tables("curated") == []


def test_pyiceberg_raises_its_own_errors(served: Served) -> None:
    with pyiceberg(served) as catalog:
        with pytest.raises(NoSuchTableError, match="Did you mean 'fct_accident'"):
            catalog.load_table("curated.fct_acident")
        with pytest.raises(NoSuchNamespaceError):
            catalog.list_tables("curate")
        with pytest.raises(NoSuchNamespaceError):
            catalog.list_tables(("curated", "deeper"))


def test_pyiceberg_writes_nothing(served: Served) -> None:
    """It knows of no write endpoint, for the configuration names none, and does not even ask."""
    with pyiceberg(served) as catalog:
        table = catalog.load_table("curated.fct_accident")
        for write in (
            lambda: catalog.create_namespace("mine"),
            lambda: catalog.create_table("curated.mine", SECOND.schema),
            lambda: catalog.drop_table("curated.fct_accident"),
            lambda: table.append(SECOND),
        ):
            with pytest.raises(NotImplementedError, match="does not support"):
                write()
    with pyiceberg(served) as catalog:
        assert catalog.load_table("curated.fct_accident").scan().to_arrow().num_rows == 3


# DuckDB


def test_duckdb_attaches_and_joins(served: Served) -> None:
    with attached(served.uri) as connection:
        found = connection.execute("select database, schema, name from (show all tables) order by all").fetchall()
        assert found == [
            ("lake", "curated", "fct_accident"),
            ("lake", "raw", "accidents__lieux"),
            ("lake", "staging", "stg_accidents__lieux"),
        ]
        rows = connection.execute(
            "select accident_id, speed from lake.curated.fct_accident "
            "join lake.staging.stg_accidents__lieux using (accident_id) order by accident_id"
        ).fetchall()
        assert rows == [("a", 50.0), ("b", None)]
        assert connection.execute("select count(*) from lake.gold.fct_accident").fetchone() == (3,)


def test_duckdb_attaches_the_lake_of_a_day_beside_the_present_one(served: Served) -> None:
    with attached(served.uri) as connection:
        past = f"type iceberg, endpoint '{served.uri}', authorization_type 'none'"
        connection.execute(f"attach '2024-01-31' as past ({past})")
        new = connection.execute(
            "select accident_id from lake.curated.fct_accident anti join past.curated.fct_accident using (accident_id)"
        )
        assert new.fetchall() == [("c",)]


def test_duckdb_reads_a_snapshot(served: Served) -> None:
    first = served.metadata(ACCIDENT)["refs"]["release-1"]["snapshot-id"]
    with attached(served.uri) as connection:
        found = connection.execute(f"select * from lake.curated.fct_accident at (version => {first})")
        assert found.fetchall() == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    "statement",
    [
        "create schema lake.mine",
        "create table lake.curated.mine (i integer)",
        "drop table lake.curated.fct_accident",
        "delete from lake.curated.fct_accident",
    ],
)
def test_duckdb_writes_nothing(served: Served, statement: str) -> None:
    with attached(served.uri) as connection, pytest.raises(duckdb.Error, match=r"406|read-only|support"):
        connection.execute(statement)
    assert served.get(ACCIDENT).json()["metadata"]["refs"]["main"]


# What is told, and what is not


def test_nothing_unreleased_is_told(served: Served) -> None:
    file = served.lake.lakehouse.table("gold", "fct_accident").metadata
    assert STAGING in file.refs
    answer = served.get(ACCIDENT)
    assert "leaked" not in answer.text
    metadata = answer.json()["metadata"]
    assert set(metadata["refs"]) == {"main", "release-1", "release-2", "release-3"}
    assert {one["snapshot-id"] for one in metadata["snapshots"]} == {
        one["snapshot-id"] for one in metadata["refs"].values()
    }
    assert len(metadata["snapshots"]) < len(file.snapshots)
    read = TableMetadataUtil.parse_obj(metadata)  # pyiceberg checks that every reference holds
    assert read.schema().column_names == SECOND.column_names


def test_restricted_raw_tables_are_neither_listed_nor_loaded(served: Served) -> None:
    for path in ("namespaces/raw/tables/secrets__lines", "release-1/namespaces/bronze/tables/secrets__lines"):
        assert served.get(path).status_code == 403
        assert served.get(path).json()["error"]["type"] == "ForbiddenException"
        assert served.client.head(f"{ROOT}/{path}").status_code == 403
    assert "secrets" not in served.get("namespaces/raw/tables").text
    assert "secrets" not in served.get("2024-01-31/namespaces/raw/tables").text


def test_a_rollback_moves_main_and_its_log(tmp_path: Path) -> None:
    lake = LakeWriter(tmp_path)
    release(lake, JANUARY, {("gold", "fct_accident"): FIRST})
    release(lake, MARCH, {("gold", "fct_accident"): SECOND})
    roll_back(lake.settings, lake.ledger, lake.lakehouse, 1)
    with serving(lake.settings) as client:
        metadata = Served(lake, client).metadata(ACCIDENT)
    refs = {name: ref["snapshot-id"] for name, ref in metadata["refs"].items()}
    assert refs["main"] == refs["release-1"] == refs["release-3"] == metadata["current-snapshot-id"]
    assert [one["snapshot-id"] for one in metadata["snapshot-log"]] == [
        refs["release-1"],
        refs["release-2"],
        refs["release-1"],
    ]
    assert metadata["current-schema-id"] == metadata["snapshots"][0]["schema-id"]


def test_a_release_shows_at_once_and_not_before(tmp_path: Path) -> None:
    lake = LakeWriter(tmp_path)
    with serving(lake.settings) as client:
        served = Served(lake, client)
        assert served.get("namespaces/curated/tables").json()["identifiers"] == []
        pin = lake._stage("gold", "fct_accident", FIRST, {})
        assert served.get(ACCIDENT).status_code == 404
        staged = releases.stage(lake.ledger, "test", JANUARY, [pin], {"domain": "mark"})
        assert served.get(ACCIDENT).status_code == 404
        releases.publish(lake.ledger, lake.lakehouse, staged)
        assert served.get(ACCIDENT).status_code == 200


def test_a_table_without_rows_has_no_snapshot(tmp_path: Path) -> None:
    lake = LakeWriter(tmp_path)
    lake.lakehouse.ensure_bronze("accidents__lieux", {"numero": ""})
    with serving(lake.settings) as client:
        served = Served(lake, client)
        metadata = served.metadata("namespaces/raw/tables/accidents__lieux")
        assert (metadata["current-snapshot-id"], metadata["snapshots"], metadata["refs"]) == (-1, [], {})
        with pyiceberg(served) as catalog:
            assert catalog.load_table("raw.accidents__lieux").scan().to_arrow().num_rows == 0
        with attached(served.uri) as connection:
            assert connection.execute("select count(*) from lake.raw.accidents__lieux").fetchone() == (0,)


def test_an_etag_spares_what_is_known(served: Served) -> None:
    answer = served.get(ACCIDENT)
    tag = answer.headers["etag"]
    for known in (tag, f'"other", W/{tag}'):
        again = served.client.get(f"{ROOT}/{ACCIDENT}", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert served.client.get(f"{ROOT}/{ACCIDENT}", headers={"If-None-Match": '"other"'}).status_code == 200
    assert served.get(f"release-1/{ACCIDENT}").headers["etag"] != tag


def test_refs_leaves_out_snapshots_nothing_points_to(served: Served) -> None:
    path = "namespaces/raw/tables/accidents__lieux"
    referenced = served.metadata(path, snapshots="refs")
    assert {one["snapshot-id"] for one in referenced["snapshots"]} == {
        one["snapshot-id"] for one in referenced["refs"].values()
    }
    assert served.get(path, snapshots="some").status_code == 400


def test_lists_come_in_pages_when_a_token_is_given(served: Served) -> None:
    assert served.get("namespaces", pageSize=1).json()["next-page-token"] is None
    names: list[str] = []
    token: str | None = ""
    while token is not None:
        page = served.get("namespaces", pageSize=1, pageToken=token).json()
        names += [name for (name,) in page["namespaces"]]
        token = page["next-page-token"]
    assert names == ["curated", "raw", "staging"]


def test_the_configuration_names_what_is_served_and_no_secret(served: Served) -> None:
    told = served.get("config").json()
    assert (told["defaults"], told["overrides"]) == ({}, {})
    assert "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}" in told["endpoints"]
    assert not [one for one in told["endpoints"] if not one.startswith(("GET ", "HEAD ")) and "metrics" not in one]
    assert served.get("config", warehouse="release-1").json()["overrides"] == {"prefix": "release-1"}


def test_a_scan_report_is_taken(served: Served) -> None:
    answer = served.client.post(f"{ROOT}/{ACCIDENT}/metrics", json={"report-type": "scan-report"})
    assert (answer.status_code, answer.content) == (204, b"")


REFUSED = {
    "an unknown table": ("GET", "namespaces/curated/tables/nope", 404, "NoSuchTableException"),
    "a table of another layer": ("GET", "namespaces/staging/tables/fct_accident", 404, "NoSuchTableException"),
    "a table not yet released": (
        "GET",
        "2024-01-31/namespaces/staging/tables/stg_accidents__lieux",
        404,
        "NoSuchTableException",
    ),
    "an unknown namespace": ("GET", "namespaces/nope", 404, "NoSuchNamespaceException"),
    "an unknown parent": ("GET", "namespaces?parent=nope", 404, "NoSuchNamespaceException"),
    "the ledger": ("GET", "namespaces/ops/tables", 404, "NoSuchNamespaceException"),
    "a nested namespace": ("GET", "namespaces/raw%1Fdeeper/tables", 404, "NoSuchNamespaceException"),
    "a view": ("GET", "namespaces/curated/views/fct_accident", 404, "NoSuchViewException"),
    "an unknown release": ("GET", "release-99/namespaces", 404, "NotFoundException"),
    "a huge release": ("GET", f"release-{'9' * 30}/namespaces", 400, "BadRequestException"),
    "an unknown prefix": ("GET", "nope/namespaces", 400, "BadRequestException"),
    "an unknown warehouse": ("GET", "config?warehouse=2024-13-01", 400, "BadRequestException"),
    "a bad token": ("GET", "namespaces?pageToken=é", 400, "BadRequestException"),
    "a bad size": ("GET", "namespaces?pageSize=0", 400, "BadRequestException"),
    "an unknown address": ("GET", "namespaces/curated/tables/fct_accident/credentials", 404, "NotFoundException"),
    "a path out of the lake": ("GET", "namespaces/raw/tables/..%2F..%2Fledger.db", 404, "NotFoundException"),
    "making a namespace": ("POST", "namespaces", 406, "UnsupportedOperationException"),
    "making a table": ("POST", "namespaces/curated/tables", 406, "UnsupportedOperationException"),
    "a commit": ("POST", ACCIDENT, 406, "UnsupportedOperationException"),
    "a commit of several": ("POST", "transactions/commit", 406, "UnsupportedOperationException"),
    "a drop": ("DELETE", ACCIDENT, 406, "UnsupportedOperationException"),
    "a rename": ("POST", "tables/rename", 406, "UnsupportedOperationException"),
    "a drop in the past": ("DELETE", f"release-1/{ACCIDENT}", 406, "UnsupportedOperationException"),
    "properties": ("POST", "namespaces/raw/properties", 406, "UnsupportedOperationException"),
}


@pytest.mark.parametrize(("verb", "path", "status", "kind"), REFUSED.values(), ids=REFUSED)
def test_refusals_are_in_icebergs_own_model(served: Served, verb: str, path: str, status: int, kind: str) -> None:
    answer = served.client.request(verb, f"{ROOT}/{path}")
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == (kind, status)
    assert error["message"]


def test_metadata_that_cannot_be_read_is_a_503(tmp_path: Path) -> None:
    lake = LakeWriter(tmp_path)
    release(lake, JANUARY, {("gold", "fct_accident"): FIRST})
    for file in (lake.settings.lake / "warehouse").rglob("*.metadata.json"):
        file.unlink()
    with serving(lake.settings) as client:
        answer = Served(lake, client).get(ACCIDENT)
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "ServiceUnavailableException")
    assert str(tmp_path) not in json.dumps(answer.json())


@pytest.mark.services
def test_engines_read_tables_of_s3_with_keys_of_their_own(tmp_path: Path) -> None:
    with services.or_skip(services.s3(tmp_path / "s3")) as server:
        lake = LakeWriter(tmp_path, warehouse_url=f"s3://{server.bucket}/wh", **server.settings)
        release(lake, JANUARY, {("gold", "fct_accident"): FIRST})
        with serving(lake.settings) as client:
            served = Served(lake, client)
            told = served.get("config").text + served.get(ACCIDENT).text
            assert server.secret_access_key not in told
            assert server.access_key_id not in told
            keys = {"s3.access-key-id": server.access_key_id, "s3.secret-access-key": server.secret_access_key}
            with pyiceberg(served, **keys) as catalog:
                assert catalog.load_table("curated.fct_accident").scan().to_arrow().to_pylist() == FIRST.to_pylist()
            with attached(served.uri, options=", access_delegation_mode 'none'") as connection:
                connection.execute(duckdb_secret(server))
                found = connection.execute("from lake.curated.fct_accident order by all").fetchall()
                assert found == [("a", 1), ("b", 2)]


def duckdb_secret(server: services.S3Server) -> str:
    """A DuckDB secret as a user would write it."""
    keys = f"key_id '{server.access_key_id}', secret '{server.secret_access_key}', region '{server.region}'"
    endpoint = server.endpoint.removeprefix("http://")
    return f"create secret mine (type s3, {keys}, endpoint '{endpoint}', url_style 'path', use_ssl false)"

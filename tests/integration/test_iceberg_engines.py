"""The Iceberg REST catalogue, read by clients nobody here wrote: pyiceberg's and DuckDB's, over loopback HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import services
from api_lake import LakeWriter, serving
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from rest_lake import ACCIDENT, FIRST, JANUARY, SECOND, Served, attached, pyiceberg, release, served_lake


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_lake(tmp_path_factory.mktemp("rest")) as served:
        yield served


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


# S3


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

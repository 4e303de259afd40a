"""What the Iceberg REST catalogue tells, and what it does not, over loopback HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_lake import LakeWriter, serving
from pyiceberg.table.metadata import TableMetadataUtil
from rest_lake import ACCIDENT, FIRST, JANUARY, MARCH, ROOT, SECOND, Served, attached, pyiceberg, release, served_lake

from catalog import releases
from catalog.iceberg import STAGING
from catalog.release_history import roll_back


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_lake(tmp_path_factory.mktemp("rest")) as served:
        yield served


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

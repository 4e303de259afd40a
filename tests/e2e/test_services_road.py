"""The road once more with the catalogue and the ledger on PostgreSQL, raw files and tables on S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import services
from conftest import lake_settings
from lakes import content_of, odh, sql

from catalog.settings import Settings
from catalog.storage import raw_store, warehouse_store

pytestmark = pytest.mark.services

RUN = ("run", "accidents", "irve", "--extraction-date", "2024-06-01", "--json")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sample_url: str) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("services")
    with (
        services.or_skip(services.postgres(folder / "postgres")) as database,
        services.or_skip(services.s3(folder / "s3")) as s3,
    ):
        yield lake_settings(
            folder / "lake",
            portal_url=sample_url,
            ledger_url=database,
            catalog_url=database,
            raw_url=f"s3://{s3.bucket}/raw",
            warehouse_url=f"s3://{s3.bucket}/warehouse",
            personal_data_key="a secret of enough characters",
            file_delay_days=0.0,
            **s3.settings,
        )


def test_the_same_lake_comes_out_on_servers_as_on_a_laptop(lake: Settings, sample_url: str, tmp_path: Path) -> None:
    laptop = lake_settings(tmp_path / "lake", portal_url=sample_url)
    for settings in (lake, laptop):
        assert odh(settings, *RUN).json["release_id"] == 1
    assert content_of(lake) == content_of(laptop)
    assert not (lake.lake / "ledger.db").exists()
    assert not (lake.lake / "raw").exists()
    assert not (lake.lake / "warehouse").exists()


def test_a_second_run_on_servers_changes_nothing(lake: Settings) -> None:
    before = content_of(lake)
    assert odh(lake, *RUN).json["release_id"] is None
    assert content_of(lake) == before
    assert sql(lake, "select count(*) from ops.releases") == [(1,)]


def test_a_snapshot_on_servers_is_taken_once(lake: Settings) -> None:
    take = ("snapshot", "mart_accident_departement", "--as-of", "2024-06-01", "--json")
    [first], [again] = (odh(lake, *take).json["snapshots"] for _ in range(2))
    assert (first["status"], again["status"]) == ("published", "exists")
    live, kept = "gold.mart_accident_departement", "gold.mart_accident_departement_snapshots"
    [(rows,)] = sql(lake, f"select count(*) from {live}")
    assert sql(lake, f"select count(*), min(as_of)::varchar from {kept}") == [(rows, "2024-06-01")]


def test_upkeep_on_servers_leaves_what_is_read_and_removes_what_nothing_names(lake: Settings) -> None:
    store = warehouse_store(lake)
    lost = "gold/mart_accident_departement/data/lost.parquet"
    store.put_bytes(b"left by a crash", lost)
    before = content_of(lake)
    planned = odh(lake, "maintain", "--dry-run", "--json").json
    assert store.exists(lost)
    done = odh(lake, "maintain", "--json").json
    assert done["busy"] == planned["busy"] == []
    assert done["totals"]["files_removed"] > 0
    assert not store.exists(lost)
    assert content_of(lake) == before
    assert odh(lake, "maintain", "--json").json["totals"]["files_removed"] == 0
    assert content_of(lake) == before


def test_an_erasure_on_servers_leaves_no_trace(lake: Settings) -> None:
    [(number,)] = sql(lake, "select min(num_acc) from bronze.accidents__caracteristiques")
    told = odh(lake, "erase", "accidents.caracteristiques", "--where", f"num_acc={number}", "--reason", "7", "--json")
    assert told.json["is_proven"] is True
    assert told.json["removed"]["bronze.accidents__caracteristiques"] == 1
    assert told.json["removed"]["gold.fct_accident"] >= 1
    assert [change["why"] for change in told.json["raw"]] == ["its lines were emptied"]
    for table in ("bronze.accidents__caracteristiques", "silver.stg_accidents__caracteristiques", "gold.fct_accident"):
        column = "num_acc" if table.startswith("bronze") else "accident_id"
        assert sql(lake, f"select count(*) from {table} where {column} = '{number}'") == [(0,)]
    raw = raw_store(lake)
    [key] = [change["key"] for change in told.json["raw"]]
    assert number.encode() not in raw.read_bytes(key)

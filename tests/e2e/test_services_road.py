"""The road once more with the catalogue and the ledger on PostgreSQL, raw files and tables on S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import services
from conftest import lake_settings
from lakes import content_of, odh, sql

from catalog.settings import Settings

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
            s3_endpoint=s3.endpoint,
            s3_region=s3.region,
            s3_access_key_id=s3.access_key_id,
            s3_secret_access_key=s3.secret_access_key,
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

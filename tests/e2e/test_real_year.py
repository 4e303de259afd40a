"""The real road accidents of 2023, from the stand-in portal to a release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import lake_settings
from lakes import odh, sql
from shared_portal import requires_shared, shared_portal

from catalog.settings import Settings

pytestmark = [requires_shared, pytest.mark.real]

YEAR = "accident_year = 2023"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with shared_portal() as portal:
        settings = lake_settings(tmp_path_factory.mktemp("real") / "lake", portal_url=portal.url)
        odh(settings, "run", "accidents", "--json")
        yield settings


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (f"select count(*), count(distinct accident_id) from gold.fct_accident where {YEAR}", (54_822, 54_822)),
        (f"select sum(place_count) from gold.fct_accident where {YEAR}", (70_860,)),
        (f"select sum(vehicle_count) from gold.fct_accident where {YEAR}", (93_585,)),
        (f"select sum(person_count) from gold.fct_accident where {YEAR}", (125_789,)),
        (
            "select count(*) from gold.fct_accident_vehicle as v join gold.fct_accident as a using (accident_id) "
            f"where a.{YEAR}",
            (93_585,),
        ),
        (
            "select count(*) from gold.fct_accident_person as p join gold.fct_accident as a using (accident_id) "
            f"where a.{YEAR}",
            (125_789,),
        ),
        ("select count(*) from gold.fct_accident_vehicle anti join gold.fct_accident using (accident_id)", (0,)),
        ("select count(*) from gold.fct_accident_person anti join gold.fct_accident using (accident_id)", (0,)),
        (
            "select count(*) from gold.fct_accident as a anti join gold.dim_commune as c "
            "on a.commune_key = c.commune_code",
            (0,),
        ),
        ("select count(*) from bronze.accidents__lieux where _source_file = 'lieux-2023.csv.gz'", (70_860,)),
        (f"select sum(accident_count) from gold.mart_accident_departement where {YEAR}", (54_822,)),
        # Lacalm was merged into Argences en Aubrac in 2017: no COG of today has its code as a commune
        ("select distinct commune_key from gold.fct_accident where commune_code = '12117'", ("12223",)),
        ("select count(municipal_population) from gold.mart_accident_departement", (0,)),  # populations never came
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_the_release_holds_the_real_year(lake: Settings, statement: str, expected: tuple[int, ...]) -> None:
    assert sql(lake, statement) == [expected]


def test_no_row_of_the_real_files_is_lost(lake: Settings) -> None:
    loads = sql(lake, "select source_file, rows_loaded, rows_rejected from ops.loads where feed = 'accidents'")
    assert {name: (rows, rejected) for name, rows, rejected in loads if "2023" in name or "2018" in name} == {
        "caract-2023.csv": (54_822, 0),
        "lieux-2023.csv.gz": (70_860, 0),
        "vehicules-2023.csv.gz": (93_585, 0),
        "usagers-2023.csv": (125_789, 0),
        "lieux-2018.csv.gz": (57_783, 0),
        "vehicules-2018.csv.gz": (98_876, 0),
    }


def test_what_cannot_enter_the_star_is_reported_not_dropped_in_silence(lake: Settings) -> None:
    """The 2018 files have no caractéristiques beside them: their rows stay in silver, and a warning counts them."""
    warned = dict(sql(lake, "select test_name, failures from ops.quality_results where status = 'warn'"))
    assert warned["vehicules_have_their_accident"] == 98_876
    assert warned["lieux_have_their_accident"] == 57_783
    assert sql(lake, "select count(*) from ops.quality_results where status in ('fail', 'error')") == [(0,)]


def test_raw_holds_the_very_bytes(lake: Settings) -> None:
    [(key, size)] = sql(lake, "select raw_key, size_bytes from raw.files where file_name = 'usagers-2023.csv'")
    assert (Path(lake.raw_root) / key).stat().st_size == size == 13_509_800

"""The real road accidents of 2023, from the stand-in portal to a release, with a file that came late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import lake_settings
from lakes import Answer, odh, sql
from shared_portal import requires_shared, shared_portal

from catalog.settings import Settings

pytestmark = [requires_shared, pytest.mark.real]

YEAR = "accident_year = 2023"


@dataclass(frozen=True)
class Story:
    """A lake, and the two runs that made it: one while the portal did not give a file, and one when it did."""

    settings: Settings
    without: Answer
    whole: Answer


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    run = ("run", "accidents", "--extraction-date", "2024-06-01", "--json")
    with shared_portal() as portal:
        folder = tmp_path_factory.mktemp("real")
        settings = lake_settings(folder / "lake", portal_url=portal.url, http_retries=1)
        portal.break_with({"match": "usagers-2023", "kind": "status", "status": 500})
        without = odh(settings, *run, check=False)
        portal.mend()
        yield Story(settings, without, odh(settings, *run))


@pytest.fixture(scope="module")
def lake(story: Story) -> Settings:
    return story.settings


def test_a_file_that_never_came_is_not_released_as_zeros(story: Story) -> None:
    assert story.without.code == 1
    found = {domain["domain"]: domain for domain in story.without.json["domains"]}
    assert {name: domain["status"] for name, domain in found.items()} == {"reference": "built", "road_safety": "failed"}
    assert "usagers-2023.csv" in found["road_safety"]["reason"]
    assert (story.without.json["release_id"], story.whole.json["release_id"]) == (1, 2)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (f"select count(*), count(distinct accident_id) from gold.fct_accident where {YEAR}", (54_822, 54_822)),
        (f"select sum(place_count) from gold.fct_accident where {YEAR}", (70_860,)),
        (f"select sum(vehicle_count) from gold.fct_accident where {YEAR}", (93_585,)),
        (f"select sum(person_count) from gold.fct_accident where {YEAR}", (125_789,)),
        (f"select sum(killed_count) from gold.fct_accident where {YEAR}", (3_398,)),
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

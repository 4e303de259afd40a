"""The real elected officials, populations and communes of 2018 to 2024, each file on the day it was published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date

import pytest
from conftest import lake_settings
from lakes import odh, sql
from shared_portal import requires_shared, shared_portal

from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.registry import load_registry
from catalog.settings import Settings
from ingestion.sync import Syncer

pytestmark = [requires_shared, pytest.mark.real]

CHANGES = {
    "2018-06-01": ("cog", "fusions"),
    "2019-06-01": ("cog", "elus"),
    "2020-12-31": ("elus",),
    "2022-06-01": ("populations",),
    "2022-12-31": ("elus", "cog"),
    "2023-07-01": ("elus", "populations"),
    "2023-12-31": ("elus",),
}
LAST_DAY = "2024-12-31"
COUNCILLORS, DEPUTIES = "office = 'conseiller_departemental'", "office = 'depute'"
# people in each file, told by name and day of birth (two names of one person counted once)
PEOPLE = {"2019-06-01": 4025, "2020-12-31": 4030, "2022-12-31": 4047, "2023-07-01": 4051, "2023-12-31": 4048}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lake that followed the files since 2018, built once on the last day."""
    with shared_portal() as portal:
        settings = lake_settings(tmp_path_factory.mktemp("people") / "lake", portal_url=portal.url)
        registry = load_registry(settings)
        with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
            for day, feeds in CHANGES.items():
                portal.control(as_of=day)
                syncer = Syncer(settings, ledger, lakehouse, f"sync-{day}", registry=registry)
                for feed in feeds:
                    result = syncer.sync(registry.get(feed), date.fromisoformat(day), lambda *_: None)
                    assert not result.errors, result.errors
        portal.control(as_of=LAST_DAY)
        odh(settings, "run", "elus", "populations", "fusions", "--extraction-date", LAST_DAY, "--json")
        yield settings


def told_on(day: str) -> str:
    return f"valid_from <= date '{day}' and (valid_to is null or valid_to > date '{day}')"


@pytest.mark.parametrize(("day", "people"), PEOPLE.items())
def test_each_file_is_told_as_of_its_day(lake: Settings, day: str, people: int) -> None:
    counted = f"select count(*), count(distinct official_key) from gold.fct_mandate where {COUNCILLORS}"
    assert sql(lake, f"{counted} and {told_on(day)}") == [(people, people)]
    [(summed, women, men)] = sql(
        lake,
        "select sum(mandate_count), sum(woman_count), sum(man_count) from gold.mart_mandate_departement "
        f"where {COUNCILLORS} and observed_on = date '{day}'",
    )
    assert summed == women + men == people


def test_deputies_are_followed_over_a_dissolution(lake: Settings) -> None:
    counted = f"select is_current, count(*) from gold.fct_mandate where {DEPUTIES} group by all order by all"
    assert sql(lake, counted) == [(False, 574), (True, 577)]
    [(again,)] = sql(
        lake,
        f"select count(*) from (select official_key from gold.fct_mandate where {DEPUTIES} group by all "
        "having count(*) = 2 and count(distinct district_code) = 1)",
    )
    assert 300 < again < 577, "re-elected in the same constituency, whose code lost its zero in 2024"


def test_live_silver_is_the_newest_file(lake: Settings) -> None:
    for table, rows in (("conseillers_departementaux", 4055), ("deputes", 577)):
        assert sql(lake, f"select count(*), min(_invalid_columns) from silver.stg_elus__{table}") == [(rows, None)]


def test_a_term_is_one_mandate_whatever_its_start_was_corrected_to(lake: Settings) -> None:
    starts = f"{COUNCILLORS} and mandate_start_date in ('2015-03-29', '2015-04-02')"  # the vote, the first meeting
    counted = f"select count(*), count(distinct official_key || district_code) from gold.fct_mandate where {starts}"
    [(mandates, people)] = sql(lake, counted)
    assert mandates == people == 3896


def test_a_person_keeps_one_key_under_two_names(lake: Settings) -> None:
    names = (
        "select list(last_name order by first_seen_on) from gold.dim_official_name "
        "where birth_date = '1966-02-12' and first_name = 'Virginie' group by official_key"
    )
    assert sql(lake, names) == [(["BLAIN", "CHAVEY"],)]


def test_every_departement_is_one_of_the_cog(lake: Settings) -> None:
    outside = "select distinct departement_code from gold.fct_mandate where departement_key is null order by all"
    assert sql(lake, outside) == [("975",), ("977",), ("986",), ("987",), ("988",), ("ZZ",)]


def test_codes_of_old_lists_find_todays_commune(lake: Settings) -> None:
    relations = dict(sql(lake, "select commune_relation, count(*) from gold.dim_commune_code group by all"))
    assert relations == {"commune": 34_955, "part": 2_071, "former": 2_129, "lost": 14, "unknown": 1}
    found = "select commune_code, commune_key from gold.dim_commune_code where commune_code in {} order by all"
    # Crépieux-la-Pape changed département; Saint-Champ left no part behind; Paris 1er is a part of Paris
    assert sql(lake, found.format(("01132", "01341", "75101"))) == [
        ("01132", "69286"), ("01341", "01227"), ("75101", "75056"),
    ]  # fmt: skip


def test_populations_are_those_published(lake: Settings) -> None:
    by_year = (
        "select reference_year, count(*), sum(municipal_population) from gold.fct_population group by all order by all"
    )
    assert sql(lake, by_year) == [(2019, 34_990, 66_988_403), (2020, 34_980, 67_162_154)]
    assert sql(lake, "select count(*) from gold.fct_population where commune_key = '00000'") == [(0,)]

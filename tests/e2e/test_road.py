"""The whole road on the sample: portal → raw → bronze → tests → release → SQL, twice, and through a schema change."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from conftest import lake_settings
from lakes import content_of, odh, sql

from catalog.settings import Settings
from ingestion.sample.portal import running_portal

RUN = ("run", "accidents", "irve", "--json", "--extraction-date")
EARLY, LATE = date(2019, 6, 1), date(2024, 6, 1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Settings:
    """A lake that saw the sample portal at two dates."""
    place = tmp_path_factory.mktemp("road") / "lake"
    for day in (EARLY, LATE):
        with running_portal(sample_folder, as_of=day) as url:
            settings = lake_settings(place, portal_url=url)
            answer = odh(settings, *RUN, day.isoformat(), check=day == LATE)
            assert day == LATE or answer.code in (0, 1), answer.err
    return settings


def test_facts_hold_every_source_row_once(lake: Settings) -> None:
    [(accidents, distinct, vehicles, people)] = sql(
        lake,
        "select count(*), count(distinct accident_id), sum(vehicle_count), sum(person_count) from gold.fct_accident",
    )
    bronze = {name: sql(lake, f"select count(*) from bronze.accidents__{name}")[0][0] for name in TABLES}
    assert accidents == distinct == bronze["caracteristiques"]
    assert vehicles == bronze["vehicules"] == sql(lake, "select count(*) from gold.fct_accident_vehicle")[0][0]
    assert people == bronze["usagers"] == sql(lake, "select count(*) from gold.fct_accident_person")[0][0]
    assert bronze["lieux"] > accidents  # or the count above would prove nothing


TABLES = ("caracteristiques", "lieux", "vehicules", "usagers")


def test_rows_loaded_and_rejected_are_all_in_the_ledger(lake: Settings) -> None:
    rejected = sql(lake, "select table_name, source_line, reason, raw_text from ops.rejects order by source_line")
    assert [row[0] for row in rejected] == ["accidents__lieux"] * 2
    assert sql(lake, "select sum(rows_rejected) from ops.loads")[0][0] == 2
    loaded = sql(lake, "select table_name, sum(rows_loaded) from ops.loads group by 1")
    for table, rows in loaded:
        assert sql(lake, f"select count(*) from bronze.{table}")[0][0] == rows


def test_lineage_leads_back_to_the_line_of_the_raw_file(lake: Settings) -> None:
    [(key, name, line, text)] = sql(
        lake,
        "select f.raw_key, b._source_file, b._source_line, b.num_acc from bronze.accidents__caracteristiques as b "
        "join raw.files as f on f.resource_id = b._resource_id and f.extraction_date = b._extraction_date "
        "where b._source_file like '%2019.csv' order by b._source_line desc limit 1",
    )
    assert key.endswith(f"/{name}")
    assert text in (Path(lake.raw_root) / key).read_text("utf-8").splitlines()[line - 1]


def test_the_schema_change_of_the_charging_points_is_recorded(lake: Settings) -> None:
    changes = sql(lake, "select column_name, change, class from ops.schema_changes where feed = 'irve'")
    assert ("coordonneesxy", "added", "safe") in changes
    assert ("xlongitude", "missing", "breaking") in changes
    assert sql(lake, "select count(distinct _extraction_date) from bronze.irve__points_de_charge") == [(2,)]


def test_as_of_shows_the_older_release(lake: Settings) -> None:
    then = odh(lake, "sql", "--as-of", EARLY.isoformat(), "select count(*) from gold.fct_charging_point").json
    now = odh(lake, "sql", "select count(*) from gold.fct_charging_point").json
    assert then["rows"][0][0] != now["rows"][0][0] > 0


def test_the_same_thing_twice_changes_nothing(lake: Settings, sample_folder: Path) -> None:
    before = content_of(lake)
    releases = sql(lake, "select count(*) from ops.releases")
    with running_portal(sample_folder, as_of=LATE) as url:
        again = odh(lake_settings(lake.lake, portal_url=url), *RUN, LATE.isoformat())
    assert again.json["release_id"] is None
    assert {domain["status"] for domain in again.json["domains"]} == {"unchanged"}
    assert content_of(lake) == before
    assert sql(lake, "select count(*) from ops.releases") == releases


def test_an_unchanged_day_later_stores_no_bytes_and_loads_no_row(lake: Settings, sample_folder: Path) -> None:
    rows = sql(lake, "select sum(rows_loaded) from ops.loads")
    with running_portal(sample_folder) as url:
        later = odh(lake_settings(lake.lake, portal_url=url), "sync", *RUN[1:], "2024-06-02")
    assert sum(feed["stored"] for feed in later.json["feeds"]) == 0
    assert sql(lake, "select sum(rows_loaded) from ops.loads") == rows


def test_sql_and_stats_speak_json_off_a_terminal(lake: Settings) -> None:
    answer = odh(lake, "sql", "select 1 as one, 'é' as two").json
    assert answer == {"columns": ["one", "two"], "rows": [[1, "é"]]}
    stats = odh(lake, "stats", "--json").json
    layers = {table["layer"] for table in stats["tables"]}
    assert layers == {"bronze", "silver", "gold"}
    assert all(table["rows"] >= 0 and table["files"] >= 0 and table["bytes"] >= 0 for table in stats["tables"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "accident"), 2, "Did you mean 'accidents'"),
        (("feeds", "show", "irv"), 2, "Did you mean 'irve'"),
        (("sql", "select * from gold.fct_accidents"), 2, "Did you mean 'gold.fct_accident'"),
        (("sql", "select nope from gold.fct_accident"), 2, "nope"),
        (("sql", "selec 1"), 2, "syntax error"),
        (("run", "--extraction-date", "yesterday"), 2, "yesterday"),
        (("explode",), 2, "explode"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_misuse_says_what_exists(lake: Settings, arguments: tuple[str, ...], code: int, said: str) -> None:
    answer = odh(lake, *arguments, check=False)
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err

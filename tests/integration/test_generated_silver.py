"""Generated models in a real dbt: what they build, and that their tests fail when they must."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest
from conftest import lake_settings
from written_contracts import DAY, contract, feed, put_rows

from catalog.contracts.adopt import adopt
from catalog.contracts.models import typed_select, write_models
from catalog.contracts.store import write_contract
from catalog.dbt import Dbt, DbtRun
from catalog.feed import BadValues
from catalog.functions import install_functions
from catalog.registry import Registry
from catalog.settings import REPOSITORY, Settings

REAL = REPOSITORY / "dbt_project"
ODD = "{{ env_var('HOME') }} {% raw %} {# l'été #}"

STATIONS = contract(
    "velos__stations",
    {
        "code": {"type": "text", "header": ODD, "pattern": r"\d{5}|{{", "nullable": False, "unique": True},
        "order": {"type": "integer", "header": "Order", "maximum": 100},
        "date": {"type": "date", "header": "Date", "description": ODD},
        "taux": {"type": "decimal", "unit": "%", "markers": ["nd", "l'an 1", "{{ x }}"]},
        "taux_reason": {"type": "text", "values": ["a", "l'un", "{%"]},
    },
    description=ODD,
)
STATION_ROWS = [
    ["00001", "12", "01/02/2024", "1,5", "a"],
    ["00002", "1 200", "2024-13-45", "nd", "b"],
    ["00002", "douze", "", "l'an 1", "l'un"],
    ["{{", None, None, "{{ x }}", "{%"],
]
LINES = contract("velos__lines", {"km": "decimal", "name": "text"}, bad_values=BadValues.REJECT_ROW)
STRICT = contract(
    "strict__rows",
    {"id": {"type": "text", "decided": "hand", "unique": True}, "n": {"type": "integer", "nullable": False}},
    domain="strict",
)
ADOPTED = contract("velos__adopted", {"n": "integer"})
LOSSY = contract("lossy__rows", {"n": "integer"}, domain="lossy")
SCHEDULE = [
    contract("bus__routes", {"route_id": "text"}),
    contract("bus__trips", {"trip_id": "text", "route_id": "text"}),
    contract("bus__stops", {"stop_id": "text", "parent_station": "text"}),
    contract("bus__stop_times", {"trip_id": "text", "stop_id": "text"}),
]
SCHEDULE_ROWS = [[["A"]], [["1", "A"], ["2", "B"]], [["s1", ""]], [["1", "s1"], ["1", "s2"], ["9", "s9"]]]


@dataclass
class Warehouse:
    """A dbt project with no model but the generated ones, over a private file."""

    settings: Settings
    dbt: Dbt
    runs: dict[str, DbtRun]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the private file, once dbt has let it go."""
        self.dbt.close()
        with duckdb.connect(str(self.dbt.database)) as connection:
            return connection.execute(query).fetchall()

    def outcome(self, domain: str) -> dict[str, tuple[str, int | None]]:
        """Status and failures of each test of a domain."""
        return {test.test_name: (test.status, test.failures) for test in self.runs[domain].tests}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("generated")
    for name in ("dbt_project.yml", "profiles.yml", "runner.py"):
        (folder / "project").mkdir(exist_ok=True)
        shutil.copyfile(REAL / name, folder / "project" / name)
    for name in ("plugins", "macros", "tests/generic"):
        shutil.copytree(REAL / name, folder / "project" / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = lake_settings(folder / "lake", dbt_project=folder / "project", threads=2)
    database = folder / "private.duckdb"
    with duckdb.connect(str(database)) as connection:
        install_functions(connection)
        put_rows(connection, STATIONS, STATION_ROWS)
        put_rows(connection, STATIONS, [["old", "1", "2020-01-01", "1", "a"]], day=DAY.replace(day=2, month=1))
        put_rows(connection, LINES, [["1,5", "a"], ["long", "b"], ["", "c"]])
        put_rows(connection, ADOPTED, [["1"], ["one"]])
        put_rows(connection, LOSSY, [["1"], ["2"]])
        put_rows(connection, STRICT, [["a", "1"], ["a", "x"]])
        for one, rows in zip(SCHEDULE, SCHEDULE_ROWS, strict=True):
            put_rows(connection, one, rows)
    write_models(settings, feed("strict", domain="strict"), [STRICT])
    write_models(settings, feed("bus"), SCHEDULE)
    write_models(settings, feed("lossy", domain="lossy"), [LOSSY])
    lossy = settings.generated_models / "lossy" / "stg_lossy__rows.sql"
    lossy.write_text(lossy.read_text("utf-8").replace("select * from final", "select * from final limit 1"), "utf-8")
    for one in (STATIONS, LINES, ADOPTED):
        write_contract(settings, one)
    adopt(settings, Registry([feed(title=ODD)]), "velos.adopted")  # writes the models of what is left
    with Dbt(settings, database, settings.lake / "build" / "run") as dbt:
        yield Warehouse(settings, dbt, dbt.build(["transport", "strict", "lossy"], lambda *_: None))


def test_a_generated_model_types_what_reads_and_keeps_why_the_rest_does_not(warehouse: Warehouse) -> None:
    assert warehouse.runs["transport"].errors == []
    columns = 'code, "order", date::varchar, taux, taux_reason_2, taux_reason, _rejected'
    assert warehouse.rows(f"select {columns} from silver.stg_velos__stations order by _source_line") == [
        ("00001", 12, "2024-02-01", 1.5, None, "a", []),
        ("00002", 1200, None, None, "nd", "b", ["date"]),
        ("00002", None, None, None, "l'an 1", "l'un", ["order"]),
        ("{{", None, None, None, "{{ x }}", "{%", []),
    ]


def test_a_model_gives_what_the_same_sql_gives_without_dbt(warehouse: Warehouse) -> None:
    plain = typed_select(STATIONS, "bronze.velos__stations")
    built = "select * from silver.stg_velos__stations"
    assert warehouse.rows(f"({plain}) except all ({built})") == []
    assert warehouse.rows(f"select count(*) from ({plain})") == [(len(STATION_ROWS),)]


def test_rows_that_are_to_leave_leave_and_are_counted(warehouse: Warehouse) -> None:
    assert warehouse.rows("select km, name, _rejected from silver.stg_velos__lines order by name") == [
        (1.5, "a", []),
        (None, "c", []),
    ]
    assert warehouse.outcome("transport")["stg_velos__lines_has_every_row_of_bronze"] == ("pass", 0)


def test_rules_from_the_files_warn_and_say_how_many_values_break_them(warehouse: Warehouse) -> None:
    outcome = warehouse.outcome("transport")
    assert outcome["stg_velos__stations_has_every_row_of_bronze"] == ("pass", 0)
    # a code twice, one order above 100 and one reason that is none of the three
    assert outcome["stg_velos__stations_holds_contract"] == ("warn", 3)


def test_rules_from_a_person_stop_the_domain(warehouse: Warehouse) -> None:
    assert warehouse.outcome("strict") == {
        "stg_strict__rows_has_every_row_of_bronze": ("pass", 0),
        "stg_strict__rows_holds_what_is_demanded": ("fail", 1),
        "stg_strict__rows_holds_contract": ("warn", 1),
    }
    [error] = warehouse.runs["strict"].errors
    assert error.startswith("stg_strict__rows_holds_what_is_demanded: Got 1 result")


def test_tables_of_a_schedule_point_to_one_another(warehouse: Warehouse) -> None:
    outcome = warehouse.outcome("transport")
    assert outcome["stg_bus__stop_times_points_to_rows"] == ("warn", 3)  # trip 9, stops s2 and s9
    assert outcome["stg_bus__trips_points_to_rows"] == ("warn", 1)  # route B
    assert outcome["stg_bus__stops_points_to_rows"] == ("pass", 0)


def test_a_row_that_is_lost_fails_the_build(warehouse: Warehouse) -> None:
    assert warehouse.outcome("lossy") == {"stg_lossy__rows_has_every_row_of_bronze": ("fail", 1)}


def test_an_adopted_model_builds_with_the_generated_ones(warehouse: Warehouse) -> None:
    folder = warehouse.settings.dbt_project / "models/silver/transport"
    assert {path.name for path in folder.iterdir()} == {"stg_velos__adopted.sql", "stg_velos__adopted.yml"}
    assert warehouse.rows("select n, _rejected from silver.stg_velos__adopted order by all") == [(1, []), (None, ["n"])]
    assert warehouse.outcome("transport")["stg_velos__adopted_has_every_row_of_bronze"] == ("pass", 0)


def test_dbt_leaves_the_generated_files_as_they_are(warehouse: Warehouse) -> None:
    """It writes compiled SQL under each model's path below its target."""
    generated = warehouse.settings.generated_models
    before = {path: path.stat().st_mtime_ns for path in generated.rglob("*.*")}
    write_models(warehouse.settings, feed(title=ODD), [STATIONS, LINES])
    assert {path: path.stat().st_mtime_ns for path in generated.rglob("*.*")} == before
    assert sorted(path.name for path in (generated / "velos").iterdir()) == [
        "_velos.yml",
        "stg_velos__lines.sql",
        "stg_velos__stations.sql",
    ]

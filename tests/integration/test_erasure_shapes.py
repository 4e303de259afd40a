"""Erasure where tables changed their shape: columns that came, went or were renamed, and gold that lost the keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tiny_warehouse import TinyWarehouse, feed

from catalog import releases, write_back
from catalog.dbt import Model
from catalog.iceberg import BRONZE, Pin
from catalog.iceberg_upkeep import snapshot_columns
from catalog.registry import Registry
from catalog.releases import ReleasedTable
from catalog.runs import Run
from catalog.session import create_view, open_duckdb, scan_sql
from catalog.table_keys import note_keys
from ingestion.erase import erase_person

HER = "19-XQ-7"
DAYS = [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)]
LINEAGE = "_resource_id, _extraction_date, _source_file, _source_member, _source_line"
FILE = f"id;nom;ville\n11-AB-1;Martin;Lyon\n{HER};Quatrebarbes;Paris\n{HER};Quatrebarbes;Brest\n"
KEY = "'key of ' || id as person_key"
# What three releases made of one file: each tells her otherwise.
TOLD: list[dict[str, str]] = [
    {
        "silver.stg_people__lines": f"select id as person_code, nom as name, ['a'] as _rejected, {LINEAGE} from lines",
        "gold.dim_person": f"select distinct {KEY}, id as person_code, nom as name from lines",
        "gold.fct_visit": f"select {KEY}, ville as town from lines",
        "gold.mart_town": "select ville as town, count(*) as visits from lines group by ville",
    },
    {  # a column comes, the code is dropped from gold, and the fact has another column
        "silver.stg_people__lines": f"select id as person_code, nom as name, ville as town, {LINEAGE} from lines",
        "gold.dim_person": f"select distinct {KEY}, nom as name from lines",
        "gold.fct_visit": f"select 1 as visits, {KEY} from lines",
    },
    {  # names as the file has them, and no lineage any more
        "silver.stg_people__lines": "select id, nom, ville as town from lines",
        "gold.dim_person": f"select distinct id, nom, {KEY} from lines",
        "gold.fct_visit": "select ville as town, count(*) as visits from lines group by ville",
    },
]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyWarehouse]:
    """A lake of one file and three releases."""
    folder = tmp_path_factory.mktemp("shapes")
    tiny = TinyWarehouse(folder, personal_data_key="a secret of enough characters")
    table = {"name": "lines", "description": "One person.", "resources": ".", "columns": ["id", "nom", "ville"]}
    tiny.registry = Registry([feed("people", tables=[table])])
    with closing(tiny.lakehouse), closing(tiny.ledger), closing(open_duckdb(tiny.settings)) as connection:
        tiny.load("people", DAYS[0], FILE)
        pin = tiny.lakehouse.pin(BRONZE, "people__lines")
        assert pin
        connection.execute("create schema silver; create schema gold; create schema bronze")
        create_view(connection, BRONZE, "people__lines", scan_sql(pin))
        connection.execute("create view lines as from bronze.people__lines")
        for day, tables in zip(DAYS, TOLD, strict=True):
            release(tiny, connection, folder, day, tables)
        yield tiny


def release(tiny: TinyWarehouse, connection: Any, folder: Path, day: date, tables: dict[str, str]) -> None:
    made = []
    for place, select in tables.items():
        layer, _, name = place.partition(".")
        connection.execute(f"create or replace table {place} as {select}")
        pin = write_back.stage_table(connection, tiny.lakehouse, (layer, name), ({}, ""), None, folder, {})
        made.append(ReleasedTable(pin, "people", 0, f"{day}{place}"))
    released = releases.stage(tiny.ledger, "run", day, made, {"people": "mark"})
    releases.publish(tiny.ledger, tiny.lakehouse, released)
    note_keys(tiny.lakehouse, [Model("gold", "dim_person", "", {}, ("person_key",))])


def snapshots(tiny: TinyWarehouse, place: str) -> list[tuple[frozenset[str], list[tuple[Any, ...]]]]:
    """Columns and rows of every snapshot a table has."""
    layer, _, name = place.partition(".")
    table = tiny.lakehouse.table(layer, name)
    with closing(open_duckdb(tiny.settings)) as connection:
        return [
            (columns, connection.execute(scan_sql(Pin(layer, name, table.metadata_location, snapshot_id))).fetchall())
            for snapshot_id, columns in snapshot_columns(table).items()
        ]


def test_a_person_is_found_under_every_name_and_shape(people: TinyWarehouse) -> None:
    before = {place: snapshots(people, place) for place in TOLD[0]}
    assert sum("Quatrebarbes" in str(rows) for found in before.values() for _, rows in found) >= 5
    run_id = people.ledger.start_run("erase", ["people"], DAYS[0])
    run = Run(run_id, people.settings, people.registry, [], DAYS[0], people.ledger, people.lakehouse)
    who = (run, people.registry.get("people"), "lines", {"id": HER}, "request 7")

    planned = erase_person(*who, is_dry=True)
    told = erase_person(*who, is_dry=False)

    removed = {
        "bronze.people__lines": 2,
        "silver.stg_people__lines": 6,  # by lineage twice, then by its key
        "gold.dim_person": 3,  # by the name its key has in silver, by the key that pointed to her, by the key
        "gold.fct_visit": 4,  # by what points to her; the last release does not name her
    }
    assert planned["found"] == removed
    assert {place: count for place, count in told["removed"].items() if count} == removed
    assert told["is_proven"] is True
    assert told["unsearched"] == planned["unsearched"] == ["gold.mart_town"]
    for place in removed.keys() - {"bronze.people__lines"}:
        after = snapshots(people, place)
        assert HER not in str(after), place
        assert "Quatrebarbes" not in str(after), place
        kept = [(columns, sorted(rows, key=str)) for columns, rows in after if rows]
        others = [
            (columns, sorted((row for row in rows if HER not in str(row) and "Quatrebarbes" not in str(row)), key=str))
            for columns, rows in before[place]
            if rows
        ]
        assert sorted(kept, key=str) == sorted(others, key=str), "other rows and columns stay as they were"
    again = erase_person(*who, is_dry=False)
    assert set(again["removed"].values()) == {0}
    assert again["is_proven"] is True

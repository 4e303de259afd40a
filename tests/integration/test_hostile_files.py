"""Files such as administrations really publish, through the whole road but dbt: nothing lost, nothing changed, nothing
silently NULL; and the same again when the next edition comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import pytest
from conftest import lake_settings
from office_files import cells, xlsx
from raw_files import put_raw, zipped
from written_contracts import feed

from catalog.contracts.contract import Contract
from catalog.contracts.decide import decide_columns
from catalog.contracts.models import rejects_select, typed_select
from catalog.contracts.silver import read_columns
from catalog.functions import install_functions
from catalog.generated import GeneratedSilver
from catalog.iceberg import BRONZE, Lakehouse
from catalog.inputs import pin_inputs, show_bronze
from catalog.ledger import Ledger
from catalog.names import quote_identifier
from catalog.row_choice import current_rows
from catalog.session import open_duckdb
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader, Load
from ingestion.raw import RawZone

MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
FEED = feed("h")
Rows = Sequence[Sequence[str]]
NAMES = ["select", "_source_line", "", "_rejected", "{{ x }}", "Prénom", "PRÉNOM", "x_reason", "x", "_read_x", " "]
LONG = "Nombre de logements sociaux dans les communes soumises à l'article 55 de la loi SRU en "


def csv(headers: Sequence[str], rows: Rows, encoding: str = "utf-8", end: str = "\n") -> bytes:
    """A file of cells that need no quotes, written by hand so that no reader's habits are in it."""
    return "".join(";".join(row) + end for row in [headers, *rows]).encode(encoding)


@dataclass(frozen=True)
class Published:
    """One file, and how a person reads it; ``records`` is None where it holds no table."""

    name: str
    content: bytes
    records: int | None
    rows: Rows | None = None  # all of them, where none is a reject


def plain(name: str, headers: Sequence[str], rows: Rows, encoding: str = "utf-8", end: str = "\n") -> Published:
    return Published(name, csv(headers, rows, encoding, end), len(rows), rows)


ODD = [
    ["{{ 1/0 }}", "l'été", "7", "{% raw %}", "\u202eab", "👩‍👧", "مرحبا", "a", "nd", "-- x", " "],
    [*"ABCDEFG", "a", "12", "x", ""],
]
AMOUNTS = [
    [
        "01001",
        "1 234,50 €",
        "\u22125,5",
        "nd" if day % 50 == 3 else f"{day},5",
        f"{day % 28 + 1:02d}/{day % 12 + 1:02d}/2024",
    ]
    for day in range(200)
]
CLOCK = [[f"T{i}", "25:10:00" if i % 100 == 0 else f"{i % 24:02d}:10:00"] for i in range(400)]
NEARLY = [["douze" if i == 5 else str(i), "32/13/2024" if i == 7 else "01/02/2024"] for i in range(120)]
WIDE = [f"Variable n° {i}" for i in range(120)]
FILES = [
    plain("names.csv", NAMES, ODD),
    plain("long.csv", [LONG + "2021", LONG + "2022"], [["1", "2"], ["3", "4"]]),
    plain("amounts.csv", ["INSEE", "Montant", "Écart", "Taux", "Jour"], AMOUNTS, end="\r\n"),
    plain("clock.txt", ["trip_id", "arrival_time"], CLOCK),
    plain("nearly.csv", ["n", "d"], NEARLY, "utf-16"),
    plain("wide.csv", WIDE, [[str(i) for i in range(120)], [f"{i},5" for i in range(120)]]),
    plain("nul.csv", ["a", "b"], [["x\0y", "1"], ["\0", "2"]], end="\r"),
    plain("seule.csv", ["Commune"], [["Saint-Étienne"], ["L'Haÿ-les-Roses"]], "mac-roman"),
    plain("service.csv", ["service_id", "statut"], [["S", "nd"], ["S", "nd"]]),
    plain("vide.csv", ["a", "b"], []),
    Published("ragged.csv", b'a;b;c\n1;2;3\n1;2\n1;"2;3\n4;5;6;7\n', 4),
    Published("notes.csv", b"T1;;\n;;\nCode;Nom;Pop\n01;Ain;652 432\nTotal;;1\nSource : Insee\n", 3),
    Published("keys.json", json.dumps([{"A": 1.50, "a": "01", "": "x", "select": None}] * 2).encode(), 2),
    Published("m.zip", zipped([("été/a.csv", b"a,b\n1,2\n"), ("b.csv", b""), ("c.pdf", b"%PDF-1.4\n")]), 1),
    Published(
        "groupes.xlsx", xlsx({"F": cells([["Code", None, "2023"], ["01", "Ain", "12"], ["02", "Aisne", "s"]])}), 2
    ),
    Published("notice.xlsx", b"%PDF-1.4\n", None),
    Published("cut.json", b'[{"a":1},{"a"', None),
    Published("blank.csv", b"\n\r\n\n", None),
]


class Lake:
    """A lake that follows one feed, with the silver that dbt would build."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.ledger, self.lakehouse = settings, Ledger(settings), Lakehouse(settings)
        self.connection = open_duckdb(settings)
        self.silver = GeneratedSilver(settings, self.ledger, self.lakehouse)
        self.runs = 0

    def take(self, day: date, *files: Published) -> dict[str, list[Load]]:
        """Load files, and hold the contracts against them; what became of each file."""
        self.runs += 1
        manifests = [put_raw(self.settings, "h", day, one.name, one.content, one.name) for one in files]
        raw = RawZone(raw_store(self.settings))
        loader = BronzeLoader(self.ledger, self.lakehouse, raw, self.settings.scratch, f"run-{self.runs}")
        found: dict[str, list[Load]] = {one.name: [] for one in files}
        for load in loader.load(FEED, manifests):
            found[load.source_file].append(load)
        inputs = pin_inputs(self.settings, self.ledger, self.lakehouse, [FEED], date.max)
        self.connection.execute("drop table if exists odh.versions")
        show_bronze(self.connection, self.settings, self.lakehouse, inputs, FEED)
        self.silver.refresh(self.connection, FEED, inputs.pins["h"])
        return found

    @property
    def contracts(self) -> dict[str, Contract]:
        return {one.table.removeprefix("h__"): one for one in self.silver.contracts["h"]}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def types(self, table: str) -> dict[str, str]:
        return {column.name: column.type for column in self.contracts[table].columns}


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, dict[str, list[Load]]]]:
    """A lake that took all the files on one day."""
    lake = Lake(lake_settings(tmp_path_factory.mktemp("hostile") / "lake"))
    with closing(lake.ledger), closing(lake.lakehouse), closing(lake.connection):
        yield lake, lake.take(MONDAY, *FILES)


@pytest.fixture
def lake(tmp_path: Any) -> Iterator[Lake]:
    lake = Lake(lake_settings(tmp_path / "lake"))
    with closing(lake.ledger), closing(lake.lakehouse), closing(lake.connection):
        yield lake


Taken = tuple[Lake, dict[str, list[Load]]]


@pytest.mark.parametrize("file", FILES, ids=lambda one: one.name)
def test_every_file_ends_loaded_with_all_its_records_or_refused_with_a_reason(taken: Taken, file: Published) -> None:
    lake, loads = taken
    loaded = [load for load in loads[file.name] if load.status == "loaded"]
    refused = [load for load in loads[file.name] if load.status == "refused"]
    assert len(loaded) + len(refused) == len(loads[file.name]) > 0
    assert all(load.reason for load in refused)
    assert bool(loaded) == (file.records is not None)
    assert sum(load.rows_loaded + load.rows_rejected for load in loaded) == (file.records or 0)
    told = [row for row in lake.ledger.arrow("rejects").to_pylist() if row["resource_id"] == file.name]
    assert len(told) == sum(load.rows_rejected for load in loaded)
    assert all(row["source_line"] and row["raw_text"] and row["reason"] for row in told)


@pytest.mark.parametrize("file", [one for one in FILES if one.rows is not None], ids=lambda one: one.name)
def test_bronze_has_the_text_of_the_file(taken: Taken, file: Published) -> None:
    lake, loads = taken
    [load] = loads[file.name]
    held = lake.connection.execute(f"from bronze.{load.table_name} order by _source_line").to_arrow_table()
    published = [name for name in held.column_names if not name.startswith("_")]
    assert [list(row.values()) for row in held.select(published).to_pylist()] == [list(row) for row in file.rows or ()]


def test_silver_has_every_column_and_row_and_no_value_is_silently_null(taken: Taken) -> None:
    lake, _ = taken
    assert len(lake.contracts) >= 14
    for contract in lake.contracts.values():
        assert silent_losses(lake, contract) == []


def silent_losses(lake: Lake, contract: Contract) -> list[str]:
    """What silver does not tell of the newest rows of bronze."""
    bronze = f"bronze.{quote_identifier(contract.table)}"
    there = [name for name, *_ in lake.rows(f"describe {bronze}") if not name.startswith("_")]
    readings = {one.column.name: one for one in read_columns(contract)}
    lost = [f"{contract.table}.{name} is not in silver" for name in there if name not in readings]
    [(before,)] = lake.rows(f"select count(*) from ({current_rows(bronze)})")
    [(after,)] = lake.rows(f"select count(*) from ({typed_select(contract, bronze)})")
    lost += [f"{contract.table}: {before} rows, {after} in silver"] if before != after else []
    key = ("_resource_id", "_extraction_date", "_source_line", "_source_member")
    same = " and ".join(f"b.{one} is not distinct from s.{one}" for one in key)
    for name in there if len(there) < 100 else []:  # a join of hundreds of columns for each of them takes its time
        text = f"regexp_replace(b.{quote_identifier(name)}, '[\\s\\p{{Z}}\\p{{Cf}}]', '', 'g')"
        told = [column.name for column in readings[name].columns] if name in readings else []
        silent = " and ".join(f"s.{quote_identifier(column)} is null" for column in told) or "false"
        [(count,)] = lake.rows(
            f"select count(*) from ({current_rows(bronze)}) as b join ({typed_select(contract, bronze)}) as s "
            f"on {same} where {text} <> '' and {silent} and not list_contains(s._rejected, '{name}')"
        )
        lost += [f"{contract.table}.{name}: {count} values are NULL and nothing says so"] if count else []
    return lost


def test_types_are_those_a_person_would_give(taken: Taken) -> None:
    lake, _ = taken
    assert lake.types("amounts") == {
        "insee": "commune_code", "montant": "money", "ecart": "decimal", "taux": "decimal", "jour": "date"
    }  # fmt: skip
    assert lake.types("clock") == {"trip_id": "text", "arrival_time": "text"}
    assert lake.types("nearly") == {"n": "integer", "d": "date"}
    assert lake.types("names")["x"] == "text"


def test_texts_that_do_not_read_are_told_by_line(taken: Taken) -> None:
    lake, _ = taken
    rejects = rejects_select(lake.contracts["nearly"], "bronze.h__nearly")
    found = lake.rows(f"select _source_line, column_name, raw_text from ({rejects}) order by all")
    assert found == [(7, "n", "douze"), (9, "d", "32/13/2024")]


class Noted:
    """A connection that notes what it is asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection, self.asked = connection, list[str]()

    def execute(self, query: str, *values: Any) -> duckdb.DuckDBPyConnection:
        self.asked.append(query)
        return self.connection.execute(query, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def test_a_thousand_columns_take_no_more_selects_than_a_few() -> None:
    """One SELECT a column made a plan whose cost grew with the square of their number: 19 s against 0.6 s."""
    with duckdb.connect() as connection:
        install_functions(connection)
        connection.execute("create table wide as select " + ", ".join(f"'{n}' as v{n}" for n in range(1000)))
        noted: Any = Noted(connection)
        proposal = decide_columns(noted, "wide", {f"v{n}": f"Variable {n}" for n in range(1000)})
    assert len(proposal.columns) == 1000
    assert 0 < sum(query.lower().count("select") for query in noted.asked) < 30


def test_the_same_day_again_changes_nothing(taken: Taken) -> None:
    lake, _ = taken
    before = [lake.lakehouse.pin(BRONZE, name) for name in lake.lakehouse.names(BRONZE)]
    contracts = lake.contracts
    again = lake.take(MONDAY, *FILES)
    assert {load.status for loads in again.values() for load in loads} == {"already", "refused"}
    assert [lake.lakehouse.pin(BRONZE, name) for name in lake.lakehouse.names(BRONZE)] == before
    assert lake.contracts == contracts


def test_editions_that_rename_retype_drop_and_collapse_lose_nothing(lake: Lake) -> None:
    codes = [f"{i:03d}" for i in range(120)]
    lake.take(MONDAY, plain("v.csv", ["code", "val", "b"], [[code, str(i), "x"] for i, code in enumerate(codes)]))
    assert lake.types("v") == {"code": "text", "val": "integer", "b": "text"}
    lake.take(TUESDAY, plain("v.csv", ["code", "val", ""], [[code, f"n° {code}", "y"] for code in codes], "cp1252"))
    assert lake.types("v") == {"code": "text", "val": "text", "b": "text", "column_3": "text"}
    assert silent_losses(lake, lake.contracts["v"]) == []
    lake.take(WEDNESDAY, plain("v.csv", ["code", "val", "b"], [["001", "1", "z"]], "utf-16"))
    assert silent_losses(lake, lake.contracts["v"]) == []
    held = "select _extraction_date, count(*), max(b), max(column_3) from bronze.h__v group by all order by all"
    assert lake.rows(held) == [(MONDAY, 120, "x", None), (TUESDAY, 120, None, "y"), (WEDNESDAY, 1, "z", None)]
    [retyped] = [row for row in lake.ledger.arrow("schema_changes").to_pylist() if row["change"] == "retyped"]
    assert (retyped["column_name"], retyped["extraction_date"], retyped["class"]) == ("val", TUESDAY, "breaking")

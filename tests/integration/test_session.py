"""SQL over the lakehouse: what a statement may name, what it is told when it names wrongly, and what it never sees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
from conftest import lake_settings
from lakes import sql
from tiny_warehouse import TinyWarehouse

from catalog import releases, write_back
from catalog.errors import InvalidSettings, UnknownName, UsageError
from catalog.iceberg import GOLD, Lakehouse
from catalog.ledger import OPS_TABLES
from catalog.releases import ReleasedTable
from catalog.session import extension_file, open_duckdb, open_session
from catalog.settings import Settings

MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lake with bronze of two feeds and one released table."""
    folder = tmp_path_factory.mktemp("session")
    lake = TinyWarehouse(folder)
    lake.load("up", MONDAY, "code;amount\n01;1\n2A;2\n")
    lake.load("down", MONDAY, "code;label\n01;Ain\n2A;x;y\n")
    with open_duckdb(lake.settings) as connection:
        connection.execute("create schema gold; create table gold.fct_total as select '01' as code, 5 as total")
        place = (GOLD, "fct_total")
        pin = write_back.stage_table(connection, lake.lakehouse, place, ({}, ""), None, folder, {})
    release = releases.stage(lake.ledger, "run", TUESDAY, [ReleasedTable(pin, "up", 1, "hash")], {"up": "mark"})
    releases.publish(lake.ledger, lake.lakehouse, release)
    yield lake.settings
    lake.lakehouse.close()
    lake.ledger.close()


def test_one_statement_joins_every_schema(settings: Settings) -> None:
    rows = sql(
        settings,
        "select t.total, u.amount, d.label, f.raw_key is null, l.rows_loaded from gold.fct_total as t "
        "join bronze.up__lines as u using (code) join bronze.down__lines as d using (code) "
        "left join raw.files as f on f.resource_id = u._resource_id "
        "join ops.loads as l on l.table_name = 'up__lines' and l.extraction_date = u._extraction_date",
    )
    assert rows == [(5, "1", "Ain", True, 2)]


@pytest.mark.parametrize(
    "table",
    ["bronze.up__lines", "BRONZE.Up__Lines", '"bronze"."up__lines"', '"Bronze"."UP__LINES"', "bronze . up__lines"],
)
def test_names_are_found_however_they_are_written(settings: Settings, table: str) -> None:
    assert sql(settings, f"select count(*) from {table}") == [(2,)]


def test_the_catalogue_lists_every_table(settings: Settings) -> None:
    shown = {(row[1], row[2]) for row in sql(settings, "show all tables")}
    ops = set(OPS_TABLES)
    assert shown == {
        ("bronze", "up__lines"),
        ("bronze", "down__lines"),
        ("gold", "fct_total"),
        ("raw", "files"),
        *(("ops", name) for name in ops),
    }
    query = "select table_name from information_schema.tables where table_schema = 'gold'"
    assert sql(settings, query) == [("fct_total",)]


def test_describe_tells_the_types(settings: Settings) -> None:
    described = [row[:2] for row in sql(settings, "describe gold.fct_total")]
    assert described == [("code", "VARCHAR"), ("total", "INTEGER")]


UNKNOWN = {
    "gold.fct_totals": "Did you mean 'gold.fct_total'",
    "up__lines": "Did you mean 'bronze.up__lines'",
    "golden.fct_total": "named 'golden.fct_total'. Did you mean 'gold.fct_total'",
    "ops.nothing_like_it": "Known: bronze.down__lines",
}


@pytest.mark.parametrize(("table", "said"), UNKNOWN.items(), ids=UNKNOWN)
def test_an_unknown_table_is_told_with_what_exists(settings: Settings, table: str, said: str) -> None:
    with pytest.raises(UnknownName) as told:
        sql(settings, f"select * from {table}")
    assert said in str(told.value)


REFUSED = {
    "unknown column": ("select nope from gold.fct_total", 'column "nope" not found'),
    "unknown function": ("select nope(total) from gold.fct_total", "nope"),
    "no SQL": ("selec 1", "syntax error"),
    "bad cast": ("select label::integer from bronze.down__lines", "Ain"),
    "division of types": ("select code / total from gold.fct_total", "Error"),
    "nothing": ("", "no statement"),
    "a comment": ("-- select 1", "no statement"),
    "a semicolon": (" ; ", "no statement"),
    "a file that is not there": ("select * from '/nowhere.csv'", "nowhere.csv"),
    "an error after a million rows": ("select if(i = 3000000, error('late'), i) from range(3000001) as t(i)", "late"),
    "a variable of the program": ("select * from statement", "no table named 'statement'"),
}


@pytest.mark.parametrize(("statement", "said"), REFUSED.values(), ids=REFUSED)
def test_a_statement_that_fails_is_told_as_misuse(settings: Settings, statement: str, said: str) -> None:
    with open_session(settings) as session, pytest.raises(UsageError) as told:
        session.fetch(statement)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("delete from ops.runs", "DELETE is no query"),
        ("drop table ops.runs", "DROP is no query"),
        ("create table t as select 1", "CREATE is no query"),
        ("select 1; select 2", "2 statements"),
    ],
)
def test_what_does_not_read_is_refused(settings: Settings, statement: str, said: str) -> None:
    with open_session(settings) as session, pytest.raises(UsageError, match=said):
        session.execute(statement)


def test_a_result_may_be_written_to_a_file(settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "total.parquet"
    sql(settings, f"copy (select * from gold.fct_total) to '{target}'")
    assert target.stat().st_size


def test_a_session_goes_on_after_an_error(settings: Settings) -> None:
    with open_session(settings) as session:
        with pytest.raises(UsageError):
            session.fetch("select nope from gold.fct_total")
        assert session.fetch("select total from gold.fct_total") == (["total"], [(5,)])


def test_before_the_first_release_silver_and_gold_hold_nothing_and_bronze_all(settings: Settings) -> None:
    with open_session(settings, MONDAY) as session:
        assert (session.tables()["silver"], session.tables()["gold"]) == ([], [])
        with pytest.raises(UsageError, match="Nothing had been released by 2024-01-01"):
            session.execute("select * from gold.fct_total")
        assert session.fetch("select count(*) from bronze.up__lines")[1] == [(2,)]
    with open_session(settings, TUESDAY) as session:
        assert session.fetch("select total from gold.fct_total")[1] == [(5,)]


def test_a_new_session_sees_the_ledger_as_it_is_now(tmp_path: Path) -> None:
    lake = TinyWarehouse(tmp_path)
    assert sql(lake.settings, "select count(*) from ops.loads") == [(0,)]
    lake.load("up", MONDAY, "code;amount\n01;1;2\n")
    assert sql(lake.settings, "select rows_loaded, rows_rejected from ops.loads") == [(0, 1)]
    assert sql(lake.settings, "select source_member, raw_text from ops.rejects") == [(None, "01;1;2")]
    lake.lakehouse.close()
    lake.ledger.close()


def test_times_are_utc_whatever_the_machine(settings: Settings) -> None:
    assert sql(settings, "select current_setting('TimeZone')") == [("UTC",)]


def test_each_session_spills_to_a_folder_of_its_own_in_the_lake(settings: Settings) -> None:
    """Two processes that spill to one folder, as DuckDB does by default, end in a segmentation fault."""
    places = [Path(sql(settings, "select current_setting('temp_directory')")[0][0]) for _ in range(2)]
    assert places[0] != places[1]
    assert {place.parent for place in places} == {settings.spill}
    assert settings.spill.is_dir()


@pytest.mark.parametrize("name", ["my lake d'été", "100%", "[a]*"])
def test_a_lake_may_have_an_odd_path(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    lake = TinyWarehouse(folder)
    lake.load("up", MONDAY, "code;amount\n01;1\n")
    lake.load("up", TUESDAY, "code;amount\n01;2\n")
    assert sql(lake.settings, "select count(*) from bronze.up__lines") == [(2,)]
    lake.lakehouse.close()
    lake.ledger.close()


@pytest.mark.parametrize("name", ["a#b", "a?b", 'a"b'])
def test_a_path_iceberg_cannot_address_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSettings, match="choose another ODH_LAKE"):
        Lakehouse(lake_settings(tmp_path / name))


def test_no_extension_without_a_signature_can_be_loaded(settings: Settings, tmp_path: Path) -> None:
    changed = bytearray(extension_file("httpfs").read_bytes())
    changed[1000] ^= 1
    file = tmp_path / "httpfs.duckdb_extension"
    file.write_bytes(changed)
    with open_duckdb(settings) as connection:
        with pytest.raises(duckdb.IOException, match="signature is either missing or invalid"):
            connection.execute(f"load '{file}'")
        with pytest.raises(duckdb.InvalidInputException, match="Cannot change allow_unsigned_extensions"):
            connection.execute("set global allow_unsigned_extensions = true")

"""Releases: staged beside what readers see, published in one step, finished after a crash, and never altered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import sql

from catalog import releases, write_back
from catalog.errors import BuildFailed, UnknownName
from catalog.iceberg import GOLD, STAGING, Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.releases import Release, ReleasedTable
from catalog.session import Session, open_duckdb, open_session, scan_sql
from catalog.settings import Settings

MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)


class Warehouse:
    """Gold tables made from SELECTs, staged and released as a build does."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.ledger, self.lakehouse = Ledger(settings), Lakehouse(settings)
        self.duckdb = open_duckdb(settings)

    def store(
        self, name: str, select: str, docs: dict[str, str] | None = None, about: str = "", base: Pin | None = None
    ) -> Pin:
        """Write a table on its staging branch."""
        self.duckdb.execute("create schema if not exists gold")
        self.duckdb.execute(f"create or replace table gold.{name} as {select}")
        return write_back.stage_table(
            self.duckdb, self.lakehouse, (GOLD, name), (docs or {}, about), base, self.folder, {}
        )

    def stage(self, day: date, **tables: str | Pin) -> Release:
        """Stage a release of tables given as SELECTs, or as pins to carry over."""
        pins = [self.store(name, made) if isinstance(made, str) else made for name, made in tables.items()]
        counted = [ReleasedTable(pin, "domain", 0, str(pin.snapshot_id)) for pin in pins]
        return releases.stage(self.ledger, "run", day, counted, {"domain": "mark"})

    def release(self, day: date, **tables: str | Pin) -> Release:
        """Stage and publish."""
        release = self.stage(day, **tables)
        releases.publish(self.ledger, self.lakehouse, release)
        return release

    def rows(self, pin: Pin) -> list[tuple[Any, ...]]:
        return self.duckdb.execute(scan_sql(pin)).fetchall()

    def main(self, name: str) -> list[tuple[Any, ...]]:
        """Rows any Iceberg engine sees."""
        found = self.lakehouse.table(GOLD, name).scan().to_arrow().to_pylist()
        return [tuple(row.values()) for row in found]

    def tags(self, name: str) -> set[str]:
        return set(self.lakehouse.table(GOLD, name).metadata.refs) - {"main"}


@contextmanager
def opened(settings: Settings, folder: Path) -> Iterator[Warehouse]:
    warehouse = Warehouse(settings, folder)
    with closing(warehouse.duckdb), closing(warehouse.lakehouse), closing(warehouse.ledger):
        yield warehouse


@pytest.fixture
def warehouse(settings: Settings, tmp_path: Path) -> Iterator[Warehouse]:
    with opened(settings, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One warehouse for the tests that each take a table of their own."""
    folder = tmp_path_factory.mktemp("shelf")
    with opened(lake_settings(folder / "lake"), folder) as made:
        yield made


def count(session: Session, table: str = "gold.fct_a") -> int:
    [(rows,)] = session.execute(f"select count(*) from {table}").fetchall()
    return int(rows)


def test_a_first_release_is_what_its_select_gave(warehouse: Warehouse) -> None:
    warehouse.release(MONDAY, fct_a="select 1 as k, 'é' as v union all select 2, null")
    assert sorted(sql(warehouse.settings, "select * from gold.fct_a")) == [(1, "é"), (2, None)]
    assert sorted(warehouse.main("fct_a")) == [(1, "é"), (2, None)]
    assert warehouse.tags("fct_a") == {"release-1"}


def test_what_is_staged_is_seen_by_nobody(warehouse: Warehouse) -> None:
    warehouse.release(MONDAY, fct_a="select 1 as k")
    warehouse.stage(TUESDAY, fct_a="select 2 as k")
    assert sql(warehouse.settings, "select k from gold.fct_a") == [(1,)]
    assert warehouse.main("fct_a") == [(1,)]


def test_a_table_staged_for_the_first_time_is_seen_by_nobody(warehouse: Warehouse) -> None:
    warehouse.stage(MONDAY, fct_a="select 1 as k")
    assert warehouse.main("fct_a") == []
    with pytest.raises(UnknownName):
        sql(warehouse.settings, "select * from gold.fct_a")


def test_a_session_keeps_its_release_and_the_next_one_sees_all_of_the_new(warehouse: Warehouse) -> None:
    warehouse.release(MONDAY, fct_a="select 1 as k", fct_b="select 1 as k")
    with open_session(warehouse.settings) as before:
        assert count(before) == 1
        warehouse.release(TUESDAY, fct_a="from range(2) as t(k)", fct_b="from range(2) as t(k)")
        assert (count(before), count(before, "gold.fct_b")) == (1, 1)  # fct_b is first looked at only now
    with open_session(warehouse.settings) as after:
        assert (count(after), count(after, "gold.fct_b")) == (2, 2)


@pytest.mark.parametrize("moved", [0, 1, 2], ids=["before any main moved", "after one", "after all"])
def test_a_release_left_staged_is_finished(warehouse: Warehouse, moved: int) -> None:
    warehouse.release(MONDAY, fct_a="select 1 as k", fct_b="select 1 as k")
    staged = warehouse.stage(TUESDAY, fct_a="select 2 as k", fct_b="select 2 as k")
    for table in staged.tables[:moved]:
        warehouse.lakehouse.publish(table.pin, f"release-{staged.release_id}")
    assert sql(warehouse.settings, "select a.k, b.k from gold.fct_a as a, gold.fct_b as b") == [(1, 1)]
    assert releases.finish_staged(warehouse.ledger, warehouse.lakehouse) == [staged.release_id]
    assert sql(warehouse.settings, "select a.k, b.k from gold.fct_a as a, gold.fct_b as b") == [(2, 2)]
    for name in ("fct_a", "fct_b"):
        assert warehouse.main(name) == [(2,)]
        assert warehouse.tags(name) == {"release-1", "release-2"}
    assert releases.finish_staged(warehouse.ledger, warehouse.lakehouse) == []


def test_a_crash_while_staging_leaves_nothing_to_the_next_release(warehouse: Warehouse) -> None:
    warehouse.release(MONDAY, fct_a="select 1 as k")
    warehouse.store("fct_a", "select 8 as k, 'lost' as v")
    warehouse.store("fct_b", "select 9 as k")
    warehouse.release(TUESDAY, fct_a="select 2 as k", fct_b="select 3 as k")
    assert sql(warehouse.settings, "select a.*, b.* from gold.fct_a as a, gold.fct_b as b") == [(2, 3)]
    assert (warehouse.main("fct_a"), warehouse.main("fct_b")) == ([(2,)], [(3,)])
    assert STAGING not in warehouse.tags("fct_a")


def test_as_of_picks_the_newest_release_not_later(warehouse: Warehouse) -> None:
    first = warehouse.release(MONDAY, fct_a="select 1 as k")
    warehouse.release(WEDNESDAY, fct_a="select 2 as k")
    again = warehouse.release(WEDNESDAY, fct_a="select 3 as k")

    def seen(day: date | None) -> int | None:
        release = releases.current_release(warehouse.ledger, day)
        return release.release_id if release else None

    assert seen(date(2023, 12, 31)) is None
    assert [seen(day) for day in (MONDAY, TUESDAY)] == [first.release_id] * 2
    assert [seen(day) for day in (WEDNESDAY, date(2030, 1, 1), None)] == [again.release_id] * 3
    with open_session(warehouse.settings, TUESDAY) as session:
        assert session.execute("select k from gold.fct_a").fetchall() == [(1,)]


def test_a_staged_release_is_no_answer_to_as_of(warehouse: Warehouse) -> None:
    first = warehouse.release(MONDAY, fct_a="select 1 as k")
    warehouse.stage(TUESDAY, fct_a="select 2 as k")
    found = releases.current_release(warehouse.ledger, TUESDAY)
    assert found
    assert found.release_id == first.release_id


def test_a_table_carried_over_is_not_written_again(warehouse: Warehouse) -> None:
    first = warehouse.release(MONDAY, fct_a="select 1 as k", fct_b="select 1 as k")
    [kept] = [table.pin for table in first.tables if table.pin.name == "fct_a"]
    before = warehouse.lakehouse.table(GOLD, "fct_a").metadata_location
    second = warehouse.release(TUESDAY, fct_a=kept, fct_b="select 2 as k")
    assert kept in {table.pin for table in second.tables}
    assert warehouse.lakehouse.table(GOLD, "fct_a").metadata_location == before
    assert sql(warehouse.settings, "select a.k, b.k from gold.fct_a as a, gold.fct_b as b") == [(1, 2)]


def test_a_release_reads_back_from_the_ledger_as_it_was_staged(warehouse: Warehouse) -> None:
    release = warehouse.release(MONDAY, fct_a="select 1 as k", fct_b="select 1 as k")
    assert releases.current_release(warehouse.ledger) == release
    assert sql(warehouse.settings, "select release_id, status, tables from ops.releases") == [(1, "published", 2)]


def test_a_release_may_hold_no_table(warehouse: Warehouse) -> None:
    warehouse.release(MONDAY, fct_a="select 1 as k")
    warehouse.release(TUESDAY)
    with pytest.raises(UnknownName):
        sql(warehouse.settings, "select * from gold.fct_a")


def test_an_empty_table_has_no_row_and_all_its_columns(warehouse: Warehouse) -> None:
    warehouse.release(MONDAY, fct_a="select 1 as k, 'x' as v where false")
    assert sql(warehouse.settings, "select k, v from gold.fct_a") == []
    warehouse.release(TUESDAY, fct_a="select 1 as k, 'x' as v")
    warehouse.release(WEDNESDAY, fct_a="select 1 as k, 'x' as v where false")
    assert sql(warehouse.settings, "select k, v from gold.fct_a") == []
    assert warehouse.main("fct_a") == []


SCHEMA_CHANGES = {
    "added": ("select 1 as k", "select 1 as k, 'x' as v"),
    "added in front": ("select 1 as k", "select 'x' as v, 1 as k"),
    "removed": ("select 1 as k, 'x' as v", "select 1 as k"),
    "removed and added": ("select 1 as k, 'x' as v", "select 1 as k, 'x' as w"),
    "narrower": ("select 1::bigint as k, 2 as j", "select 1::integer as k, 2 as j"),
    "wider": ("select 1::integer as k, 2 as j", "select 1::bigint as k, 2 as j"),
    "text to number": ("select '01' as k, 2 as j", "select 1 as k, 2 as j"),
    "every column": ("select '01' as k", "select 1.5 as k"),
    "reordered": ("select 1 as k, 'x' as v", "select 'x' as v, 1 as k"),
    "decimal": ("select 1.5::decimal(4, 1) as k", "select 1.5::decimal(9, 3) as k"),
    "list to text": ("select ['a'] as k, 1 as j", "select 'a' as k, 1 as j"),
}


@pytest.mark.parametrize(("old", "new"), SCHEMA_CHANGES.values(), ids=SCHEMA_CHANGES)
def test_a_changed_schema_leaves_the_older_release_as_it_was(shelf: Warehouse, old: str, new: str) -> None:
    def as_read(select: str) -> tuple[list[Any], list[Any]]:
        cursor = shelf.duckdb.execute(select)
        return [column[:2] for column in cursor.description], cursor.fetchall()

    name = f"fct_{uuid.uuid4().hex}"
    selects = (old, new, old)
    pins = [shelf.release(MONDAY, **{name: select}).tables[0].pin for select in selects]
    assert [as_read(scan_sql(pin)) for pin in pins] == [as_read(select) for select in selects]


STORABLE = {
    "tinyint": "(-7)::tinyint",
    "smallint": "(-7)::smallint",
    "usmallint": "65535::usmallint",
    "uinteger": "4294967295::uinteger",
    "ubigint": "18446744073709551615::ubigint",
    "sum of integers": "(select sum(i) from range(5) as t(i))",
    "float": "1.5::float",
    "decimal": "1.25::decimal(10, 2)",
    "boolean": "true",
    "date": "date '2024-02-29'",
    "time": "time '10:20:30'",
    "timestamp": "timestamp '2024-02-29 10:20:30.123456'",
    "timestamp in seconds": "'2024-02-29 10:20:30'::timestamp_s",
    "timestamp with zone": "timestamptz '2024-02-29 10:20:30+02'",
    "blob": "'\\x00\\xff'::blob",
    "json": """'{"a": [1]}'::json""",
    "list": "['a', null, 'b']",
    "list of numbers": "[1::smallint, 2]",
    "array": "[1, 2]::integer[2]",
    "struct": "{'a': 1::tinyint, 'B b': 'x'}",
    "list of structs": "[{'a': [1, 2]}]",
    "map": "map {'a': 1, 'b': null}",
    "null": "null",
}


@pytest.mark.parametrize("value", STORABLE.values(), ids=STORABLE)
def test_every_value_is_read_as_it_was_stored_under_a_lasting_field_id(shelf: Warehouse, value: str) -> None:
    name = f"fct_{uuid.uuid4().hex}"
    pin = shelf.store(name, f"select {value} as v, 1 as k")
    [(given,)] = shelf.duckdb.execute(f"select {value}").fetchall()
    assert shelf.rows(pin) == [(list(given) if isinstance(given, tuple) else given, 1)]
    before = shelf.lakehouse.table(GOLD, name).schema()
    shelf.store(name, f"select {value} as v, 2 as k")
    assert shelf.lakehouse.table(GOLD, name).schema() == before


@pytest.mark.parametrize("value", ["interval 1 day", "'101'::bit", "[interval 1 day]"])
def test_a_type_iceberg_has_not_is_told_with_its_column(shelf: Warehouse, value: str) -> None:
    with pytest.raises(BuildFailed, match=r"fct_none\".*, column v: Iceberg has no type for (INTERVAL|BIT).*cast it"):
        shelf.store("fct_none", f"select 1 as k, {value} as v")


def test_descriptions_are_those_of_the_release_and_follow_the_model(warehouse: Warehouse) -> None:
    first = warehouse.store("fct_a", "select 1 as k", {"k": "Key.", "gone": "Not there."}, "One a row.")
    assert warehouse.lakehouse.describe(first) == ("One a row.", {"k": "Key."})
    second = warehouse.store("fct_a", "select 1 as k", {"k": "The key."}, "One row each.")
    assert warehouse.lakehouse.describe(second) == ("One row each.", {"k": "The key."})


@pytest.mark.parametrize("rows", [0, 1, 250_000])
def test_totals_count_what_the_release_holds(warehouse: Warehouse, rows: int) -> None:
    release = warehouse.release(MONDAY, fct_a=f"select range as k from range({rows})")
    totals = warehouse.lakehouse.totals(release.tables[0].pin)
    assert totals["rows"] == rows
    assert totals["files"] == 1
    assert totals["bytes"] > 0


def test_readers_see_one_whole_release_while_another_is_published(warehouse: Warehouse) -> None:
    """At every step of a publication, a new session sees the old release or the new one, never a part of each."""
    warehouse.release(MONDAY, fct_a="select 1 as k", fct_b="select 1 as k")
    staged = warehouse.stage(TUESDAY, fct_a="select 2 as k", fct_b="select 2 as k")
    seen: list[list[tuple[Any, ...]]] = []

    def look() -> None:
        seen.append(sql(warehouse.settings, "select a.k, b.k from gold.fct_a as a, gold.fct_b as b"))

    releases.publish(warehouse.ledger, _Watched(warehouse.lakehouse, look), staged)  # type: ignore[arg-type]
    look()
    assert seen == [[(1, 1)], [(1, 1)], [(2, 2)]]


class _Watched:
    """The lakehouse, with a look taken after each table it publishes."""

    def __init__(self, lakehouse: Lakehouse, look: Callable[[], None]) -> None:
        self.lakehouse, self.look = lakehouse, look

    def publish(self, pin: Pin, tag: str, *, moves_main: bool) -> None:
        self.lakehouse.publish(pin, tag, moves_main=moves_main)
        self.look()

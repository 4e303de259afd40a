"""What a build writes back of a large table: files of which no row changed are kept, in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import lake_settings
from test_releases import MONDAY, TUESDAY, Warehouse, opened

from catalog import write_back
from catalog.iceberg import GOLD, Pin
from catalog.iceberg_files import data_files

FIRST = "select range as k, 'first' as v from range(2000)"
MORE = f"{FIRST} union all select range, 'second' from range(2000, 3000)"
CHANGES = {
    "rows that came": (f"{MORE} union all select range, null from range(3000, 3010)", 2),
    "one row changed in the last file": (MORE.replace("'second'", "if(range = 2500, null, 'second')"), 1),
    "a row twice": (f"{MORE} union all select 1, 'first'", 0),
    "rows that went": (f"select * from ({MORE}) where k < 2999", 1),
    "half of the rows changed": (f"select k, if(k % 2 = 0, v, 'x') as v from ({MORE})", 0),
    "all rows went": (f"select * from ({MORE}) where false", 0),
    "another column": (f"select *, 1 as w from ({MORE})", 0),
    "another type": (f"select k::varchar as k, v from ({MORE})", 0),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("shelf")
    with opened(lake_settings(folder / "lake"), folder) as made, pytest.MonkeyPatch.context() as patched:
        patched.setattr(write_back, "WHOLE_ROWS", 1000)
        yield made


def files_of(warehouse: Warehouse, pin: Pin) -> set[str]:
    return {one.path for one in data_files(warehouse.lakehouse.table(GOLD, pin.name), pin.snapshot_id)}


@pytest.mark.parametrize(("select", "kept"), CHANGES.values(), ids=CHANGES)
def test_what_is_read_is_what_was_given_and_unchanged_files_are_kept(
    shelf: Warehouse, request: pytest.FixtureRequest, select: str, kept: int
) -> None:
    name = f"fct_{abs(hash(request.node.name))}"
    first = shelf.store(name, FIRST)
    second = shelf.store(name, MORE, base=first)
    assert len(files_of(shelf, second) & files_of(shelf, first)) == 1
    before = len(shelf.lakehouse.table(GOLD, name).snapshots())
    third = shelf.store(name, select, base=second)
    assert shelf.duckdb.execute(f"(from ({select})) except all (from gold.{name})").fetchall() == []
    assert sorted(map(str, shelf.rows(third))) == sorted(map(str, shelf.duckdb.execute(select).fetchall()))
    assert len(files_of(shelf, third) & files_of(shelf, second)) == kept
    assert len(shelf.lakehouse.table(GOLD, name).snapshots()) == before + 1
    assert sorted(map(str, shelf.rows(second))) == sorted(map(str, shelf.duckdb.execute(MORE).fetchall()))


def test_the_same_content_has_the_same_hash_in_any_order(shelf: Warehouse, tmp_path: Path) -> None:
    def content(select: str) -> tuple[int, str]:
        shelf.duckdb.execute(f"create or replace table made as {select}")
        return write_back.content_of(shelf.duckdb, "made")

    assert content(MORE) == content(f"from ({MORE}) order by k desc")
    assert content(MORE) != content(FIRST)
    assert content(FIRST) != content(FIRST.replace("as v", "as w"))


def test_a_release_of_a_day_gone_by_leaves_main_where_it_is(shelf: Warehouse) -> None:
    name = "fct_past"
    shelf.release(TUESDAY, **{name: "select 1 as k, 'now' as v"})
    past = shelf.release(MONDAY, **{name: "select 2 as old"})
    assert shelf.main(name) == [(1, "now")]
    assert shelf.rows(past.tables[0].pin) == [(2,)]
    assert shelf.tags(name) == {"release-1", f"release-{past.release_id}"}

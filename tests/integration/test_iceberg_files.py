"""One commit that removes data files of a table and adds others, as DuckDB reads it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import lake_settings
from pyiceberg.table import Table

from catalog.errors import PermanentError
from catalog.iceberg import BRONZE, GOLD, LINEAGE, STAGING, Lakehouse, Pin, arrow_schema
from catalog.iceberg_files import MANIFESTS_KEPT, data_files, swap_files
from catalog.session import open_duckdb, scan_sql, table_function

DAYS = [date(2024, 1, day) for day in range(1, 4)]


class Shop:
    """A lake, a way to write files of its tables, and DuckDB to read them back."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.written = folder, 0
        self.settings = lake_settings(folder / "lake", threads=1)
        self.lakehouse = Lakehouse(self.settings)
        self.duckdb = open_duckdb(self.settings)

    def file(self, table: Table, **columns: list[object]) -> Path:
        """A parquet file of some columns, with the table's field ids."""
        self.written += 1
        path = self.folder / f"{self.written}.parquet"
        pq.write_table(pa.table(columns, schema=arrow_schema(table, columns)), path)
        return path

    def bronze(self, table: Table, day: date, *values: str) -> Path:
        """A file of one bronze partition."""
        now = datetime(2024, 1, 1, tzinfo=UTC)
        lines = list(range(2, 2 + len(values)))
        facts = {"_resource_id": "r1", "_extraction_date": day, "_source_file": "f", "_source_member": None}
        lineage = {name: [value] * len(values) for name, value in facts.items()}
        return self.file(table, code=list(values), **lineage, _source_line=lines, _loaded_at=[now] * len(values))

    def rows(self, table: Table, snapshot_id: int | None, columns: str = "*") -> list[tuple[object, ...]]:
        """What DuckDB reads of a table at a snapshot, opened by the table's newest metadata."""
        pin = Pin(*table.name(), table.metadata_location, snapshot_id)
        return sorted(self.duckdb.execute(f"select {columns} from ({scan_sql(pin)})").fetchall())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("shop"))
    yield made
    made.duckdb.close()
    made.lakehouse.close()


def gold(shop: Shop, name: str, *files: list[object]) -> Table:
    """A gold table of one column ``k``, of as many files as lists of values."""
    table = shop.lakehouse.stage_table(GOLD, name, pa.schema([("k", pa.int64())]), {})
    swap_files(shop.lakehouse, table, [], [shop.file(table, k=values) for values in files], "release", {})
    return table


def paths(table: Table, snapshot_id: int | None = None) -> list[str]:
    return [one.path for one in data_files(table, snapshot_id)]


def test_files_are_removed_and_added_in_one_snapshot(shop: Shop) -> None:
    table = gold(shop, "one_commit", [1, 2], [3], [4])
    before, snapshots = paths(table), len(table.metadata.snapshots)
    old = table.current_snapshot()
    kept = next(one.path for one in data_files(table) if one.rows == 2)
    gone = [path for path in before if path != kept]

    new = swap_files(shop.lakehouse, table, gone, [shop.file(table, k=[30, 40])], "release", {"odh.run_id": "r"})

    assert len(table.metadata.snapshots) == snapshots + 1
    assert shop.rows(table, new) == [(1,), (2,), (30,), (40,)]
    assert old is not None
    assert shop.rows(table, old.snapshot_id) == [(1,), (2,), (3,), (4,)]
    assert kept in paths(table)
    assert set(gone).isdisjoint(paths(table))
    head = table.current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.snapshot_id == new
    assert (head.summary["total-records"], head.summary["total-data-files"]) == ("4", "2")
    assert head.summary["odh.run_id"] == "r"
    assert {one.path: one.rows for one in data_files(table, old.snapshot_id)}.keys() == set(before)


def test_the_paths_duckdb_gives_name_the_files(shop: Shop) -> None:
    table = gold(shop, "by_filename", [1], [2])
    pin = shop.lakehouse.pin(GOLD, "by_filename")
    assert pin is not None
    found = shop.duckdb.execute(f"select distinct filename from {table_function(pin)} where k = 2").fetchall()
    new = swap_files(shop.lakehouse, table, [name for (name,) in found], [], "release", {})
    assert shop.rows(table, new) == [(1,)]


def test_a_branch_changes_and_main_does_not(shop: Shop) -> None:
    gold(shop, "branched", [1], [2])
    table = shop.lakehouse.stage_table(GOLD, "branched", pa.schema([("k", pa.int64()), ("label", pa.string())]), {})
    main = table.current_snapshot()
    assert main is not None
    gone = next(one.path for one in data_files(table))
    file = shop.file(table, k=[5], label=["five"])
    new = swap_files(shop.lakehouse, table, [gone], [file], "release", {}, branch=STAGING)

    now = table.current_snapshot()
    assert now is not None
    assert now.snapshot_id == main.snapshot_id != new
    assert table.metadata.refs[STAGING].snapshot_id == new
    [(first,), (second,)] = shop.rows(table, main.snapshot_id, "k")
    assert (first, second) == (1, 2)
    rows = shop.rows(table, new, "k, label")
    assert len(rows) == 2
    assert (5, "five") in rows
    assert {label for _, label in rows} == {"five", None}


def test_partitioned_tables_lose_and_gain_files_of_one_partition(shop: Shop) -> None:
    table = shop.lakehouse.ensure_bronze("f__t", {"code": "Code"})
    for day in DAYS:
        shop.lakehouse.append_files(table, [shop.bronze(table, day, "a"), shop.bronze(table, day, "b")], str(day), {})
    gone = [one.path for one in data_files(table) if one.day == DAYS[1]]
    assert len(gone) == 2
    new = swap_files(shop.lakehouse, table, gone, [shop.bronze(table, DAYS[1], "a", "b")], str(DAYS[1]), {})
    assert Counter(one.day for one in data_files(table)) == {DAYS[0]: 2, DAYS[1]: 1, DAYS[2]: 2}
    rows = shop.rows(table, new, "_extraction_date, code")
    assert rows == [(day, code) for day in DAYS for code in "ab"]
    pin = Pin(BRONZE, "f__t", table.metadata_location, new)
    query = f"select code from {table_function(pin)} where _extraction_date = ? order by _source_line"
    assert shop.duckdb.execute(query, [DAYS[1]]).fetchall() == [("a",), ("b",)]
    assert list(LINEAGE) == [field.name for field in table.schema().fields][1:]


def test_what_is_not_there_is_refused_and_nothing_changes(shop: Shop) -> None:
    table = gold(shop, "refused", [1])
    location = table.metadata_location
    with pytest.raises(PermanentError, match=r"gold\.refused has no data file /elsewhere\.parquet and 1 more"):
        swap_files(shop.lakehouse, table, ["/elsewhere.parquet", "/other.parquet"], [], "release", {})
    with pytest.raises(PermanentError, match="no branch 'nowhere'"):
        swap_files(shop.lakehouse, table, [], [shop.file(table, k=[1])], "release", {}, branch="nowhere")
    head = table.current_snapshot()
    assert head is not None
    assert swap_files(shop.lakehouse, table, [], [], "release", {}) == head.snapshot_id
    assert shop.lakehouse.table(GOLD, "refused").metadata_location == location


def test_manifests_stay_few_and_hold_no_removed_files(shop: Shop) -> None:
    table = gold(shop, "many_swaps", [0])
    for number in range(1, MANIFESTS_KEPT + 5):
        swap_files(shop.lakehouse, table, [], [shop.file(table, k=[number])], "release", {})
    table_now = shop.lakehouse.table(GOLD, "many_swaps")
    for _ in range(3):
        gone = paths(table_now)[:1]
        swap_files(shop.lakehouse, table_now, gone, [], "release", {})
    head = table_now.current_snapshot()
    assert head is not None
    manifests = head.manifests(table_now.io)
    assert len(manifests) <= MANIFESTS_KEPT
    removed = [one for one in manifests if not (one.has_added_files() or one.has_existing_files())]
    assert len(removed) <= 1  # that of the newest snapshot only
    assert len(shop.rows(table_now, head.snapshot_id)) == MANIFESTS_KEPT + 5 - 3


def test_nested_columns_are_written_back(shop: Shop) -> None:
    schema = pa.schema([("k", pa.int64()), ("parts", pa.list_(pa.struct([("x", pa.int64())])))])
    table = shop.lakehouse.stage_table(GOLD, "nested", schema, {})
    file = shop.file(table, k=[1], parts=[[{"x": 7}]])
    new = swap_files(shop.lakehouse, table, [], [file], "release", {})
    assert shop.rows(table, new, "k, parts[1].x") == [(1, 7)]


def test_a_removed_file_stays_readable_by_its_snapshot(shop: Shop) -> None:
    table = gold(shop, "kept", [1])
    old = table.current_snapshot()
    swap_files(shop.lakehouse, table, paths(table), [shop.file(table, k=[2])], "release", {})
    assert old is not None
    assert shop.rows(table, old.snapshot_id) == [(1,)]
    with pytest.raises(duckdb.Error):
        shop.rows(table, 12345)

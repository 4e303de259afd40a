"""What became of rows between two states: exact, whatever the rows hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.changes import Change, Changes, Retyped

VALUES = st.sampled_from([None, float("nan"), 0.0, 1.5])
TEXTS = st.sampled_from([None, "", "a", "é"])
ROWS = st.lists(st.tuples(st.sampled_from([None, 1, 2, 3, 4, 5]), TEXTS, VALUES), max_size=8)
COLUMNS = "k integer, t varchar, f double"


@pytest.fixture(scope="module")
def connection() -> Any:
    with duckdb.connect() as opened:
        yield opened


def table(connection: duckdb.DuckDBPyConnection, name: str, rows: list[tuple[Any, ...]]) -> str:
    connection.execute(f"create or replace temp table {name} ({COLUMNS}, _source_line integer)")
    if rows:
        numbered = [(*row, number) for number, row in enumerate(rows)]
        connection.executemany(f"insert into {name} values (?, ?, ?, ?)", numbered)
    return f"select * from {name}"


def comparable(row: Any) -> tuple[Any, ...]:
    return tuple("NaN" if value != value else value for value in row)


def replayed(old: list[tuple[Any, ...]], changes: list[Change], names: tuple[str, ...]) -> Counter[tuple[Any, ...]]:
    """The old rows with the changes made to them."""
    rows = Counter(comparable(row) for row in old)
    for one in changes:
        if one.kind == "updated":
            assert one.old is not None
            assert one.new is not None
            [mine] = [row for row in rows if rows[row] and all(row[names.index(k)] == v for k, v in one.key.items())]
            before = dict(zip(names, mine, strict=True))
            assert comparable(one.old.values()) == tuple(before[name] for name in one.old)
            rows[mine] -= 1
            rows[comparable((before | dict(one.new)).values())] += 1
        elif one.old is not None:
            rows[comparable(one.old.values())] -= 1
        elif one.new is not None:
            rows[comparable(one.new.values())] += 1
    assert not [row for row, times in rows.items() if times < 0]
    return +rows


@given(old=ROWS, new=ROWS, keys=st.sampled_from([(), ("k",), ("k", "t")]))
def test_old_plus_inserted_minus_deleted_is_new(old: Any, new: Any, keys: tuple[str, ...]) -> None:
    with duckdb.connect() as connection:
        found = Changes(connection, table(connection, "o", old), table(connection, "n", new), keys)
        changes = list(found.rows())
    counts = found.counts
    assert (counts.old, counts.new) == (len(old), len(new))
    assert counts.old + counts.inserted - counts.deleted == counts.new
    kinds = Counter(one.kind for one in changes)
    assert (kinds["inserted"], kinds["updated"], kinds["deleted"]) == (counts.inserted, counts.updated, counts.deleted)
    assert replayed(old, changes, found.how.columns) == Counter(comparable(row) for row in new)
    places = [("k", "t", "f").index(key) for key in keys]
    is_unique = all(len({tuple(row[p] for p in places) for row in rows}) == len(rows) for rows in (old, new))
    assert (found.how.by_content is None) == bool(keys and is_unique)


def compare(connection: duckdb.DuckDBPyConnection, old: str | None, new: str | None, *keys: str) -> Changes:
    return Changes(connection, old, new, keys)


def test_an_update_tells_the_columns_that_changed_alone(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(connection, "select 1 as k, 'a' as t, 2 as n", "select 1 as k, 'b' as t, 2 as n", "k")
    assert list(found.rows()) == [Change("updated", {"k": 1}, {"t": "a"}, {"t": "b"})]


def test_columns_that_came_or_went_change_no_row(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(connection, "select 1 as k, 'a' as gone", "select 1 as k, 'b' as added, 'c' as more", "k")
    assert (found.how.came, found.how.went) == (("added", "more"), ("gone",))
    assert list(found.rows()) == []


def test_lineage_changes_no_row(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(connection, "select 1 as k, 7 as _source_line", "select 1 as k, 8 as _source_line, 1 as _x", "k")
    assert (found.counts.updated, found.how.came) == (0, ())


def test_lineage_may_be_part_of_a_key(connection: duckdb.DuckDBPyConnection) -> None:
    two = "select * from (values ('r1', 1, 'a'), ('r2', 1, 'b')) as t(_resource_id, k, v)"
    found = compare(connection, two, two.replace("'b'", "'c'"), "_resource_id", "k")
    assert list(found.rows()) == [Change("updated", {"_resource_id": "r2", "k": 1}, {"v": "b"}, {"v": "c"})]


@pytest.mark.parametrize(
    ("old", "new", "updated"),
    [
        ("1::integer", "1::bigint", 0),
        ("1::integer", "2::hugeint", 1),
        ("'1'", "1", 0),
        ("'01'", "1", 1),
        ("1::bigint", "1.0::double", 1),
        ("9007199254740993::bigint", "9007199254740992::double", 1),
        ("date '2024-01-01'", "'2024-01-01'", 0),
    ],
)
def test_a_retyped_column_is_compared_without_loss(
    connection: duckdb.DuckDBPyConnection, old: str, new: str, updated: int
) -> None:
    found = compare(connection, f"select 1 as k, {old} as v", f"select 1 as k, {new} as v", "k")
    assert [one.name for one in found.how.retyped] == ["v"]
    assert found.counts.updated == updated


def test_a_retyped_key_still_finds_its_row(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(connection, "select 1 as k, 'a' as v", "select '1' as k, 'b' as v", "k")
    assert found.how.retyped == (Retyped("k", "INTEGER", "VARCHAR"),)
    assert list(found.rows()) == [Change("updated", {"k": "1"}, {"v": "a"}, {"v": "b"})]


@pytest.mark.parametrize(
    "value",
    ["['a', null]", "{'a': 1, 'b': 'nan'::double}", "map {'a': 1}", "'\\x00'::blob", "timestamptz '2024-01-01'"],
)
@pytest.mark.parametrize("keys", [(), ("k",)])
def test_values_with_parts_are_compared_whole(
    connection: duckdb.DuckDBPyConnection, value: str, keys: tuple[str, ...]
) -> None:
    row = f"select 1 as k, {value} as v"
    assert compare(connection, f"{row}, 1 as _a", f"{row}, 2 as _a", *keys).counts.updated == 0
    found = compare(connection, row, "select 1 as k, null as v", *keys)
    assert found.counts.updated + found.counts.deleted == 1


@pytest.mark.parametrize("keys", [(), ("k",)])
def test_a_table_that_was_not_there_came_whole(connection: duckdb.DuckDBPyConnection, keys: tuple[str, ...]) -> None:
    rows = "select range as k, 'x' as v from range(3)"
    came, went = compare(connection, None, rows, *keys), compare(connection, rows, None, *keys)
    assert (came.counts.inserted, went.counts.deleted) == (3, 3)
    assert [one.old for one in went.rows()] == [{"k": number, "v": "x"} for number in range(3)]


@pytest.mark.parametrize(
    ("new", "keys", "reason"),
    [
        ("select 1 as k, 'a' as v", (), "no key is known"),
        ("select 1 as i, 'a' as v", ("k",), "its key k is not in both"),
        ("select 1 as k, unnest(['a', 'b']) as v", ("k",), "the new rows have k more than once"),
    ],
)
def test_rows_without_a_fit_key_are_matched_by_content_and_it_is_said(
    connection: duckdb.DuckDBPyConnection, new: str, keys: tuple[str, ...], reason: str
) -> None:
    found = compare(connection, "select 1 as k, 'a' as v", new, *keys)
    assert (found.how.keys, found.how.by_content) == ((), reason)
    assert found.counts.updated == 0
    assert found.counts.old + found.counts.inserted - found.counts.deleted == found.counts.new


def test_changes_come_in_the_order_of_their_keys_page_by_page(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(connection, "select range as k from range(50)", "select range as k from range(30, 100)", "k")
    whole = [one.key["k"] for one in found.rows()]
    assert whole == [*range(30), *range(50, 100)]
    assert [one.key["k"] for start in range(0, 90, 7) for one in found.rows(7, start)] == whole

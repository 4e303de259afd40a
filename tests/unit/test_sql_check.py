"""What a statement names, told from DuckDB's parse of it: scopes of CTEs, and what is let through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from catalog.sql_check import Names, Refusal, line_and_column, lower, named_tables

KNOWN = {("gold", "fct_a"), ("gold", "fct_b"), ("bronze", "up__lines")}
DENIED = {("bronze", "secrets__lines"): "secrets__lines is restricted."}


@pytest.fixture(scope="module")
def parser() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def check(parser: duckdb.DuckDBPyConnection, sql: str) -> Names:
    found = parser.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
    assert found is not None
    parsed: Any = json.loads(found[0])
    assert not parsed["error"], parsed
    return named_tables(parsed, KNOWN, DENIED)


A, B, LINES = ("gold", "fct_a"), ("gold", "fct_b"), ("bronze", "up__lines")
NAMES = {
    "nothing": ("select 1", set()),
    "any case": ('from GOLD."FCT_A"', {A}),
    "a join": ("from gold.fct_a join gold.fct_b using (id), bronze.up__lines", {A, B, LINES}),
    "a union": ("from gold.fct_a union all by name from gold.fct_b", {A, B}),
    "a subquery": ("select (select max(id) from gold.fct_b) where 1 in (select id from gold.fct_a)", {A, B}),
    "a limit": ("select 1 limit (select count(*) from gold.fct_a)", {A}),
    "an order": ("select 1 as i order by (select max(id) from gold.fct_a) + i", {A}),
    "a window": ("select sum(id) over (order by (select max(id) from gold.fct_b)) from gold.fct_a", {A, B}),
    "a lambda": ("select list_transform([1], x -> (select max(id) from gold.fct_a) + x)", {A}),
    "a pivot": ("from gold.fct_a pivot (sum(id) for n in ('a'))", {A}),
    "described": ("describe gold.fct_a", {A}),
    "summarized": ("summarize gold.fct_a", {A}),
    "rows of nothing": ("from range(3), unnest([1]), generate_series(1, 2)", set()),
    "a CTE": ("with fct as (from gold.fct_a) from fct", {A}),
    "a CTE after another": ("with x as (from gold.fct_a), y as (from x) from y", {A}),
    "a CTE of a CTE": ("with x as (with y as (from gold.fct_a) from y) from x", {A}),
    "a CTE seen below": ("with x as (select 1) select * from (select * from (from x))", set()),
    "a CTE that hides a table": ("with fct_a as (from gold.fct_a) from fct_a", {A}),
    "a recursion": ("with recursive t(i) as (select 1 union all select i + 1 from t where i < 3) from t", set()),
    "a recursion by key": (
        "with recursive t(i, n) using key (i) as (select 1, 2 union select i, n from recurring.t) from t",
        set(),
    ),
}


@pytest.mark.parametrize(("sql", "tables"), NAMES.values(), ids=NAMES)
def test_the_tables_of_a_statement_are_found(
    parser: duckdb.DuckDBPyConnection, sql: str, tables: set[tuple[str, str]]
) -> None:
    assert check(parser, sql).tables == tables


OUT_OF_SCOPE = {
    "no schema": "from fct_a",
    "another catalogue": "from lake.gold.fct_a",
    "a system view": "from duckdb_views",
    "a file": "from '/etc/passwd'",
    "a later CTE": "with x as (from y), y as (select 1) from x",
    "itself": "with x as (from x) from x",
    "the left of a recursion": "with recursive x as (from x union all from x) from x",
    "a CTE of a subquery": "select * from (with x as (select 1) from x), x",
    "a CTE of a CTE": "with x as (with y as (select 1) from y) from y",
    "a CTE of one side": "(with x as (select 1) from x) union all from x",
    "a CTE with a schema": "with x as (select 1) from main.x",
    "a name that only looks alike": "with \u212a as (select 1) from k",
}


@pytest.mark.parametrize("sql", OUT_OF_SCOPE.values(), ids=OUT_OF_SCOPE)
def test_a_name_out_of_scope_is_no_table(parser: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(Refusal) as told:
        check(parser, sql)
    assert told.value.kind == "unknown"
    assert told.value.position is not None


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("from bronze.secrets__lines", "restricted"),
        ("from read_csv('x')", "refused"),
        ("from QUERY('select 1')", "refused"),
        ("select Current_Setting('threads')", "refused"),
        ("from gold.fct_a at (version => 1)", "refused"),
        ("show databases", "refused"),
        ("from information_schema.views", "unknown"),
    ],
)
def test_what_is_not_let_through(parser: duckdb.DuckDBPyConnection, sql: str, kind: str) -> None:
    with pytest.raises(Refusal) as told:
        check(parser, sql)
    assert told.value.kind == kind


@pytest.mark.parametrize("sql", ["show all tables", "show tables", "from information_schema.columns", "describe"])
def test_a_question_about_the_catalogue_is_noticed(parser: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert check(parser, sql).asks_catalogue


def test_names_compare_as_duckdb_compares_them(parser: duckdb.DuckDBPyConnection) -> None:
    parser.execute('create or replace temp table "\u00c9T\u212a" as select 1')
    assert lower("\u00c9T\u212a") == "\u00c9t\u212a"
    assert parser.execute('from "\u00c9t\u212a"').fetchall() == [(1,)]
    with pytest.raises(duckdb.CatalogException):
        parser.execute('from "\u00c9tk"')


def test_places_are_counted_from_one() -> None:
    assert line_and_column("select 1", 0) == (1, 1)
    assert line_and_column("a\nbc", 3) == (2, 2)
    assert line_and_column("a\n", 2) == (2, 1)

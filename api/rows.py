"""One page of a table's rows: a typed query in, parameterised SQL on a pinned snapshot, JSON-safe values out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from api.grammar import OPERATORS, Condition, RowQuery, Sort
from catalog.errors import UsageError
from catalog.iceberg import Pin
from catalog.names import quote_identifier
from catalog.session import table_function
from catalog.values import json_value

# A table's own order: its files, then the rows within each. Iceberg promises none, and DuckDB's changes between two
# runs over several files, so it is always asked for; it also breaks the ties of a sort, so pages never overlap.
STORED_ORDER = ("filename", "file_row_number")
DOUBLE_DIGITS = 15  # a decimal of so many digits survives the way through a double


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of SQL and the values of its placeholders, in order."""

    sql: str
    values: tuple[Any, ...] = ()


def read_rows(
    cursor: duckdb.DuckDBPyConnection,
    pin: Pin,
    types: Mapping[str, str],
    query: RowQuery,
    conditions: Sequence[Condition],
    page: int,
    page_size: int,
) -> list[dict[str, Any]]:
    """Rows of one page, none past the end.

    Args:
        types: DuckDB type of each of the table's columns.
        query: the columns to show and the order.
        conditions: what every row must meet: those of the query, and those the table is served under.

    Raises:
        UsageError: a value that its column's type cannot hold.
    """
    where = _where(cursor, types, conditions)
    statement = _page_sql(table_function(pin), types, query, where.sql)
    rows = cursor.execute(statement, [*where.values, page_size, (page - 1) * page_size]).fetchall()
    return [dict(zip(query.columns, map(json_value, row), strict=True)) for row in rows]


def count_rows(
    cursor: duckdb.DuckDBPyConnection, pin: Pin, types: Mapping[str, str], conditions: Sequence[Condition]
) -> int:
    """How many rows meet every condition."""
    where = _where(cursor, types, conditions)
    found = cursor.execute(f"select count(*) from {table_function(pin)} {where.sql}", where.values).fetchone()
    return int(found[0]) if found else 0


def _page_sql(scan: str, types: Mapping[str, str], query: RowQuery, where: str) -> str:
    """Find the page's rows by the columns that choose them, then read the others of these rows only.

    A page of 200 rows among 125,000 of 23 columns takes a third of the time that one SELECT does.
    """
    shown = ", ".join(_shown(name, types[name]) for name in query.columns)
    order = ", ".join(_order(query.sorts, types))
    bounds = f"{where} order by {order} limit ? offset ?"
    if _hides_stored_order(types):
        return f"select {shown} from {scan} {bounds}"
    place = ", ".join(STORED_ORDER)
    page = f"with page as materialized (select {place} from {scan} {bounds})"
    return f"{page} select {shown} from {scan} semi join page using ({place}) order by {order}"


def _where(cursor: duckdb.DuckDBPyConnection, types: Mapping[str, str], conditions: Sequence[Condition]) -> Part:
    if not conditions:
        return Part("")
    _refuse_uncastable(cursor, types, conditions)
    parts = [_condition(condition, types[condition.column]) for condition in conditions]
    return Part("where " + " and ".join(part.sql for part in parts), tuple(v for part in parts for v in part.values))


def _condition(condition: Condition, type_: str) -> Part:
    operator = OPERATORS[condition.operator]
    placeholder = "?" if operator.as_text else f"cast(? as {type_})"
    value = ", ".join(placeholder for _ in condition.values)
    return Part(operator.sql.format(column=quote_identifier(condition.column), value=value), condition.values)


def _refuse_uncastable(
    cursor: duckdb.DuckDBPyConnection, types: Mapping[str, str], conditions: Sequence[Condition]
) -> None:
    """Refuse a value that is none of its column's type, or that the type would round to another."""
    given = [(c.column, value) for c in conditions if not OPERATORS[c.operator].as_text for value in c.values]
    if not given:
        return
    fits = ", ".join(f"try_cast(? as {types[name]}) = try_cast(? as {_finer(types[name])})" for name, _ in given)
    doubled = [value for _, value in given for _ in range(2)]
    for (name, value), fit in zip(given, cursor.execute(f"select {fits}", doubled).fetchone() or (), strict=True):
        if not fit:
            raise UsageError(f"Column {name!r} is {types[name]} and cannot hold {value!r}; give a value of that type.")


def _finer(type_: str) -> str:
    """A type that keeps what the column's own would round off, for 1.5 is no integer and noon is no date."""
    if type_ in ("INTEGER", "BIGINT"):
        return "DECIMAL(38, 18)"
    if digits := _decimal_digits(type_):
        precision, scale = digits
        return f"DECIMAL(38, {38 - precision + scale})"
    return "TIMESTAMP" if type_ == "DATE" else type_


def _shown(name: str, type_: str) -> str:
    """Decimals as numbers where a double holds them exactly, as text where it does not: one or the other a column."""
    column = quote_identifier(name)
    digits = _decimal_digits(type_)
    if digits is None:
        return column
    return f"cast({column} as {'double' if digits[0] <= DOUBLE_DIGITS else 'varchar'})"


def _order(sorts: Sequence[Sort], columns: Collection[str]) -> list[str]:
    """What to order by; nulls stand where PostgreSQL puts them, as in the tabular API."""
    asked = [
        f"{quote_identifier(sort.column)} {'desc nulls first' if sort.descending else 'asc nulls last'}"
        for sort in sorts
    ]
    return [*asked, *(quote_identifier(name) for name in (columns if _hides_stored_order(columns) else STORED_ORDER))]


def _hides_stored_order(columns: Collection[str]) -> bool:
    """Whether the table has columns of these names; ordering by all its columns then does as well, only slower."""
    return any(name.lower() in STORED_ORDER for name in columns)


def _decimal_digits(type_: str) -> tuple[int, int] | None:
    """Precision and scale of a decimal type."""
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_)
    return (int(found[1]), int(found[2])) if found else None

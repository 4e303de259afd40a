"""Rows of a relation: a typed query in, parameterised SQL on a pinned snapshot, rows as texts of JSON objects out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from api.filters import OPERATORS, Condition, Filter, single
from api.grammar import Aggregate, RowQuery, Sort
from api.relations import Relation, SqlColumn
from api.rendering import as_text, decimal_digits, json_object
from catalog.errors import UsageError
from catalog.names import quote_identifier

NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
NUMBERS |= {"DOUBLE", "FLOAT"}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of SQL and the values of its placeholders, in order."""

    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, each the text of a JSON object, and the number of the last of them where rows have one."""

    rows: list[str]
    last: int | None


def read_page(
    cursor: duckdb.DuckDBPyConnection,
    relation: Relation,
    query: RowQuery,
    conditions: Sequence[Filter],
    limit: int,
    offset: int,
    after: int | None,
) -> Page:
    """Rows of one page, none past the end.

    Args:
        query: the columns to show and the order, or the groups.
        conditions: what every row must meet: those of the query, and those the table is served under.
        offset: rows to pass over.
        after: number of the row to go on after, instead of passing over rows; for relations that number theirs.

    Raises:
        UsageError: a value that its column's type cannot hold, or an aggregate of what has none.
    """
    where = where_of(cursor, relation, conditions)
    if query.is_aggregated:
        part = _grouped_page(relation, query, where, limit, offset)
    elif relation.row is not None and not query.sorts:
        part = _numbered_page(relation, query, where, limit, offset, after, has_filters=bool(conditions))
    elif after is not None and relation.row is not None:
        further = _after(cursor, relation, query.sorts, after)
        part = _sorted_page(relation, query, _both(where, further), limit, 0)
    else:
        part = _sorted_page(relation, query, where, limit, offset)
    found = cursor.execute(part.sql, part.values).fetchall()
    return Page([row[0] for row in found], found[-1][1] if found else None)


def count_rows(
    cursor: duckdb.DuckDBPyConnection, relation: Relation, query: RowQuery, conditions: Sequence[Filter]
) -> int:
    """How many rows meet every condition, or groups they make."""
    where = where_of(cursor, relation, conditions)
    counted = f"select count(*) from {relation.sql} {where.sql}"
    if query.is_aggregated:
        if not query.groups:
            return 1
        groups = ", ".join(relation.columns[name].sql for name in query.groups)
        counted = f"select count(*) from (select 1 from {relation.sql} {where.sql} group by {groups})"
    found = cursor.execute(counted, where.values).fetchone()
    return int(found[0]) if found else 0


def whole_select(
    cursor: duckdb.DuckDBPyConnection, relation: Relation, query: RowQuery, conditions: Sequence[Filter], form: str
) -> Part:
    """A SELECT of every row asked for, as a format wants it.

    Without a sort nothing is ordered, so that rows stream: a copy gives them in the stored order all the same.

    Args:
        form: ``text``, each value as JSON has it; ``object``, each row as the text of one JSON object; ``typed``, each
            value of its own type.
    """
    where = where_of(cursor, relation, conditions)
    if query.is_aggregated:
        inner, columns = _grouped(relation, query, where.sql)
        order = f" order by {', '.join(_order(query.sorts, columns) + _group_order(query, columns))}"
        return Part(f"select {_selected(columns, query.names, form)} from ({inner}){order}", where.values)
    sorts = [*_order(query.sorts, relation.columns), *relation.order] if query.sorts else []
    order = f" order by {', '.join(sorts)}" if sorts else ""
    selected = _selected(relation.columns, query.columns, form)
    return Part(f"select {selected} from {relation.sql} {where.sql}{order}", where.values)


def where_of(cursor: duckdb.DuckDBPyConnection, relation: Relation, conditions: Sequence[Filter]) -> Part:
    """The WHERE of conditions that must all hold.

    Raises:
        UsageError: a value that its column's type cannot hold.
    """
    if not conditions:
        return Part("")
    _refuse_uncastable(cursor, relation.columns, conditions)
    values = tuple(value for one in single(conditions) for value in one.values)
    return Part("where " + " and ".join(_condition(one, relation.columns) for one in conditions), values)


# Pages


def _numbered_page(
    relation: Relation, query: RowQuery, where: Part, limit: int, offset: int, after: int | None, *, has_filters: bool
) -> Part:
    """Rows in the order of their numbers, which is the order they are in: nothing is sorted, and none is passed over.

    DuckDB keeps the order of a table through filters and LIMIT.
    """
    rows = _objects(relation, query)
    start = after + 1 if after is not None else relation.first + (0 if has_filters else offset)
    bounds = f"{relation.row} >= ?"
    values: tuple[Any, ...] = (*where.values, start)
    if not has_filters:
        bounds += f" and {relation.row} < ?"
        values = (*values, start + limit)
        offset = 0
    elif after is not None:
        offset = 0
    where_sql = f"{where.sql} and {bounds}" if where.sql else f"where {bounds}"
    select = f"select {rows}, {relation.row} from {relation.sql} {where_sql} limit ? offset ?"
    return Part(select, (*values, limit, offset))


def _sorted_page(relation: Relation, query: RowQuery, where: Part, limit: int, offset: int) -> Part:
    """Find the page's rows by the columns that choose them, then read the others of these rows only.

    A page of 200 rows among 125,000 of 23 columns takes a third of the time that one SELECT does.
    """
    shown_rows, number = _objects(relation, query), relation.row or "null"
    order = ", ".join([*_order(query.sorts, relation.columns), *relation.order])
    bounds = f"{where.sql} order by {order} limit ? offset ?"
    values = (*where.values, limit, offset)
    if relation.place is None:
        return Part(f"select {shown_rows}, {number} from {relation.sql} {bounds}", values)
    place = ", ".join(relation.place)
    page = f"with page as materialized (select {place} from {relation.sql} {bounds})"
    rows = f"select {shown_rows}, {number} from {relation.sql} semi join page using ({place}) order by {order}"
    return Part(f"{page} {rows}", values)


def _after(cursor: duckdb.DuckDBPyConnection, relation: Relation, sorts: Sequence[Sort], after: int) -> Part:
    """What holds for the rows that a sort puts after one of the table's rows."""
    columns = [relation.columns[sort.column] for sort in sorts]
    texts = ", ".join(f"{column.sql}::varchar" for column in columns)
    found = cursor.execute(f"select {texts} from {relation.sql} where {relation.row} = ?", [after]).fetchone()
    if found is None:
        raise UsageError("This cursor is of a row that is not there; begin again without it.")
    alternatives: list[str] = []
    values: list[Any] = []
    same: list[str] = []
    before: list[Any] = []
    for sort, column, value in zip(sorts, columns, found, strict=True):
        given = f"cast(? as {column.type})"
        if value is None:
            beyond, bound = (f"{column.sql} is not null", []) if sort.descending else ("false", [])
        elif sort.descending:
            beyond, bound = f"{column.sql} < {given}", [value]
        else:
            beyond, bound = f"({column.sql} > {given} or {column.sql} is null)", [value]
        alternatives.append(" and ".join([*same, beyond]))
        values += [*before, *bound]
        same.append(f"{column.sql} is not distinct from {given}")
        before.append(value)
    alternatives.append(" and ".join([*same, f"{relation.row} > ?"]))
    values += [*before, after]
    return Part("(" + " or ".join(f"({one})" for one in alternatives) + ")", tuple(values))


def _both(where: Part, further: Part) -> Part:
    sql = f"{where.sql} and {further.sql}" if where.sql else f"where {further.sql}"
    return Part(sql, (*where.values, *further.values))


def _objects(relation: Relation, query: RowQuery) -> str:
    named = ((name, relation.columns[name]) for name in query.columns)
    return json_object((name, column.sql, column.type) for name, column in named)


def _selected(columns: Mapping[str, SqlColumn], names: Sequence[str], form: str) -> str:
    if form == "object":
        return json_object((name, columns[name].sql, columns[name].type) for name in names)
    chosen = ((name, columns[name]) for name in names)
    written = (
        (as_text(column.sql, column.type) if form == "text" else column.sql, quote_identifier(name))
        for name, column in chosen
    )
    return ", ".join(f"{sql} as {name}" for sql, name in written)


# Groups


def _grouped_page(relation: Relation, query: RowQuery, where: Part, limit: int, offset: int) -> Part:
    inner, columns = _grouped(relation, query, where.sql)
    order = ", ".join(_order(query.sorts, columns) + _group_order(query, columns))
    rows = json_object((name, columns[name].sql, columns[name].type) for name in query.names)
    return Part(f"select {rows}, null from ({inner}) order by {order} limit ? offset ?", (*where.values, limit, offset))


def _grouped(relation: Relation, query: RowQuery, where: str) -> tuple[str, dict[str, SqlColumn]]:
    """A SELECT of one row a group, and its columns."""
    columns = {name: SqlColumn(quote_identifier(name), relation.columns[name].type) for name in query.groups}
    selected = [f"{relation.columns[name].sql} as {quote_identifier(name)}" for name in query.groups]
    for one in query.aggregates:
        sql, type_ = _aggregate(one, relation.columns[one.column])
        selected.append(f"{sql} as {quote_identifier(one.name)}")
        columns[one.name] = SqlColumn(quote_identifier(one.name), type_)
    groups = ", ".join(relation.columns[name].sql for name in query.groups)
    grouping = f" group by {groups}" if groups else ""
    return f"select {', '.join(selected)} from {relation.sql} {where}{grouping}", columns


def _aggregate(one: Aggregate, column: SqlColumn) -> tuple[str, str]:
    """SQL of an aggregate, and the type of its value; nulls count for nothing, as in SQL."""
    digits = decimal_digits(column.type)
    if one.function == "count":
        return f"count({column.sql})", "BIGINT"
    if one.function in ("min", "max"):
        return f"{one.function}({column.sql})", column.type
    if digits is None and column.type not in NUMBERS:
        raise UsageError(
            f"Column {one.column!r} is {column.type} and has no {one.function}; aggregate a column of numbers, or"
            " take count, min or max."
        )
    if one.function == "avg":
        return f"avg({column.sql})", "DOUBLE"
    if digits:
        return f"sum({column.sql})", f"DECIMAL(38,{digits[1]})"
    return f"sum({column.sql})", "DOUBLE" if column.type in ("DOUBLE", "FLOAT") else "HUGEINT"


def _group_order(query: RowQuery, columns: Mapping[str, SqlColumn]) -> list[str]:
    """The groups' own order, which ends every sort, so that pages of them never overlap."""
    return [f"{columns[name].sql} asc nulls last" for name in query.groups] or ["1"]


# Conditions


def _condition(one: Filter, columns: Mapping[str, SqlColumn]) -> str:
    if not isinstance(one, Condition):
        return "(" + f" {one.kind} ".join(_condition(member, columns) for member in one.members) + ")"
    operator, column = OPERATORS[one.operator], columns[one.column]
    placeholder = "?" if operator.as_text else f"cast(? as {column.type})"
    return operator.sql.format(column=column.sql, value=", ".join(placeholder for _ in one.values))


def _refuse_uncastable(
    cursor: duckdb.DuckDBPyConnection, columns: Mapping[str, SqlColumn], conditions: Sequence[Filter]
) -> None:
    """Refuse a value that is none of its column's type, or that the type would round to another."""
    given = [
        (one.column, columns[one.column].type, value)
        for one in single(conditions)
        if not OPERATORS[one.operator].as_text and columns[one.column].type != "VARCHAR"
        for value in one.values
    ]
    if not given:
        return
    fits = ", ".join(f"try_cast(? as {type_}) = try_cast(? as {_finer(type_)})" for _, type_, _ in given)
    doubled = [value for _, _, value in given for _ in range(2)]
    found = cursor.execute(f"select {fits}", doubled).fetchone() or ()
    for (name, type_, value), fit in zip(given, found, strict=True):
        if not fit:
            raise UsageError(f"Column {name!r} is {type_} and cannot hold {value!r}; give a value of that type.")


def _finer(type_: str) -> str:
    """A type that keeps what the column's own would round off, for 1.5 is no integer and noon is no date."""
    if type_ in ("INTEGER", "BIGINT"):
        return "DECIMAL(38, 18)"
    if digits := decimal_digits(type_):
        precision, scale = digits
        return f"DECIMAL(38, {38 - precision + scale})"
    return "TIMESTAMP" if type_ == "DATE" else type_


def _order(sorts: Sequence[Sort], columns: Mapping[str, SqlColumn]) -> list[str]:
    """What to order by; nulls stand where PostgreSQL puts them, as in the tabular API."""
    return [
        f"{columns[sort.column].sql} {'desc nulls first' if sort.descending else 'asc nulls last'}" for sort in sorts
    ]

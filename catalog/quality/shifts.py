"""Measures how far each column of a relation lies from the same column of another."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import duckdb
import numpy as np

from catalog.names import quote_identifier
from catalog.quality.distributions import FEWEST, Numbers, ks, psi_of_groups, psi_of_numbers
from catalog.quality.report import Shift
from catalog.quality.statistics import kind_of

GROUPS = 50  # values of a text column that has a distribution; with more it holds names or codes
OTHER = object()


def measure_shifts(
    connection: duckdb.DuckDBPyConnection, table: str, before: str, now: str, keys: Collection[str]
) -> Iterator[Shift]:
    """The shift of each column of numbers, of few texts or of truth values, keys left out.

    Days and moments move on by themselves, and so have none. Neither has anything on fewer than 100 rows.

    Args:
        before, now: relations of the same columns, quoted, or queries in brackets.
    """
    if min(_count(connection, before), _count(connection, now)) < FEWEST:
        return
    found = connection.sql(f"select * from {now}")
    for name, type_ in zip(found.columns, found.types, strict=True):
        if name in keys:
            continue
        kind = kind_of(type_)
        if kind == "number":
            one, other = _numbers(connection, before, name), _numbers(connection, now, name)
            yield Shift(table, name, psi_of_numbers(one, other), ks(one, other))
        elif kind == "plain" and (groups := _groups(connection, before, name)) is not None:
            yield Shift(table, name, psi_of_groups(groups, _placed(connection, now, name, groups)), None)


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    [(rows,)] = connection.execute(f"select count(*) from {relation}").fetchall()
    return int(rows)


def _numbers(connection: duckdb.DuckDBPyConnection, relation: str, name: str) -> Numbers:
    """A column as doubles, NaN where there is no value; infinities become the largest doubles."""
    column = f"coalesce({quote_identifier(name)}::double, 'nan'::double)"
    [values] = connection.execute(f"select {column} from {relation}").fetchnumpy().values()
    return np.nan_to_num(np.ma.filled(values, np.nan).astype(np.float64), nan=np.nan)


def _groups(connection: duckdb.DuckDBPyConnection, relation: str, name: str) -> dict[object, int] | None:
    """Rows by value, None when there are too many values."""
    column = quote_identifier(name)
    counted = f"select {column}::varchar, count(*) from {relation} group by all limit {GROUPS + 1}"
    found = dict(connection.execute(counted).fetchall())
    return found if len(found) <= GROUPS else None


def _placed(
    connection: duckdb.DuckDBPyConnection, relation: str, name: str, groups: Collection[object]
) -> dict[object, int]:
    """Rows by value among some values, all others together."""
    column = f"{quote_identifier(name)}::varchar"
    known = [value for value in groups if value is not None]
    placed = f"case when {column} is null or list_contains($known::varchar[], {column}) then {column} else null end"
    is_other = f"{column} is not null and not list_contains($known::varchar[], {column})"
    counted = f"select {is_other}, {placed}, count(*) from {relation} group by all"
    rows = connection.execute(counted, {"known": known}).fetchall()
    return {OTHER if is_new else value: count for is_new, value, count in rows}

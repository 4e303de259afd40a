"""The query grammar of data.gouv.fr's tabular API: ``column__operator=value`` parsed into typed conditions.

It knows names and shapes only: which values fit a column, and the SQL around a condition, belong to ``api.rows``.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from catalog.errors import UnknownName, UsageError

RESERVED = ("page", "page_size", "columns", "as_of")
SORT = "sort"
DIRECTIONS = ("asc", "desc")
MAX_CONDITIONS = 100
MAX_VALUES = 1000


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to filter: its SQL over a quoted ``{column}`` and its ``{value}``, already cast to the column's type."""

    sql: str
    takes: Literal["nothing", "one", "many"] = "one"
    as_text: bool = False  # the value stays text whatever the column's type


# A null is never equal, less or in a list, as in SQL; only `differs` and `isnull` keep it.
OPERATORS = {
    "exact": Operator("{column} = {value}"),
    "differs": Operator("{column} is distinct from {value}"),
    "contains": Operator("contains(lower({column}::varchar), lower({value}))", as_text=True),
    "notcontains": Operator("not contains(lower({column}::varchar), lower({value}))", as_text=True),
    "in": Operator("{column} in ({value})", takes="many"),
    "notin": Operator("{column} not in ({value})", takes="many"),
    "less": Operator("{column} <= {value}"),
    "greater": Operator("{column} >= {value}"),
    "strictly_less": Operator("{column} < {value}"),
    "strictly_greater": Operator("{column} > {value}"),
    "isnull": Operator("{column} is null", takes="nothing"),
    "isnotnull": Operator("{column} is not null", takes="nothing"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: a column that exists, an operator of the table above, and the values as written."""

    column: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sort:
    """One column to order by."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class RowQuery:
    """What is asked of a table: columns to show, conditions that must all hold, and the order."""

    columns: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    sorts: tuple[Sort, ...] = ()


def parse_query(parameters: Iterable[tuple[str, str]], columns: Collection[str]) -> RowQuery:
    """Parse the parameters of one request over a table's columns.

    Raises:
        UnknownName: a column, operator or parameter that does not exist, with the nearest one.
        UsageError: a value of the wrong shape, or more of them than one request may carry.
    """
    shown: tuple[str, ...] = tuple(columns)
    conditions: list[Condition] = []
    sorts: list[Sort] = []
    for name, value in parameters:
        if name == "columns":
            shown = _chosen(value, columns)
        elif name not in RESERVED:
            column, operator = _split(name, columns)
            if operator == SORT:
                sorts.append(_sort(name, column, value))
            else:
                conditions.append(Condition(column, operator, _values(name, OPERATORS[operator], value)))
    _refuse_too_many(conditions, sorts)
    return RowQuery(shown, tuple(conditions), tuple(sorts))


def refuse_unknown(parameters: Iterable[str], known: Collection[str]) -> None:
    """Refuse a parameter an endpoint does not take.

    Raises:
        UnknownName: with the nearest one it takes.
    """
    for name in parameters:
        if name not in known:
            raise UnknownName("parameter", name, known)


def _chosen(value: str, columns: Collection[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    for name in chosen:
        if name not in columns:
            raise UnknownName("column", name, columns)
    return chosen


def _split(parameter: str, columns: Collection[str]) -> tuple[str, str]:
    """Column and operator of a parameter; a column's own name may hold ``__``, an operator's never does."""
    column, separator, operator = parameter.rpartition("__")
    if parameter in columns:
        raise UsageError(f"Parameter {parameter!r} lacks an operator; write {parameter}__exact=value.")
    if not separator:
        raise UnknownName("parameter", parameter, [*RESERVED, *(f"{name}__exact" for name in columns)])
    if column not in columns:
        raise UnknownName("column", column, columns)
    operator = operator.lower()
    if operator not in OPERATORS and operator != SORT:
        raise UnknownName("operator", operator, [*OPERATORS, SORT])
    return column, operator


def _sort(parameter: str, column: str, value: str) -> Sort:
    if value.lower() not in DIRECTIONS:
        raise UsageError(f"{parameter}={value!r}: write {parameter}=asc or {parameter}=desc.")
    return Sort(column, value.lower() == "desc")


def _values(parameter: str, operator: Operator, value: str) -> tuple[str, ...]:
    if operator.takes == "many":
        return _listed(parameter, value)
    if operator.takes == "one":
        return (value,)
    if value:
        raise UsageError(f"{parameter}={value!r}: this operator takes no value; write {parameter} alone.")
    return ()


def _listed(parameter: str, value: str) -> tuple[str, ...]:
    """Values parted by commas; one that holds a comma stands between double quotes."""
    try:
        return tuple(next(csv.reader([value], strict=True))) or ("",)
    except csv.Error as error:
        raise UsageError(f"{parameter}={value!r}: not a list of values: {error}.") from error


def _refuse_too_many(conditions: list[Condition], sorts: list[Sort]) -> None:
    if (count := len(conditions) + len(sorts)) > MAX_CONDITIONS:
        raise UsageError(f"{count} filters and sorts in one request; the most is {MAX_CONDITIONS}.")
    if (count := sum(len(condition.values) for condition in conditions)) > MAX_VALUES:
        raise UsageError(f"{count} values in one request; the most is {MAX_VALUES}.")

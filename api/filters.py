"""Filters of the tabular API's grammar: their operators, the tree of conditions, and what a parameter's name says.

Names and shapes only: which values fit a column, and the SQL around a condition, belong to ``api.rows``.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from catalog.errors import UnknownName, UsageError

RESERVED = ("page", "page_size", "columns", "as_of", "cursor", "format")
SORT = "sort"
GROUP_BY = "groupby"
AGGREGATES = ("count", "avg", "sum", "min", "max")
GROUPS = ("or", "and")
MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_DEPTH = 10


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
NOT_FILTERS = (SORT, GROUP_BY, *AGGREGATES)


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: a column that exists, an operator of the table above, and the values as written."""

    column: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Filters of which one must hold, or all."""

    kind: Literal["or", "and"]
    members: tuple[Filter, ...]


Filter = Condition | Group


def split_name(parameter: str, columns: Collection[str]) -> tuple[str, str]:
    """Column and operator of a parameter; a column's own name may hold ``__``, an operator's never does."""
    column, separator, operator = parameter.rpartition("__")
    if parameter in columns:
        raise UsageError(f"Parameter {parameter!r} lacks an operator; write {parameter}__exact=value.")
    if not separator:
        raise UnknownName("parameter", parameter, [*RESERVED, *GROUPS, *(f"{name}__exact" for name in columns)])
    if column not in columns:
        raise UnknownName("column", column, columns)
    operator = operator.lower()
    if operator not in OPERATORS and operator not in NOT_FILTERS:
        raise UnknownName("operator", operator, [*OPERATORS, *NOT_FILTERS])
    return column, operator


def condition_of(parameter: str, column: str, operator: str, value: str) -> Condition:
    """One filter, its value parted if the operator takes several.

    Raises:
        UsageError: a value where none is taken, or a malformed list.
    """
    takes = OPERATORS[operator].takes
    if takes == "nothing":
        refuse_value(parameter, value)
        return Condition(column, operator)
    return Condition(column, operator, _listed(parameter, value) if takes == "many" else (value,))


def single(filters: Iterable[Filter]) -> Iterator[Condition]:
    """The conditions of a tree, in the order their values are bound."""
    for one in filters:
        if isinstance(one, Condition):
            yield one
        else:
            yield from single(one.members)


def refuse_value(parameter: str, value: str) -> None:
    """Refuse a value where none is taken."""
    if value:
        raise UsageError(f"{parameter}={value!r}: this operator takes no value; write {parameter} alone.")


def _listed(parameter: str, value: str) -> tuple[str, ...]:
    """Values parted by commas; one that holds a comma stands between double quotes."""
    try:
        return tuple(next(csv.reader([value], strict=True))) or ("",)
    except csv.Error as error:
        raise UsageError(f"{parameter}={value!r}: not a list of values: {error}.") from error

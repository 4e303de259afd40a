"""The query grammar of data.gouv.fr's tabular API: the parameters of one request parsed into one typed query."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from api.filters import (
    AGGREGATES,
    GROUP_BY,
    GROUPS,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
    OPERATORS,
    RESERVED,
    SORT,
    Condition,
    Filter,
    Group,
    condition_of,
    refuse_value,
    single,
    split_name,
)
from api.logic import parse_group
from catalog.errors import UnknownName, UsageError

__all__ = [
    "AGGREGATES",
    "MAX_CONDITIONS",
    "MAX_DEPTH",
    "MAX_VALUES",
    "OPERATORS",
    "RESERVED",
    "Aggregate",
    "Condition",
    "Filter",
    "Group",
    "RowQuery",
    "Sort",
    "parse_query",
    "refuse_unknown",
]
DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Sort:
    """One column, or name of an aggregate, to order by."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One value over the rows of a group, shown as ``<column>__<function>``."""

    column: str
    function: str

    @property
    def name(self) -> str:
        """The name it is shown by."""
        return f"{self.column}__{self.function}"


@dataclass(frozen=True, slots=True)
class RowQuery:
    """What is asked of a table: columns to show, conditions that must all hold, and the order.

    With groups or aggregates, one row a group is asked for, and ``columns`` are not shown.
    """

    columns: tuple[str, ...]
    conditions: tuple[Filter, ...] = ()
    sorts: tuple[Sort, ...] = ()
    groups: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()

    @property
    def is_aggregated(self) -> bool:
        """Whether groups of rows are asked for rather than rows."""
        return bool(self.groups or self.aggregates)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the answer."""
        return (*self.groups, *(one.name for one in self.aggregates)) if self.is_aggregated else self.columns


def parse_query(
    parameters: Iterable[tuple[str, str]], columns: Collection[str], shown: Collection[str] | None = None
) -> RowQuery:
    """Parse the parameters of one request over a table's columns.

    Args:
        shown: the columns shown where none are chosen; all by default.

    Raises:
        UnknownName: a column, operator or parameter that does not exist, with the nearest one.
        UsageError: a value of the wrong shape, or more of them than one request may carry.
    """
    given = [(name, value) for name, value in parameters if name not in RESERVED or name == "columns"]
    _refuse_more(len(given), MAX_CONDITIONS, "filters and sorts")
    chosen: tuple[str, ...] | None = None
    conditions: list[Filter] = []
    sorts: list[tuple[str, Sort]] = []
    groups: dict[str, None] = {}
    aggregates: dict[Aggregate, None] = {}
    for name, value in given:
        if name == "columns":
            chosen = _chosen(value, columns)
        elif name in GROUPS:
            conditions.append(parse_group(name, value, columns))
        elif name.lower().endswith(f"__{SORT}"):
            sorts.append((name, _sort(name, name[: -len(SORT) - 2], value)))
        else:
            column, operator = split_name(name, columns)
            if operator == GROUP_BY:
                refuse_value(name, value)
                groups[column] = None
            elif operator in AGGREGATES:
                refuse_value(name, value)
                aggregates[Aggregate(column, operator)] = None
            else:
                conditions.append(condition_of(name, column, operator, value))
    if chosen and (groups or aggregates):
        raise UsageError("columns= shows columns of rows; an aggregation shows its groups and values. Leave it out.")
    _refuse_too_many(conditions)
    asked = RowQuery(chosen or tuple(shown or columns), tuple(conditions), (), tuple(groups), tuple(aggregates))
    sortable = asked.names if asked.is_aggregated else columns
    for name, sort in sorts:
        if sort.column not in sortable:
            raise UnknownName("column", sort.column, sortable)
        if name in columns:
            raise UsageError(f"Parameter {name!r} lacks an operator; write {name}__exact=value.")
    return RowQuery(asked.columns, asked.conditions, tuple(sort for _, sort in sorts), asked.groups, asked.aggregates)


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


def _sort(parameter: str, column: str, value: str) -> Sort:
    if value.lower() not in DIRECTIONS:
        raise UsageError(f"{parameter}={value!r}: write {parameter}=asc or {parameter}=desc.")
    return Sort(column, value.lower() == "desc")


def _refuse_too_many(filters: Sequence[Filter]) -> None:
    conditions = list(single(filters))
    _refuse_more(len(conditions), MAX_CONDITIONS, "filters and sorts")
    _refuse_more(sum(len(condition.values) for condition in conditions), MAX_VALUES, "values")


def _refuse_more(count: int, most: int, what: str) -> None:
    if count > most:
        raise UsageError(f"{count} {what} in one request; the most is {most}.")

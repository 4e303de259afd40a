"""What the columns of one table hold: counts, extremes, quantiles, commonest values and a small distribution.

One aggregate pass reads the whole table; what needs order or groups is taken from a sample of it, said so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from catalog.iceberg import LINEAGE
from catalog.names import quote_identifier, quote_literal

SAMPLE_ROWS = 50_000  # quantiles, commonest values and distributions of a larger table are those of so many rows
COLUMNS = 200  # columns told of one table
BINS = 12
TOP = 5
TEXT = 80  # characters shown of a value
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_SAMPLE = "temp.main._odh_sample"
_NUMBERS = {
    *("tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double", "decimal"),
    *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
}
_MOMENTS = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_PLAIN = {"varchar", "boolean", "uuid", "enum", "time"}


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values lie between two bounds; the first and the last bin hold what is beyond."""

    low: str
    high: str
    count: int


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """One column; what its type does not have is None or empty."""

    name: str
    type: str
    nulls: int
    distinct: int | None = None  # of a table larger than the sample approximate, within some ten percent
    minimum: str | None = None
    maximum: str | None = None
    mean: float | None = None
    quantiles: Mapping[str, str] | None = None  # "5 %" → value
    top: Sequence[tuple[str, int]] = ()  # of the sampled rows
    distribution: Sequence[Bin] = ()  # of the sampled rows


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """One table, and the rows its quantiles, commonest values and distributions are of."""

    rows: int
    sampled: int
    columns: Sequence[ColumnStatistics]
    columns_left_out: int = 0
    hidden: Sequence[str] = ()  # columns that hold personal data: nothing of them is read


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    kind: str  # number, moment, plain, other

    @property
    def sql(self) -> str:
        return quote_identifier(self.name)

    @property
    def number(self) -> str:
        """Its values as doubles: numbers as they are, moments as seconds since 1970."""
        return f"epoch({self.sql})" if self.kind == "moment" else f"{self.sql}::double"

    def shown(self, value: float) -> str:
        """A double of ``number`` as people read it."""
        if self.kind != "moment":
            return f"{value:.6g}"
        try:
            moment = datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):  # DuckDB's dates go beyond the year 9999
            return f"{value:.6g} s"
        return moment.date().isoformat() if self.type == "DATE" else moment.strftime("%Y-%m-%d %H:%M:%S")


def profile(connection: duckdb.DuckDBPyConnection, relation: str, hidden: Collection[str] = ()) -> TableStatistics:
    """Statistics of a table.

    Args:
        relation: its quoted name.
        hidden: columns never to be looked at; lineage columns are left out anyway.
    """
    present = list(_columns(connection, relation))
    told = [column for column in present if column.name not in {*hidden, *LINEAGE}]
    columns = told[:COLUMNS]
    [(rows,)] = connection.execute(f"select count(*) from {relation}").fetchall()
    counted = _count(connection, relation, columns, rows)
    sample, sampled = _sample(connection, relation, columns, rows)
    quantiles = _quantiles(connection, sample, columns)
    few = {name for name, facts in counted.items() if facts.get("distinct", TOP + 1) <= TOP}
    bins = _distributions(connection, sample, [column for column in columns if column.name not in few], quantiles)
    top = _commonest(connection, sample, [one for one in columns if one.kind == "plain" or one.name in few])
    connection.execute(f"drop table if exists {_SAMPLE}")
    found = [
        ColumnStatistics(
            column.name,
            column.type,
            **counted[column.name],
            quantiles=_named(column, quantiles.get(column.name)),
            top=top.get(column.name, ()),
            distribution=bins.get(column.name, ()),
        )
        for column in columns
    ]
    return TableStatistics(
        int(rows), sampled, found, len(told) - len(columns), sorted({*hidden} & {one.name for one in present})
    )


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> Iterator[_Column]:
    found = connection.sql(f"select * from {relation}")
    for name, type_ in zip(found.columns, found.types, strict=True):
        yield _Column(name, str(type_), kind_of(type_))


def kind_of(type_: DuckDBPyType) -> str:
    """What can be told of a type: ``number``, ``moment``, ``plain`` for what only repeats, ``other`` for the rest."""
    kinds = (("number", _NUMBERS), ("moment", _MOMENTS), ("plain", _PLAIN))
    return next((kind for kind, types in kinds if type_.id in types), "other")


def _count(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[_Column], rows: int
) -> dict[str, dict[str, Any]]:
    """What one pass over all rows tells of each column."""
    counting = "approx_count_distinct({})" if rows > SAMPLE_ROWS else "count(distinct {})"
    told: list[tuple[str, str, str]] = []  # column, fact, SQL
    for column in columns:
        told.append((column.name, "nulls", f"count(*) - count({column.sql})"))
        if column.kind == "other":
            continue
        told.append((column.name, "distinct", counting.format(column.sql)))
        told += [(column.name, fact, f"left({fact[:3]}({column.sql})::varchar, {TEXT})") for fact in _EXTREMES]
        if column.kind == "number":
            told.append((column.name, "mean", f"avg({column.number})"))
    select = ", ".join(sql for _, _, sql in told) or "null"
    values = connection.execute(f"select {select} from {relation}").fetchone() or ()
    counted: dict[str, dict[str, Any]] = {column.name: {} for column in columns}
    for (name, fact, _), value in zip(told, values, strict=bool(told)):
        counted[name][fact] = value if not isinstance(value, float) or math.isfinite(value) else None
    for facts in counted.values():  # the sketch may count more than there are
        if (distinct := facts.get("distinct")) is not None:
            facts["distinct"] = min(distinct, rows - facts["nulls"])
    return counted


_EXTREMES = ("minimum", "maximum")


def _finite(column: _Column) -> str:
    """Its values as doubles but for infinities and what is no number, between which nothing can be divided."""
    return f"case when isfinite({column.number}) then {column.number} end"


def _sample(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[_Column], rows: int
) -> tuple[str, int]:
    """A relation of at most ``SAMPLE_ROWS`` rows, and how many it has."""
    listed = ", ".join(column.sql for column in columns if column.kind != "other")
    if rows <= SAMPLE_ROWS or not listed:
        return relation, rows
    drawn = f"select {listed} from {relation} using sample reservoir({SAMPLE_ROWS} rows)"
    connection.execute(f"create or replace temp table _odh_sample as {drawn}")
    return _SAMPLE, SAMPLE_ROWS


def _quantiles(
    connection: duckdb.DuckDBPyConnection, sample: str, columns: Sequence[_Column]
) -> dict[str, tuple[float, ...]]:
    measured = [column for column in columns if column.kind in ("number", "moment")]
    if not measured:
        return {}
    wanted = ", ".join(f"quantile_cont({_finite(column)}, {list(QUANTILES)})" for column in measured)
    found = connection.execute(f"select {wanted} from {sample}").fetchone() or ()
    pairs = zip(measured, found, strict=True)
    return {column.name: tuple(values) for column, values in pairs if values}


def _named(column: _Column, values: Sequence[float] | None) -> dict[str, str] | None:
    if not values:
        return None
    return {f"{100 * share:g} %": column.shown(value) for share, value in zip(QUANTILES, values, strict=True)}


def _distributions(
    connection: duckdb.DuckDBPyConnection,
    sample: str,
    columns: Sequence[_Column],
    quantiles: Mapping[str, Sequence[float]],
) -> dict[str, list[Bin]]:
    """Values by bins as wide as each other between the first and the last percent, so that one outlier hides none."""
    edges: dict[str, list[float]] = {}
    for name, values in quantiles.items():
        low, high = values[0], values[-1]
        if high > low:
            edges[name] = [low + (high - low) * step / BINS for step in range(1, BINS)]
    binned = [column for column in columns if column.name in edges]
    if not binned:
        return {}
    # histogram() counts the values up to each bound, and those beyond the last one under the largest double
    wanted = ", ".join(f"histogram({_finite(column)}, {edges[column.name]}::double[])" for column in binned)
    found = connection.execute(f"select {wanted} from {sample}").fetchone() or ()
    return {
        column.name: _bins(column, edges[column.name], counts, quantiles[column.name])
        for column, counts in zip(binned, found, strict=True)
        if counts
    }


def _bins(
    column: _Column, edges: Sequence[float], counts: Mapping[float, int], quantiles: Sequence[float]
) -> list[Bin]:
    amounts = [counts.get(edge, 0) for edge in edges]
    amounts.append(sum(counts.values()) - sum(amounts))
    bounds = [quantiles[0], *edges, quantiles[-1]]
    return [
        Bin(column.shown(bounds[number]), column.shown(bounds[number + 1]), amount)
        for number, amount in enumerate(amounts)
    ]


def _commonest(
    connection: duckdb.DuckDBPyConnection, sample: str, columns: Sequence[_Column]
) -> dict[str, list[tuple[str, int]]]:
    """The commonest values of each column, the rows they are in beside; ties in the order of the values."""
    each = (
        f"(select {quote_literal(column.name)} as name, left({column.sql}::varchar, {TEXT}) as value, count(*) as n"
        f" from {sample} where {column.sql} is not null group by all order by 3 desc, 2 limit {TOP})"
        for column in columns
    )
    found: dict[str, list[tuple[str, int]]] = {}
    if statement := " union all ".join(each):
        for name, value, count in connection.execute(statement).fetchall():
            found.setdefault(name, []).append((value, count))
    return found

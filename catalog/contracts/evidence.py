"""What all the rows of a table say about each of its columns of text: how many values read as each logical type.

A column of few different values is counted value by value; of the others a sample rules out the types that cannot be,
and one more reading of all rows counts what is left. Nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from catalog.contracts.markers import MARKERS
from catalog.contracts.types import TYPES
from catalog.names import quote_identifier, quote_literal

TEXT = "text"
FEW_VALUES = 3_000  # different values of a column that are looked at one by one
SAMPLE_ROWS = 2_000
WORTH_COUNTING = 0.95  # share of a sample that must read for a type to be counted on all rows
SHOWN_VALUES = 30

# What else the values show: conditions on a value ``{}``, and what all of them have in common.
SIGNALS = {
    "leading_zeros": "regexp_full_match({}, '0[0-9]+')",
    "code_like": "regexp_full_match({}, '[0-9]+[A-Za-z][0-9A-Za-z]*|[A-Za-z]+[0-9][0-9A-Za-z]*|[A-Za-z]')",
    "digits": "regexp_full_match({}, '[0-9]+')",
    "letters": "regexp_matches({}, '[A-Za-z]')",
    "beyond_a_day": "regexp_full_match({}, '(2[4-9]|[3-9][0-9]|[0-9]{3,}):[0-5][0-9](:[0-5][0-9])?')",
    "any_date": "coalesce(fr_date({}), fr_date_month_first({})) is not null",
    "any_timestamp": "coalesce(fr_timestamp({}), fr_timestamp_month_first({})) is not null",
    "brackets": "starts_with({}, '[')",
    "france_lat_lon": "fr_is_in_france(fr_pair_second({}), fr_pair_first({}))",
    "france_lon_lat": "fr_is_in_france(fr_pair_first({}), fr_pair_second({}))",
}
_EITHER_ORDER = {
    "date": "any_date",
    "date_month_first": "any_date",
    "timestamp": "any_timestamp",
    "timestamp_month_first": "any_timestamp",
}
_CONDITIONAL = ("boolean", "point_lat_lon", "point_lon_lat")  # which values they are matters, or their order
_WIDTHS = {"least_width": "min(length({}))", "most_width": "max(length({}))"}
_SIGNALS_OF = {  # the signals that a type, if it may be, is judged with
    "integer": ("leading_zeros", "code_like", "digits"),
    "decimal": ("leading_zeros", "code_like"),
    "decimal_point_thousands": ("leading_zeros", "code_like"),
    "decimal_comma_thousands": ("leading_zeros", "code_like"),
    "time": ("beyond_a_day",),
    "date_month_first": ("any_date",),
    "timestamp_month_first": ("any_timestamp",),
    "point_lat_lon": ("brackets", "france_lat_lon", "france_lon_lat"),
    "point_lon_lat": ("brackets", "france_lat_lon", "france_lon_lat"),
    "text": ("letters",),
}


_MARKERS_PATTERN = quote_literal("(?i:" + "|".join(re.escape(text) for text in sorted(MARKERS)) + ")")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rows say about one column; a text without outer spaces is a value, unless it is empty or a marker."""

    rows: int
    values: int
    distinct: int  # near enough where the values are many
    markers: Mapping[str, int] = field(default_factory=dict)  # as written → rows
    fits: Mapping[str, int] = field(default_factory=dict)  # logical type → values that read
    proofs: Mapping[str, int] = field(default_factory=dict)  # logical type → values that satisfy its proof
    signals: Mapping[str, int] = field(default_factory=dict)
    shown: Sequence[str] = ()  # the different values, where they are very few

    @property
    def filled(self) -> int:
        """Rows that have any text."""
        return self.values + sum(self.markers.values())


def gather(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    candidates: Mapping[str, Collection[str]],
    markers: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Evidence]:
    """Read every row of a relation.

    Args:
        relation: SQL of the rows: a quoted name, or a SELECT in parentheses.
        candidates: column → the logical types to count.
        markers: column → its own texts that say why there is no value, besides ``MARKERS``.
    """
    if not candidates:
        return {}
    rows, distinct = _sizes(connection, relation, list(candidates))
    places = {column: place for place, column in enumerate(candidates)}
    few = [column for column in candidates if distinct[column] <= FEW_VALUES or rows <= SAMPLE_ROWS]
    many = [column for column in candidates if column not in few]
    own = {places[column]: list(texts) for column, texts in (markers or {}).items() if column in places and texts}
    with _values_table(connection) as table:
        _count_values(connection, relation, table, {column: places[column] for column in few})
        _sample_values(connection, relation, table, {column: places[column] for column in many})
        found = _from_values(connection, table, places, candidates, own, rows)
    left = {column: _worth_counting(found[column], candidates[column]) for column in many}
    texts = {column: own.get(places[column], []) for column in many}
    first = {column: _up_to_first(found[column], names) for column, names in left.items()}
    found |= _from_rows(connection, relation, first, texts, rows, distinct)
    wrong = {column: left[column] for column, names in first.items() if not _is_settled(found[column], names)}
    return found | _from_rows(connection, relation, wrong, texts, rows, distinct)


def _sizes(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Rows, and about how many different texts each column has."""
    counts = ", ".join(f"approx_count_distinct({quote_identifier(column)})" for column in columns)
    rows, *distinct = connection.execute(f"select count(*), {counts} from {relation}").fetchone() or (0,)
    return rows, dict(zip(columns, distinct, strict=True))


@contextmanager
def _values_table(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    table = "temp.odh_evidence"
    connection.execute(f"create or replace temp table {table} (place integer, v varchar, n bigint, m boolean)")
    try:
        yield table
    finally:
        connection.execute(f"drop table if exists {table}")


def _count_values(connection: duckdb.DuckDBPyConnection, relation: str, table: str, places: Mapping[str, int]) -> None:
    """Put each different value of some columns into the table, with its number of rows: one reading for all."""
    if not places:
        return
    maps = ", ".join(f"histogram({quote_identifier(column)})" for column in places)
    connection.execute(f"""
        insert into {table}
        with
        odh_maps as (select [{maps}] as maps from {relation}),
        odh_columns as (select unnest([{_numbers(places.values())}]) as place, unnest(maps) as h from odh_maps),
        odh_each as (select place, unnest(map_keys(h)) as t, unnest(map_values(h)) as n from odh_columns)
        select place, fr_text(t) as v, sum(n), null from odh_each group by place, v having v is not null
    """)


def _sample_values(connection: duckdb.DuckDBPyConnection, relation: str, table: str, places: Mapping[str, int]) -> None:
    """Put the values of some columns in some rows into the table."""
    if not places:
        return
    columns = ", ".join(quote_identifier(column) for column in places)
    connection.execute(f"""
        insert into {table}
        with
        odh_sampled as (
            select [{columns}] as texts from {relation} using sample reservoir({SAMPLE_ROWS} rows) repeatable (1)
        ),
        odh_each as (select unnest([{_numbers(places.values())}]) as place, unnest(texts) as t from odh_sampled)
        select place, fr_text(t) as v, count(*), null from odh_each group by place, v having v is not null
    """)


def _from_values(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    places: Mapping[str, int],
    candidates: Mapping[str, Collection[str]],
    own: Mapping[int, Sequence[str]],
    rows: int,
) -> dict[str, Evidence]:
    """Evidence of columns from the table of their values and numbers of rows."""
    is_marker = _is_marker("v") + "".join(
        f" or (place = {place} and v in ({_listed(texts)}))" for place, texts in own.items()
    )
    names = [name for name in TYPES if any(name in wanted for wanted in candidates.values())]
    conditions = _conditions(names, list(SIGNALS), "v")
    counted = {name: f"coalesce(sum(n) filter ({condition}), 0)::bigint" for name, condition in conditions.items()}
    counted |= _widths("v")
    connection.execute(f"update {table} set m = ({is_marker})")
    listed = ", ".join(f"{sql} as {name}" for name, sql in counted.items())
    cursor = connection.execute(
        f"select place, sum(n)::bigint as values, count(*) as distinct, {listed} "
        f"from {table} where not m group by place"
    )
    titles = [column[0] for column in cursor.description or []]
    measured = {row[0]: dict(zip(titles, row, strict=True)) for row in cursor.fetchall()}
    marked: dict[int, dict[str, int]] = {}
    for place, text, n in connection.execute(f"select place, v, n from {table} where m order by all").fetchall():
        marked.setdefault(place, {})[text] = n
    shown: dict[int, list[str]] = {}
    few = f"qualify count(*) over (partition by place) <= {SHOWN_VALUES}"
    for place, text in connection.execute(f"select place, v from {table} where not m {few} order by all").fetchall():
        shown.setdefault(place, []).append(text)
    return {
        column: _evidence(rows, measured.get(place, {}), marked.get(place, {}), shown.get(place, ()))
        for column, place in places.items()
    }


def _from_rows(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    candidates: Mapping[str, Collection[str]],
    own: Mapping[str, Sequence[str]],
    rows: int,
    distinct: Mapping[str, int],
) -> dict[str, Evidence]:
    """Evidence of columns from every row, in one reading for all of them."""
    if not candidates:
        return {}
    cleaned, counted = [], []
    for place, (column, names) in enumerate(candidates.items()):
        v, m = f"v{place}", f"m{place}"
        texts = f" or t{place} in ({_listed(own[column])})" if own[column] else ""
        cleaned.append(
            (f"fr_text({quote_identifier(column)}) as t{place}", f"({_is_marker(f't{place}')}{texts}) as {m}")
        )
        conditions = _conditions(names, _signals_of(names), v)
        measures = {name: f"count(*) filter ({condition})" for name, condition in conditions.items()}
        measures |= {"values": f"count({v})", **_widths(v)}
        counted += [f"{sql} as {name}_{place}" for name, sql in measures.items()]
        counted.append(f"histogram(t{place}) filter ({m}) as markers_{place}")
    texts_, marks = zip(*cleaned, strict=True)
    unmarked = ", ".join(f"case when not m{place} then t{place} end as v{place}" for place in range(len(candidates)))
    cursor = connection.execute(f"""
        with
        odh_texts as (select {", ".join(texts_)} from {relation}),
        odh_marked as (select *, {", ".join(marks)} from odh_texts),
        odh_unmarked as (select *, {unmarked} from odh_marked)
        select {", ".join(counted)} from odh_unmarked
    """)
    titles = [column[0] for column in cursor.description or []]
    row = dict(zip(titles, cursor.fetchone() or (), strict=True))
    found = {}
    for place, column in enumerate(candidates):
        suffix = f"_{place}"
        mine = {name.removesuffix(suffix): value for name, value in row.items() if name.endswith(suffix)}
        found[column] = _evidence(rows, {**mine, "distinct": distinct[column]}, mine["markers"] or {}, ())
    return found


def _evidence(rows: int, measured: Mapping[str, int], markers: Mapping[str, int], shown: Sequence[str]) -> Evidence:
    def part(prefix: str) -> dict[str, int]:
        return {name.removeprefix(prefix): value or 0 for name, value in measured.items() if name.startswith(prefix)}

    return Evidence(
        rows=rows,
        values=measured.get("values") or 0,
        distinct=measured.get("distinct") or 0,
        markers=dict(markers),
        fits=part("fit_"),
        proofs=part("proof_"),
        signals=part("signal_"),
        shown=tuple(shown),
    )


def _worth_counting(sampled: Evidence, names: Iterable[str]) -> list[str]:
    """The types that so many values of a sample read as that all rows may; a rare one is not ruled out by few."""
    least = min(sampled.values * WORTH_COUNTING, sampled.values - 1)
    return [
        name
        for name in names
        if sampled.fits.get(name, 0) >= least
        or (sampled.fits.get(name) and sampled.signals.get(_EITHER_ORDER.get(name, ""), 0) >= least)
    ]


def _up_to_first(sampled: Evidence, names: Sequence[str]) -> list[str]:
    """The types down to the strictest that asks for nothing but values that read, if it reads all of a sample.

    Whatever stands below is only of use where it then does not read all rows.
    """
    for place, name in enumerate(names):
        if _is_free(name) and sampled.fits.get(name) == sampled.values:
            return list(dict.fromkeys([*names[: place + 1], TEXT]))
    return list(names)


def _is_settled(evidence: Evidence, names: Sequence[str]) -> bool:
    """Whether some type that asks for nothing else reads all rows, or nothing but text is left."""
    free = [name for name in names if _is_free(name) and name != TEXT]
    return not free or any(evidence.fits.get(name) == evidence.values for name in free)


def _is_free(name: str) -> bool:
    """Whether values that read are all that a type asks for."""
    return not (TYPES[name].words or TYPES[name].proof or name in _CONDITIONAL)


def _signals_of(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(signal for name in names for signal in _SIGNALS_OF.get(name, ())))


def _conditions(names: Iterable[str], signals: Iterable[str], v: str) -> dict[str, str]:
    """SQL of all that is counted of a value, by the name of its count."""
    types = {name: TYPES[name] for name in names}
    found = {f"fit_{name}": f"{type_.read} is not null" for name, type_ in types.items()}
    found |= {f"fit_{TEXT}": "{} is not null"} if TEXT in types else {}  # it is without outer spaces already
    found |= {f"proof_{name}": type_.proof for name, type_ in types.items() if type_.proof}
    found |= {f"signal_{name}": SIGNALS[name] for name in signals}
    return {name: condition.replace("{}", v) for name, condition in found.items()}


def _widths(v: str) -> dict[str, str]:
    return {f"signal_{name}": aggregate.replace("{}", v) for name, aggregate in _WIDTHS.items()}


def _is_marker(v: str) -> str:
    """SQL: one regular expression of them all is ten times faster than a list."""
    return f"coalesce(regexp_full_match({v}, {_MARKERS_PATTERN}), false)"


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(quote_literal, texts))

"""What became of the rows of a table between two states of it: inserted, updated, deleted.

It compares two SELECTs of one DuckDB connection and knows nothing of releases. Rows are matched by key; without one
that is fit for it, equal rows are counted on both sides. Both are exact: the old rows, less those deleted, plus those
inserted, are the new ones. NULL equals NULL and NaN equals NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb

from catalog.names import quote_identifier

INTEGERS = {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"}
BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """One row that is not what it was.

    ``key`` is empty where rows are matched by content. An update tells the columns that changed only; a row inserted
    has no ``old``, one deleted no ``new``.
    """

    kind: str  # inserted, updated, deleted
    key: Mapping[str, Any]
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of both states and of what lies between them: ``old + inserted - deleted = new``."""

    old: int
    new: int
    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Retyped:
    """A column whose values have another type than they had; they are compared as texts, or as whole numbers."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two states of a table are compared; columns of lineage, which begin with ``_``, are so as keys only."""

    keys: tuple[str, ...]  # empty: by content
    by_content: str | None  # why the rows are matched by content; None with a key
    columns: tuple[str, ...]  # in both states
    came: tuple[str, ...]
    went: tuple[str, ...]
    retyped: tuple[Retyped, ...]


@dataclass
class Changes:
    """The difference between two SELECTs, worked out once: its rows wait in a temporary table of the connection.

    Args:
        old: SELECT of the state before; None where there was no such table, which counts as an empty one.
        new: the same of the state after.
        keys: columns that identify a row; none means by content.
    """

    connection: duckdb.DuckDBPyConnection
    old: str | None
    new: str | None
    keys: Sequence[str] = ()
    how: Comparison = field(init=False)
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        old, new = self.old or f"from ({self.new}) limit 0", self.new or f"from ({self.old}) limit 0"
        was, is_ = (_types(self.connection, select, self.keys) for select in (old, new))
        self.how = _compare(was, is_, tuple(self.keys))
        before, after = (_side(self.how, one) for one in (old, new))
        is_same = self.old == self.new
        if self.how.keys and not is_same and (twice := self._twice(before, after)):
            reason = f"the {twice} rows have {', '.join(self.how.keys)} more than once"
            self.how = replace(self.how, keys=(), by_content=reason)
        select = (_keyed if self.how.keys else _counted)(self.how, before, after)
        nothing = " limit 0" if is_same else ""  # no row is read to see that it is itself
        self.connection.execute(f"create or replace temp table odh_changes as from ({select}){nothing}")
        self.counts = self._count(before, after)

    def rows(self, limit: int | None = None, offset: int = 0) -> Iterator[Change]:
        """The changed rows in the order of their keys, or of their content, batch after batch."""
        places = range(len(self.how.columns))
        order = [f"coalesce(n{self.how.columns.index(key)}, o{self.how.columns.index(key)})" for key in self.how.keys]
        order = order or [*(f"coalesce(n{place}, o{place})" for place in places), "change"]
        bound = f" limit {limit:d} offset {offset:d}" if limit is not None else ""
        cursor = self.connection.execute(f"select * from odh_changes order by {', '.join(order)}{bound}")
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield from (_change(self.how, row) for row in batch)

    def _twice(self, before: str, after: str) -> str | None:
        """The state that has one key twice."""
        keys = ", ".join(f"c{self.how.columns.index(key)}" for key in self.how.keys)
        for name, side in (("old", before), ("new", after)):
            found = f"select 1 from ({side}) group by {keys} having count(*) > 1 limit 1"
            if self.connection.execute(found).fetchone():
                return name
        return None

    def _count(self, before: str, after: str) -> Counts:
        totals = [f"(select count(*) from ({side}))" for side in (before, after)]
        kinds = [f"(select count(*) from odh_changes where change = '{k}')" for k in ("inserted", "updated", "deleted")]
        found = self.connection.execute(f"select {', '.join(totals + kinds)}").fetchone() or ()
        return Counts(*found)


def _types(connection: duckdb.DuckDBPyConnection, select: str, keys: Sequence[str]) -> dict[str, str]:
    """Type of each column to be compared, by name."""
    found = connection.sql(f"from ({select}) limit 0")
    named = zip(found.columns, found.types, strict=True)
    return {name: str(type_) for name, type_ in named if name in keys or not name.startswith("_")}


def _compare(old: Mapping[str, str], new: Mapping[str, str], keys: tuple[str, ...]) -> Comparison:
    columns = tuple(name for name in new if name in old)
    retyped = tuple(Retyped(name, old[name], new[name]) for name in columns if old[name] != new[name])
    came, went = (tuple(name for name in one if name not in other) for one, other in ((new, old), (old, new)))
    reason = None if keys else "no key is known"
    if lacking := [key for key in keys if key not in columns]:
        keys, reason = (), f"its key {', '.join(lacking)} is not in both"
    return Comparison(keys, reason, columns, came, went, retyped)


def _side(how: Comparison, select: str) -> str:
    """One state, its columns named ``c0``, ``c1``… and of the types both have."""
    types = {one.name: _common(one) for one in how.retyped}
    named = []
    for place, name in enumerate(how.columns):
        value = quote_identifier(name)
        named.append(f"{value}::{types[name]} as c{place}" if name in types else f"{value} as c{place}")
    return f"select {', '.join(['true as here', *named])} from ({select})"


def _common(column: Retyped) -> str:
    """A type that holds the values of both exactly."""
    return "hugeint" if {column.old.lower(), column.new.lower()} <= INTEGERS else "varchar"


def _keyed(how: Comparison, before: str, after: str) -> str:
    places = range(len(how.columns))
    keys = [how.columns.index(key) for key in how.keys]
    values = [place for place in places if place not in keys]
    told = [f"old.c{place} as o{place}, new.c{place} as n{place}" for place in places]
    differ = [f"old.c{place} is distinct from new.c{place}" for place in values]
    kept = "old.here and new.here"  # NULL where one of them is missing
    places_changed = ", ".join(
        f"case when {kept} and {one} then {p} end" for one, p in zip(differ, values, strict=True)
    )
    return f"""\
select
    case when old.here is null then 'inserted' when new.here is null then 'deleted' else 'updated' end as change,
    list_filter([{places_changed}]::integer[], lambda place: place is not null) as changed,
    {", ".join(told)}
from ({before}) as old
full join ({after}) as new on {" and ".join(f"old.c{place} is not distinct from new.c{place}" for place in keys)}
where {" or ".join(["old.here is null", "new.here is null", *differ])}"""


def _counted(how: Comparison, before: str, after: str) -> str:
    """Rows that stand more often on one side than on the other, each as many times as it does."""
    columns = [f"c{place}" for place in range(len(how.columns))]
    told = [
        f"case when change = 'deleted' then {c} end as o{c[1:]}, case when change = 'inserted' then {c} end as n{c[1:]}"
        for c in columns
    ]
    listed = ", ".join(columns)
    groups = f"group by {listed}" if columns else ""
    return f"""\
select change, []::integer[] as changed{"".join(f", {one}" for one in told)}
from (
    select
        case when sum(weight) > 0 then 'inserted' else 'deleted' end as change,
        {"".join(f"{c}, " for c in columns)}
        unnest(range(abs(sum(weight))::bigint))
    from (
        select * exclude (here), -1 as weight from ({before})
        union all
        select * exclude (here), 1 as weight from ({after})
    )
    {groups}
    having sum(weight) <> 0
)"""


def _change(how: Comparison, row: Sequence[Any]) -> Change:
    kind, places, values = row[0], row[1], row[2:]
    old = {name: values[2 * place] for place, name in enumerate(how.columns)}
    new = {name: values[2 * place + 1] for place, name in enumerate(how.columns)}
    known = old if kind == "deleted" else new
    key = {name: known[name] for name in how.keys}
    if kind == "updated":
        changed = [how.columns[place] for place in places]
        return Change(kind, key, {name: old[name] for name in changed}, {name: new[name] for name in changed})
    return Change(kind, key, None if kind == "inserted" else old, None if kind == "deleted" else new)

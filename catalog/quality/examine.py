"""Holds the rows a snapshot would have against the gate: what the table is at a day, what was kept before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from catalog.iceberg import GOLD, FieldIds
from catalog.iceberg_snapshots import AS_OF
from catalog.names import quote_identifier, quote_literal
from catalog.quality import gate
from catalog.quality.declared import SnapshotModel
from catalog.quality.gate import Limits
from catalog.quality.report import Check, Rows, Shift
from catalog.quality.shifts import measure_shifts
from catalog.quality.statistics import TableStatistics, profile
from catalog.releases import Release, ReleasedTable
from catalog.session import create_view, scan_sql
from catalog.storable import copy_to_parquet
from catalog.write_back import content_of

PUBLISHED, EXISTS, REFUSED = "published", "exists", "refused"
NOW, SERIES, PREVIOUS = "now_rows", "series_rows", "previous_rows"  # relations this module makes
EXAMPLES = 10
Columns = Mapping[str, str]  # name → type


@dataclass
class Candidate:
    """A snapshot that is looked at; it is refused until every check holds."""

    model: SnapshotModel
    as_of: date
    table: ReleasedTable | None = None  # as the release of the day has it
    checks: list[Check] = field(default_factory=list)
    shifts: list[Shift] = field(default_factory=list)
    statistics: TableStatistics | None = None
    columns: Columns = field(default_factory=dict)
    rows: int | None = None
    content_hash: str | None = None
    status: str = REFUSED

    @property
    def name(self) -> str:
        """What the snapshot is called."""
        return f"{self.model.series}@{self.as_of}"

    @property
    def reason(self) -> str | None:
        """Why it is refused; None when it is not."""
        told = [f"{one.name}{f' ({one.column})' if one.column else ''}: {one.message}" for one in self.failed]
        return "; ".join(told[:5]) + (f"; and {len(told) - 5} more" if len(told) > 5 else "") or None

    @property
    def failed(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.checks if check.status != "pass"]

    def passes(self, *checks: Check) -> bool:
        """Keep some checks, and tell whether they hold."""
        self.checks += checks
        return all(check.status == "pass" for check in checks)


def examine(
    connection: duckdb.DuckDBPyConnection, found: Candidate, live: Release, limits: Limits, hidden: Collection[str] = ()
) -> str:
    """Hold a candidate against its release and the snapshots there are, and return what becomes of it.

    Args:
        connection: one that reads pinned tables; views and tables of this module are made anew in it.
        hidden: columns of which no value is told.
    """
    if found.table is None:
        return REFUSED
    try:
        return _judge(connection, found, found.table, live.table(GOLD, found.model.table), limits, hidden)
    except duckdb.Error as error:
        found.passes(gate.check_readable(found.model.model, str(error)))
        return REFUSED


def copy_rows(connection: duckdb.DuckDBPyConnection, found: Candidate, ids: FieldIds, file: Path) -> bool:
    """Copy a candidate's rows, each with its day, to a parquet file, and tell whether they are those examined.

    Args:
        ids: field ids of the table that is to take the file.
    """
    if found.table is None:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    day = f"{_day(found.as_of)} as {AS_OF}"
    copy_to_parquet(connection, f"select *, {day} from ({scan_sql(found.table.pin)})", ids, file)
    copied = f"read_parquet({quote_literal(str(file))}, hive_partitioning = false)"
    is_same = _content(connection, copied, found.columns) == (found.rows, found.content_hash)
    return found.passes(gate.check_copy(found.model.model, is_same))


def _judge(
    connection: duckdb.DuckDBPyConnection,
    found: Candidate,
    table: ReleasedTable,
    series: ReleasedTable | None,
    limits: Limits,
    hidden: Collection[str],
) -> str:
    create_view(connection, "main", NOW, scan_sql(table.pin))
    found.columns = _columns(connection, NOW)
    before = _show_series(connection, series)
    if not _is_whole(connection, found, table.rows, before, hidden):
        return REFUSED
    if before is not None and (kept := _kept(connection, found)):
        is_same = kept == (found.rows, found.content_hash)
        return EXISTS if found.passes(gate.check_same(found.model.model, found.as_of, is_same)) else REFUSED
    if before is not None and not _is_within(connection, found, limits):
        return REFUSED
    found.statistics = profile(connection, NOW, hidden)
    return PUBLISHED


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    found = connection.sql(f"select * from {relation}")
    return {name: str(type_) for name, type_ in zip(found.columns, found.types, strict=True)}


def _show_series(connection: duckdb.DuckDBPyConnection, series: ReleasedTable | None) -> Columns | None:
    """Show the snapshots there are; their columns but for the day, None when there are none."""
    if series is None:
        return None
    create_view(connection, "main", SERIES, scan_sql(series.pin))
    return {name: kind for name, kind in _columns(connection, SERIES).items() if name != AS_OF}


def _is_whole(
    connection: duckdb.DuckDBPyConnection,
    found: Candidate,
    released: int,
    before: Columns | None,
    hidden: Collection[str],
) -> bool:
    """Whether the columns are those of before and the rows those of the release, each with keys of its own."""
    name, keys = found.model.model, found.model.keys
    columns = (gate.check_columns(name, before, found.columns), gate.check_key_columns(name, keys, found.columns))
    if not found.passes(*columns):
        return False
    found.rows, found.content_hash = _content(connection, NOW, found.columns)
    repeated, examples = _repeated(connection, keys)
    examples = None if {*keys} & {*hidden} else examples
    return found.passes(
        gate.check_complete(name, released, found.rows),
        gate.check_any(name, found.rows),
        gate.check_keys(name, keys, repeated, examples),
    )


def _content(connection: duckdb.DuckDBPyConnection, relation: str, columns: Columns) -> tuple[int, str]:
    """Row count and an order-free hash of some columns and their rows."""
    listed = ", ".join(quote_identifier(name) for name in columns)
    return content_of(connection, f"(select {listed} from {relation})")


def _repeated(connection: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> tuple[int, Rows | None]:
    """How many combinations of keys several rows have, or lack a value; and some of them."""
    listed = ", ".join(quote_identifier(key) for key in keys)
    lacking = " or ".join(f"{quote_identifier(key)} is null" for key in keys)
    groups = f"select {listed}, count(*) as row_count from {NOW} group by all having count(*) > 1 or {lacking}"
    [(number,)] = connection.execute(f"select count(*) from ({groups})").fetchall()
    if not number:
        return 0, None
    rows = connection.execute(f"{groups} order by all limit {EXAMPLES}").fetchall()
    return int(number), Rows([*keys, "row_count"], rows)


def _kept(connection: duckdb.DuckDBPyConnection, found: Candidate) -> tuple[int, str] | None:
    """Rows and hash of the snapshot of the same day, if there is one."""
    kept = _content(connection, f"(select * from {SERIES} where {AS_OF} = {_day(found.as_of)})", found.columns)
    return kept if kept[0] else None


def _is_within(connection: duckdb.DuckDBPyConnection, found: Candidate, limits: Limits) -> bool:
    """Whether a table lies within bounds of the newest snapshot of a day before; a first one has nothing to leave."""
    before = f"select max({AS_OF}) from {SERIES} where {AS_OF} < {_day(found.as_of)}"
    [(day,)] = connection.execute(before).fetchall()
    if day is None:
        return True
    previous = f"select * exclude ({AS_OF}) from {SERIES} where {AS_OF} = {_day(day)}"
    connection.execute(f"create or replace temp table {PREVIOUS} as {previous}")
    [(rows,)] = connection.execute(f"select count(*) from {PREVIOUS}").fetchall()
    name = found.model.model
    found.shifts = list(measure_shifts(connection, name, PREVIOUS, NOW, found.model.keys))
    shifted = [gate.check_shift(shift, limits) for shift in found.shifts]
    return found.passes(gate.check_rows(name, rows, found.rows or 0, limits), *shifted)


def _day(day: date) -> str:
    return f"{quote_literal(day.isoformat())}::date"

"""Training sets: labels beside what was known before them, from the snapshots of gold.

**No leakage.** A label of a day gets the newest snapshot whose ``as_of`` is strictly before that day: a snapshot of
the very day may have been taken after the label's moment, and may tell its outcome. The snapshot is chosen first, for
the table as a whole, and the row in it second: a key that is not in it has no features, although older snapshots may
still have it. A correction that came in a later extraction is in later snapshots only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from catalog.errors import UnknownName, UsageError
from catalog.iceberg import GOLD
from catalog.iceberg_snapshots import AS_OF
from catalog.names import quote_identifier, quote_literal
from catalog.quality.statistics import kind_of
from catalog.session import Session

LABELS, DAY, NUMBER = "_odh_labels", "_odh_day", "_odh_number"
SUFFIX = "_snapshots"
READERS = {".csv": "read_csv", ".parquet": "read_parquet"}
WRITERS = {".csv": "format csv, header", ".parquet": "format parquet, compression zstd"}


@dataclass(frozen=True, slots=True)
class Features:
    """Columns of one table of snapshots; none named means all but the keys."""

    table: str
    columns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Features:
        """Read ``table`` or ``table:column,column``; the ending ``_snapshots`` may be left out."""
        table, _, listed = text.partition(":")
        name = table.removeprefix(f"{GOLD}.")
        columns = tuple(column.strip() for column in listed.split(",") if column.strip())
        return cls(name if name.endswith(SUFFIX) else name + SUFFIX, columns)

    @property
    def prefix(self) -> str:
        """What its columns begin with in a training set."""
        return self.table.removesuffix(SUFFIX)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What was written."""

    file: Path
    rows: int
    columns: Sequence[str]
    matched: Mapping[str, int]  # table → labels that found their key in a snapshot before them


def make_training_set(
    session: Session, labels: str, keys: Sequence[str], time: str, features: Sequence[Features], file: Path
) -> TrainingSet:
    """Write labels and the features known before each to a CSV or parquet file, one row a label.

    Args:
        labels: a CSV or parquet file, or SQL over the lakehouse; every column of it is kept.
        keys: columns that labels and snapshots share, told apart by them and ``as_of``.
        time: the labels' column of days or moments (UTC).

    Raises:
        UsageError: a column that is not there or of no use, labels without a time, a file of another kind.
    """
    if file.suffix not in WRITERS:
        raise UsageError(f"{file.name}: a training set is written as .csv or .parquet.")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {file.absolute().parent} to write {file.name} in.")
    if not features:
        raise UsageError("Name at least one table of features, such as --features mart_accident_departement.")
    types = {one.table: _columns_of_snapshots(session, one, keys) for one in features}
    with session.told():
        _load_labels(session, labels, {key: types[features[0].table][key] for key in keys})
        _check_labels(session.connection, keys, time)
        query, names = _join(session.connection, keys, time, features, types)
        matched = _count_matches(session.connection, query, features)
        rows = _write(session.connection, names, file)
    return TrainingSet(file, rows, names, matched)


def _columns_of_snapshots(session: Session, features: Features, keys: Sequence[str]) -> dict[str, str]:
    """Columns and types of a table of snapshots, which then stands in the session.

    Raises:
        UsageError: it lacks a key or a column asked for.
    """
    known = [name for name in session.tables()[GOLD] if name.endswith(SUFFIX)]
    if features.table not in known:
        raise UnknownName("table of snapshots", features.table, known)
    rows = f"select * from {GOLD}.{quote_identifier(features.table)}"
    session.execute(f"{rows} limit 0")  # which makes its view
    found = session.connection.sql(rows)
    types = {name: str(type_) for name, type_ in zip(found.columns, found.types, strict=True)}
    for name in (*keys, *features.columns):
        if name not in types:
            raise UnknownName(f"column of gold.{features.table}", name, types)
    return types


def _load_labels(session: Session, labels: str, key_types: Mapping[str, str]) -> None:
    """Put the labels in a table, numbered in their order; a file's keys are read in the snapshots' types.

    A code such as 01 would else be read as a number, and find nothing.
    """
    reader = READERS.get(Path(labels).suffix.lower())
    if reader and Path(labels).is_file():
        typed = "{" + ", ".join(f"{quote_literal(name)}: {quote_literal(t)}" for name, t in key_types.items()) + "}"
        present = session.connection.sql(f"select * from {reader}({quote_literal(labels)})").columns
        missing = [key for key in key_types if key not in present]
        if missing:
            raise UnknownName("column of the labels", missing[0], present)
        options = f", types = {typed}" if reader == "read_csv" else ""
        source = f"select * from {reader}({quote_literal(labels)}{options})"
        rows = session.connection.execute(source).to_arrow_table()
    elif reader:
        raise UsageError(f"There is no file {labels}; give a CSV or parquet file, or SQL.")
    else:
        rows = session.execute(labels).to_arrow_table()
    session.connection.register("incoming_labels", rows)
    numbered = f"select *, row_number() over () as {NUMBER} from incoming_labels"
    session.connection.execute(f"create or replace temp table {LABELS} as {numbered}")
    session.connection.unregister("incoming_labels")


def _check_labels(connection: duckdb.DuckDBPyConnection, keys: Sequence[str], time: str) -> None:
    """Raises UsageError for labels that cannot be placed."""
    found = connection.sql(f"select * from {LABELS}")
    types = dict(zip(found.columns, found.types, strict=True))
    for name in (*keys, time):
        if name not in types:
            raise UnknownName("column of the labels", name, [column for column in types if column != NUMBER])
    if kind_of(types[time]) != "moment" and types[time].id != "varchar":
        raise UsageError(f"The labels' {time} is {types[time]}, no day and no moment; write it as 2024-06-01.")
    column = quote_identifier(time)
    unplaced = f"from {LABELS} where try_cast({column} as timestamp) is null"
    [(number, example)] = connection.execute(f"select count(*), any_value({column}) {unplaced}").fetchall()
    if number:
        told = f"{time} that can be read, such as {example!r}" if example is not None else time
        raise UsageError(f"{number} labels have no {told}: what was known before them cannot be told. Leave them out.")


def _join(
    connection: duckdb.DuckDBPyConnection,
    keys: Sequence[str],
    time: str,
    features: Sequence[Features],
    types: Mapping[str, Mapping[str, str]],
) -> tuple[str, list[str]]:
    """The query that joins, and the names of its columns."""
    own = [name for name in connection.sql(f"select * from {LABELS}").columns if name != NUMBER]
    selected = [f"labels.{quote_identifier(name)}" for name in own]
    names, joins = list(own), []
    for number, one in enumerate(features):
        table, days, rows = f"{GOLD}.{quote_identifier(one.table)}", f"days_{number}", f"rows_{number}"
        wanted = one.columns or tuple(name for name in types[one.table] if name not in (*keys, AS_OF))
        joins.append(
            f"asof left join (select distinct {AS_OF} from {table}) as {days} on labels.{DAY} > {days}.{AS_OF}"
        )
        same = [
            f"labels.{quote_identifier(key)}::{types[one.table][key]} = {rows}.{quote_identifier(key)}" for key in keys
        ]
        joins.append(f"left join {table} as {rows} on {' and '.join([f'{days}.{AS_OF} = {rows}.{AS_OF}', *same])}")
        for source, column in ((days, AS_OF), *((rows, column) for column in wanted)):
            names.append(f"{one.prefix}__{column}")
            selected.append(f"{source}.{quote_identifier(column)} as {quote_identifier(names[-1])}")
        selected.append(f"{rows}.{AS_OF} is not null as {quote_identifier(f'_odh_found_{number}')}")
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"The training set would have two columns {doubled[0]}; rename it in the labels.")
    labels = f"(select *, {quote_identifier(time)}::timestamp::date as {DAY} from {LABELS}) as labels"
    query = f"select labels.{NUMBER}, {', '.join(selected)} from {labels} {' '.join(joins)}"
    return query, names


def _count_matches(connection: duckdb.DuckDBPyConnection, query: str, features: Sequence[Features]) -> dict[str, int]:
    """Join into a table, and count the labels that found their key."""
    connection.execute(f"create or replace temp table _odh_joined as {query}")
    counted = ", ".join(f"count(*) filter (_odh_found_{number})" for number in range(len(features)))
    labels, joined, *matched = connection.execute(
        f"select (select count(*) from {LABELS}), count(*), {counted} from _odh_joined"
    ).fetchone() or (0, 0)
    if labels != joined:  # keys and as_of are unique in every snapshot, unless other keys are asked for here
        raise UsageError(
            f"{labels} labels became {joined} rows: the keys do not tell the rows of a snapshot apart. Name them all."
        )
    return {one.table: int(found) for one, found in zip(features, matched, strict=True)}


def _write(connection: duckdb.DuckDBPyConnection, names: Sequence[str], file: Path) -> int:
    """Write the joined rows in the order of the labels, whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    select = f"select {', '.join(map(quote_identifier, names))} from _odh_joined order by {NUMBER}"
    [(rows,)] = connection.execute(f"copy ({select}) to {quote_literal(str(part))} ({WRITERS[file.suffix]})").fetchall()
    part.replace(file)
    return int(rows)

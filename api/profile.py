"""The profile of a resource, in the shape of csv-detective's that the tabular API answers with."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import duckdb

from api.relations import Relation, SqlColumn
from api.rendering import as_text, decimal_digits, is_nested
from api.resources import ID, ResourceTable
from api.rows import NUMBERS

TOPS = 10
CATEGORIES = 25  # a column of at most so many values is categorical
FLOATS = ("DOUBLE", "FLOAT")


def profile_of(cursor: duckdb.DuckDBPyConnection, found: ResourceTable) -> dict[str, Any]:
    """Profile every column of a resource: its type, its values, how often the commonest of them come."""
    columns = {name: found.relation.columns[name] for name in found.relation.shown or () if name != ID}
    fields = {name: _field(column.type) for name, column in columns.items()}
    formats: dict[str, list[str]] = defaultdict(list)
    for name, field in fields.items():
        formats[field["format"]].append(name)
    values = {name: _values(cursor, found.relation, column) for name, column in columns.items()}
    facts = found.resource.facts
    return {
        "header": list(columns),
        "columns": fields,
        "columns_fields": fields,
        "columns_labels": fields,
        "formats": dict(formats),
        "profile": values,
        "categorical": [name for name, one in values.items() if 0 < one["nb_distinct"] <= CATEGORIES],
        "encoding": facts.get("encoding"),
        "separator": facts.get("separator"),
        "header_row_idx": max(0, int(facts.get("header_line") or 1) - 1),
        "heading_columns": 0,
        "trailing_columns": 0,
        "total_lines": found.table.rows,
        "nb_duplicates": _duplicates(cursor, found.relation, columns, found.table.rows),
    }


def _field(type_: str) -> dict[str, Any]:
    python_type, form = _kind(type_)
    return {"score": 1.0, "format": form, "python_type": python_type}


def _kind(type_: str) -> tuple[str, str]:
    """Type and format of a column in csv-detective's words."""
    if is_nested(type_):
        return "json", "json"
    if type_ in FLOATS or decimal_digits(type_):
        return "float", "float"
    if type_ in NUMBERS:
        return "int", "int"
    named = {
        "BOOLEAN": ("bool", "booleen"),
        "DATE": ("date", "date"),
        "TIMESTAMP": ("datetime", "datetime_naive"),
        "TIMESTAMP WITH TIME ZONE": ("datetime", "datetime_aware"),
    }
    return named.get(type_, ("string", "string"))


def _values(cursor: duckdb.DuckDBPyConnection, relation: Relation, column: SqlColumn) -> dict[str, Any]:
    is_number = _kind(column.type)[0] in ("int", "float")
    text = f"{as_text(column.sql, column.type)}::varchar"
    measures = f"min({column.sql})::double, max({column.sql})::double, avg({column.sql}), stddev_pop({column.sql})"
    asked = f"count(distinct {text}), count(*) - count({column.sql}){', ' + measures if is_number else ''}"
    distinct, missing, *numbers = cursor.execute(f"select {asked} from {relation.sql}").fetchone() or (0, 0)
    commonest = (
        f"select {text} as value, count(*) as rows from {relation.sql} where {column.sql} is not null"
        f" group by value order by rows desc, value limit {TOPS}"
    )
    tops = [{"count": rows, "value": value} for value, rows in cursor.execute(commonest).fetchall()]
    measured = {name: _number(value) for name, value in zip(("min", "max", "mean", "std"), numbers, strict=False)}
    return {"tops": tops, "nb_distinct": distinct, "nb_missing_values": missing, **measured}


def _number(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None  # what is no number is not less


def _duplicates(cursor: duckdb.DuckDBPyConnection, relation: Relation, columns: dict[str, SqlColumn], rows: int) -> int:
    if not columns:
        return 0
    named = ", ".join(column.sql for column in columns.values())
    found = cursor.execute(f"select count(*) from (select distinct {named} from {relation.sql})").fetchone()
    return rows - int(found[0]) if found else 0

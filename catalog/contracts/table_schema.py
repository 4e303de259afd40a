"""Checks rows against a Table Schema (https://specs.frictionlessdata.io/table-schema/), with frictionless' own reader.

Every rule but uniqueness concerns one cell, so each distinct value of a column is checked once, whatever the number of
rows; DuckDB then tells on which lines the values that break a rule stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from frictionless import Field, Schema
from frictionless.exception import FrictionlessException

from catalog.contracts.contract import ColumnContract
from catalog.errors import InvalidContract
from catalog.names import quote_identifier, to_snake

MAX_LINES = 10_000  # of one rule of one column that are kept one by one; the rest is counted
TYPE_OF = {  # Table Schema's types in ours; what is not here is text
    "integer": "integer",
    "year": "integer",
    "number": "decimal",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp_utc",
    "time": "time",
    "yearmonth": "month",
    "geopoint": "point_lon_lat",
    "geojson": "json",
    "object": "json",
    "array": "json",
}
PLACE = ("_resource_id", "_extraction_date", "_source_file", "_source_member", "_source_line")


@dataclass(frozen=True, slots=True)
class Violation:
    """One value, or one missing column, that breaks a Table Schema."""

    resource_id: str
    extraction_date: Any
    source_file: str
    source_member: str | None
    source_line: int
    column_name: str
    raw_text: str
    reason: str


class TableSchema:
    """One Table Schema, and which column of a table each of its fields is."""

    def __init__(self, name: str, schema: Schema, columns: Mapping[str, str]) -> None:
        """Match fields to columns.

        Args:
            columns: bronze column → header; a field is the column of its very name, else of its name in snake case.
        """
        self.name, self.schema = name, schema
        by_header = {header: column for column, header in columns.items()}
        in_snake = {column: column for column in columns}
        found = {f.name: by_header.get(f.name) or in_snake.get(to_snake(f.name)) for f in schema.fields}
        places = {name: column for name, column in found.items() if column}
        self.fields: dict[str, Field] = {places[f.name]: f for f in schema.fields if f.name in places}
        self.missing = [f.name for f in schema.fields if f.name not in places and f.constraints.get("required")]
        self.readers = {column: field.create_cell_reader() for column, field in self.fields.items()}
        self.key = [places[name] for name in schema.primary_key if name in places]

    @classmethod
    def read(cls, shelf: Path, place: str, columns: Mapping[str, str]) -> TableSchema:
        """Read a schema of the lake's shelf.

        Raises:
            InvalidContract: when the file is not a Table Schema.
        """
        path = shelf / place
        try:
            return cls(place, Schema.from_descriptor(json.loads(path.read_text("utf-8"))), columns)
        except (OSError, ValueError, TypeError, re.error, FrictionlessException) as error:
            raise InvalidContract(
                f"{path}: no Table Schema: {error}. Correct it, or remove it to fetch it anew."
            ) from error

    def contracts(self) -> list[ColumnContract]:
        """What the schema says of each column it has a field for."""
        return [_contract(column, field) for column, field in self.fields.items()]

    def violations(self, connection: duckdb.DuckDBPyConnection, relation: str) -> Iterator[Violation]:
        """Every value of a relation of text that breaks the schema, by column and line.

        Args:
            relation: SQL of the rows, with their lineage columns.

        Raises:
            InvalidContract: a rule cannot be held against the values.
        """
        yield from self._missing_columns(connection, relation)
        for column, field in self.fields.items():
            wrong = self._wrong_values(connection, relation, column)
            yield from self._on_lines(connection, relation, column, wrong)
            if field.constraints.get("unique"):
                yield from self._repeated(connection, relation, [column], "unique")
        if self.key:
            yield from self._repeated(connection, relation, self.key, "primaryKey")

    def _missing_columns(self, connection: duckdb.DuckDBPyConnection, relation: str) -> Iterator[Violation]:
        place = connection.execute(f"select {', '.join(PLACE[:4])} from {relation} limit 1").fetchone()
        resource_id, day, file, member = place or (None,) * 4
        for name in self.missing if place else ():
            yield Violation(resource_id, day, file, member, 1, to_snake(name), "", self._told("required", name))

    def _wrong_values(self, connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> dict[str, str]:
        """Distinct texts of a column that break its field, and which rule."""
        quoted = quote_identifier(column)
        found = connection.execute(f"select distinct coalesce({quoted}, '') from {relation}")
        wrong: dict[str, str] = {}
        while batch := found.fetchmany(10_000):
            for (text,) in batch:
                if notes := self._read(column, text):
                    wrong[text] = self._told(*next(iter(notes.items())))
        return wrong

    def _read(self, column: str, text: str) -> Mapping[str, str]:
        """What a text breaks, by rule."""
        try:
            return self.readers[column](text)[1] or {}
        except TypeError as error:  # a bound that is no value of the field's type: no value can be held against it
            name = self.fields[column].name
            raise InvalidContract(
                f"{self.name}: field {name!r} has a bound that is none: {error}. Correct it."
            ) from error

    def _on_lines(
        self, connection: duckdb.DuckDBPyConnection, relation: str, column: str, wrong: Mapping[str, str]
    ) -> Iterator[Violation]:
        if not wrong:
            return
        values = pa.table({"text": list(wrong), "reason": list(wrong.values())})
        connection.register("odh_wrong", values)
        rows = f"""
            select {", ".join(PLACE)}, coalesce({quote_identifier(column)}, '') as text, odh_wrong.reason
            from {relation}
            inner join odh_wrong on odh_wrong.text = coalesce({quote_identifier(column)}, '')
        """
        try:
            yield from _bounded(connection, rows, column)
        finally:
            connection.unregister("odh_wrong")

    def _repeated(
        self, connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str], rule: str
    ) -> Iterator[Violation]:
        key = ", ".join(map(quote_identifier, columns))
        filled = " and ".join(f"{quote_identifier(column)} <> ''" for column in columns)
        rows = f"""
            select {", ".join(PLACE)}, concat_ws(' | ', {key}) as text, $reason as reason
            from {relation} where {filled}
            qualify row_number() over (partition by {key} order by _source_file, _source_member, _source_line) > 1
        """
        yield from _bounded(connection, rows, columns[0], {"reason": self._told(rule, "repeated")})

    def _told(self, rule: str, detail: str) -> str:
        return f"{self.name}: {detail if rule in detail else f'{rule}: {detail}'}"


def _contract(column: str, field: Field) -> ColumnContract:
    """A column as its field declares it; its rules are frictionless' to check, not the contract's."""
    unzoned = field.type == "datetime" and field.format not in ("default", "any") and "%z" not in field.format
    type_ = "timestamp" if unzoned else TYPE_OF.get(field.type, "text")
    if field.type == "date" and field.format.find("%m") < field.format.find("%d") and field.format.startswith("%m"):
        type_ = "date_month_first"
    description = (field.description or field.title or "").strip()
    return ColumnContract(name=column, header=field.name, type=type_, decided="schema", description=description)


def _bounded(
    connection: duckdb.DuckDBPyConnection, rows: str, column: str, bound: Mapping[str, str] | None = None
) -> Iterator[Violation]:
    """The first lines of each reason one by one; what is beyond, as one line that counts them."""
    ranked = f"""
        select *, row_number() over (partition by reason order by _source_file, _source_member, _source_line) as place,
            count(*) over (partition by reason) as all_lines
        from ({rows}) as broken
        qualify place <= {MAX_LINES + 1}
        order by _source_line
    """
    found = connection.execute(ranked, bound or {})
    while batch := found.fetchmany(10_000):
        for resource_id, day, file, member, line, text, reason, place, count in batch:
            if place > MAX_LINES:
                text, reason = "", f"{reason}; and {count - MAX_LINES:,} more lines from this one on"
            yield Violation(resource_id, day, file, member, line, column, text, reason)

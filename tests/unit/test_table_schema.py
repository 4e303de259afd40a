"""Rows held against a Table Schema: each broken rule is told with its line, and once a value is enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from catalog.contracts import table_schema
from catalog.contracts.table_schema import TableSchema
from catalog.errors import InvalidContract

INSEE = r"^([013-9]\d|2[AB1-9])\d{3}$"
FIELDS: list[dict[str, Any]] = [
    {"name": "Code INSEE", "type": "string", "constraints": {"required": True, "pattern": INSEE}},
    {"name": "nb_places", "type": "integer", "constraints": {"minimum": 0}},
    {"name": "ouvert", "type": "boolean", "trueValues": ["oui"], "falseValues": ["non"]},
    {"name": "date_maj", "type": "date", "format": "%d/%m/%Y"},
    {"name": "id", "type": "string", "constraints": {"unique": True}},
    {"name": "nature", "type": "string", "constraints": {"enum": ["parking", "voirie"]}},
]  # fmt: skip
COLUMNS = {"code_insee": "Code INSEE", "nb_places": "nb_places", "ouvert": "ouvert", "date_maj": "date_maj",
           "id": "id", "nature": "nature"}  # fmt: skip
GOOD = ("01001", "3", "oui", "31/12/2023", "a", "parking")


def write(tmp_path: Path, **descriptor: Any) -> str:
    (tmp_path / "schema.json").write_text(json.dumps({"fields": FIELDS, **descriptor}), "utf-8")
    return "schema.json"


def violations(tmp_path: Path, *rows: tuple[str, ...], **descriptor: Any) -> list[tuple[int, str, str, str]]:
    schema = TableSchema.read(tmp_path, write(tmp_path, **descriptor), COLUMNS)
    with duckdb.connect() as connection:
        listed = ", ".join(f"{name} varchar" for name in COLUMNS)
        connection.execute(
            f"create table t ({listed}, _resource_id varchar, _extraction_date date, _source_file varchar,"
            " _source_member varchar, _source_line bigint)"
        )
        for line, row in enumerate(rows, start=2):
            placed = (*row, "r", "2024-01-01", "f.csv", None, line)
            connection.execute(f"insert into t values ({', '.join('?' * len(placed))})", placed)
        found = list(schema.violations(connection, "t"))
    return [(v.source_line, v.column_name, v.raw_text, v.reason) for v in found]


def test_types_are_taken_from_the_fields(tmp_path: Path) -> None:
    schema = TableSchema.read(tmp_path, write(tmp_path), COLUMNS)
    assert {c.name: (c.type, c.decided) for c in schema.contracts()} == {
        "code_insee": ("text", "schema"),
        "nb_places": ("integer", "schema"),
        "ouvert": ("boolean", "schema"),
        "date_maj": ("date", "schema"),
        "id": ("text", "schema"),
        "nature": ("text", "schema"),
    }


def test_rows_that_keep_every_rule_give_nothing(tmp_path: Path) -> None:
    assert violations(tmp_path, GOOD, ("2A004", "", "non", "", "b", "voirie")) == []


@pytest.mark.parametrize(
    ("place", "text", "told"),
    [
        (0, "1001", "pattern"),
        (0, "", "required"),
        (1, "-1", "minimum"),
        (1, "trois", "integer"),
        (2, "true", "boolean"),
        (3, "2023-12-31", "date"),
        (5, "autre", "enum"),
    ],
)
def test_a_broken_rule_is_told_with_its_line_and_text(tmp_path: Path, place: int, text: str, told: str) -> None:
    bad = (*GOOD[:place], text, *GOOD[place + 1 :])
    [(line, column, raw, reason)] = violations(tmp_path, (*GOOD[:4], "z", "voirie"), bad)
    assert (line, column, raw) == (3, list(COLUMNS)[place], text)
    assert told in reason
    assert reason.startswith("schema.json: ")


def test_every_line_with_the_same_wrong_value_is_told(tmp_path: Path) -> None:
    rows = [("bad", "1", "oui", "01/01/2024", str(number), "voirie") for number in range(5)]
    assert [line for line, *_ in violations(tmp_path, *rows)] == [2, 3, 4, 5, 6]


def test_a_repeated_value_is_told_from_its_second_line_on(tmp_path: Path) -> None:
    [(line, column, text, reason)] = violations(tmp_path, GOOD, GOOD)
    assert (line, column, text) == (3, "id", "a")
    assert "unique" in reason


def test_a_repeated_primary_key_of_two_columns_is_told(tmp_path: Path) -> None:
    rows = [("01001", "1", "", "", "a", ""), ("01001", "2", "", "", "b", ""), ("01001", "1", "", "", "c", "")]
    [(line, _, text, reason)] = violations(tmp_path, *rows, primaryKey=["Code INSEE", "nb_places"])
    assert (line, text) == (4, "01001 | 1")
    assert "primaryKey" in reason


def test_a_required_column_that_is_missing_is_told_once(tmp_path: Path) -> None:
    more = [*FIELDS, {"name": "Siren", "type": "string", "constraints": {"required": True}}]
    found = violations(tmp_path, GOOD, (*GOOD[:4], "b", ""), fields=more)
    assert [(column, "Siren" in reason) for _, column, _, reason in found] == [("siren", True)]


def test_beyond_a_limit_lines_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_schema, "MAX_LINES", 2)
    rows = [("bad", "1", "oui", "01/01/2024", str(number), "voirie") for number in range(5)]
    found = violations(tmp_path, *rows)
    assert [line for line, *_ in found] == [2, 3, 4]
    assert "3 more lines" in found[-1][3]


@pytest.mark.parametrize("content", ["not json", "[]", '{"fields": [{"name": "a", "type": "no such type"}]}'])
def test_a_file_that_is_no_table_schema_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "schema.json").write_text(content, "utf-8")
    with pytest.raises(InvalidContract, match=r"schema\.json: no Table Schema"):
        TableSchema.read(tmp_path, "schema.json", {})


BROKEN_RULES: dict[str, dict[str, Any]] = {
    "pattern": {"name": "id", "type": "string", "constraints": {"pattern": "["}},
    "bound": {"name": "nb_places", "type": "integer", "constraints": {"minimum": "few"}},
    "item": {"name": "id", "type": "array", "arrayItem": {"type": "no such type"}},
}


@pytest.mark.parametrize("field", BROKEN_RULES.values(), ids=BROKEN_RULES)
def test_a_rule_that_cannot_be_held_is_told(tmp_path: Path, field: dict[str, Any]) -> None:
    with pytest.raises(InvalidContract, match=r"schema\.json"):
        violations(tmp_path, GOOD, fields=[field])


def test_a_field_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidContract, match="no Table Schema"):
        violations(tmp_path, fields=[3])

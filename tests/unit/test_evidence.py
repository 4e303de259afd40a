"""What a report shows of the rows a failing test finds, and what it never shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest
from tiny_warehouse import feed

from catalog import dbt
from catalog.ledger import Ledger
from catalog.quality.evidence import OFFENDING_COLUMNS, OFFENDING_ROWS, Evidence, hidden_columns
from catalog.quality.report import Rows
from catalog.registry import Registry
from catalog.settings import Settings

COLUMNS = ["identifiant", "nom", "telephone", "ville", "code"]
POLICIES = {"identifiant": "hash", "nom": "generalise", "telephone": "drop", "ville": "keep"}
TABLE = {
    "name": "lines",
    "description": "One line.",
    "resources": ".",
    "columns": COLUMNS,
    "personal_data": POLICIES,
}
REGISTRY = Registry([feed("people", tables=[TABLE]), feed("votes", depends_on=["people"]), feed("roads")])


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("create table t as select range as code, 'h' as identifiant, 'D' as nom from range(30)")
        yield opened


def offending(settings: Settings, connection: duckdb.DuckDBPyConnection, sql: str, column: str | None = None) -> Rows:
    """What is shown of a test of the domain ``people`` that failed."""
    test = dbt.TestResult("id", "name", "t", column, "error", "fail", 30, "Got 30", 0.1, datetime.now(UTC))
    evidence = Evidence(settings, REGISTRY, Ledger(settings), "run")
    evidence.look_at_tests(connection, "people", dbt.DbtRun([], [test], [], 0.0, {"id": sql}))
    [check] = evidence.checks["people"]
    assert check.offending is not None
    return check.offending


def test_columns_that_are_hashed_or_dropped_are_hidden_below_too() -> None:
    assert hidden_columns(REGISTRY, "people") == {"identifiant", "telephone"}
    assert hidden_columns(REGISTRY, "votes") == {"identifiant", "telephone"}
    assert hidden_columns(REGISTRY, "roads") == set()


def test_some_rows_are_shown_without_hidden_columns(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    found = offending(settings, connection, "select * from t order by code -- the compiled test may end so")
    assert found.columns == ["code", "nom"]
    assert found.rows == [[code, "D"] for code in range(OFFENDING_ROWS)]
    assert found.note == "columns with personal data are not shown"


def test_nothing_is_shown_of_a_test_on_a_hidden_column(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    found = offending(settings, connection, "select identifiant as unique_field from t", "identifiant")
    assert (found.rows, found.note) == ([], "The column holds personal data: its values are not shown.")


def test_a_wide_row_is_cut(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    wide = ", ".join(f"{number} as c{number}" for number in range(OFFENDING_COLUMNS + 5))
    found = offending(settings, connection, f"select {wide}, repeat('x', 999) as long")
    assert (len(found.columns), found.note) == (OFFENDING_COLUMNS, "6 further columns are not shown")


def test_rows_that_cannot_be_read_stop_nothing(settings: Settings, connection: duckdb.DuckDBPyConnection) -> None:
    found = offending(settings, connection, "select * from gone")
    assert found.rows == []
    assert str(found.note).startswith("The rows cannot be shown: Catalog Error")

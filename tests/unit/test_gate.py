"""What the gate asks of a snapshot: whose bounds count, and what has a distribution at all."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from tiny_warehouse import feed

from catalog.quality.gate import Limits, check_rows, limits_of
from catalog.quality.report import Shift
from catalog.quality.shifts import measure_shifts

BOUNDS = [
    pytest.param([], Limits(0.25, 0.2, 0.5), id="the defaults"),
    pytest.param([{"psi": 9, "ks": 0.5}], Limits(9, 0.5, 0.5), id="each by itself"),
    pytest.param([{"psi": 9, "rows": 3}, {}], Limits(9, 0.2, 3), id="a feed that says nothing asks for nothing"),
    pytest.param([{"psi": 9}, {"psi": 0.1, "ks": 0.1}, {"ks": 0.3}], Limits(0.1, 0.1, 0.5), id="the strictest counts"),
]


@pytest.mark.parametrize(("given", "limits"), BOUNDS)
def test_the_strictest_bounds_of_a_domains_feeds_count(given: list[dict[str, float]], limits: Limits) -> None:
    assert limits_of(feed(f"f{number}", bounds=bounds) for number, bounds in enumerate(given)) == limits


@pytest.mark.parametrize(
    ("before", "now", "status"), [(100, 150, "pass"), (100, 151, "fail"), (100, 49, "fail"), (0, 1, "fail")]
)
def test_rows_may_change_by_the_bound_and_no_more(before: int, now: int, status: str) -> None:
    assert check_rows("t", before, now, Limits(1, 1, 0.5)).status == status


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("""
            create table a as
            select range as k, range::double as n, 'name ' || range as name, ['x', 'y'][1 + range % 2] as v,
                date '2024-01-01' + range::integer as day, range % 2 = 0 as flag, [1] as list
            from range(400)
        """)
        opened.execute("create table b as select * replace ('z' as v, 'infinity'::double as n) from a")
        yield opened


def shifts(connection: duckdb.DuckDBPyConnection, before: str, now: str) -> dict[str, Shift]:
    return {shift.column: shift for shift in measure_shifts(connection, "t", before, now, ["k"])}


def test_numbers_and_few_values_have_a_shift_and_keys_names_and_days_none(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = shifts(connection, "a", "a")
    assert found == {
        "n": Shift("t", "n", 0.0, 0.0), "v": Shift("t", "v", 0.0, None), "flag": Shift("t", "flag", 0.0, None)
    }  # fmt: skip


def test_values_never_seen_count_together(connection: duckdb.DuckDBPyConnection) -> None:
    found = shifts(connection, "a", "b")
    assert found["v"].psi > 5
    assert found["n"].ks == 1.0  # infinity lies beyond all numbers
    assert found["flag"].psi == 0


def test_a_few_rows_have_no_shift(connection: duckdb.DuckDBPyConnection) -> None:
    assert shifts(connection, "a", "(select * from b limit 99)") == {}

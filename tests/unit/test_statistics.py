"""Statistics of columns, against tables whose every value is known."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from catalog.quality import statistics
from catalog.quality.statistics import ColumnStatistics, TableStatistics, profile

KNOWN = """
    create table known as
    select
        range as n,
        (range % 3)::integer as few,
        case when range % 4 = 0 then null else 'v' || (range % 2) end as text,
        date '2024-01-01' + range::integer as day,
        case when range = 0 then 'nan'::double when range = 1 then 'infinity'::double else range end as strange,
        range % 2 = 0 as flag,
        [range] as parts,
        null::integer as nothing,
        range as "a ""quoted"" name",
        repeat('long ', 100) as long,
        'r' || range % 2 as value,
        'r' as _resource_id
    from range(1000)
"""


@pytest.fixture(scope="module")
def known() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(KNOWN)
        connection.execute("create table empty as select * from known limit 0")
        connection.execute("create table large as select range as n, 'x' as same from range(120000)")
        yield connection


@pytest.fixture(scope="module")
def told(known: duckdb.DuckDBPyConnection) -> TableStatistics:
    return profile(known, "known", hidden=["flag", "not there"])


def column(told: TableStatistics, name: str) -> ColumnStatistics:
    return next(one for one in told.columns if one.name == name)


def test_numbers_have_counts_extremes_mean_and_quantiles(told: TableStatistics) -> None:
    found = column(told, "n")
    assert (found.nulls, found.distinct, found.minimum, found.maximum, found.mean) == (0, 1000, "0", "999", 499.5)
    assert found.quantiles is not None
    assert (found.quantiles["25 %"], found.quantiles["50 %"]) == ("249.75", "499.5")


def test_a_distribution_holds_every_row(told: TableStatistics) -> None:
    found = column(told, "n").distribution
    assert len(found) == statistics.BINS
    assert sum(one.count for one in found) == 1000
    assert max(one.count for one in found) - min(one.count for one in found) <= 11  # the tails stand in the end bins
    assert column(told, "day").distribution[0].low == "2024-01-10"


def test_a_few_values_are_ranked_rather_than_drawn(told: TableStatistics) -> None:
    assert list(column(told, "few").top) == [("0", 334), ("1", 333), ("2", 333)]
    assert list(column(told, "few").distribution) == []


def test_texts_have_missing_and_commonest_values(told: TableStatistics) -> None:
    found = column(told, "text")
    assert (found.nulls, found.distinct, list(found.top)) == (250, 2, [("v1", 500), ("v0", 250)])


def test_values_that_are_no_number_spoil_nothing(told: TableStatistics) -> None:
    found = column(told, "strange")
    assert found.mean is None
    assert sum(one.count for one in found.distribution) == 998
    assert found.quantiles is not None
    assert found.quantiles["50 %"] == "500.5"


def test_what_cannot_be_ordered_is_only_counted(told: TableStatistics) -> None:
    assert column(told, "parts") == ColumnStatistics("parts", "BIGINT[]", 0)
    assert (column(told, "nothing").nulls, column(told, "nothing").distinct) == (1000, 0)


def test_any_name_is_read_and_long_values_are_cut(told: TableStatistics) -> None:
    assert column(told, 'a "quoted" name').maximum == "999"
    assert len(str(column(told, "long").minimum)) == statistics.TEXT


def test_a_column_may_be_called_what_our_own_sql_calls_things(told: TableStatistics) -> None:
    assert list(column(told, "value").top) == [("r0", 500), ("r1", 500)]


def test_hidden_and_lineage_columns_are_not_looked_at(told: TableStatistics) -> None:
    assert {one.name for one in told.columns} & {"flag", "_resource_id"} == set()
    assert told.hidden == ["flag"]


def test_an_empty_table_has_columns_without_values(known: duckdb.DuckDBPyConnection) -> None:
    told = profile(known, "empty")
    assert (told.rows, column(told, "n").minimum, column(told, "n").quantiles) == (0, None, None)


def test_a_large_table_is_counted_whole_and_drawn_from_a_sample(known: duckdb.DuckDBPyConnection) -> None:
    told = profile(known, "large")
    assert (told.rows, told.sampled) == (120_000, statistics.SAMPLE_ROWS)
    found = column(told, "n")
    assert (found.minimum, found.maximum, found.mean) == ("0", "119999", 59999.5)
    assert found.distinct == pytest.approx(120_000, rel=0.2)
    assert sum(one.count for one in found.distribution) == statistics.SAMPLE_ROWS
    assert list(column(told, "same").top) == [("x", statistics.SAMPLE_ROWS)]


def test_a_table_wider_than_can_be_read_says_what_is_left_out(known: duckdb.DuckDBPyConnection) -> None:
    wide = ", ".join(f"1 as c{number}" for number in range(statistics.COLUMNS + 7))
    known.execute(f"create or replace table wide as select {wide}")
    told = profile(known, "wide")
    assert (len(told.columns), told.columns_left_out) == (statistics.COLUMNS, 7)

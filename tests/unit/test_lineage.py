"""Lineage of bronze: the columns that lead a row back to its line."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal

import polars as pl
import pytest

from catalog.iceberg import LINEAGE
from ingestion.decode import DecodedTable
from ingestion.lineage import NAMES, Lineage

LOADED_AT = datetime(2026, 11, 29, 9, 30, 1, 250_000, UTC)
OF_ROADS = Lineage("8d1c", date(2026, 11, 29), "roads.zip", LOADED_AT)


def table(cells: list[str], member: str | None) -> DecodedTable:
    lines = pl.Series(range(2, 2 + len(cells)), dtype=pl.Int32)
    frame = pl.LazyFrame({"_source_line": lines, "a": pl.Series(cells, dtype=pl.String)})
    return DecodedTable(member, ["A"], ["a"], frame, len(cells), [], {})


def test_every_row_says_where_it_was_read() -> None:
    rows = OF_ROADS.frame_of(table(["x", "y"], "2024.csv")).collect().rows()

    of_all = ("8d1c", date(2026, 11, 29), "roads.zip", "2024.csv")
    assert rows == [("x", *of_all, 2, LOADED_AT), ("y", *of_all, 3, LOADED_AT)]


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize("cells", [[], ["x"]], ids=["no row", "a row"])
def test_a_plain_file_has_no_member_and_an_empty_one_no_row(
    cells: list[str], engine: Literal["in-memory", "streaming"]
) -> None:
    frame = OF_ROADS.frame_of(table(cells, None)).collect(engine=engine)

    assert frame["_source_member"].to_list() == [None] * len(cells)
    assert frame.schema["_source_member"] == pl.String
    assert frame.columns == ["a", *NAMES]


def test_lineage_is_that_of_the_catalogue() -> None:
    assert tuple(LINEAGE) == NAMES

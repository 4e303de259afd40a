"""Extractions that come late: a day before the current release gets a release of its own, and moves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from lakes import sql
from tiny_warehouse import TinyWarehouse, feed, generate_silver

from catalog import releases
from catalog.registry import Registry
from catalog.session import open_session

EARLY, MIDDLE, LATE = date(2024, 1, 1), date(2024, 1, 5), date(2024, 1, 9)
KEYED = {"name": "lines", "description": "One line.", "resources": ".", "mode": "upsert", "keys": ["code"]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyWarehouse]:
    """A lake that saw the last day first, then the first, then the one between."""
    warehouse = TinyWarehouse(tmp_path_factory.mktemp("late"))
    generate_silver(warehouse.project)
    warehouse.registry = Registry([feed("up"), feed("bare", tables=[KEYED])])
    for day, up, bare in (
        (LATE, "code,amount\na,9\n", "code,n\nx,3\ny,3\ny,x\n"),
        (EARLY, "code,amount\na,1\nb,1\n", "code,n\nx,1\nw,1\n"),
        (MIDDLE, "code,amount\na,5\n", "code,n\nx,2\n"),
    ):
        warehouse.load("up", day, up)
        warehouse.load("bare", day, bare)
        built = warehouse.build(day, "up", "bare")
        assert {domain.status for domain in built.domains} == {"built"}, built
        assert built.release_id
    yield warehouse
    warehouse.ledger.close()
    warehouse.lakehouse.close()


def as_of(tiny: TinyWarehouse, day: date | None, query: str) -> list[tuple[object, ...]]:
    with open_session(tiny.settings, day) as session:
        return sorted(session.execute(query).fetchall())


@pytest.mark.parametrize(
    ("day", "up", "bare"),
    [
        (EARLY, [("a", 1), ("b", 1)], [("w", "1"), ("x", "1")]),
        (MIDDLE, [("a", 5)], [("w", "1"), ("x", "2")]),
        (LATE, [("a", 9)], [("w", "1"), ("x", "3"), ("y", "x")]),
        (None, [("a", 9)], [("w", "1"), ("x", "3"), ("y", "x")]),
    ],
    ids=["first", "between", "last", "now"],
)
def test_each_day_reads_as_its_extractions_told_it(
    tiny: TinyWarehouse, day: date | None, up: list[object], bare: list[object]
) -> None:
    if day == LATE or day is None:  # what came late is of an earlier day, and belongs to the current one too
        tiny.build(LATE, "up", "bare")
    assert as_of(tiny, day, "select code, amount from gold.fct_up") == up
    assert as_of(tiny, day, "select code, n from silver.stg_bare__lines") == bare


def test_the_current_release_and_main_stay_those_of_the_last_day(tiny: TinyWarehouse) -> None:
    current = releases.current_release(tiny.ledger)
    assert current
    assert current.extraction_date == LATE
    assert {pin.name for pin in current.inputs} == {"up__lines", "bare__lines"}
    main = tiny.lakehouse.table("gold", "fct_up").scan().to_arrow().to_pylist()
    assert [row["amount"] for row in main] == [9]


def test_a_day_built_twice_makes_one_release(tiny: TinyWarehouse) -> None:
    count = "select count(*) from ops.releases"
    before = sql(tiny.settings, count)
    assert tiny.build(EARLY, "up", "bare").release_id is None
    assert sql(tiny.settings, count) == before


def test_generated_silver_has_a_history_of_every_state(tiny: TinyWarehouse) -> None:
    tiny.build(LATE, "up", "bare")
    states = "select code, n, day(valid_from), day(valid_to), is_current from silver.stg_bare__lines__history"
    assert as_of(tiny, None, states) == [
        ("w", "1", 1, None, True),
        ("x", "1", 1, 5, False),
        ("x", "2", 5, 9, False),
        ("x", "3", 9, None, True),
        ("y", "x", 9, None, True),
    ]


def test_a_key_that_stands_twice_is_in_the_rejects(tiny: TinyWarehouse) -> None:
    rejects = "select table_name, source_line, reason from ops.rejects where stage = 'key'"
    reason = "the key code stands again in this extraction, and the last line counts"
    assert sql(tiny.settings, rejects) == [("stg_bare__lines", 3, reason)]

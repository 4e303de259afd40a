"""``odh changes`` over releases and extractions, keys included, from the dbt project to the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Any

import pytest
from tiny_warehouse import TinyWarehouse, feed
from typer.testing import CliRunner

from catalog.errors import UnknownName, UsageError
from catalog.registry import Registry
from catalog.session import open_duckdb
from catalog.table_changes import ChangeFinder, Point, TableChanges, point
from odh import app

MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyWarehouse]:
    """Three days of one file: ``a`` is corrected, ``b`` goes and ``c`` comes; then a column comes and no row.

    The last day is loaded and not released.
    """
    made = TinyWarehouse(tmp_path_factory.mktemp("tiny"))
    table = {"name": "lines", "description": "One line.", "resources": ".", "keys": ["code"]}
    made.registry = Registry([feed("up", tables=[table])])
    with closing(made.ledger), closing(made.lakehouse):
        days = {
            MONDAY: "code,amount\na,1\nb,2\n",
            TUESDAY: "code,amount\na,5\nc,3\n",
            WEDNESDAY: "code,amount,more\na,5,x\nc,3,y\n",
        }
        for day, content in days.items():
            made.load("up", day, content)
            if day != WEDNESDAY:
                result = made.build(day, "up")
                assert not result.has_failed, result
        yield made


def compare(tiny: TinyWarehouse, table: str, old: Point, new: Point) -> tuple[TableChanges, list[Any]]:
    with closing(open_duckdb(tiny.settings)) as connection:
        found = ChangeFinder(connection, tiny.ledger, tiny.lakehouse, tiny.registry).between(table, old, new)
        return found, [(one.kind, dict(one.key), one.old, one.new) for one in found.changes.rows()]


EXPECTED = {
    "gold.fct_up": [
        ("updated", {"code": "a"}, {"amount": 1, "amounts": [1]}, {"amount": 5, "amounts": [5]}),
        ("deleted", {"code": "b"}, {"code": "b", "amount": 2, "amounts": [2]}, None),
        ("inserted", {"code": "c"}, None, {"code": "c", "amount": 3, "amounts": [3]}),
    ],
    "bronze.up__lines": [
        ("updated", {"code": "a"}, {"amount": "1"}, {"amount": "5"}),
        ("deleted", {"code": "b"}, {"code": "b", "amount": "2"}, None),
        ("inserted", {"code": "c"}, None, {"code": "c", "amount": "3"}),
    ],
    "silver.stg_up__lines": [  # no test says what its key is
        ("deleted", {}, {"code": "a", "amount": 1}, None),
        ("inserted", {}, None, {"code": "a", "amount": 5}),
        ("deleted", {}, {"code": "b", "amount": 2}, None),
        ("inserted", {}, None, {"code": "c", "amount": 3}),
    ],
}


@pytest.mark.parametrize("table", EXPECTED)
@pytest.mark.parametrize(("old", "new"), [(MONDAY, TUESDAY), (1, 2), (1, TUESDAY)])
def test_rows_inserted_updated_and_deleted_between_two_releases_or_days(
    tiny: TinyWarehouse, table: str, old: Point, new: Point
) -> None:
    found, rows = compare(tiny, table, old, new)
    assert rows == EXPECTED[table]
    counts = found.changes.counts
    assert counts.old + counts.inserted - counts.deleted == counts.new == 2


def test_a_name_alone_is_looked_for_in_every_layer(tiny: TinyWarehouse) -> None:
    for name in ("fct_up", "up__lines", "stg_up__lines"):
        found, _ = compare(tiny, name, MONDAY, TUESDAY)
        assert f"{found.layer}.{found.name}" in EXPECTED


def test_a_table_that_did_not_change_is_not_read(tiny: TinyWarehouse) -> None:
    found, rows = compare(tiny, "gold.fct_up", TUESDAY, 2)
    assert rows == []
    assert (found.changes.counts.old, found.changes.counts.new) == (2, 2)


def test_a_column_that_came_in_bronze_changes_no_row(tiny: TinyWarehouse) -> None:
    found, rows = compare(tiny, "bronze.up__lines", TUESDAY, WEDNESDAY)
    assert (rows, found.changes.how.came) == ([], ("more",))


def test_bronze_before_its_first_extraction_came_whole(tiny: TinyWarehouse) -> None:
    found, _ = compare(tiny, "bronze.up__lines", date(2023, 1, 1), MONDAY)
    assert (found.changes.counts.old, found.changes.counts.inserted) == (0, 2)


def test_what_is_not_there_is_told(tiny: TinyWarehouse) -> None:
    with pytest.raises(UnknownName, match=r"named 'gold\.fct_upp'. Did you mean 'gold\.fct_up'"):
        compare(tiny, "gold.fct_upp", 1, 2)
    with pytest.raises(UnknownName, match="no bronze table named 'nothing'"):
        compare(tiny, "bronze.nothing", 1, 2)
    with pytest.raises(UnknownName, match="no release named '9'"):
        compare(tiny, "gold.fct_up", 1, 9)
    with pytest.raises(UsageError, match="Nothing had been released by 2023-01-01"):
        compare(tiny, "gold.fct_up", date(2023, 1, 1), 1)
    with pytest.raises(UsageError, match="'monday' is no day"):
        point("monday")


def call(tiny: TinyWarehouse, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    for name, value in tiny.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["changes", *arguments], catch_exceptions=False).stdout


def test_the_command_prints_one_object_that_adds_up(tiny: TinyWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.loads(call(tiny, monkeypatch, "gold.fct_up", "--from", "2024-01-01", "--to", "2", "--json"))
    assert (said["from"], said["to"]["release_id"]) == ({"release_id": 1, "extraction_date": "2024-01-01"}, 2)
    assert (said["keys"], said["by_content"]) == (["code"], None)
    assert said["changes"][0] == {
        "change": "updated",
        "key": {"code": "a"},
        "old": {"amount": "1", "amounts": [1]},  # a decimal, exact as text
        "new": {"amount": "5", "amounts": [5]},
    }
    assert [one["change"] for one in said["changes"]] == ["updated", "deleted", "inserted"]
    summary = json.loads(call(tiny, monkeypatch, "gold.fct_up", "--from", "1", "--to", "2", "--json", "--summary"))
    assert summary == {name: value for name, value in said.items() if name != "changes"}


def test_the_command_tells_people_what_changed(
    tiny: TinyWarehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from catalog.changes_cli import print_changes

    with closing(open_duckdb(tiny.settings)) as connection:
        finder = ChangeFinder(connection, tiny.ledger, tiny.lakehouse, tiny.registry)
        print_changes(finder.between("stg_up__lines", 1, 2), with_rows=True)
    told = capsys.readouterr().out
    assert "2 rows + 2 inserted - 2 deleted = 2 rows; 0 updated" in told
    assert "matched by content, so none is updated: no key is known" in told
    assert "amount=5" in told

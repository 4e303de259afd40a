"""Going back to an earlier release, and a publisher killed at each of its steps."""

from __future__ import annotations

import json
import multiprocessing
import signal
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from kill_at import deadly
from lakes import sql
from test_releases import MONDAY, TUESDAY, WEDNESDAY, Warehouse, opened
from typer.testing import CliRunner

from catalog import releases, write_back
from catalog.clock import utc_now
from catalog.errors import LakeBusy, UnknownName, UsageError
from catalog.iceberg import GOLD, Lakehouse
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.maintain import Maintainer
from catalog.registry import Registry
from catalog.release_history import list_releases, roll_back, tables_of
from catalog.settings import Settings
from odh import app

TABLES = ("fct_a", "fct_b")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Release 2 changes ``fct_a``, columns and all, carries ``fct_b`` over and adds ``fct_c``; 3 goes back to 1."""
    folder = tmp_path_factory.mktemp("story")
    with opened(lake_settings(folder / "lake", lock_timeout_seconds=0), folder) as made:
        first = made.release(MONDAY, fct_a="select 1 as k, 'x' as gone", fct_b="select 1 as k")
        [kept] = [table.pin for table in first.tables if table.pin.name == "fct_b"]
        second = made.release(TUESDAY, fct_a="select 2 as k, 2 as added", fct_b=kept, fct_c="select 2 as k")
        releases.remember_fingerprints(made.ledger, second, {"domain": "bad inputs"})
        assert back(made, 1).release_id == 3
        yield made


def back(warehouse: Warehouse, release_id: int) -> releases.Release:
    return roll_back(warehouse.settings, warehouse.ledger, warehouse.lakehouse, release_id)


def test_a_rollback_is_a_release_with_the_tables_of_an_earlier_one(story: Warehouse) -> None:
    assert sql(story.settings, "select a.*, b.* from gold.fct_a as a, gold.fct_b as b") == [(1, "x", 1)]
    with pytest.raises(UnknownName):
        sql(story.settings, "select * from gold.fct_c")
    assert story.main("fct_a") == [(1, "x")]
    assert story.tags("fct_a") == {"release-1", "release-2"}
    told = sql(story.settings, "select command, status from ops.runs")
    assert told == [("releases rollback 1", "succeeded")]


def test_what_the_bad_release_was_made_from_is_not_built_again(story: Warehouse) -> None:
    current = releases.current_release(story.ledger)
    assert current is not None
    assert current.fingerprints == {"domain": "bad inputs"}


def test_as_of_a_day_before_a_rollback_reads_what_was_released_then(story: Warehouse) -> None:
    seen = [releases.current_release(story.ledger, day) for day in (MONDAY, TUESDAY, None)]
    assert [one.release_id for one in seen if one] == [1, 3, 3]


def test_releases_are_listed_and_shown_beside_the_one_before(story: Warehouse) -> None:
    listed = list_releases(story.ledger)
    assert [(one.release_id, one.tables, one.is_current) for one in listed] == [
        (3, 2, True),
        (2, 3, False),
        (1, 2, False),
    ]
    assert [one.made_by for one in listed] == ["releases rollback 1", None, None]
    assert len(list_releases(story.ledger, 2)) == 2
    second = tables_of(story.ledger, releases.find_release(story.ledger, 2))
    assert [(one.name, one.is_changed, one.rows_before is None) for one in second] == [
        ("fct_a", True, False),
        ("fct_b", False, False),
        ("fct_c", True, True),
    ]


def test_the_commands_list_show_and_roll_back(story: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in story.settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["releases", *arguments], catch_exceptions=False).stdout

    assert [one["release_id"] for one in json.loads(call("list", "--json"))["releases"]] == [3, 2, 1]
    assert "current" in call("list", "--limit", "1")
    shown = json.loads(call("show", "2", "--json"))["tables"]
    assert [(one["name"], one["is_changed"]) for one in shown] == [("fct_a", True), ("fct_b", False), ("fct_c", True)]
    assert "carried over" in call("show", "2")
    assert json.loads(call("rollback", "1", "--json"))["release_id"] == 3  # a second time changes nothing
    with pytest.raises(UnknownName, match="no release named '7'"):
        call("show", "7")


def test_a_rollback_waits_for_a_build_and_a_reader_for_nobody(story: Warehouse) -> None:
    with exclusive(story.settings, story.ledger, "build"), story.ledger.begin() as writing:
        writing.exec_driver_sql("update releases set status = 'staged'")  # not committed, as a publisher at work
        assert sql(story.settings, "select k from gold.fct_a") == [(1,)]
        with closing(Ledger(story.settings)) as other, pytest.raises(LakeBusy):
            roll_back(story.settings, other, story.lakehouse, 2)
        writing.rollback()


def test_the_way_goes_forward_again_and_on(settings: Settings, tmp_path: Path) -> None:
    with opened(settings, tmp_path) as warehouse:
        warehouse.release(MONDAY, fct_a="select 1 as k, 'x' as gone")
        warehouse.release(TUESDAY, fct_a="select 2 as k, 2 as added")
        assert [back(warehouse, 1).release_id for _ in range(2)] == [3, 3]
        assert back(warehouse, 2).release_id == 4
        assert warehouse.main("fct_a") == [(2, 2)]
        assert back(warehouse, 1).release_id == 5
        warehouse.release(WEDNESDAY, fct_a="select 3 as k, 'y' as gone, 3 as more")
        assert warehouse.main("fct_a") == [(3, "y", 3)]
        for release_id, row in ((1, (1, "x")), (2, (2, 2)), (3, (1, "x")), (4, (2, 2)), (6, (3, "y", 3))):
            table = releases.find_release(warehouse.ledger, release_id).table(GOLD, "fct_a")
            assert table is not None
            assert warehouse.rows(table.pin) == [row]
        with pytest.raises(UnknownName, match=r"release named '9'.*1, 2"):
            back(warehouse, 9)
        pin = releases.find_release(warehouse.ledger, 1).tables[0].pin
        Path(pin.metadata_location.removeprefix("file://")).unlink()
        with pytest.raises(UsageError, match=r"Release 1 cannot come back: the snapshots of gold\.fct_a are gone"):
            back(warehouse, 1)
        assert sql(settings, "select k from gold.fct_a") == [(3,)]


# A publisher killed at each step

Step = tuple[str, str, int]  # what is killed, when, at which call
UNRECORDED: list[Step] = [("write_back.stage_table", "after", 2), ("releases.stage", "before", 1)]
RECORDED: list[tuple[Step, bool]] = [  # and whether a rollback is killed; tests/e2e/test_kill.py has the rest
    (("releases.stage", "after", 1), True),
    (("Lakehouse.publish", "after", 1), True),
    (("Lakehouse.publish", "after", 2), True),
    (("Lakehouse.publish", "after", 1), False),
]
LOADED = ["catalog.release_history", "catalog.session", "ingestion.sample.portal", "pytest"]


def publish_and_die(settings: Settings, folder: Path, step: Step, target: int | None = None, columns: str = "") -> None:
    """Release, or roll back, in a process of its own that ends at a step."""
    path, moment, nth = step
    owner: Any = {"Lakehouse": Lakehouse, "releases": releases, "write_back": write_back}[path.partition(".")[0]]
    name = path.partition(".")[2]
    setattr(owner, name, deadly(getattr(owner, name), moment, nth))
    with opened(settings, folder) as warehouse:
        if target:
            from catalog import release_history

            release_history.stage = releases.stage
            back(warehouse, target)
        else:
            number = uuid.uuid4().int % 10**9 + 2
            warehouse.release(WEDNESDAY, **dict.fromkeys(TABLES, f"select {number} as k{columns}"))


def killed_at(warehouse: Warehouse, folder: Path, step: Step, target: int | None = None, columns: str = "") -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    process = context.Process(target=publish_and_die, args=(warehouse.settings, folder, step, target, columns))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, f"{step} was not reached"


def state(warehouse: Warehouse) -> dict[str, Any]:
    """Where ``main`` and every tag of the tables are."""
    found = {}
    for name in TABLES:
        refs = warehouse.lakehouse.table(GOLD, name).metadata.refs
        found[name] = {ref: one.snapshot_id for ref, one in refs.items() if ref != "staging"}
    return found


def seen(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return sql(warehouse.settings, "select a.k, b.k from gold.fct_a as a, gold.fct_b as b")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, Path]]:
    """Two releases that differ in every table, for publishers to die in."""
    folder = tmp_path_factory.mktemp("killed")
    with opened(lake_settings(folder / "lake"), folder) as made:
        for number, day in enumerate((MONDAY, TUESDAY), start=1):
            made.release(day, **dict.fromkeys(TABLES, f"select {number} as k"))
        yield made, folder


@pytest.mark.parametrize("step", UNRECORDED, ids=str)
def test_killed_before_it_is_recorded_a_release_never_was(lake: tuple[Warehouse, Path], step: Step) -> None:
    warehouse, folder = lake
    before, read = state(warehouse), seen(warehouse)
    killed_at(warehouse, folder, step)
    assert (state(warehouse), seen(warehouse)) == (before, read)
    assert releases.finish_staged(warehouse.ledger, warehouse.lakehouse) == []
    assert state(warehouse) == before


def test_killed_after_other_columns_were_staged_main_has_its_own(lake: tuple[Warehouse, Path]) -> None:
    """Engines that read ``main`` take the table's schema: they see no column of what was never published."""
    warehouse, folder = lake
    before = {name: warehouse.main(name) for name in TABLES}
    killed_at(warehouse, folder, ("write_back.stage_table", "after", 2), columns=", 'x' as other")
    assert {name: warehouse.main(name) for name in TABLES} == before
    killed_at(warehouse, folder, ("write_back.swap_files", "before", 1), columns=", 'x' as other")
    shown = {name: warehouse.lakehouse.table(GOLD, name).schema().column_names for name in TABLES}
    assert shown == {TABLES[0]: ["k", "other"], TABLES[1]: ["k"]}, "killed while a table is being staged"
    maintainer = Maintainer(
        warehouse.settings, Registry([]), warehouse.ledger, warehouse.lakehouse, "maintain", utc_now()
    )
    assert [plan.name for plan in maintainer.run(lambda *_: None).tables if plan.is_reshaped] == [TABLES[0]]
    assert {name: warehouse.main(name) for name in TABLES} == before
    assert not any(plan.is_reshaped for plan in maintainer.run(lambda *_: None).tables)


def test_killed_before_it_is_recorded_a_rollback_never_was(lake: tuple[Warehouse, Path]) -> None:
    warehouse, folder = lake
    before, read = state(warehouse), seen(warehouse)
    killed_at(warehouse, folder, ("releases.stage", "before", 1), 1)
    assert (state(warehouse), seen(warehouse)) == (before, read)


@pytest.mark.parametrize(("step", "is_rollback"), RECORDED, ids=str)
def test_killed_after_it_is_recorded_readers_see_the_old_one_until_it_is_finished(
    lake: tuple[Warehouse, Path], step: Step, is_rollback: bool
) -> None:
    warehouse, folder = lake
    before, read = state(warehouse), seen(warehouse)
    target = (2 if read == [(1, 1)] else 1) if is_rollback else None
    killed_at(warehouse, folder, step, target)
    assert seen(warehouse) == read
    after = state(warehouse)
    moved = sum(after[name]["main"] != before[name]["main"] for name in TABLES)
    assert moved == (step[2] if step[0] == "Lakehouse.publish" else 0)
    for name in TABLES:  # a tag once set stays where it is
        assert before[name].items() - {("main", before[name]["main"])} <= after[name].items()
    assert len(releases.finish_staged(warehouse.ledger, warehouse.lakehouse)) == 1
    [(one, other)] = seen(warehouse)
    assert one == other != read[0][0]
    assert target in (None, one)
    assert [warehouse.main(name) for name in TABLES] == [[(one,)]] * 2

"""Builds of a tiny warehouse: what is released, what is kept, what is built again, and what is told of a failure.

Starting dbt is dear, so one lake lives through a story, told in order by a fixture; the tests look at its chapters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from lakes import sql
from tiny_warehouse import TinyWarehouse

from catalog.build import BuildResult, DomainResult
from catalog.iceberg import GOLD, Pin
from catalog.releases import current_release

DAYS = [date(2024, 1, day) for day in range(1, 8)]
CHECK = "select n from read_csv('{file}')"
DIES = """
import os
from pathlib import Path


def model(dbt, session):
    dbt.config(materialized="table", tags=["up"])
    dbt.ref("fct_up")
    if Path("{file}").exists():
        os._exit(9)
    return session.sql("select 1 as k")
"""


@dataclass(frozen=True)
class Chapter:
    """What one build did, and what the lake held after it."""

    result: BuildResult
    rows: dict[str, list[tuple[Any, ...]]]
    pins: dict[str, Pin]
    releases: int
    seconds_of_dbt: float

    def domain(self, name: str) -> DomainResult:
        return next(domain for domain in self.result.domains if domain.domain == name)

    @property
    def statuses(self) -> dict[str, str]:
        return {domain.domain: domain.status for domain in self.result.domains}


def chapter(tiny: TinyWarehouse, result: BuildResult) -> Chapter:
    release = current_release(tiny.ledger)
    pins = {table.pin.name: table.pin for table in (release.tables if release else ())}
    rows = {name: sorted(sql(tiny.settings, f"select * from gold.{name}")) for name in ("fct_up", "fct_down")}
    [(releases,)] = sql(tiny.settings, "select count(*) from ops.releases where status = 'published'")
    return Chapter(result, rows, pins, releases, sum(domain.seconds for domain in result.domains))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyWarehouse]:
    made = TinyWarehouse(tmp_path_factory.mktemp("tiny"))
    yield made
    made.lakehouse.close()
    made.ledger.close()


@pytest.fixture(scope="module")
def story(tiny: TinyWarehouse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Chapter]:
    folder = tmp_path_factory.mktemp("faults")
    faults, death = folder / "faults.csv", folder / "death"
    faults.write_text("n\n")
    (tiny.project / "tests").mkdir()
    (tiny.project / "tests/no_fault.sql").write_text("{{ config(tags='up') }} " + CHECK.format(file=faults))
    (tiny.project / "models/gold/mart_up.py").write_text(DIES.format(file=death))
    told: dict[str, Chapter] = {}

    def build(title: str, day: date, *feeds: str) -> None:
        told[title] = chapter(tiny, tiny.build(day, *feeds))

    tiny.load("up", DAYS[0], "code;amount\na;1\na;2\n")
    tiny.load("down", DAYS[0], "code;label\na;first\n")
    build("first", DAYS[0])
    build("nothing changed", DAYS[1])

    tiny.edit("gold/fct_up.sql", "select code", "select /* said otherwise */ code")
    tiny.edit("gold/fct_down.sql", "select label", "select no_such_column, label")
    build("same content, and a mistake below", DAYS[1], "down")
    build("same content again", DAYS[1], "up")

    tiny.edit("gold/fct_down.sql", "select no_such_column, label", "select label")
    tiny.load("up", DAYS[2], "code;amount\na;10\n")
    tiny.load("down", DAYS[2], "code;label\na;second\n")
    faults.write_text("n\n7\n")
    build("a test fails above", DAYS[2])
    faults.write_text("n\n")
    build("it passes again", DAYS[3])

    tiny.load("up", DAYS[4], "code;amount\na;20\n")
    death.touch()
    build("dbt dies midway", DAYS[4], "up")
    death.unlink()
    (tiny.project / "models/models.yml").write_text("models: [{name: fct_up, columns: 3")
    build("the project cannot be parsed", DAYS[5], "up")
    return told


def test_every_domain_is_released(story: dict[str, Chapter]) -> None:
    first = story["first"]
    assert first.statuses == {"up": "built", "down": "built", "bare": "waiting"}  # nothing was loaded for it
    assert (first.result.release_id, first.releases) == (1, 1)
    assert first.rows == {"fct_up": [("a", 3, [1, 2])], "fct_down": [("first", 3)]}
    assert set(first.pins) == {
        "stg_up__lines", "fct_up", "mart_up", "stg_down__lines", "fct_down", "mart_nothing"
    }  # fmt: skip


def test_a_model_without_rows_is_a_table_without_rows(story: dict[str, Chapter], tiny: TinyWarehouse) -> None:
    pin = story["first"].pins["mart_nothing"]
    assert tiny.lakehouse.table(GOLD, "mart_nothing").scan(snapshot_id=pin.snapshot_id).to_arrow().num_rows == 0
    assert sql(tiny.settings, "select label from gold.mart_nothing") == []


def test_descriptions_travel_with_the_table(story: dict[str, Chapter], tiny: TinyWarehouse) -> None:
    assert tiny.lakehouse.describe(story["first"].pins["fct_up"]) == ("One code a row.", {"code": "The code."})


def test_tests_are_counted_and_a_warning_stops_nothing(story: dict[str, Chapter]) -> None:
    first = story["first"]
    assert (first.domain("up").tests_passed, first.domain("up").tests_failed) == (3, 0)
    assert (first.domain("down").tests_warned, first.domain("down").status) == (1, "built")


def test_every_test_is_in_the_ledger(story: dict[str, Chapter], tiny: TinyWarehouse) -> None:
    found = sql(
        tiny.settings,
        "select domain, table_name, column_name, severity, status, failures from ops.quality_results "
        "where run_id = (select min(run_id) from ops.quality_results) order by all",
    )
    assert ("up", "fct_up", "code", "error", "pass", 0) in found
    assert ("down", "fct_down", "t", "warn", "warn", 1) in found
    assert len(found) == 4


def test_nothing_changed_is_no_dbt_and_no_release(story: dict[str, Chapter]) -> None:
    again = story["nothing changed"]
    assert again.statuses == {"up": "unchanged", "down": "unchanged", "bare": "waiting"}
    assert (again.result.release_id, again.seconds_of_dbt) == (None, 0)
    assert again.pins == story["first"].pins


def test_other_code_with_the_same_content_is_no_release(story: dict[str, Chapter]) -> None:
    same = story["same content, and a mistake below"]
    assert (same.domain("up").status, same.domain("up").tables_changed) == ("built", 0)
    assert same.result.release_id is None
    assert same.pins == story["first"].pins


def test_other_code_is_not_built_twice(story: dict[str, Chapter]) -> None:
    assert story["same content again"].statuses == {"up": "unchanged"}


def test_a_mistake_in_a_model_is_told_by_its_name_and_keeps_its_tables(story: dict[str, Chapter]) -> None:
    broken = story["same content, and a mistake below"]
    assert broken.domain("down").status == "failed"
    reason = str(broken.domain("down").reason)
    assert "fct_down: " in reason
    assert "no_such_column" in reason
    assert "Traceback" not in reason
    assert broken.rows == story["first"].rows


def test_a_failed_test_keeps_the_domains_tables(story: dict[str, Chapter], tiny: TinyWarehouse) -> None:
    failed = story["a test fails above"]
    assert (failed.domain("up").status, failed.domain("up").tests_failed) == ("failed", 1)
    assert "no_fault: " in str(failed.domain("up").reason)
    assert failed.rows["fct_up"] == [("a", 3, [1, 2])]
    assert failed.pins["fct_up"] == story["first"].pins["fct_up"]
    assert sql(tiny.settings, "select status from ops.quality_results where status = 'fail'") == [("fail",)]


def test_the_domain_below_is_released_over_the_kept_tables(story: dict[str, Chapter]) -> None:
    failed = story["a test fails above"]
    assert failed.domain("down").status == "built"
    assert failed.result.release_id == 2
    assert failed.rows["fct_down"] == [("second", 3)]


def test_the_domain_below_is_built_again_once_the_one_above_passes(story: dict[str, Chapter]) -> None:
    passed = story["it passes again"]
    assert passed.statuses == {"up": "built", "down": "built", "bare": "waiting"}
    assert passed.rows == {"fct_up": [("a", 10, [10])], "fct_down": [("second", 10)]}


def test_a_dead_dbt_is_told_and_keeps_its_domain(story: dict[str, Chapter]) -> None:
    died = story["dbt dies midway"]
    assert died.domain("up").status == "failed"
    assert "its process ended" in str(died.domain("up").reason)
    assert died.rows == story["it passes again"].rows


def test_a_project_that_cannot_be_parsed_is_told_once(story: dict[str, Chapter]) -> None:
    broken = story["the project cannot be parsed"]
    [domain] = broken.result.domains
    assert domain.status == "failed"
    assert str(domain.reason).count("Error reading opendatahub: models.yml") == 1
    assert "Traceback" not in str(domain.reason)
    assert broken.rows == story["dbt dies midway"].rows
    assert broken.result.release_id is None


def test_the_releases_are_dated_by_their_extraction(story: dict[str, Chapter], tiny: TinyWarehouse) -> None:
    dated = sql(tiny.settings, "select extraction_date from ops.releases order by release_id")
    assert dated == [(DAYS[0],), (DAYS[2],), (DAYS[3],)]
    assert story["the project cannot be parsed"].releases == 3


def test_every_older_release_reads_as_it_was(story: dict[str, Chapter], tiny: TinyWarehouse) -> None:
    for title in ("first", "a test fails above", "it passes again"):
        told = story[title]
        for name, rows in told.rows.items():
            found = (
                tiny.lakehouse.table(GOLD, name).scan(snapshot_id=told.pins[name].snapshot_id).to_arrow().to_pylist()
            )
            assert sorted(tuple(row.values()) for row in found) == rows


def test_no_build_leaves_files_behind(story: dict[str, Chapter], tiny: TinyWarehouse) -> None:
    left = [path.name for path in (tiny.settings.lake / "build").rglob("*") if path.is_file()]
    assert [name for name in left if name.endswith((".parquet", ".duckdb"))] == []


@pytest.mark.parametrize("missing", ["folder", "runner"])
def test_a_project_that_is_not_there_is_told(tmp_path: Path, missing: str) -> None:
    tiny = TinyWarehouse(tmp_path)
    tiny.load("up", DAYS[0], "code;amount\na;1\n")
    if missing == "folder":
        tiny.project.rename(tmp_path / "elsewhere")
    else:
        (tiny.project / "runner.py").unlink()
    result = tiny.build(DAYS[0], "up")
    tiny.lakehouse.close()
    tiny.ledger.close()
    [domain] = result.domains
    assert domain.status == "failed"
    assert ("ODH_DBT_PROJECT" if missing == "folder" else "its process ended") in str(domain.reason)

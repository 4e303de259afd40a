"""The report of the whole lake: on the terminal, as a page, CSV and JSON, all of them the same numbers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from api_lake import LakeWriter
from typer.testing import CliRunner, Result
from watched_lake import DAYS, LAST, write_watched_lake

import odh


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = write_watched_lake(tmp_path_factory.mktemp("watched"))
    writer.load("accidents__lieux", [{"num_acc": "2", "voie": "<b>"}, {"num_acc": "3", "voie": "x"}], DAYS[1])
    return writer


@pytest.fixture
def run(lake: LakeWriter, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    for name, value in lake.settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> Result:
        return CliRunner().invoke(odh.app, ["report", *words])

    return call


def test_the_numbers_are_those_of_the_lake(run) -> None:  # type: ignore[no-untyped-def]
    told = json.loads(run("lake", "--json").stdout)
    tables = {(one["layer"], one["table"]): one for one in told["tables"]}
    bronze = tables["bronze", "accidents__lieux"]
    assert (bronze["rows"], bronze["files"], bronze["partitions"]) == (3, 2, 2)
    assert (bronze["feed"], bronze["last_extraction"]) == ("accidents", LAST.isoformat())
    gold = tables["gold", "fct_accident"]
    assert (gold["rows"], gold["files"], gold["partitions"], gold["feed"]) == (101, 1, 1, None)
    assert (gold["tests_passed"], gold["tests_warned"], gold["tests_failed"]) == (8, 1, 0)
    feeds = {one["feed"]: one for one in told["feeds"]}
    assert (feeds["accidents"]["state"], feeds["accidents"]["rows"]) == ("warned", 3)
    assert feeds["accidents"]["why"] == "warnings 1, rejects 25"
    assert (feeds["meteo"]["state"], feeds["meteo"]["tables"]) == ("never", 0)
    assert told["release_id"] == 2


def test_csv_has_a_line_for_each_table_and_for_feeds_without_one(run) -> None:  # type: ignore[no-untyped-def]
    lines = list(csv.DictReader(io.StringIO(run("lake", "--csv").stdout)))
    told = json.loads(run("lake", "--json").stdout)
    assert [line["table"] for line in lines if line["table"]] == [one["table"] for one in told["tables"]]
    (bronze,) = [line for line in lines if line["table"] == "accidents__lieux"]
    assert (bronze["rows"], bronze["partitions"], bronze["feed_state"]) == ("3", "2", "warned")
    assert {line["feed_state"] for line in lines if line["feed"] == "meteo"} == {"never"}


def test_the_page_asks_for_nothing_and_says_where_it_is(run, lake: LakeWriter) -> None:  # type: ignore[no-untyped-def]
    page = Path(run("lake", "--html").stdout.strip())
    assert page == lake.settings.reports / "lake.html"
    html = page.read_text("utf-8")
    assert "accidents__lieux" in html
    assert "src=" not in html
    assert "http" not in html


def test_the_terminal_shows_feeds_and_tables(run) -> None:  # type: ignore[no-untyped-def]
    shown = run("lake")
    assert shown.exit_code == 0
    for word in ("Feeds", "Tables of bronze", "Tables of gold", "fct_accident", "release: 2"):
        assert word in shown.stdout


def test_a_report_goes_where_it_is_told(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for form, begins in (("--csv", "feed,layer"), ("--json", "{"), ("--html", "<!doctype")):
        target = tmp_path / "reports" / f"lake{form}"
        assert run("lake", form, "--output", str(target)).exit_code == 0
        assert target.read_text("utf-8").startswith(begins)


@pytest.mark.parametrize("words", [("--csv",), ("lake", "--csv", "--json"), ("lake", "--html", "--csv")])
def test_forms_that_do_not_go_together_are_misuse(run, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    refused = run(*words)
    assert refused.exit_code != 0
    assert type(refused.exception).__name__ == "UsageError"


def test_an_empty_lake_has_a_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ODH_LAKE", str(tmp_path / "lake"))
    told = json.loads(CliRunner().invoke(odh.app, ["report", "lake", "--json"]).stdout)
    assert told["tables"] == []
    assert {feed["state"] for feed in told["feeds"]} == {"never"}

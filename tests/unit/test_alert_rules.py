"""Which alerts hold, from rows written down here."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tiny_warehouse import feed

from catalog.alerts.alert import Alert, Kind
from catalog.alerts.book import News
from catalog.alerts.failures import RunRow
from catalog.alerts.message import subject_line, text
from catalog.alerts.rules import ChangeRow, FoundTest, GoneRow, Signs, Waiting, alerts_of

NOW = datetime(2024, 6, 5, 13, 0, tzinfo=UTC)
FEEDS = {"up": feed("up"), "down": feed("down", depends_on=["up"]), "off": feed("off", enabled=False)}


def hours_ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def found(**signs: Any) -> list[Alert]:
    return alerts_of(Signs(**{"feeds": FEEDS, **signs}), NOW, timedelta(hours=12), timedelta(minutes=15))


def run(command: str, feeds: str, status: str = "succeeded", error: str | None = None, **more: Any) -> RunRow:
    return RunRow(command, feeds.split(), status, more.pop("at", hours_ago(1)), error, **more)


def failed(*runs: RunRow) -> dict[str, str]:
    return {one.subject: one.what for one in found(runs=runs) if one.kind is Kind.FAILURE}


def test_a_sound_lake_has_none() -> None:
    runs = [run("run", "up down"), run("maintain", "up down")]
    assert found(runs=runs, newest={"up": NOW.date(), "down": NOW.date()}) == []


def test_a_failed_feed_is_told_until_it_is_synced_by_whatever_command() -> None:
    broken = run("run", "up down", "failed", "up: the portal is away\nin two lines\nup: another file")
    assert failed(broken) == {"up": "the portal is away in two lines; another file"}
    assert failed(broken, run("sync", "down")).keys() == {"up"}
    assert failed(broken, run("sync", "up")) == {}
    assert failed(broken, run("build", "up down")).keys() == {"up"}, "a build mends no feed"


def test_a_failed_domain_is_told_by_name_and_its_feed_is_not() -> None:
    broken = run("build", "up down", "failed", "domain down: fct_down: 3 rows")
    named = {"up": feed("up", domain="first"), "down": feed("down", domain="second", depends_on=["up"])}
    told = alerts_of(
        Signs(named, runs=[run("run", "up down", "failed", "domain second: no")]), NOW, timedelta(), timedelta()
    )
    assert [one.subject for one in told] == ["build of second"]
    assert failed(broken) == {"build of down": "fct_down: 3 rows"}
    assert failed(broken, run("sync", "down")).keys() == {"build of down"}
    assert failed(broken, run("build", "down")) == {}


def test_a_wrong_feed_file_is_not_told_twice() -> None:
    lines = "feed file wrong: wrong.yml:2: owners: no\nwrong.yml:3: more\n"
    assert failed(run("run", "up down", "failed", lines)) == {}
    assert failed(run("run", "up down", "failed", lines + "up: no")).keys() == {"up"}


def test_what_is_tried_again_is_no_failure_yet_and_none_that_passed() -> None:
    first = run("sync", "up", "failed", "up: busy", will_retry=True)
    assert failed(first) == {}
    assert failed(first, run("sync", "up")) == {}
    assert failed(first, run("sync", "up", "failed", "up: busy")) == {"up": "busy"}


@pytest.mark.parametrize(
    ("row", "subject"),
    [
        (run("maintain", "up down", "failed", "LakeBusy: a build is on"), "maintain"),
        (run("run", "up down", "interrupted", "its process ended"), "run"),
        (run("sync", "up", "interrupted", "its process ended"), "up"),
        (run("build", "up down", "failed", "LakeBusy: held"), "build of down"),
        (run("sync", "up", "failed"), "up"),
    ],
    ids=["a command", "a run of many", "a sync of one", "a build of one", "without a reason"],
)
def test_a_run_that_names_no_feed_is_told_as_what_it_was(row: RunRow, subject: str) -> None:
    assert list(failed(row)) == [subject]
    again = RunRow(row.command, row.feeds, "succeeded", NOW)
    assert failed(row, again) == {}


def test_a_failure_is_since_the_first_time_and_links_to_the_last() -> None:
    rows = [
        run("sync", "up", "failed", f"up: try {n}", at=hours_ago(9 - n), task_url=f"http://airflow/{n}") for n in (1, 2)
    ]
    [alert] = found(runs=rows)
    assert (alert.what, alert.since, alert.link) == ("try 2", hours_ago(8), "http://airflow/2")


def test_what_failed_of_a_feed_that_is_gone_or_off_is_over() -> None:
    assert failed(run("sync", "off", "failed", "off: no"), run("sync", "archived", "failed", "archived: no")) == {}


@pytest.mark.parametrize(
    ("schedule", "newest", "is_late"),
    [
        ("@daily", date(2024, 6, 5), False),
        ("@daily", date(2024, 6, 4), True),
        ("@hourly", date(2024, 6, 5), False),
        ("@hourly", date(2024, 6, 4), True),
        ("@weekly", date(2024, 6, 2), False),
        ("@weekly", date(2024, 6, 1), True),
        ("0 2 * * *", date(2024, 6, 4), False),
        ("30 6 * * 1", date(2024, 6, 4), False),
    ],
)
def test_a_feed_is_late_once_its_schedule_struck_and_the_grace_has_gone_by(
    schedule: str, newest: date, is_late: bool
) -> None:
    told = found(feeds={"up": feed("up", schedule=schedule)}, newest={"up": newest})
    assert [one.kind for one in told] == ([Kind.LATE_DATA] if is_late else [])
    if told:
        assert f"its newest data: {newest}" in told[0].what
        assert told[0].since <= hours_ago(12)


def test_a_feed_that_never_began_or_is_off_is_not_late() -> None:
    assert found(newest={"off": date(2020, 1, 1)}) == []


def test_tests_are_told_by_domain_and_severity() -> None:
    rows = [FoundTest("up", f"test_{n}", "error", "fail", n * 1000, hours_ago(n)) for n in (1, 2, 3, 4)]
    rows += [
        FoundTest("up", "soft", "warn", "warn", None, hours_ago(1)),
        FoundTest("gone", "x", "error", "fail", 1, NOW),
    ]
    hard, soft = found(tests=rows)
    assert (hard.kind, hard.severity, hard.since) == (Kind.TESTS_FAILED, "error", hours_ago(4))
    assert hard.what == "4 tests: test_1 (1,000 rows), test_2 (2,000 rows), test_3 (3,000 rows), and 1 more"
    assert (soft.kind, soft.severity, soft.what) == (Kind.TESTS_WARNED, "warning", "1 test: soft")


def test_changes_that_break_and_rows_that_collapse_are_two_things() -> None:
    rows = [
        ChangeRow("up", "up__lines", "amount", "missing", "was there, is not", hours_ago(2)),
        ChangeRow("up", "up__lines", "", "rows", "1,000 → 3 rows", hours_ago(1)),
        ChangeRow("archived", "archived__t", "", "rows", "9 → 0 rows", hours_ago(1)),
    ]
    drift, rows_gone = found(changes=rows)
    assert (drift.kind, drift.subject) == (Kind.BREAKING_DRIFT, "up__lines")
    assert drift.what == "feed up: 1 change: amount missing (was there, is not)"
    assert (rows_gone.kind, rows_gone.what) == (Kind.ROWS_COLLAPSED, "feed up: 1,000 → 3 rows")


def test_dead_links_are_one_warning_a_feed() -> None:
    rows = [GoneRow("up", "2021.csv", hours_ago(48)), GoneRow("up", "2022.csv", hours_ago(24))]
    [alert] = found(gone=rows)
    assert (alert.kind, alert.subject, alert.severity) == (Kind.DEAD_LINKS, "up", "warning")
    assert (alert.what, alert.since) == ("2 files: 2021.csv, 2022.csv", hours_ago(48))


@pytest.mark.parametrize(("hours", "is_told"), [(0.2, False), (0.3, True)])
def test_pushed_batches_that_wait_too_long_are_told(hours: float, is_told: bool) -> None:
    told = found(waiting=Waiting(1200, hours_ago(hours)))
    assert [(one.kind, one.what) for one in told] == (
        [(Kind.INGEST_BACKLOG, "1,200 pushed batches wait for a release")] if is_told else []
    )


def test_a_wrong_feed_file_is_an_alert() -> None:
    [alert] = found(mistakes={"wrong": "wrong.yml:2: owners: Extra inputs are not permitted."})
    assert (alert.kind, alert.subject) == (Kind.FEED_FILE_WRONG, "wrong")


def test_a_message_says_what_since_when_what_to_do_and_where() -> None:
    late = Alert(Kind.LATE_DATA, "irve", "due\nyesterday", hours_ago(20), "http://airflow/x")
    over = Alert(Kind.FAILURE, "cog", "the portal was away", hours_ago(40))
    assert subject_line(News({1: late}, {})) == "[OpenDataHub] irve: late data"
    assert subject_line(News({}, {2: over})) == "[OpenDataHub] cog: recovered (failed)"
    assert subject_line(News({1: late, 3: late}, {2: over, 4: over})) == "[OpenDataHub] 2 alerts, 2 recovered"
    assert text(News({1: late}, {2: over}), "https://docs.example/operations") == (
        "ERROR · irve: late data\n"
        "What: due yesterday\n"
        "Since: 2024-06-04 17:00 UTC\n"
        "To do: See whether the scheduler runs and the portal answers, then sync the feed."
        " https://docs.example/operations#late-data\n"
        "Link: http://airflow/x\n"
        "\n"
        "Recovered\n"
        "- cog: recovered (failed): the portal was away\n"
    )

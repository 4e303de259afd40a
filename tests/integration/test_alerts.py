"""Alerts of real ledgers reach a real mail server and a real webhook: once each, again when over, late when away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import odh
from receivers import Hook, Mailbox, mail_server, webhook
from services import free_ports

from catalog.alerts.alert import Kind
from catalog.alerts.book import Book
from catalog.alerts.desk import find_alerts, tell_of_dag, tell_people
from catalog.clock import utc_now
from catalog.errors import LedgerAway
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.origin import Origin
from catalog.settings import Settings

DAY = date(2024, 6, 5)
NOW = datetime(2024, 6, 5, 13, tzinfo=UTC)


@pytest.fixture
def receivers() -> Iterator[tuple[Mailbox, Hook]]:
    with mail_server() as box, webhook() as hook:
        yield box, hook


@pytest.fixture
def lake(tmp_path: Path, receivers: tuple[Mailbox, Hook]) -> Settings:
    box, hook = receivers
    return lake_settings(
        tmp_path / "lake",
        alert_mail_to="ops@example.org, data@example.org",
        alert_mail_from="odh@example.org",
        alert_smtp_host="127.0.0.1",
        alert_smtp_port=box.port,
        alert_webhook_url=hook.url,
        alert_docs_url="https://docs.example/operations",
        lock_timeout_seconds=0,
    )


def record_run(settings: Settings, status: str, error: str | None = None, feed: str = "irve") -> None:
    """One ended sync, in the ledger as the command leaves it."""
    with closing(Ledger(settings)) as ledger:
        ledger.finish_run(ledger.start_run("sync", [feed], DAY), status, error)


def extraction(feed: str, day: date, status: str, resource: str = "r1") -> dict[str, Any]:
    return {"feed": feed, "extraction_date": day, "resource_id": resource, "run_id": "x", "status": status}


def test_an_alert_is_told_once_on_each_channel_and_again_when_it_is_over(
    lake: Settings, receivers: tuple[Mailbox, Hook]
) -> None:
    box, hook = receivers
    record_run(lake, "failed", "irve: le serveur a répondu 500")
    first = tell_people(lake, utc_now())
    assert first.opened == {"mail": 1, "webhook": 1}
    [mail], [post] = box.mails, hook.posts
    assert (mail["Subject"], mail["From"]) == ("[OpenDataHub] irve: failed", "odh@example.org")
    assert mail["To"] == "ops@example.org, data@example.org"
    assert "What: le serveur a répondu 500" in box.texts()[0]
    assert "https://docs.example/operations#failure" in box.texts()[0]
    assert post["text"] == f"[OpenDataHub] irve: failed\n\n{box.texts()[0]}"

    record_run(lake, "failed", "irve: le serveur a répondu 503")
    assert tell_people(lake, utc_now()).opened == {}
    assert (len(box.mails), len(hook.posts)) == (1, 1)

    record_run(lake, "succeeded")
    over = tell_people(lake, utc_now())
    assert (over.alerts, over.over) == ([], {"mail": 1, "webhook": 1})
    assert box.mails[1]["Subject"] == "[OpenDataHub] irve: recovered (failed)"
    tell_people(lake, utc_now())
    assert (len(box.mails), len(hook.posts)) == (2, 2)

    record_run(lake, "failed", "irve: again")
    tell_people(lake, utc_now())
    assert [mail["Subject"] for mail in box.mails][2:] == ["[OpenDataHub] irve: failed"]


def test_a_channel_that_is_away_is_told_the_next_time_and_the_other_only_once(
    lake: Settings, receivers: tuple[Mailbox, Hook]
) -> None:
    box, hook = receivers
    box.refuses, hook.status = True, 503
    record_run(lake, "failed", "irve: no")
    told = tell_people(lake, utc_now())
    assert set(told.failed) == {"mail", "webhook"}
    assert "answered 503" in told.failed["webhook"]
    assert "s3cret" not in str(told), "the address of a webhook is a secret"
    hook.status = 200
    assert tell_people(lake, utc_now()).opened == {"webhook": 1}
    box.refuses = False
    assert tell_people(lake, utc_now()).opened == {"mail": 1}
    assert (len(box.mails), len(hook.posts)) == (1, 1)


def test_servers_that_are_not_there_stop_nothing(lake: Settings) -> None:
    (port,) = free_ports(1)
    away = lake.model_copy(update={"alert_smtp_port": port, "alert_webhook_url": None})
    record_run(away, "failed", "irve: no")
    assert "No mail could be sent" in tell_people(away, utc_now()).failed["mail"]


def test_what_was_over_before_anybody_was_told_is_not_told(lake: Settings, receivers: tuple[Mailbox, Hook]) -> None:
    box, hook = receivers
    box.refuses, hook.status = True, 500
    record_run(lake, "failed", "irve: no")
    tell_people(lake, utc_now())
    record_run(lake, "succeeded")
    box.refuses, hook.status = False, 200
    tell_people(lake, utc_now())
    assert (box.mails, hook.posts) == ([], [])


def test_of_two_at_once_one_tells(lake: Settings, receivers: tuple[Mailbox, Hook]) -> None:
    record_run(lake, "failed", "irve: no")
    with closing(Ledger(lake)) as ledger, exclusive(lake, ledger, "alerts"):
        assert tell_people(lake, utc_now()).opened == {}
    assert tell_people(lake, utc_now()).opened == {"mail": 1, "webhook": 1}


def test_a_task_that_failed_before_the_ledger_knew_is_told_until_its_dag_succeeds(
    lake: Settings, receivers: tuple[Mailbox, Hook]
) -> None:
    tell_of_dag(lake, NOW, "sync_feeds", "run-1", "list_due_feeds: killed", "http://airflow/x")
    [post] = receivers[1].posts
    assert "sync_feeds: task failed" in post["text"]
    assert "What: list_due_feeds: killed" in post["text"]
    assert "Link: http://airflow/x" in post["text"]
    assert [one.kind for one in tell_people(lake, NOW).alerts] == [Kind.TASK_FAILED], "no look at the ledger ends it"
    assert tell_of_dag(lake, NOW, "build_warehouse", "run-2", None, "").over == {}
    over = tell_of_dag(lake, NOW, "sync_feeds", "run-2", None, "http://airflow/y")
    assert (over.alerts, over.over) == ([], {"mail": 1, "webhook": 1})


def test_a_task_whose_failure_the_ledger_tells_of_is_one_alert(lake: Settings) -> None:
    origin = Origin("sync_feeds", "run-1", "sync_feed", 0, 4, 3, "http://airflow/task")
    with closing(Ledger(lake)) as ledger:
        ledger.finish_run(ledger.start_run("sync", ["irve"], DAY, origin), "failed", "irve: no")
    told = tell_of_dag(lake, utc_now(), "sync_feeds", "run-1", "sync_feed: no", "http://airflow/run")
    assert [(one.kind, one.subject, one.link) for one in told.alerts] == [(Kind.FAILURE, "irve", "http://airflow/task")]


def test_a_ledger_that_is_away_is_told_once_and_again_when_it_is_back(
    lake: Settings, receivers: tuple[Mailbox, Hook]
) -> None:
    box, hook = receivers
    (port,) = free_ports(1)
    away = lake.model_copy(update={"ledger_url": f"postgresql://odh:secret@127.0.0.1:{port}/odh"})
    box.refuses = True
    with pytest.raises(LedgerAway):
        tell_of_dag(away, NOW, "sync_feeds", "run-1", "list_due_feeds: no ledger", "http://airflow/x")
    box.refuses = False
    for later in (NOW + timedelta(minutes=15), NOW + timedelta(minutes=30)):
        with pytest.raises(LedgerAway):
            tell_people(away, later)
    [post], [mail] = hook.posts, box.texts()
    for words in (post["text"], mail):
        assert "ERROR · ledger: away" in words
        assert f"127.0.0.1:{port}" in words
        assert "secret" not in words
        assert "Since: 2024-06-05 13:00 UTC" in words
        assert "https://docs.example/operations#ledger-away" in words
    assert "Link: http://airflow/x" in post["text"]
    assert tell_people(lake, NOW + timedelta(hours=1)).over == {"mail": 1, "webhook": 1}
    assert "ledger: recovered (away)" in hook.posts[1]["text"]
    assert tell_people(lake, NOW + timedelta(hours=2)).over == {}
    assert (len(box.mails), len(hook.posts)) == (2, 2)


def test_a_note_that_a_kill_left_empty_stops_no_alert(lake: Settings) -> None:
    record_run(lake, "failed", "irve: no")
    (lake.lake / "ledger-away.json").touch()
    assert tell_people(lake, utc_now()).opened == {"mail": 1, "webhook": 1}
    assert not (lake.lake / "ledger-away.json").exists()


def test_every_sign_is_read_from_the_ledger(lake: Settings) -> None:
    (lake.lake / "feeds").mkdir(parents=True)
    (lake.lake / "feeds" / "wrong.yml").write_text("feed: wrong\n")
    test = {"domain": "reference", "table_name": "t", "column_name": None, "message": None, "seconds": 0.1}
    change = {"table_name": "irve__stations", "resource_id": "r1", "extraction_date": DAY, "source_member": ""}
    with closing(Ledger(lake)) as ledger:
        for row in (
            extraction("irve", DAY - timedelta(days=9), "stored"),
            extraction("cog", DAY, "stored"),
            extraction("cog", DAY - timedelta(days=1), "gone", "r2"),
            extraction("cog", DAY, "gone", "r2"),
            extraction("jours_feries", DAY - timedelta(days=3), "gone"),
            extraction("jours_feries", DAY, "stored"),
        ):
            ledger.record_extraction(**row)
        for run_id, minutes, statuses in (("old", 9, "ff"), ("new", 1, "pfw")):
            ledger.record_quality(
                [
                    {
                        **test,
                        "run_id": run_id,
                        "test_id": f"t{number}",
                        "test_name": f"test_{number}",
                        "severity": "warn" if status == "w" else "error",
                        "status": {"p": "pass", "f": "fail", "w": "warn"}[status],
                        "failures": 2,
                        "tested_at": NOW - timedelta(minutes=minutes) + timedelta(seconds=number),
                    }
                    for number, status in enumerate(statuses)
                ]
            )
        ledger.record_changes(
            [
                {**change, "feed": "irve", "column_name": name, "change": kind, "class": klass, "detail": "d"}
                | {"detected_at": NOW - timedelta(days=age)}
                for name, kind, klass, age in (
                    ("puissance", "missing", "breaking", 1),
                    ("old", "missing", "breaking", 8),
                    ("new", "added", "safe", 1),
                    ("", "rows", "breaking", 2),
                )
            ]
        )
        found = {(one.kind, one.subject): one.what for one in find_alerts(lake, ledger, NOW)}
    assert found == {
        (Kind.LATE_DATA, "irve"): "due 2024-06-05 00:00 UTC by its schedule @daily; its newest data: 2024-05-27",
        (Kind.TESTS_FAILED, "reference"): "1 test: test_1 (2 rows)",
        (Kind.TESTS_WARNED, "reference"): "1 test: test_2 (2 rows)",
        (Kind.BREAKING_DRIFT, "irve__stations"): "feed irve: 1 change: puissance missing (d)",
        (Kind.ROWS_COLLAPSED, "irve__stations"): "feed irve: d",
        (Kind.DEAD_LINKS, "cog"): "1 file: r2",
        (Kind.FEED_FILE_WRONG, "wrong"): found[Kind.FEED_FILE_WRONG, "wrong"],
    }
    assert "wrong.yml:1" in found[Kind.FEED_FILE_WRONG, "wrong"]


def test_the_command_shows_and_sends(lake: Settings, receivers: tuple[Mailbox, Hook]) -> None:
    assert odh(lake, "alerts").out == "Nothing to look into.\n"
    record_run(lake, "failed", "irve: no")
    shown = odh(lake, "alerts").out
    assert "failed irve, since " in shown
    assert receivers[1].posts == [], "showing tells nobody"
    answer = odh(lake, "alerts", "--send", "--json").json
    assert [(one["kind"], one["subject"], one["severity"]) for one in answer["alerts"]] == [
        ("failure", "irve", "error")
    ]
    assert answer["told"] == {"mail": 1, "webhook": 1}
    with closing(Ledger(lake)) as ledger:
        [row] = ledger.arrow("alerts").to_pylist()
        assert (row["told"], row["resolved_at"]) == ("mail webhook", None)
        assert row["notified_at"] is not None
        assert [one.subject for one in Book(ledger).open_alerts()] == ["irve"]
    receivers[1].status = 500
    record_run(lake, "succeeded")
    assert odh(lake, "alerts", "--send", check=False).code == 1

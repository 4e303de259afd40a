"""The audit beside the ledger: what a killed process left is taken up once, and what goes on is carried on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.audit import AuditLog, Entry
from api.audit_journal import SUFFIX
from catalog.ledger import Ledger
from catalog.settings import Settings

ENTRY = Entry(datetime(2024, 5, 1, tzinfo=UTC), "r1", "k1", "POST", "/ingest_fast", 202, 1, None, 5, 0.1)
LATER = replace(ENTRY, at=ENTRY.at + timedelta(seconds=1), request_id="r2")
SQL = replace(ENTRY, at=ENTRY.at + timedelta(seconds=2), request_id="r3", path="/sql", detail="select 1")


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger(settings)
    yield opened
    opened.close()


def rows(ledger: Ledger) -> list[tuple[str, int, int]]:
    return sorted((row["path"], row["requests"], row["rows"]) for row in ledger.arrow("audit").to_pylist())


def killed(ledger: Ledger, folder: Path, *entries: Entry) -> None:
    """What a process that is killed leaves: entries that began, a lock that is gone."""
    dead = AuditLog(ledger, folder)
    for number, entry in enumerate(entries):
        dead.begin(number, entry)
    closed = dead._journal._current
    assert closed
    with closed.path.open("ab") as stream:
        stream.write(b'{"at":"2024')  # torn
    closed.leave()


def test_what_a_killed_process_left_is_taken_up_by_the_next_that_starts(ledger: Ledger, tmp_path: Path) -> None:
    killed(ledger, tmp_path, ENTRY, LATER, SQL)
    for _ in range(2):
        with AuditLog(ledger, tmp_path):
            pass
    assert rows(ledger) == [("/ingest_fast", 2, 10), ("/sql", 1, 5)]
    assert list(tmp_path.glob(f"*{SUFFIX}")) == []


def test_a_journal_whose_entries_are_in_the_ledger_is_not_taken_up_again(ledger: Ledger, tmp_path: Path) -> None:
    killed(ledger, tmp_path, LATER, ENTRY, SQL)
    shutil.copytree(tmp_path, tmp_path / "again")
    for folder in (tmp_path, tmp_path / "again"):  # killed after the step into the ledger, before the file was removed
        with AuditLog(ledger, folder):
            pass
    assert rows(ledger) == [("/ingest_fast", 2, 10), ("/sql", 1, 5)]


def test_what_has_not_ended_goes_on_into_the_next_file(ledger: Ledger, tmp_path: Path) -> None:
    log = AuditLog(ledger, tmp_path)
    log.begin(1, ENTRY)
    log.begin(2, SQL)
    log.add(1, ENTRY)
    first = log._turn()
    second = log._journal._current
    assert first
    assert second
    assert [line.count(b"/sql") for line in first.lines()] == [0, 1]
    assert [line.count(b"/sql") for line in second.lines()] == [1]
    log.add(2, SQL)
    assert log._turn() == second
    assert log._turn() is None, "nothing began and nothing goes on"


def test_a_file_another_process_writes_is_left_to_it(ledger: Ledger, tmp_path: Path) -> None:
    with AuditLog(ledger, tmp_path) as living:
        living.begin(1, ENTRY)
        with AuditLog(ledger, tmp_path):
            pass
        assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == 1
        assert rows(ledger) == []
        living.add(1, ENTRY)
    assert rows(ledger) == [("/ingest_fast", 1, 5)]


def test_a_full_disk_is_logged_and_the_entry_still_reaches_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    with AuditLog(ledger, tmp_path / "audit") as log:
        log.begin(1, ENTRY)
        log.add(1, ENTRY)
    assert rows(ledger) == [("/ingest_fast", 1, 5)]

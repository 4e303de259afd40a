"""The audit beside the ledger: what a killed process left is taken up once, and what goes on is carried on."""

from __future__ import annotations

import multiprocessing
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from api.audit import AuditLog, Entry
from api.audit_journal import SUFFIX, Journal
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


def test_lines_that_are_none_keep_no_gateway_from_starting(ledger: Ledger, tmp_path: Path) -> None:
    killed(ledger, tmp_path, ENTRY, SQL)
    [file] = tmp_path.glob(f"*{SUFFIX}")
    first, second, _ = file.read_bytes().split(b"\n")
    # a power cut leaves zeros where the system had not written, a newer version fields that this one does not know
    file.write_bytes(b"\n".join([first, bytes(512), b"\xff", b"[]", b'{"at":1}', second, b""]))
    with AuditLog(ledger, tmp_path):
        pass
    assert rows(ledger) == [("/ingest_fast", 1, 5), ("/sql", 1, 5)]
    assert list(tmp_path.glob(f"*{SUFFIX}")) == []


def test_a_file_that_may_not_be_read_is_left(ledger: Ledger, tmp_path: Path) -> None:
    killed(ledger, tmp_path, ENTRY)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"another's\n")
    link = tmp_path / f"0{SUFFIX}"
    link.symlink_to(elsewhere)
    with AuditLog(ledger, tmp_path):
        pass
    assert rows(ledger) == [("/ingest_fast", 1, 5)]
    assert link.is_symlink()


def take_up(folder: Path, begin: Barrier, told: Queue[list[bytes] | str]) -> None:
    """What a process does that starts."""
    begin.wait()
    found: list[bytes] = []
    try:
        for left in Journal(folder).left():
            found.extend(left.lines())
            left.remove()
    except Exception as error:  # its parent tells
        told.put(repr(error))
    else:
        told.put(found)


def test_processes_that_start_together_take_up_each_file_once(tmp_path: Path) -> None:
    files, processes, context = 1000, 4, multiprocessing.get_context("fork")
    for number in range(files):
        (tmp_path / f"{number:04}{SUFFIX}").write_bytes(b"%d\n" % number)
    begin, told = context.Barrier(processes), context.Queue()
    started = [context.Process(target=take_up, args=(tmp_path, begin, told)) for _ in range(processes)]
    for one in started:
        one.start()
    answers = [told.get() for _ in started]
    for one in started:
        one.join()
    assert [one for one in answers if isinstance(one, str)] == []
    assert sorted(line for one in answers for line in one) == sorted(b"%d" % number for number in range(files))


def test_a_full_disk_leaves_no_half_line_before_the_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin(1, b"first\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(b"first\nsec"), limits[1]))
    try:
        with pytest.raises(OSError, match="No space"):
            journal.begin(2, b"second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.begin(3, b"third\n")
    file = journal._current
    assert file
    assert file.lines() == [b"first", b"third"]


def test_a_file_that_cannot_be_followed_by_the_next_stays_and_none_is_left_open(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    journal = Journal(folder)
    journal.begin(1, b"first\n")
    folder.rename(tmp_path / "aside")
    folder.write_text("in the way")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match="exists"):
            journal.turn()
    folder.unlink()
    (tmp_path / "aside").rename(folder)
    closed = journal.turn()
    assert closed
    assert closed.lines() == [b"first"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1, "the present file and the one before it"
    closed.remove()
    assert [path.read_bytes() for path in folder.iterdir()] == [b"first\n"]

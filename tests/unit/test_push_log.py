"""The log of pushed batches: durable once acknowledged, whole or passed over after a crash, removed when known."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from push_lake import GOOD, taken

from catalog.push import log as push_log
from catalog.push.backlog import backlog, waiting_bytes
from catalog.push.batch import encode_batch
from catalog.push.commit import GroupCommit
from catalog.push.log import MAGIC, PushLog, drained_until, entries, entry_at, note_drained, place_of, segments

WRITER = """
import sys
from pathlib import Path
from catalog.push.log import PushLog
log = PushLog(Path(sys.argv[1]))
for number in range(10_000):
    [receipt] = log.append([f"entry {number}".encode() * 50])
    print(receipt, flush=True)
"""


def payloads(folder: Path) -> list[bytes]:
    return [entry.payload for segment in segments(folder) for entry in entries(folder, segment)]


def test_entries_come_back_in_order_under_their_receipts(tmp_path: Path) -> None:
    log = PushLog(tmp_path)
    receipts = [*log.append([b"a", b"bb"]), *log.append([b"ccc"])]
    assert payloads(tmp_path) == [b"a", b"bb", b"ccc"]
    for receipt, payload in zip(receipts, (b"a", b"bb", b"ccc"), strict=True):
        segment, start = place_of(receipt) or ("", 0)
        entry = entry_at(tmp_path, segment, start)
        assert entry is not None
        assert (entry.payload, entry.receipt) == (payload, receipt)
    assert [place_of(text) for text in ("", "../../etc/passwd", receipts[0] + "0", "20240101t000000-0-0")] == [None] * 4
    log.close()


@pytest.mark.parametrize("torn", [b"\x05", b"\0" * 64, b"\x05\0\0\0\0\0\0\0abcde", b"\xff\xff\xff\x7f1234abc"])
def test_what_a_crash_left_half_written_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    log = PushLog(tmp_path)
    log.append([b"whole"])
    log.close()
    (segment,) = segments(tmp_path)
    with (tmp_path / f"{segment}.log").open("ab") as stream:
        stream.write(torn)
    assert payloads(tmp_path) == [b"whole"]


def test_a_segment_goes_once_it_is_known_and_nobody_writes_it(tmp_path: Path) -> None:
    log = PushLog(tmp_path)
    log.append([b"one"])
    (segment,) = segments(tmp_path)
    end = [entry.end for entry in entries(tmp_path, segment)][-1]
    note_drained(tmp_path, segment, end)
    assert segments(tmp_path) == [segment], "its writer is still there"
    assert (drained_until(tmp_path, segment), waiting_bytes(tmp_path)) == (end, 0)
    log.append([b"two"])
    log.close()
    assert not push_log.remove_drained(tmp_path, segment, end), "something came after"
    assert push_log.remove_drained(tmp_path, segment, [entry.end for entry in entries(tmp_path, segment)][-1])
    assert list(tmp_path.iterdir()) == []


def test_a_full_segment_is_closed_and_another_begun(tmp_path: Path) -> None:
    log = PushLog(tmp_path, segment_bytes=100)
    for number in range(5):
        log.append([b"x" * 60 + str(number).encode()])
    log.close()
    assert len(segments(tmp_path)) == 3
    assert sorted(payloads(tmp_path)) == [b"x" * 60 + str(number).encode() for number in range(5)]


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As a full disk would, fail what is written beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_what_was_acknowledged_and_nothing_of_itself(tmp_path: Path) -> None:
    log = PushLog(tmp_path)
    log.append([b"kept"])
    with files_no_larger_than(64), pytest.raises(OSError, match="File too large"):
        log.append([b"y" * 200])
    assert payloads(tmp_path) == [b"kept"]
    log.append([b"after"])
    log.close()
    assert sorted(payloads(tmp_path)) == [b"after", b"kept"]


def test_kill_9_of_the_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        receipts = [writer.stdout.readline().strip() for _ in range(200)]
        os.kill(writer.pid, signal.SIGKILL)
        receipts += writer.stdout.read().split()
    found = {entry.receipt: entry.payload for segment in segments(tmp_path) for entry in entries(tmp_path, segment)}
    assert [found[receipt] for receipt in receipts] == [f"entry {n}".encode() * 50 for n in range(len(receipts))]


def test_requests_that_come_at_once_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    append = PushLog.append

    def counted(self: PushLog, given: list[bytes]) -> list[str]:
        groups.append(len(given))
        return append(self, given)

    monkeypatch.setattr(PushLog, "append", counted)

    async def push() -> list[str]:
        commit = GroupCommit(PushLog(tmp_path))
        receipts = await asyncio.gather(*(commit.append(f"{number}".encode()) for number in range(500)))
        await commit.close()
        return list(receipts)

    receipts = asyncio.run(push())
    assert len(set(receipts)) == 500
    assert payloads(tmp_path) == [f"{number}".encode() for number in range(500)]
    assert groups == [500]


class DiskLog(PushLog):
    """A log whose writes take as long as they are told to, by a clock of its own; it notes the thread of each."""

    def __init__(self, folder: Path, takes: Sequence[float]) -> None:
        super().__init__(folder)
        self.now, self.writers, self._takes = 0.0, list[str](), iter(takes)

    def append(self, payloads: Sequence[bytes]) -> list[str]:
        self.now += next(self._takes)
        self.writers.append(threading.current_thread().name)
        return super().append(payloads)


def test_a_slow_disk_makes_the_loop_wait_once_in_a_while_only(tmp_path: Path) -> None:
    slow, fast = 0.008, 0.0002

    async def push() -> list[str]:
        log = DiskLog(tmp_path, [fast, fast, slow, slow, slow, fast, fast])
        commit = GroupCommit(log, clock=lambda: log.now)
        for number in range(7):
            if number == 5:
                log.now += 1  # the time in which all are handed over is past
            await commit.append(f"{number}".encode())
        await commit.close()
        return log.writers

    assert asyncio.run(push()) == ["MainThread"] * 3 + ["push-log"] * 2 + ["MainThread"] * 2
    assert payloads(tmp_path) == [f"{number}".encode() for number in range(7)]


def test_a_commit_that_fails_tells_each_request_and_the_next_goes_on(tmp_path: Path) -> None:
    async def push() -> list[str | BaseException]:
        commit = GroupCommit(PushLog(tmp_path / "file" / "log"))
        (tmp_path / "file").write_text("in the way")
        failed = await asyncio.gather(commit.append(b"a"), commit.append(b"b"), return_exceptions=True)
        (tmp_path / "file").unlink()
        await commit.append(b"c")
        await commit.close()
        return failed

    assert [type(error).__name__ for error in asyncio.run(push())] == ["NotADirectoryError"] * 2
    assert payloads(tmp_path / "file" / "log") == [b"c"]


def test_the_backlog_is_what_waits(tmp_path: Path) -> None:
    assert (backlog(tmp_path).batches, backlog(tmp_path).oldest_at) == (0, None)
    log = PushLog(tmp_path)
    log.append([encode_batch(taken([GOOD])) for _ in range(3)])
    (segment,) = segments(tmp_path)
    ends = [entry.end for entry in entries(tmp_path, segment)]
    waiting = backlog(tmp_path)
    assert (waiting.batches, waiting.bytes) == (3, ends[-1] - len(MAGIC)) == (3, waiting_bytes(tmp_path))
    assert waiting.oldest_seconds is not None
    note_drained(tmp_path, segment, ends[1])
    assert (backlog(tmp_path).batches, waiting_bytes(tmp_path)) == (1, ends[2] - ends[1])
    log.close()

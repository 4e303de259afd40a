"""Bytes of cut downloads: what is kept of them, and what is believed later."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ingestion.partial import KEEP_FROM_BYTES, KEEP_SECONDS, NOTE_EVERY_BYTES, Origin, Part, Partials

URL = "https://static.example/large.csv"
FIRST, REST = b"a" * KEEP_FROM_BYTES, b"b" * 1000


class Cut(Exception):
    """The download ended here."""


def origin(total: int | None = len(FIRST + REST)) -> Origin:
    return Origin(validator='"1"', etag='"1"', last_modified=None, content_type="text/csv", total_bytes=total)


@contextmanager
def part_of(lake: Path, url: str = URL, told: list[int] | None = None) -> Iterator[Part]:
    into = lake / "tmp"
    into.mkdir(exist_ok=True)
    tell = told.append if told is not None else lambda _: None
    with Partials(lake / "partial", 10**9).part(url, into, {"sha1"}, tell) as part:
        yield part


def leave(lake: Path, *chunks: bytes, total: int | None = len(FIRST + REST), url: str = URL) -> None:
    """A download that was cut after these bytes."""
    with suppress(Cut), part_of(lake, url) as part:
        part.start(origin(total))
        for chunk in chunks:
            part.write(chunk)
        raise Cut


def files(lake: Path) -> list[Path]:
    return sorted(path for path in lake.rglob("*") if path.is_file())


def test_cut_download_is_taken_up_with_its_digests(tmp_path: Path) -> None:
    leave(tmp_path, FIRST)
    told: list[int] = []
    with part_of(tmp_path, told=told) as part:
        assert (part.can_resume, part.size_bytes, part.origin) == (True, len(FIRST), origin())
        part.write(REST)
        digests = part.hexdigest("sha1"), part.hexdigest("sha256")
        path = part.finish()
    assert path.parent == tmp_path / "tmp"
    assert path.read_bytes() == FIRST + REST
    assert digests == (hashlib.sha1(FIRST + REST).hexdigest(), hashlib.sha256(FIRST + REST).hexdigest())
    assert told == [len(FIRST), len(REST)]
    assert files(tmp_path) == [path]


def test_killed_download_loses_no_more_than_what_was_not_noted(tmp_path: Path) -> None:
    with part_of(tmp_path) as part:
        part.start(origin(NOTE_EVERY_BYTES * 2))
        part.write(b"a" * NOTE_EVERY_BYTES)
        part.write(b"b" * 1000)
        part.flush()
        (tmp_path / "after").mkdir()
        shutil.copytree(tmp_path / "partial", tmp_path / "after" / "partial")  # as a kill would leave it
    with part_of(tmp_path / "after") as part:
        assert (part.can_resume, part.size_bytes) == (True, NOTE_EVERY_BYTES)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data, note: data.write_bytes(b"x" + FIRST[1:]), id="a-byte-changed"),
        pytest.param(lambda data, note: data.write_bytes(FIRST[:-1]), id="an-end-lost"),
        pytest.param(lambda data, note: data.unlink(), id="no-bytes"),
        pytest.param(lambda data, note: note.write_text("{"), id="note-cut"),
        pytest.param(lambda data, note: note.write_text(note.read_text().replace("large", "other")), id="elsewhere"),
    ],
)
def test_bytes_that_are_not_those_noted_are_forgotten(tmp_path: Path, spoil: object) -> None:
    leave(tmp_path, FIRST)
    data, note = files(tmp_path)
    assert callable(spoil)
    spoil(data, note)
    told: list[int] = []
    with part_of(tmp_path, told=told) as part:
        assert (part.can_resume, part.size_bytes) == (False, 0)
        part.start(None)
        part.write(REST)
        assert part.hexdigest("sha256") == hashlib.sha256(REST).hexdigest()
        path = part.finish()
    assert told == [len(REST)]
    assert files(tmp_path) == [path]


@pytest.mark.parametrize(
    ("chunks", "total"),
    [
        pytest.param([], len(FIRST), id="nothing-came"),
        pytest.param([REST], len(REST) + 1, id="small"),
        pytest.param([FIRST], len(FIRST), id="all-of-it-came"),
    ],
)
def test_what_no_later_run_could_use_is_not_kept(tmp_path: Path, chunks: list[bytes], total: int) -> None:
    leave(tmp_path, *chunks, total=total)
    assert files(tmp_path) == []


def test_file_of_unknown_size_is_kept(tmp_path: Path) -> None:
    leave(tmp_path, REST, total=None)
    with part_of(tmp_path) as part:
        assert part.size_bytes == len(REST)


def test_one_download_at_a_time_has_the_kept_bytes(tmp_path: Path) -> None:
    leave(tmp_path, FIRST)
    with part_of(tmp_path) as first, part_of(tmp_path) as second:
        assert (first.size_bytes, second.size_bytes) == (len(FIRST), 0)
        second.start(origin())
        second.write(REST)
        assert second.path != first.path
        ready = second.finish()
    assert ready.read_bytes() == REST
    with part_of(tmp_path) as third:
        assert third.size_bytes == len(FIRST)


def test_discarded_bytes_are_gone(tmp_path: Path) -> None:
    told: list[int] = []
    with part_of(tmp_path, told=told) as part:
        part.start(origin())
        part.write(FIRST)
        part.discard()
    assert told == [len(FIRST), -len(FIRST)]
    assert files(tmp_path) == []


def test_part_that_was_not_started_takes_no_bytes(tmp_path: Path) -> None:
    with part_of(tmp_path) as part, pytest.raises(ValueError, match="after it was started"):
        part.write(REST)


def test_old_parts_are_swept_and_one_in_use_is_not(tmp_path: Path) -> None:
    leave(tmp_path, FIRST)
    leave(tmp_path, FIRST, url="https://static.example/used.csv")
    old = tmp_path / "partial" / "0123.json"
    old.write_text("{}")  # a note whose bytes are gone
    later = Partials(tmp_path / "partial", 10**9, now=lambda: old.stat().st_mtime + KEEP_SECONDS + 60)
    with part_of(tmp_path, "https://static.example/used.csv"):
        later.sweep()
        assert len(files(tmp_path)) == 2
    Partials(tmp_path / "partial", 10**9).sweep()
    assert len(files(tmp_path)) == 2  # young


def test_oldest_parts_make_room(tmp_path: Path) -> None:
    for number in range(3):
        leave(tmp_path, FIRST, url=f"https://static.example/{number}.csv")
        for path in files(tmp_path):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))
    Partials(tmp_path / "partial", 2 * KEEP_FROM_BYTES).sweep()
    kept = [number for number in range(3) if _is_kept(tmp_path, f"https://static.example/{number}.csv")]
    assert kept == [1, 2]


def _is_kept(lake: Path, url: str) -> bool:
    with part_of(lake, url) as part:
        return part.can_resume

"""The store on a folder: whole files or none, under any name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.settings import Settings
from catalog.storage import Store, raw_store

NAMES = ["plain.csv", "with space.csv", "été.csv", "100%.csv", "a#b?c.csv", "[a]*.csv", "a'b\"c.csv", "-rf", "x" * 200]


@pytest.fixture
def store(settings: Settings) -> Store:
    return raw_store(settings)


def local(folder: Path, content: bytes, name: str = "new") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_found_under_the_name_it_was_given(store: Store, tmp_path: Path, name: str) -> None:
    key = f"feed/{name}"
    assert not store.exists(key)
    store.put_file(local(tmp_path, b"content"), key)
    assert store.exists(key)
    assert store.read_bytes(key) == b"content"
    with store.open(key) as stream:
        assert stream.read(3) == b"con"
    assert store.local_copy(key, tmp_path / "scratch").read_bytes() == b"content"
    assert store.keys() == store.keys("feed") == [key]
    assert store.children("feed") == [name]


def test_a_file_put_is_moved(store: Store, tmp_path: Path) -> None:
    path = local(tmp_path, b"content")
    store.put_file(path, "a/b/c")
    assert not path.exists()


def test_writing_to_a_key_again_replaces_all_of_it(store: Store, tmp_path: Path) -> None:
    store.put_bytes(b"a long first content", "a")
    store.put_bytes(b"short", "a")
    assert store.read_bytes("a") == b"short"
    store.put_file(local(tmp_path, b"third"), "a")
    assert store.read_bytes("a") == b"third"


def test_a_reader_keeps_the_file_it_opened_through_a_replacement(store: Store) -> None:
    store.put_bytes(b"first", "a")
    with store.open("a") as stream:
        store.put_bytes(b"second", "a")
        assert stream.read() == b"first"
    assert store.read_bytes("a") == b"second"


def test_a_file_that_is_not_there_leaves_the_key_as_it_was(store: Store, tmp_path: Path) -> None:
    store.put_bytes(b"first", "a")
    with pytest.raises(FileNotFoundError):
        store.put_file(tmp_path / "nowhere", "a")
    assert store.read_bytes("a") == b"first"
    assert store.keys() == ["a"]


def test_an_unfinished_file_is_no_key(store: Store) -> None:
    store.put_bytes(b"done", "feed/a.csv")
    (Path(store.url("feed")) / ".a.csv.77.part").write_bytes(b"half")
    assert store.keys() == ["feed/a.csv"]
    assert store.children("feed") == ["a.csv"]


def test_keys_are_sorted_and_relative_whatever_the_prefix(store: Store) -> None:
    for key in ("b/2", "b/1/x", "a", "bc/3"):
        store.put_bytes(b"", key)
    assert store.keys() == ["a", "b/1/x", "b/2", "bc/3"]
    assert store.keys("b") == ["b/1/x", "b/2"]
    assert store.children() == ["a", "b", "bc"]
    assert store.children("b") == ["1", "2"]


def test_an_empty_store_holds_nothing(store: Store) -> None:
    assert store.keys() == store.children() == store.keys("nowhere") == store.children("nowhere") == []


def test_another_file_system_receives_the_whole_file(store: Store, other_disk: Path) -> None:
    path = local(other_disk, b"content" * 1000)
    store.put_file(path, "a")
    assert store.read_bytes("a") == b"content" * 1000
    assert not path.exists()
    assert store.keys() == ["a"]


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the temporary one."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second file system to write to")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)

"""Native copies of released and raw tables: made once, shared, followed from state to state, never in the way."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from api_lake import LakeWriter

from catalog.iceberg import Pin
from catalog.releases import current_release
from catalog.serving import CopyName, ServingCopies
from catalog.session import open_duckdb


def numbers(start: int, rows: int = 5_000) -> pa.Table:
    return pa.table({"n": list(range(start, start + rows)), "text": [f"ligne {n}" for n in range(rows)]})


@pytest.fixture
def lake(tmp_path: Path) -> LakeWriter:
    writer = LakeWriter(tmp_path)
    writer.release(date(2024, 1, 1), {("gold", "fct_a"): numbers(0), ("gold", "fct_b"): numbers(7)}, {})
    return writer


@contextmanager
def copies_of(lake: LakeWriter, limit: int | None = None) -> Iterator[tuple[ServingCopies, duckdb.DuckDBPyConnection]]:
    """Copies as one process of the gateway holds them."""
    settings = lake.settings if limit is None else lake.settings.model_copy(update={"serving_max_bytes": limit})
    with closing(open_duckdb(settings)) as engine, closing(ServingCopies(settings, lake.lakehouse, engine)) as copies:
        yield copies, engine


def pins(lake: LakeWriter) -> dict[str, Pin]:
    release = current_release(lake.ledger)
    return {table.pin.name: table.pin for table in release.tables} if release else {}


def files(lake: LakeWriter) -> set[str]:
    return {path.name for path in lake.settings.serving.iterdir()}


def file_of(pin: Pin) -> str:
    return f"{CopyName.of(pin).stem}.duckdb"


def test_a_copy_holds_every_row_with_its_number_in_the_stored_order(lake: LakeWriter) -> None:
    pin = pins(lake)["fct_a"]
    with copies_of(lake) as (copies, engine):
        assert copies.relation(pin) is None
        copies.ask(pin)
        copies.wait()
        rows = engine.execute(f"select __row, n from {copies.relation(pin)} order by __row").fetchall()
        assert rows == [(n, n) for n in range(5_000)]
        assert copies.ask(pin) is None  # once is enough
    assert files(lake) == {file_of(pin)}


def test_rows_of_several_files_are_numbered_as_iceberg_pages_order_them(lake: LakeWriter) -> None:
    from catalog.session import table_function

    for number in range(4):
        lake.load("f__t", [{"a": f"{number}-{line}"} for line in range(10)], date(2024, 1, 1 + number))
    pin = lake.lakehouse.pin("bronze", "f__t")
    assert pin
    with copies_of(lake) as (copies, engine):
        copies.ask(pin)
        copies.wait()
        copied = engine.execute(f"select a from {copies.relation(pin)} order by __row").fetchall()
        planned = f"select a from {table_function(pin)} order by filename, file_row_number"
        assert copied == engine.execute(planned).fetchall()


def test_another_process_reads_the_same_copy(lake: LakeWriter) -> None:
    pin = pins(lake)["fct_a"]
    with copies_of(lake) as (first, _), copies_of(lake) as (second, engine):
        first.ask(pin)
        first.wait()
        assert engine.execute(f"select count(*) from {second.relation(pin)}").fetchone() == (5_000,)


def test_a_copy_another_process_is_making_is_not_made_twice(lake: LakeWriter) -> None:
    pin = pins(lake)["fct_a"]
    lake.settings.serving.mkdir()
    lock = lake.settings.serving / f"{CopyName.of(pin).stem}.lock"
    with copies_of(lake) as (copies, _):
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            copies.ask(pin)
            copies.wait()
            assert (copies.relation(pin), files(lake)) == (None, {lock.name})
        assert copies.ask(pin)  # the other gave up
        copies.wait()
        assert copies.relation(pin)


def test_a_new_release_is_copied_where_the_old_one_was_and_the_one_before_goes(lake: LakeWriter) -> None:
    first = pins(lake)
    with copies_of(lake) as (copies, engine):
        copies.follow(first.values())
        copies.ask(first["fct_a"])
        copies.wait()
        lake.release(date(2024, 1, 2), {("gold", "fct_a"): numbers(100), ("gold", "fct_b"): numbers(8)}, {})
        second = pins(lake)
        copies.follow(second.values())
        copies.wait()
        assert files(lake) == {file_of(first["fct_a"]), file_of(second["fct_a"])}  # fct_b was never read
        lake.release(date(2024, 1, 3), {("gold", "fct_a"): numbers(200)}, {})
        third = pins(lake)
        with engine.cursor() as reader:  # who reads the oldest at this moment still can
            old = reader.execute(f"select n from {copies.relation(first['fct_a'])} order by n")
            copies.follow(third.values())
            copies.wait()
            assert len(old.fetchall()) == 5_000
        assert files(lake) == {file_of(second["fct_a"]), file_of(third["fct_a"])}
        assert copies.relation(first["fct_a"]) is None


def test_raw_tables_are_followed_each_by_itself_and_apart_from_releases(lake: LakeWriter) -> None:
    def loaded(name: str, day: int) -> Pin:
        lake.load(name, [{"a": str(day)}], date(2024, 1, day))
        pin = lake.lakehouse.pin("bronze", name)
        assert pin
        return pin

    released = pins(lake)["fct_a"]
    with copies_of(lake) as (copies, engine):
        first, other = loaded("f__t", 1), loaded("f__u", 1)
        copies.follow(pins(lake).values())
        for pin in (first, other):
            copies.follow([pin], raw=pin.name)
        for pin in (first, other, released):
            copies.ask(pin)
        copies.wait()
        second = loaded("f__t", 2)
        copies.follow([second], raw="f__t")
        copies.wait()
        assert files(lake) == {file_of(pin) for pin in (first, second, other, released)}
        third = loaded("f__t", 3)
        copies.follow([third], raw="f__t")
        lake.release(date(2024, 1, 2), {("gold", "fct_b"): numbers(8)}, {})
        copies.follow(pins(lake).values())
        copies.wait()
        assert files(lake) == {file_of(pin) for pin in (second, third, other, released)}  # released: the state before
        assert copies.relation(first) is None
        assert engine.execute(f"select a from {copies.relation(third)} order by 1").fetchall() == [
            ("1",),
            ("2",),
            ("3",),
        ]


def test_a_table_too_large_for_the_folder_is_left_to_iceberg(lake: LakeWriter) -> None:
    pin = pins(lake)["fct_a"]
    with copies_of(lake, 1_000) as (copies, _):
        copies.ask(pin)
        copies.wait()
        assert copies.relation(pin) is None
        assert copies.ask(pin) is None  # nor is it tried again
    assert not lake.settings.serving.exists()


def test_the_folder_keeps_within_its_bounds(lake: LakeWriter) -> None:
    both = pins(lake)
    with copies_of(lake) as (copies, _):
        copies.ask(both["fct_a"])
        copies.wait()
    size = (lake.settings.serving / file_of(both["fct_a"])).stat().st_size
    with copies_of(lake, int(size * 1.5)) as (copies, _):
        copies.follow(both.values())
        copies.ask(both["fct_b"])
        copies.wait()
        assert files(lake) == {file_of(both["fct_b"])}
        assert copies.relation(both["fct_a"]) is None


def test_nothing_is_copied_where_that_is_turned_off(lake: LakeWriter) -> None:
    with copies_of(lake, 0) as (copies, _):
        assert copies.ask(pins(lake)["fct_a"]) is None
    assert not lake.settings.serving.exists()


def test_a_file_that_is_no_copy_is_replaced(lake: LakeWriter) -> None:
    pin = pins(lake)["fct_a"]
    lake.settings.serving.mkdir()
    (lake.settings.serving / file_of(pin)).write_bytes(b"not a database" * 1000)
    (lake.settings.serving / "notes.txt").write_text("mine")
    with copies_of(lake) as (copies, _):
        assert copies.relation(pin) is None
        copies.ask(pin)
        copies.wait()
        assert copies.relation(pin)
    assert files(lake) == {"notes.txt", file_of(pin)}


def test_what_a_killed_process_left_is_written_over(lake: LakeWriter) -> None:
    pin = pins(lake)["fct_a"]
    lake.settings.serving.mkdir()
    (lake.settings.serving / f".{CopyName.of(pin).stem}.1.part").write_bytes(b"half")
    with copies_of(lake) as (copies, _):
        copies.ask(pin)
        copies.wait()
        assert copies.relation(pin)
    assert {path.name for path in lake.settings.serving.iterdir()} == {file_of(pin)}

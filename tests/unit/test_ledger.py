"""The ledger: runs, loads, and tables as Arrow."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from threading import Timer

import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from catalog import schema
from catalog.clock import utc_now
from catalog.ledger import HEAD, OPS_TABLES, Ledger
from catalog.settings import Settings

DAY = date(2024, 1, 2)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger(settings)
    yield opened
    opened.close()


def load(**more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "feed": "f", "table_name": "f__t", "resource_id": "r", "extraction_date": DAY, "source_file": "a.csv",
        "source_member": "", "source_sha256": "s", "rows_loaded": 3, "rows_rejected": 1, "status": "pending",
        "run_id": "x", "loaded_at": utc_now(), "facts": "{}",
    }  # fmt: skip
    return {**row, **more}


def reject(**more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "feed": "f", "table_name": "f__t", "resource_id": "r", "extraction_date": DAY, "source_file": "a.csv",
        "source_member": "", "source_line": 4, "raw_text": "a;b", "reason": "2 fields, 3 expected",
    }  # fmt: skip
    return {**row, **more}


def test_migrations_make_the_declared_tables(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []


def test_two_first_starts_at_once_make_one_ledger(settings: Settings) -> None:
    """Another process is making the tables and commits them while this one waits."""
    settings.lake.mkdir(parents=True)
    with closing(sqlite3.connect(settings.lake / "ledger.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("pragma journal_mode=wal")
        other.execute("begin immediate")
        other.execute("create table alembic_version (version_num text primary key)")
        other.execute("insert into alembic_version values (?)", [HEAD])
        commit = Timer(0.3, other.execute, ["commit"])
        commit.start()
        Ledger(settings).close()
        commit.join()


def test_every_ops_table_reads_as_arrow_even_empty(ledger: Ledger) -> None:
    for name in OPS_TABLES:
        table = ledger.arrow(name)
        assert table.num_rows == 0
        assert pa.null() not in table.schema.types


def test_a_run_whose_process_died_is_interrupted(settings: Settings, ledger: Ledger) -> None:
    code = (
        "from catalog.settings import load_settings; from catalog.ledger import Ledger;"
        "Ledger(load_settings()).start_run('run', ['f'], None)"
    )
    subprocess.run([sys.executable, "-c", code], env=settings.as_environment(), check=True)
    mine = ledger.start_run("sync", ["f"], DAY)
    runs = {row["run_id"]: row["status"] for row in ledger.arrow("runs").to_pylist()}
    assert runs.pop(mine) == "running"
    assert list(runs.values()) == ["interrupted"]


def test_loads_replace_all_that_came_with_them(ledger: Ledger) -> None:
    ledger.replace_loads([load()], [reject(), reject(source_line=9)], [])
    ledger.replace_loads([load(rows_loaded=5)], [reject()], [])
    assert [row["rows_loaded"] for row in ledger.arrow("loads").to_pylist()] == [5]
    assert [row["source_line"] for row in ledger.arrow("rejects").to_pylist()] == [4]
    assert ledger.arrow("rejects").to_pylist()[0]["source_member"] is None


def test_pending_loads_do_not_count_as_loaded(ledger: Ledger) -> None:
    ledger.replace_loads([load()], [], [])
    assert ledger.loaded_members("f__t", "r", DAY) == []
    ledger.finish_loads("another run", "f__t", DAY, 76)
    assert ledger.loaded_members("f__t", "r", DAY) == []
    ledger.finish_loads("x", "f__t", DAY, 77)
    assert [row.snapshot_id for row in ledger.loaded_members("f__t", "r", DAY)] == [77]


def test_previous_loads_are_those_of_the_newest_earlier_extraction(ledger: Ledger) -> None:
    days = [date(2024, 1, day) for day in (1, 3, 5)]
    loads = [load(extraction_date=day, source_sha256=str(day), status="loaded") for day in days]
    ledger.replace_loads(loads, [], [])
    assert [row.source_sha256 for row in ledger.previous_loads("f__t", "r", date(2024, 1, 5))] == ["2024-01-03"]
    assert ledger.previous_loads("f__t", "r", date(2024, 1, 1)) == []


def test_a_naive_time_cannot_enter(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.StatementError, match="naive"):
        ledger.replace_loads([load(loaded_at=utc_now().replace(tzinfo=None))], [], [])


def test_a_nul_in_a_file_can_enter_whatever_the_database(ledger: Ledger) -> None:
    ledger.replace_loads([load()], [reject(raw_text="a\0;b", reason="\0")], [])
    [found] = ledger.arrow("rejects").to_pylist()
    assert (found["raw_text"], found["reason"]) == ("a␀;b", "␀")


def test_rejects_that_take_long_to_find_keep_no_writer_waiting(ledger: Ledger, settings: Settings) -> None:
    ledger.replace_rejects("f__t", ["type"], [reject(stage="type", source_line=line) for line in (1, 2)])

    def found() -> Iterator[dict[str, object]]:
        yield reject(stage="type", source_line=3)
        with closing(sqlite3.connect(settings.lake / "ledger.db", timeout=0)) as other:
            other.execute("delete from loads")  # OperationalError: database is locked
            other.commit()

    ledger.replace_rejects("f__t", ["type"], found())
    assert [row["source_line"] for row in ledger.arrow("rejects").to_pylist()] == [3]

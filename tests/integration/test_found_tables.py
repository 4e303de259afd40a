"""Loading a feed that declares no table: what becomes one, all or nothing of a file, and what a crash leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from bronze_table import TINY
from conftest import lake_settings
from office_files import cells, xlsx
from raw_files import put_raw, zipped

from catalog.feed import Feed
from catalog.iceberg import BRONZE, LINEAGE, Lakehouse
from catalog.ledger import Ledger
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion import bronze, parquet
from ingestion.bronze import BronzeLoader, Load
from ingestion.decode import DecodedTable, RefusedMember, decode
from ingestion.parquet import BronzeFiles
from ingestion.raw import Manifest, RawZone

MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)
STOPS, TRIPS = b"stop;name\n1;Gare\n2;Port\n", b"trip,line\n7,A\n8\n"
PDF, CUT = b"%PDF-1.4\n", b'[{"a": 1}, {"a":'
TIMETABLE = (("stops.txt", STOPS), ("trips.txt", TRIPS), ("notice.pdf", PDF))
FEED = Feed.model_validate({**TINY, "tables": "auto"})


class Lake:
    """A lake that follows one feed."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.ledger, self.lakehouse = settings, Ledger(settings), Lakehouse(settings)
        self.runs = 0

    def put(self, day: date, name: str, content: bytes, resource: str = "r1") -> Manifest:
        return put_raw(self.settings, "tiny", day, name, content, resource)

    def load(self, *manifests: Manifest) -> list[Load]:
        self.runs += 1
        raw = RawZone(raw_store(self.settings))
        loader = BronzeLoader(self.ledger, self.lakehouse, raw, self.settings.scratch, f"run-{self.runs}")
        return loader.load(FEED, manifests)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Rows of a table, without when they were loaded."""
        found = pl.DataFrame(self.lakehouse.table(BRONZE, table).scan().to_arrow())
        found = found.drop("_loaded_at", "_source_file")
        return sorted(found.rows(), key=str)

    def content(self) -> dict[str, Any]:
        """Every table and load, free of what two runs of the same thing may differ in."""
        loads = self.ledger.arrow("loads").drop_columns(["run_id", "loaded_at", "snapshot_id"]).to_pylist()
        rejects = self.ledger.arrow("rejects").drop_columns(["reject_id"]).to_pylist()
        tables = {name: self.rows(name) for name in self.lakehouse.names(BRONZE)}
        return {"tables": tables, "loads": sorted(loads, key=str), "rejects": sorted(rejects, key=str)}

    def snapshots(self) -> dict[str, int]:
        names = self.lakehouse.names(BRONZE)
        return {name: len(self.lakehouse.table(BRONZE, name).snapshots()) for name in names}

    def facts(self, table: str) -> dict[str, Any]:
        [row] = [row for row in self.ledger.arrow("loads").to_pylist() if row["table_name"] == table]
        return dict(json.loads(row["facts"]))


@pytest.fixture
def lake(settings: Settings) -> Iterator[Lake]:
    opened = Lake(settings)
    with closing(opened.ledger), closing(opened.lakehouse):
        yield opened


def told(loads: Sequence[Load]) -> dict[str, tuple[str, str]]:
    return {load.source_member or load.source_file: (load.table_name, load.status) for load in loads}


def interrupted_at(call: int, original: Callable[..., Any], moment: str) -> Callable[..., Any]:
    """A function that ends the run at its nth call."""
    calls = 0

    def wrapped(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and moment == "before":
            raise KeyboardInterrupt
        result = original(*args, **more)
        if calls == call:
            raise KeyboardInterrupt
        return result

    return wrapped


def test_each_table_of_an_archive_is_a_bronze_table(lake: Lake) -> None:
    loads = lake.load(lake.put(MONDAY, "stran-2024.zip", zipped(TIMETABLE)))
    assert told(loads) == {
        "stops.txt": ("tiny__stran__stops", "loaded"),
        "trips.txt": ("tiny__stran__trips", "loaded"),
        "notice.pdf": ("tiny__stran", "refused"),
    }
    assert lake.lakehouse.names(BRONZE) == ["tiny__stran__stops", "tiny__stran__trips"]
    assert [row[:2] for row in lake.rows("tiny__stran__stops")] == [("1", "Gare"), ("2", "Port")]
    facts = lake.facts("tiny__stran__trips")
    assert (facts["columns"], facts["headers"], facts["separator"]) == (["trip", "line"], ["trip", "line"], ",")
    [reject] = lake.ledger.arrow("rejects").to_pylist()
    assert (reject["table_name"], reject["source_line"], reject["raw_text"]) == ("tiny__stran__trips", 3, "8")


def test_a_document_is_refused_and_no_error_but_damage_is_one(lake: Lake) -> None:
    files = (("a.pdf", PDF), ("p.csv", b"\x89PNG\r\n\x1a\n" + bytes(99)), ("s.csv", STOPS), ("x.json", CUT))
    loads = lake.load(*(lake.put(MONDAY, name, content, name[0]) for name, content in files))
    assert {load.source_file: (load.status, load.is_error) for load in loads} == {
        "a.pdf": ("refused", False),
        "p.csv": ("refused", False),
        "s.csv": ("loaded", False),
        "x.json": ("refused", True),
    }


def test_an_archive_of_documents_is_told_member_by_member(lake: Lake) -> None:
    loads = lake.load(lake.put(MONDAY, "g.zip", zipped([("a.pdf", PDF), ("b.pdf", PDF)])))
    assert [(load.source_member, load.status, load.is_error) for load in loads] == [
        ("a.pdf", "refused", False),
        ("b.pdf", "refused", False),
        ("", "refused", False),
    ]
    assert lake.lakehouse.names(BRONZE) == []


def test_what_was_an_error_is_one_still_when_asked_again(lake: Lake) -> None:
    manifests = lake.put(MONDAY, "a.pdf", PDF, "a"), lake.put(MONDAY, "x.json", CUT, "x")
    first = lake.load(*manifests)
    assert [load.is_error for load in first] == [False, True]
    assert lake.load(*manifests) == first


def test_a_member_that_was_loaded_and_can_no_more_be_read_is_an_error(lake: Lake) -> None:
    lake.load(lake.put(MONDAY, "g.zip", zipped(TIMETABLE)))
    changed = [("stops.txt", STOPS + b"3;Fort\n"), ("trips.txt", PDF), ("notice.pdf", PDF)]
    loads = lake.load(lake.put(TUESDAY, "g.zip", zipped(changed)))
    assert {load.source_member: load.is_error for load in loads if load.status == "refused"} == {
        "trips.txt": True,
        "notice.pdf": False,
    }
    [whole] = lake.load(lake.put(WEDNESDAY, "g.zip", PDF))
    assert whole.is_error


def test_the_same_thing_twice_changes_nothing(lake: Lake) -> None:
    manifest = lake.put(MONDAY, "g.zip", zipped(TIMETABLE))
    first = lake.load(manifest)
    before = lake.content(), lake.snapshots()
    again = lake.load(manifest)
    assert {load.source_member: load.status for load in again} == {
        "stops.txt": "already",
        "trips.txt": "already",
        "notice.pdf": "refused",
    }
    assert sum(load.rows_loaded for load in again) == sum(load.rows_loaded for load in first)
    assert (lake.content(), lake.snapshots()) == before


def test_unchanged_bytes_add_no_row_to_any_of_their_tables(lake: Lake) -> None:
    lake.load(lake.put(MONDAY, "g.zip", zipped(TIMETABLE)))
    before = lake.snapshots()
    loads = lake.load(lake.put(TUESDAY, "g.zip", zipped(TIMETABLE)))
    assert [(load.table_name, load.status) for load in loads] == [
        ("tiny__g__stops", "unchanged"),
        ("tiny__g__trips", "unchanged"),
    ]
    assert lake.snapshots() == before


TWO_FILES = (
    ("g-2023.zip", zipped(TIMETABLE), "r1"),
    ("g-2024.zip", zipped([("stops.txt", b"stop;name\n9;Pont\n"), ("lines.txt", b"line\nA\n")]), "r2"),
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run that nobody disturbs makes of two files that share a table."""
    opened = Lake(lake_settings(tmp_path_factory.mktemp("clean")))
    with closing(opened.ledger), closing(opened.lakehouse):
        opened.load(*(opened.put(MONDAY, *file) for file in TWO_FILES))
        content = opened.content()
    assert len(content["tables"]["tiny__g__stops"]) == 3
    return content


@pytest.mark.parametrize(
    ("where", "moment", "call"),
    [
        ("replace_loads", "before", 1),
        ("replace_loads", "after", 1),
        ("append_files", "before", 1),
        ("append_files", "after", 1),
        ("append_files", "before", 3),
        ("append_files", "after", 3),
        ("finish_loads", "after", 1),
        ("finish_loads", "before", 2),
    ],
)
def test_a_crash_anywhere_ends_as_one_clean_run(
    lake: Lake, clean: dict[str, Any], monkeypatch: pytest.MonkeyPatch, where: str, moment: str, call: int
) -> None:
    """In batches of one file: whatever is done of them is not done twice."""
    manifests = [lake.put(MONDAY, *file) for file in TWO_FILES]
    owner = lake.lakehouse if where == "append_files" else lake.ledger
    with monkeypatch.context() as patch:
        patch.setattr(bronze, "BATCH_REJECTS", 1)
        patch.setattr(owner, where, interrupted_at(call, getattr(owner, where), moment))
        with pytest.raises(KeyboardInterrupt):
            lake.load(*manifests)
    lake.load(*manifests)
    assert lake.content() == clean


def test_a_crash_between_two_tables_lets_the_next_day_load_the_whole_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes again are no news only where they were loaded to the last table."""
    manifest = lake.put(MONDAY, "g.zip", zipped(TIMETABLE))
    with monkeypatch.context() as patch:
        patch.setattr(lake.lakehouse, "append_files", interrupted_at(2, lake.lakehouse.append_files, "before"))
        with pytest.raises(KeyboardInterrupt):
            lake.load(manifest)
    loads = lake.load(lake.put(TUESDAY, "g.zip", zipped(TIMETABLE)))
    assert {load.table_name for load in loads if load.status == "loaded"} == {"tiny__g__stops", "tiny__g__trips"}
    assert len(lake.rows("tiny__g__trips")) == 1


def test_the_newest_extraction_tells_the_truth_whatever_the_order_of_loading(lake: Lake) -> None:
    other = zipped([("stops.txt", b"stop;name\n5;Quai\n"), ("trips.txt", TRIPS)])
    monday, wednesday = (lake.put(day, "g.zip", zipped(TIMETABLE)) for day in (MONDAY, WEDNESDAY))
    lake.load(monday)
    lake.load(wednesday)
    late = put_raw(lake.settings, "tiny", TUESDAY, "g.zip", other)
    lake.load(late)
    day = sorted({row[3] for row in lake.rows("tiny__g__stops")})
    assert day == [MONDAY, TUESDAY, WEDNESDAY]


def test_many_files_of_a_table_enter_in_one_commit(lake: Lake) -> None:
    manifests = [lake.put(MONDAY, f"obs-{year}.csv", b"a;b\n1;2\n", f"r{year}") for year in range(2000, 2010)]
    lake.load(*manifests)
    assert lake.snapshots() == {"tiny__obs": 1}
    assert len(lake.rows("tiny__obs")) == 10
    assert lake.lakehouse.totals(lake.lakehouse.pin(BRONZE, "tiny__obs"))["files"] == 1


def test_scratch_is_committed_before_it_grows_too_large(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "SMALL_CELLS", 1)
    monkeypatch.setattr(bronze, "BATCH_BYTES", 1)
    lake.load(*(lake.put(MONDAY, f"obs-{year}.csv", b"a;b\n1;2\n", f"r{year}") for year in (2001, 2002, 2003)))
    assert lake.snapshots() == {"tiny__obs": 3}
    assert len(lake.rows("tiny__obs")) == 3


def test_lineage_stays_last_when_columns_come(lake: Lake) -> None:
    lake.load(lake.put(MONDAY, "x.csv", b"a\n1\n"))
    lake.load(lake.put(TUESDAY, "x.csv", b"a;b\n1;2\n"))
    fields = lake.lakehouse.table(BRONZE, "tiny__x").schema().fields
    assert [field.name for field in fields] == ["a", "b", *LINEAGE]


@pytest.mark.parametrize("small_cells", [500_000, 1], ids=["sharing a file", "in files of its own"])
def test_a_table_that_cannot_be_read_to_its_end_takes_its_whole_file_and_no_other(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, small_cells: int
) -> None:
    def broken(path: Path, *, file_name: str, **more: Any) -> Iterator[DecodedTable | RefusedMember]:
        def fail(_: pl.Series) -> pl.Series:
            raise ValueError("bad block")

        yield from decode(path, file_name=file_name, **more)
        if file_name == "x-2021.csv":
            frame = pl.LazyFrame({"a": ["1"] * 3, "_source_line": [2, 3, 4]}).with_columns(
                pl.col("a").map_batches(fail, return_dtype=pl.String)
            )
            yield DecodedTable("second", ["a"], ["a"], frame, 3, [], {"kind": "csv"})

    monkeypatch.setattr(parquet, "SMALL_CELLS", small_cells)
    monkeypatch.setattr(bronze, "decode", broken)
    manifests = [lake.put(MONDAY, f"x-{year}.csv", STOPS, f"r{year}") for year in (2020, 2021, 2022)]
    loads = lake.load(*manifests)
    assert [load.status for load in loads] == ["loaded", "refused", "loaded"]
    assert "bad block" in str(loads[1].reason)
    assert loads[1].is_error
    assert [row[2] for row in lake.rows("tiny__x")] == ["r2020", "r2022"] * 2
    assert lake.content()["tables"].get("tiny__x__second", []) == []


class PanicException(BaseException):
    """What readers written in Rust raise."""


@pytest.mark.parametrize("error", [ZeroDivisionError("oops"), PanicException("oops")], ids=["python", "rust"])
def test_a_decoder_that_crashes_refuses_its_file_only(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def crashing(path: Path, *, file_name: str, **more: Any) -> Iterator[DecodedTable | RefusedMember]:
        yield from decode(path, file_name=file_name, **more)
        if file_name == "bad.csv":
            raise error

    monkeypatch.setattr(bronze, "decode", crashing)
    loads = lake.load(lake.put(MONDAY, "bad.csv", STOPS, "b"), lake.put(MONDAY, "good.csv", STOPS, "g"))
    assert [(load.source_file, load.status, load.is_error) for load in loads] == [
        ("bad.csv", "refused", True),
        ("good.csv", "loaded", False),
    ]
    assert type(error).__name__ in str(loads[0].reason)


def test_a_full_disk_is_no_fault_of_the_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Iterator[DecodedTable | RefusedMember]:
        raise OSError(28, "No space left on device")

    manifest = lake.put(MONDAY, "x.csv", STOPS)
    with monkeypatch.context() as patch:
        patch.setattr(bronze, "decode", full)
        with pytest.raises(OSError, match="No space left"):
            lake.load(manifest)
    assert [load.status for load in lake.load(manifest)] == ["loaded"]


def fail_to_write(*_: Any) -> None:
    """What polars raises on a full disk: its own error, without an errno."""
    raise pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)")


@pytest.mark.parametrize("small_cells", [0, 500_000], ids=["large", "small"])
def test_a_disk_that_fills_while_rows_are_written_is_no_fault_of_the_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, small_cells: int
) -> None:
    monkeypatch.setattr(parquet, "SMALL_CELLS", small_cells)
    manifest = lake.put(MONDAY, "x.csv", STOPS)
    with monkeypatch.context() as patch:
        patch.setattr(BronzeFiles, "_write", fail_to_write)
        with pytest.raises((OSError, pl.exceptions.ComputeError), match="No space left"):
            lake.load(manifest)
    assert [load.status for load in lake.load(manifest)] == ["loaded"]


def test_rows_kept_in_memory_that_cannot_be_written_are_not_called_loaded(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "KEPT_BYTES", 1)
    write, calls = BronzeFiles._write, iter([0, 1])

    def fail_once(files: BronzeFiles, *args: Any) -> None:
        if next(calls, None) == 1:
            raise pl.exceptions.ComputeError("something else")
        write(files, *args)

    manifests = [lake.put(MONDAY, f"x-{year}.csv", STOPS, f"r{year}") for year in (2020, 2021, 2022)]
    with monkeypatch.context() as patch:
        patch.setattr(BronzeFiles, "_write", fail_once)
        with pytest.raises(OSError, match="Rows already read could not be written"):
            lake.load(*manifests)
    assert [load.status for load in lake.load(*manifests)] == ["loaded"] * 3
    assert len(lake.rows("tiny__x")) == 6


def test_a_workbook_that_comes_later_joins_the_table_it_would_have_shared_at_once(lake: Lake) -> None:
    content = xlsx({"Feuil1": cells([["code", "name"], ["1", "Gare"], ["2", "Port"]])})
    first = lake.put(MONDAY, "stats-2023.xlsx", content, "r2023")
    later = lake.put(TUESDAY, "stats-2024.xlsx", content, "r2024")
    assert [load.table_name for load in (*lake.load(first), *lake.load(later))] == ["tiny__stats"] * 2


def test_nothing_stays_in_scratch(lake: Lake) -> None:
    lake.load(lake.put(MONDAY, "g.zip", zipped(TIMETABLE)))
    assert [path for path in lake.settings.scratch.rglob("*") if path.is_file()] == []

"""The upkeep of a lake: small files, manifests, snapshots, files nothing names; every release stays readable."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import lake_settings
from lakes import kill_odh, odh

from catalog import releases
from catalog.iceberg import BRONZE, GOLD, STAGING, Lakehouse, Pin, arrow_schema, content_id
from catalog.iceberg_files import bare_path, data_files, swap_files
from catalog.iceberg_upkeep import manifest_count, references, snapshot_ids
from catalog.ledger import Ledger
from catalog.locks import exclusive
from catalog.maintain import Maintainer, Maintenance, as_json, tidy_table
from catalog.registry import Registry
from catalog.releases import ReleasedTable
from catalog.session import EXTENSIONS, extension_file, open_duckdb, scan_sql, table_function
from catalog.settings import Settings

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
DAYS = [date(2024, 1, 1), date(2024, 1, 2)]
SCHEMA = pa.schema([("k", pa.int64()), ("v", pa.string())])


class Lake:
    """A lake with a bronze table of two days and many files, and a gold table of several releases and deltas."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings: Settings = lake_settings(folder / "lake", threads=1, **settings)
        self.ledger, self.lakehouse = Ledger(self.settings), Lakehouse(self.settings)
        self.duckdb = open_duckdb(self.settings)

    def close(self) -> None:
        self.duckdb.close()
        self.lakehouse.close()
        self.ledger.close()

    def load(self, day: date, *texts: str, columns: tuple[str, ...] = ("v",)) -> None:
        """One sync's commit of one small file."""
        table = self.lakehouse.ensure_bronze("f__t", dict.fromkeys(columns, "A header"))
        facts = {"_resource_id": "r", "_extraction_date": day, "_source_file": "f.csv", "_source_member": None}
        rows = {name: [value] * len(texts) for name, value in {**facts, "_loaded_at": NOW}.items()}
        self.lines = getattr(self, "lines", 1) + 1
        found = {"v": list(texts), **rows, "_source_line": [self.lines] * len(texts)}
        self.lakehouse.append_files(table, [self._file(table, found)], day.isoformat(), {})

    def release(self, *rows: tuple[int, str], day: date = DAYS[0]) -> int:
        """A release of a gold table that gains some rows; none carries the table over as it is."""
        table = self.lakehouse.stage_table(GOLD, "fct", SCHEMA, {})
        previous = releases.current_release(self.ledger)
        if rows or not previous:
            found = {"k": [k for k, _ in rows], "v": [v for _, v in rows]}
            swap_files(self.lakehouse, table, [], [self._file(table, found)], "release", {}, branch=STAGING)
            pin = Pin(GOLD, "fct", table.metadata_location, table.metadata.refs[STAGING].snapshot_id)
        else:
            pin = previous.tables[0].pin
        staged = releases.stage(self.ledger, "run", day, [ReleasedTable(pin, "d", 0, "")], {"d": "mark"})
        releases.publish(self.ledger, self.lakehouse, staged)
        return staged.release_id

    def maintain(self, *, dry: bool = False, now: datetime = NOW) -> Maintenance:
        run = None if dry else self.ledger.start_run("maintain", [], None)
        registry = Registry([])
        done = Maintainer(self.settings, registry, self.ledger, self.lakehouse, run, now).run(lambda *_: None)
        if run:
            self.ledger.finish_run(run, "succeeded")
        return done

    def rows(self, pins: Iterable[Pin]) -> list[list[tuple[Any, ...]]]:
        """Rows of tables as a process that begins now reads them: DuckDB remembers files by their path."""
        with duckdb.connect() as fresh:
            for extension in EXTENSIONS:
                fresh.execute(f"load '{extension_file(extension)}'")
            return [sorted(fresh.execute(scan_sql(pin)).fetchall(), key=str) for pin in pins]

    def read(self) -> dict[str, Any]:
        """What readers see: bronze now, and every release."""
        bronze = self.lakehouse.pin(BRONZE, "f__t")
        assert bronze
        numbers = self.published()
        found = self.rows([bronze, *(self.pin(number) for number in numbers)])
        return dict(zip(["bronze", *(f"release {number}" for number in numbers)], found, strict=True))

    def published(self) -> list[int]:
        rows = self.ledger.arrow("releases").to_pylist()
        return [row["release_id"] for row in rows if row["status"] == "published"]

    def pin(self, release_id: int) -> Pin:
        with self.ledger.begin() as connection:
            query = "select layer, table_name, metadata_location, snapshot_id from release_tables where release_id = ?"
            [row] = connection.exec_driver_sql(query, (release_id,)).all()
        return Pin(*row)

    def files(self) -> set[str]:
        return set(self.lakehouse.store.sizes(""))

    def head(self, layer: str, name: str) -> int:
        head = self.lakehouse.table(layer, name).current_snapshot()
        assert head
        return head.snapshot_id

    def _file(self, table: Any, columns: dict[str, list[Any]]) -> Path:
        path = self.folder / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(pa.table(columns, schema=arrow_schema(table, columns)), path)
        return path


def fill(lake: Lake) -> None:
    """Two bronze days of 6 and 2 files; 7 releases of gold, of which 2 share a snapshot; debris of a crash."""
    for number in range(6):
        lake.load(DAYS[0], f"a{number}", f"b{number}")
    for number in range(2):
        lake.load(DAYS[1], f"c{number}")
    for number in range(6):
        lake.release((number, f"v{number}"))
    lake.release()
    lake.lakehouse.stage_table(GOLD, "fct", SCHEMA, {})  # a build that was killed: a branch, and a file of no snapshot
    (Path(lake.lakehouse.store.root) / "gold/fct/data/release/orphan.parquet").write_bytes(b"killed")
    stray = Path(lake.lakehouse.store.root) / "gold/never_made/metadata/00000.metadata.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("{}")


@dataclass
class Story:
    """A lake before, after one upkeep, after a second at once, and after one four days later."""

    lake: Lake
    read: dict[str, Any]
    pins: dict[int, Pin]
    listed: dict[str, Any]
    files_before: set[str]
    files_listed: set[str]
    first: Maintenance
    read_after: dict[str, Any]
    files_after: set[str]
    order: list[tuple[Any, ...]]
    second: Maintenance
    old_readers: list[list[tuple[Any, ...]]]
    later: Maintenance
    read_later: dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    lake = Lake(tmp_path_factory.mktemp("maintained"))
    with closing(lake):
        fill(lake)
        before, pins, files = lake.read(), {one: lake.pin(one) for one in lake.published()}, lake.files()
        listed = as_json(lake.maintain(dry=True))
        files_listed = lake.files()
        first = lake.maintain()
        read_after, files_after = lake.read(), lake.files()
        function = table_function(lake.lakehouse.pin(BRONZE, "f__t"))  # type: ignore[arg-type]
        order = lake.duckdb.execute(
            f"select v, _source_line from {function} where _extraction_date = '{DAYS[0]}' order by file_row_number"
        ).fetchall()
        old_readers = lake.rows(pins.values())
        second = lake.maintain(now=NOW + timedelta(hours=1))
        later = lake.maintain(now=NOW + timedelta(days=4))
        yield Story(
            lake, before, pins, listed, files, files_listed, first, read_after, files_after, order, second,
            old_readers, later, lake.read(),
        )  # fmt: skip


def plan_of(done: Maintenance, layer: str, name: str) -> Any:
    return next((plan for plan in done.tables if (plan.layer, plan.name) == (layer, name)), None)


def test_a_dry_run_lists_and_changes_nothing(story: Story) -> None:
    assert story.files_listed == story.files_before
    assert story.listed == as_json(story.first)  # what was listed is what was done
    assert story.listed["totals"]["files_compacted"] > 0


def test_readers_see_the_same_before_and_after(story: Story) -> None:
    assert story.read_after == story.read == story.read_later
    assert len(story.read["bronze"]) == 14
    assert [len(story.read[f"release {one}"]) for one in range(1, 8)] == [1, 2, 3, 4, 5, 6, 6]


def test_many_small_files_of_a_partition_become_one_in_the_same_order(story: Story) -> None:
    table = story.lake.lakehouse.table(BRONZE, "f__t")
    assert sorted((one.day, one.rows) for one in data_files(table)) == [(DAYS[0], 12), (DAYS[1], 1), (DAYS[1], 1)]
    assert story.order == [(f"{letter}{number}", number + 2) for number in range(6) for letter in "ab"]
    assert [one.rows for one in data_files(story.lake.lakehouse.table(GOLD, "fct"))] == [6]


def test_snapshots_no_release_pins_are_expired_and_tags_honoured(story: Story) -> None:
    table = story.lake.lakehouse.table(GOLD, "fct")
    pinned = {story.lake.pin(one).snapshot_id for one in story.lake.published()}
    assert set(snapshot_ids(table)) == pinned
    assert references(table).tags == {f"release-{one}": story.lake.pin(one).snapshot_id for one in range(1, 7)}
    assert references(table).branches == {}
    assert len(snapshot_ids(story.lake.lakehouse.table(BRONZE, "f__t"))) == 1


def test_releases_of_a_rewritten_snapshot_share_its_stand_in(story: Story) -> None:
    head = story.lake.head(GOLD, "fct")
    assert story.lake.pin(6).snapshot_id == story.lake.pin(7).snapshot_id == head != story.pins[6].snapshot_id
    assert content_id(story.lake.lakehouse.table(GOLD, "fct"), head) == story.pins[6].snapshot_id
    locations = {story.lake.pin(one).metadata_location for one in story.lake.published()}
    assert locations == {story.lake.lakehouse.table(GOLD, "fct").metadata_location}


def test_a_reader_that_opened_a_release_before_goes_on_reading(story: Story) -> None:
    assert story.old_readers == [story.read[f"release {one}"] for one in story.pins]
    assert story.files_after >= story.files_before


def test_files_nothing_names_go_after_the_delay(story: Story) -> None:
    assert plan_of(story.second, GOLD, "fct") is None or not plan_of(story.second, GOLD, "fct").removed
    removed = {key.rpartition("/")[2] for plan in story.later.tables for key in plan.removed}
    assert {"orphan.parquet", "00000.metadata.json"} <= removed
    left = {key for key in story.lake.files() if key.endswith(".parquet")}
    named = {
        bare_path(one.path).removeprefix(f"{story.lake.lakehouse.store.root}/")
        for layer, name in ((BRONZE, "f__t"), (GOLD, "fct"))
        for snapshot in snapshot_ids(story.lake.lakehouse.table(layer, name))
        for one in data_files(story.lake.lakehouse.table(layer, name), snapshot)
    }
    assert left == named


def test_what_was_removed_is_in_the_audit_table(story: Story) -> None:
    audit = story.lake.ledger.arrow("removals").to_pylist()
    bytes_removed = sum(sum(plan.removed.values()) for plan in story.later.tables)
    assert sum(row["bytes"] for row in audit if row["what"] == "files") == bytes_removed > 0


def test_an_upkeep_soon_finds_nothing_to_do(story: Story) -> None:
    for days in (8, 12, 16):  # the last commits' own metadata files
        story.lake.maintain(now=NOW + timedelta(days=days))
    assert story.lake.maintain(dry=True, now=NOW + timedelta(days=20)).tables == []
    metadata = [key for key in story.lake.files() if key.startswith("gold/fct") and key.endswith(".metadata.json")]
    assert len(metadata) <= 11


def test_a_rewrite_is_no_change_to_those_who_build_on_the_table(tmp_path: Path) -> None:
    with closing(Lake(tmp_path)) as lake:
        for number in range(5):
            lake.load(DAYS[0], f"x{number}")
        before = lake.lakehouse.pin(BRONZE, "f__t")
        lake.maintain()
        after = lake.lakehouse.pin(BRONZE, "f__t")
        assert before
        assert after
        assert (after.content_id, after.snapshot_id) == (before.snapshot_id, lake.head(BRONZE, "f__t"))
        assert after.snapshot_id != before.snapshot_id
        lake.load(DAYS[0], "y")
        newest = lake.lakehouse.pin(BRONZE, "f__t")
        assert newest
        assert newest.content_id == newest.snapshot_id


def test_the_bronze_a_release_was_made_from_stays_readable(tmp_path: Path) -> None:
    with closing(Lake(tmp_path, file_delay_days=0)) as lake:
        for number in range(5):
            lake.load(DAYS[0], f"x{number}")
        release = lake.release((1, "v"))
        made_from = lake.lakehouse.pin(BRONZE, "f__t")
        assert made_from
        row = (release, "f__t", made_from.metadata_location, made_from.snapshot_id)
        with lake.ledger.begin() as connection:
            connection.exec_driver_sql("insert into release_inputs values (?, ?, ?, ?)", row)
        for number in range(5, 10):
            lake.load(DAYS[0], f"x{number}")
        for _ in range(2):
            lake.maintain()
        with lake.ledger.begin() as connection:
            query = "select metadata_location, snapshot_id from release_inputs"
            [(location, snapshot)] = connection.exec_driver_sql(query).all()
        then, now = lake.rows([Pin(BRONZE, "f__t", location, snapshot), Pin(BRONZE, "f__t", location, None)])
        assert (len(then), len(now)) == (5, 10)
        assert len(data_files(lake.lakehouse.table(BRONZE, "f__t"))) == 1


def test_a_loop_of_small_commits_stays_small(tmp_path: Path) -> None:
    with closing(Lake(tmp_path)) as lake:
        for number in range(30):
            lake.load(DAYS[0], f"x{number}")
            if number % 10 == 9:
                tidy_table(lake.settings, lake.ledger, lake.lakehouse, BRONZE, "f__t", NOW)
        table = lake.lakehouse.table(BRONZE, "f__t")
        assert len(snapshot_ids(table)) == 1
        assert [one.rows for one in data_files(table)] == [30]
        assert manifest_count(table) <= 2
        assert len(lake.read()["bronze"]) == 30


def test_a_column_that_a_failed_build_added_stays_out_of_main(tmp_path: Path) -> None:
    with closing(Lake(tmp_path)) as lake:
        lake.load(DAYS[0], "a")
        for number in range(5):
            lake.release((number, "v"))
        wider = pa.schema([*SCHEMA, ("never_released", pa.string())])
        lake.lakehouse.stage_table(GOLD, "fct", wider, {})
        read = lake.read()
        assert plan_of(lake.maintain(), GOLD, "fct").small_files == ()
        assert lake.read() == read
        assert all(len(row) == 2 for row in read["release 5"])


def test_a_feed_being_synced_is_left_for_the_next_time(tmp_path: Path) -> None:
    with closing(Lake(tmp_path, lock_timeout_seconds=0)) as lake:
        for number in range(5):
            lake.load(DAYS[0], f"x{number}")
        with exclusive(lake.settings, lake.ledger, "feed-f"):
            done = lake.maintain()
        assert (done.busy, len(snapshot_ids(lake.lakehouse.table(BRONZE, "f__t")))) == (["f"], 5)


# In the order of the work: each upkeep is killed, and the next one must get further.
POINTS = (
    ("catalog.retained:begin_rewrite", "after", 1),
    ("catalog.upkeep:swap_files", "after", 1),  # gold rewritten, releases pin the old snapshot
    ("catalog.upkeep:let_go", "before", 1),  # releases pin the stand-in, tags are at the old one
    ("catalog.retained:note_unnamed", "before", 2),
    ("catalog.storage:Store.delete", "after", 2),
)


def test_killed_at_every_step_a_lake_reads_the_same_and_the_next_upkeep_ends_the_work(tmp_path: Path) -> None:
    with closing(Lake(tmp_path, file_delay_days=0)) as lake:
        fill(lake)
        read = lake.read()
        for point in POINTS:
            kill_odh(lake.settings, point, "maintain")
            assert lake.read() == read, point
        done = odh(lake.settings, "maintain", "--json").json
        assert done["dry_run"] is False
        assert lake.read() == read
        assert [one.rows for one in data_files(lake.lakehouse.table(GOLD, "fct"))] == [6]
        assert lake.pin(7).snapshot_id == lake.head(GOLD, "fct")
        assert references(lake.lakehouse.table(GOLD, "fct")).tags["release-6"] == lake.head(GOLD, "fct")
        odh(lake.settings, "maintain")
        assert not [key for key in lake.files() if "orphan" in key or "never_made" in key]


def test_a_dry_run_of_the_command_records_no_run(tmp_path: Path) -> None:
    with closing(Lake(tmp_path)) as lake:
        lake.load(DAYS[0], "a")
        told = odh(lake.settings, "maintain", "--dry-run", "--json").json
        assert (told["dry_run"], told["busy"]) == (True, [])
        assert lake.ledger.arrow("runs").num_rows == 0
        assert json.dumps(told)

"""Retention: raw files, bronze rows and releases that are too old go, each with its audit row, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import lake_settings
from lakes import kill_odh, sql
from raw_files import put_raw
from tiny_warehouse import feed

from catalog import schema
from catalog.feed import Feed, Retention
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.maintain import Maintainer, Maintenance, as_json
from catalog.quality.report import Report, write_report
from catalog.registry import Registry
from catalog.retention import days_beyond, old_releases
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader
from ingestion.raw import RawZone

DAYS = [date(2024, 1, day) for day in range(1, 6)]
NOW = datetime(2024, 1, 5, 12, tzinfo=UTC)
# one resource changes every day, one only on the first and is the same since, one is an event log of each day
CONTENTS = {
    "states": lambda n: f"k;v\na;{n}\nb;{n}\n",
    "steady": lambda _: "k;v\ns;1\n",
    "events": lambda n: f"k;v\ne{n};1\n",
}


class Kept:
    """A lake of one feed that keeps its last two extractions."""

    def __init__(self, folder: Path, retention: dict[str, int], **settings: Any) -> None:
        self.settings = lake_settings(folder / "lake", threads=1, **settings)
        self.ledger, self.lakehouse = Ledger(self.settings), Lakehouse(self.settings)
        self.raw = raw_store(self.settings)
        events = {"name": "events", "description": "Events.", "resources": "events", "mode": "append"}
        states = {"name": "states", "description": "States.", "resources": "states|steady"}
        self.feed: Feed = feed("f", tables=[states, events], retention=retention)
        written = self.settings.lake / "feeds" / "f.yml"
        written.parent.mkdir(parents=True)
        written.write_text(yaml.safe_dump(self.feed.model_dump(mode="json", exclude_defaults=True)))

    def close(self) -> None:
        self.lakehouse.close()
        self.ledger.close()

    def fill(self) -> None:
        for number, day in enumerate(DAYS):
            manifests = [
                put_raw(self.settings, "f", day, f"{name}.csv", content(number).encode(), name)
                for name, content in CONTENTS.items()
            ]
            for one in manifests:
                facts = one.model_dump(include={"feed", "extraction_date", "resource_id", "status", "file_name"})
                size = {"sha256": one.sha256, "size_bytes": one.size_bytes, "raw_key": one.key}
                self.ledger.record_extraction(**facts, **size, run_id="load")
            loader = BronzeLoader(self.ledger, self.lakehouse, RawZone(self.raw), self.settings.scratch, f"run-{day}")
            loader.load(self.feed, manifests)

    def maintain(self, *, dry: bool = False, now: datetime = NOW) -> Maintenance:
        run = None if dry else "maintain"
        maintainer = Maintainer(self.settings, Registry([self.feed]), self.ledger, self.lakehouse, run, now)
        return maintainer.run(lambda *_: None)

    def files(self) -> list[str]:
        return [key for key in self.raw.keys("") if not key.endswith(".manifest.json")]

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return sql(self.settings, f"select _extraction_date, k, v from bronze.{table} order by all")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kept, Any, Any, Any]]:
    lake = Kept(tmp_path_factory.mktemp("kept"), {"extractions": 2})
    with closing(lake):
        lake.fill()
        files, rows = lake.files(), lake.rows("f__states")
        listed = lake.maintain(dry=True)
        assert (lake.files(), lake.rows("f__states")) == (files, rows)
        yield lake, as_json(listed)["removed"], as_json(lake.maintain())["removed"], as_json(lake.maintain())["removed"]


def test_old_versions_leave_bronze_and_the_newest_of_each_resource_stays(kept: tuple[Kept, Any, Any, Any]) -> None:
    lake = kept[0]
    states = [(DAYS[n], k, str(n)) for n in (3, 4) for k in "ab"]
    assert lake.rows("f__states") == [(DAYS[0], "s", "1"), *states]  # the steady one was loaded on the first day only


def test_rows_that_are_current_for_ever_stay(kept: tuple[Kept, Any, Any, Any]) -> None:
    assert [row[1] for row in kept[0].rows("f__events")] == ["e0", "e1", "e2", "e3", "e4"]


def test_old_raw_files_go_but_for_those_a_kept_version_refers_to(kept: tuple[Kept, Any, Any, Any]) -> None:
    expected = [f"f/extraction_date={DAYS[n]}/{name}/{name}.csv" for n in (3, 4) for name in ("events", "states")]
    assert kept[0].files() == sorted([f"f/extraction_date={DAYS[0]}/steady/steady.csv", *expected])


def test_what_was_listed_is_what_was_removed_and_once(kept: tuple[Kept, Any, Any, Any]) -> None:
    _, listed, first, second = kept
    assert listed == first
    assert second == []
    assert sorted({one["what"] for one in first}) == ["bronze_rows", "raw_file"]


def test_everything_removed_is_in_the_audit_table(kept: tuple[Kept, Any, Any, Any]) -> None:
    columns = "what, key, extraction_date, rows, bytes, sha256 is not null, reason, run_id"
    audit = sql(kept[0].settings, f"select {columns} from ops.removals where what <> 'files' order by all")
    reason = "retention of the feed f"
    states = [("bronze_rows", None, DAYS[n], 2, None, False, reason, "maintain") for n in range(3)]
    sizes = {name: [len(content(n)) for n in range(3)] for name, content in CONTENTS.items()}
    day = [f"f/extraction_date={one}" for one in DAYS]
    raw = [
        ("raw_file", f"{day[n]}/{name}/{name}.csv", DAYS[n], None, sizes[name][n], True, reason, "maintain")
        for n in range(3)
        for name in ("events", "states")
    ]  # fmt: skip
    assert audit == states + raw


def test_removed_versions_are_marked_and_not_loaded_again(kept: tuple[Kept, Any, Any, Any]) -> None:
    lake = kept[0]
    marked = sql(lake.settings, "select count(*) from ops.loads where status = 'removed' and table_name = 'f__states'")
    assert marked == [(3,)]
    before = lake.rows("f__states")
    old = RawZone(lake.raw).manifest("f", DAYS[1], "states")
    assert old
    loader = BronzeLoader(lake.ledger, lake.lakehouse, RawZone(lake.raw), lake.settings.scratch, "again")
    assert [load.status for load in loader.load(lake.feed, [old])] == ["removed"]
    assert lake.rows("f__states") == before


POINTS = (
    ("catalog.retention:mark_versions", "after", 1),
    ("catalog.retention:mark_raw", "after", 1),
)


def test_killed_at_every_step_retention_is_ended_by_the_next_upkeep(tmp_path: Path) -> None:
    with closing(Kept(tmp_path, {"days": 2})) as lake:
        lake.fill()
        for point in POINTS:
            kill_odh(lake.settings, point, "maintain")
        now = datetime.now(UTC)
        lake.maintain(now=now)
        assert lake.rows("f__states") == [(DAYS[0], "s", "1"), *[(DAYS[4], k, "4") for k in "ab"]]
        assert len(lake.files()) == 3  # all days are long ago: the newest version of each resource
        audit = sql(
            lake.settings, "select what, count(*), sum(rows) from ops.removals where what <> 'files' group by what"
        )
        assert sorted(audit) == [("bronze_rows", 4, 8), ("raw_file", 8, None)]


@pytest.mark.parametrize(
    ("limits", "kept_days"),
    [
        ({}, 5),
        ({"extractions": 2}, 2),
        ({"days": 3}, 3),
        ({"extractions": 4, "days": 1}, 4),
        ({"extractions": 1, "days": 9}, 5),
    ],
    ids=["no limit", "extractions", "days", "more extractions", "more days"],
)
def test_a_day_goes_when_no_limit_keeps_it(limits: dict[str, int], kept_days: int) -> None:
    assert sorted(set(DAYS) - days_beyond(DAYS, Retention(**limits), DAYS[-1])) == DAYS[5 - kept_days :]


def test_releases_beyond_their_days_go_and_the_current_one_stays(tmp_path: Path) -> None:
    from test_maintain import Lake

    with closing(Lake(tmp_path, release_days=30)) as lake:
        lake.load(DAYS[0], "a")
        for number in range(3):
            lake.release((number, f"v{number}"))
        with lake.ledger.begin() as connection:
            connection.exec_driver_sql("update releases set published_at = '2023-01-01 00:00:00' where release_id <> 2")
        assert old_releases(lake.ledger, 30, NOW) == [1]
        now = datetime.now(UTC)
        with lake.ledger.begin() as connection:
            connection.exec_driver_sql("update releases set published_at = ? where release_id = 2", (str(now)[:26],))
        pin = lake.pin(1)
        first = lake.maintain(now=now)
        assert [(one.what, one.key) for one in first.removed] == [("release", "1")]
        assert lake.published() == [2, 3]
        assert lake.rows([pin]) == [[(0, "v0")]]  # who opened it reads on
        for days in (4, 8):
            lake.maintain(now=now + timedelta(days=days))
        table = lake.lakehouse.table("gold", "fct")
        assert {one.snapshot_id for one in table.metadata.snapshots} == {
            lake.pin(2).snapshot_id,
            lake.pin(3).snapshot_id,
        }
        assert set(table.metadata.refs) == {"main", "release-2", "release-3"}


def test_reports_beyond_their_days_go_and_the_newest_stays(tmp_path: Path) -> None:
    from test_maintain import Lake

    with closing(Lake(tmp_path, report_days=30)) as lake:
        for number, age in enumerate((60, 31, 29, 60), start=1):
            report = Report(f"2024010{number}", "build", DAYS[0], NOW)
            for path in (write_report(lake.settings, report), lake.settings.reports / f"{report.run_id}.html"):
                moment = (NOW - timedelta(days=age)).timestamp()
                os.utime(path, (moment, moment))
        planned = [(one.what, one.key) for one in lake.maintain(dry=True, now=NOW).removed]
        assert planned == [("report", "20240101"), ("report", "20240102")]
        assert len(list(lake.settings.reports.iterdir())) == 8
        assert lake.maintain(now=NOW).totals()["reports_removed"] == 2
        left = {path.name for path in lake.settings.reports.iterdir()}
        assert left == {f"2024010{number}.{kind}" for number in (3, 4) for kind in ("html", "json")}
        audit = sql(lake.settings, "select key, reason, bytes > 0 from ops.removals where what = 'report' order by key")
        assert audit == [(key, "ODH_REPORT_DAYS=30", True) for key in ("20240101", "20240102")]
        assert lake.maintain(now=NOW).removed == []


def test_rows_of_the_audit_beyond_their_days_go(tmp_path: Path) -> None:
    from test_maintain import Lake

    facts = {"method": "POST", "path": "/sql", "status": 200, "requests": 1, "seconds": 0.1}
    with closing(Lake(tmp_path, audit_days=30)) as lake:
        with lake.ledger.begin() as connection:
            ages = [{**facts, "at": NOW - timedelta(days=age)} for age in (60, 31, 29)]
            connection.execute(schema.audit.insert(), ages)
        assert [(one.what, one.rows) for one in lake.maintain(dry=True, now=NOW).removed] == [("audit", 2)]
        assert lake.ledger.arrow("audit").num_rows == 3
        totals = lake.maintain(now=NOW).totals()
        assert (totals["audit_removed"], totals["rows_removed"]) == (2, 0)
        assert lake.ledger.arrow("audit").column("at").to_pylist() == [NOW - timedelta(days=29)]
        told = sql(lake.settings, "select what, rows, reason from ops.removals")
        assert told == [("audit", 2, "ODH_AUDIT_DAYS=30")]

"""Loading bronze: rows and lineage, what changes nothing, what is refused, and what a crash leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date

import duckdb
import pytest
import sqlalchemy as sa
from bronze_table import CSV, Bronze
from conftest import lake_settings
from raw_files import zipped

from catalog import schema
from catalog.iceberg import BRONZE, SOURCES_PROPERTY, field_ids
from catalog.session import open_duckdb
from catalog.settings import Settings

MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_duckdb(lake_settings(tmp_path_factory.mktemp("reader"))) as connection:
        yield connection


@pytest.fixture
def bronze(settings: Settings, reader: duckdb.DuckDBPyConnection) -> Iterator[Bronze]:
    opened = Bronze(settings, reader)
    with closing(opened.ledger), closing(opened.lakehouse):
        yield opened


def test_rows_are_text_and_know_whence_they_come(bronze: Bronze) -> None:
    [load] = bronze.load(bronze.put(MONDAY, b"a title\n\n" + CSV))
    assert (load.status, load.rows_loaded, load.rows_rejected) == ("loaded", 2, 0)
    assert bronze.rows() == [("01000", "Bourg"), ("75001", "Paris")]
    lineage = "_resource_id, _extraction_date, _source_file, _source_member, _source_line"
    assert bronze.rows(lineage) == [("r1", MONDAY, "lines.csv", None, line) for line in (4, 5)]
    assert {moment.tzinfo is not None for [moment] in bronze.rows("_loaded_at")} == {True}
    described = dict(row[:2] for row in bronze.sql("describe bronze.tiny__lines"))
    assert described["code_postal"] == "VARCHAR"
    assert described["_source_line"] == "BIGINT"


def test_the_snapshot_names_the_raw_file_by_its_sha256(bronze: Bronze) -> None:
    manifest = bronze.put(MONDAY)
    bronze.load(manifest, run_id="run-7")
    [summary] = bronze.snapshots()
    assert json.loads(summary[SOURCES_PROPERTY]) == [
        {"resource_id": "r1", "file": "lines.csv", "sha256": manifest.sha256}
    ]
    assert summary["odh.run_id"] == "run-7"
    assert bronze.loads("source_sha256") == [(manifest.sha256,)]


def test_the_headers_become_the_docs_of_their_columns(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY))
    pin = bronze.lakehouse.pin(BRONZE, "tiny__lines")
    assert pin
    assert bronze.lakehouse.describe(pin)[1]["code_postal"] == "Code postal"


def test_a_column_without_header_is_one_of_the_columns(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY, b"code;;libelle\n1;2;3\n"))
    pin = bronze.lakehouse.pin(BRONZE, "tiny__lines")
    assert pin
    assert bronze.lakehouse.headers(pin) == {"code": "code", "column_2": "", "libelle": "libelle"}


def test_the_same_extraction_twice_changes_nothing(bronze: Bronze) -> None:
    manifest = bronze.put(MONDAY)
    bronze.load(manifest)
    before = bronze.lakehouse.pin(BRONZE, "tiny__lines"), bronze.loads("*")
    [again] = bronze.load(manifest)
    assert (again.status, again.rows_loaded) == ("already", 2)
    assert (bronze.lakehouse.pin(BRONZE, "tiny__lines"), bronze.loads("*")) == before


def test_unchanged_bytes_the_next_day_add_no_row(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY))
    before = bronze.lakehouse.pin(BRONZE, "tiny__lines")
    [load] = bronze.load(bronze.put(TUESDAY))
    assert (load.status, load.rows_loaded) == ("unchanged", 0)
    assert bronze.lakehouse.pin(BRONZE, "tiny__lines") == before
    assert bronze.loads() == [("loaded", 2), ("unchanged", 0)]


def test_bytes_that_come_back_are_loaded_again(bronze: Bronze) -> None:
    for day, content in ((MONDAY, CSV), (TUESDAY, CSV + b"2A004;Ajaccio\n"), (WEDNESDAY, CSV)):
        bronze.load(bronze.put(day, content))
    assert bronze.loads() == [("loaded", 2), ("loaded", 3), ("loaded", 2)]


def test_a_new_column_is_null_in_the_rows_before_it(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY))
    ids = field_ids(bronze.lakehouse.table(BRONZE, "tiny__lines"))
    bronze.load(bronze.put(TUESDAY, b"Libell\xc3\xa9;Dep;Code postal\nAjaccio;2A;20000\n"))
    assert bronze.rows("code_postal, libelle, dep") == [
        ("01000", "Bourg", None),
        ("75001", "Paris", None),
        ("20000", "Ajaccio", "2A"),
    ]
    now = field_ids(bronze.lakehouse.table(BRONZE, "tiny__lines"))
    assert {name: now[name] for name in ids} == ids
    changes = bronze.sql("select extraction_date, column_name, change, class from ops.schema_changes")
    assert changes == [(TUESDAY, "dep", "added", "safe")]


def test_a_column_that_leaves_and_returns_is_null_in_between_only(bronze: Bronze) -> None:
    files = (b"a;b\n1;2\n", b"a;c\n3;4\n", b"a;b\n5;6\n")
    for day, content in zip((MONDAY, TUESDAY, WEDNESDAY), files, strict=True):
        bronze.load(bronze.put(day, content))
    assert bronze.rows("a, b, c") == [("1", "2", None), ("3", None, "4"), ("5", "6", None)]
    changes = bronze.sql("select extraction_date, column_name, change from ops.schema_changes order by all")
    assert changes == [
        (TUESDAY, "b", "missing"),
        (TUESDAY, "c", "added"),
        (WEDNESDAY, "b", "added"),
        (WEDNESDAY, "c", "missing"),
    ]


def test_declared_columns_are_there_before_any_file_has_them(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY, b"a\n1\n"), columns=["zone"])
    assert bronze.rows("a, zone") == [("1", None)]


def test_each_member_of_an_archive_is_loaded_under_its_name(bronze: Bronze) -> None:
    archive = zipped([("b/two.csv", b"a;b\n3;4\n"), ("one.csv", b"a;b\n1;2\n"), ("readme.pdf", b"%PDF-1.4")])
    loads = bronze.load(bronze.put(MONDAY, archive, "lines.zip"))
    assert {load.source_member: load.status for load in loads} == {
        "b/two.csv": "loaded",
        "one.csv": "loaded",
        "readme.pdf": "refused",
    }
    assert bronze.rows("_source_member, a, _source_line") == [("b/two.csv", "3", 2), ("one.csv", "1", 2)]
    assert len(bronze.snapshots()) == 1


def test_two_members_of_one_name_are_told_apart(bronze: Bronze) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped([("one.csv", b"a\n1\n"), ("one.csv", b"a\n2\n")])
    bronze.load(bronze.put(MONDAY, archive, "lines.zip"))
    assert sorted(bronze.rows("a")) == [("1",), ("2",)]
    assert sum(rows for _, rows in bronze.loads()) == 2


def test_members_the_feed_does_not_want_are_left_aside(bronze: Bronze) -> None:
    archive = zipped([("one.csv", b"a\n1\n"), ("notice.csv", b"a\n2\n")])
    bronze.load(bronze.put(MONDAY, archive, "lines.zip"), members="^one")
    assert bronze.rows("a") == [("1",)]


def test_tables_that_name_members_share_an_archive(bronze: Bronze) -> None:
    """Each member goes to the first table that takes it, whole files and repeats go the same way as any other."""
    tables = [
        {"name": "stations", "members": r"\.xml$", "columns": ["cp"]},
        {"name": "prices", "members": "(^|/)price$", "columns": ["maj"]},
        {"name": "lines", "members": "notice"},
        {"name": "rest"},
        {"name": "never"},
    ]
    xml = b"<l>" + b'<pdv id="7"><price v="1"/><price v="2"/><s>a</s><s>b</s></pdv>' * 11 + b"</l>"
    archive = zipped([("notice.csv", b"a\n2\n"), ("p.xml", xml)])
    loads = bronze.load(bronze.put(MONDAY, archive, "lines.zip"), tables=tables)
    assert {(load.table_name, load.source_member, load.status, load.rows_loaded) for load in loads} == {
        ("tiny__stations", "p.xml", "loaded", 11),
        ("tiny__prices", "p.xml/price", "loaded", 22),
        ("tiny__rest", "p.xml/s", "loaded", 22),
        ("tiny__lines", "notice.csv", "loaded", 1),
    }
    held = {
        name: set(bronze.lakehouse.table(BRONZE, name).schema().column_names)
        for name in ("tiny__stations", "tiny__prices")
    }
    assert {"id", "cp"} <= held["tiny__stations"]
    assert {"pdv_id", "pdv_number", "v", "maj"} <= held["tiny__prices"]
    assert bronze.load(bronze.put(MONDAY, archive, "lines.zip"), tables=tables)[0].status == "already"
    again = bronze.load(bronze.put(TUESDAY, archive, "lines.zip"), tables=tables)
    assert {load.table_name: load.status for load in again} == dict.fromkeys(
        [*held, "tiny__lines", "tiny__rest"], "unchanged"
    )


def test_a_table_takes_each_of_two_members_of_one_name(bronze: Bronze) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped([("one.csv", b"a\n1\n"), ("two.csv", b"a\n3\n"), ("two.csv", b"a\n2\n")])
    bronze.load(
        bronze.put(MONDAY, archive, "lines.zip"),
        tables=[{"name": "first", "members": "^one"}, {"members": r"two\.csv$"}],
    )
    assert bronze.rows("a, _source_member") == [("3", "two.csv"), ("2", "two.csv (2)")]


def test_an_archive_without_a_wanted_member_is_refused_with_what_it_holds(bronze: Bronze) -> None:
    archive = zipped([("notice.csv", b"a\n2\n")])
    [load] = bronze.load(bronze.put(MONDAY, archive, "lines.zip"), members="^one")
    assert load.status == "refused"
    assert "notice.csv" in str(load.reason)
    assert "^one" in str(load.reason)
    assert bronze.loads("status") == [("refused",)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped([("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>")]), "xlsx"),
        (b"<?xml version='1.0'?><pdv_liste/>", "XML"),
        (b"\n\n", "empty"),
    ],
    ids=["xlsx", "xml", "blank"],
)
def test_a_refused_file_stops_no_other(bronze: Bronze, content: bytes, reason: str) -> None:
    loads = bronze.load(bronze.put(MONDAY, content, resource="bad"), bronze.put(MONDAY, resource="good"))
    assert {load.resource_id: load.status for load in loads} == {"bad": "refused", "good": "loaded"}
    assert bronze.rows() == [("01000", "Bourg"), ("75001", "Paris")]
    [(said,)] = bronze.sql("select reason from ops.loads where status = 'refused'")
    assert reason in said


def test_a_refused_file_enters_no_snapshot(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY, b"%PDF-1.4", resource="bad"), bronze.put(MONDAY, resource="good"))
    [summary] = bronze.snapshots()
    assert [source["resource_id"] for source in json.loads(summary[SOURCES_PROPERTY])] == ["good"]


def test_rejected_rows_keep_their_line_text_and_reason(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY, b"a;b\n1;2\n3;4;5;6\n7\n8;9\n"))
    assert bronze.rows("a, b, _source_line") == [("1", "2", 2), ("8", "9", 5)]
    assert bronze.loads("rows_loaded, rows_rejected") == [(2, 2)]
    kept = bronze.sql("select source_line, raw_text, reason from ops.rejects order by source_line")
    assert [row[:2] for row in kept] == [(3, "3;4;5;6"), (4, "7")]
    assert all(reason for *_, reason in kept)


def test_a_header_alone_is_a_table_of_no_row(bronze: Bronze) -> None:
    [load] = bronze.load(bronze.put(MONDAY, b"a;b\n"))
    assert (load.status, load.rows_loaded) == ("loaded", 0)
    assert bronze.rows("a, b") == []
    bronze.load(bronze.put(TUESDAY, b"a;b\n1;2\n"))
    assert bronze.rows("a, b") == [("1", "2")]


def test_two_resources_of_a_table_enter_in_one_snapshot(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY, b"a\n1\n", resource="r1"), bronze.put(MONDAY, b"b\n2\n", resource="r2"))
    assert bronze.rows("_resource_id, a, b") == [("r1", "1", None), ("r2", None, "2")]
    [summary] = bronze.snapshots()
    assert summary["added-records"] == "2"
    assert len(set(bronze.loads("snapshot_id"))) == 1


def test_a_resource_that_comes_later_the_same_day_is_added(bronze: Bronze) -> None:
    first = bronze.put(MONDAY, b"a\n1\n", resource="r1")
    bronze.load(first)
    loads = bronze.load(first, bronze.put(MONDAY, b"a\n2\n", resource="r2"))
    assert [load.status for load in loads] == ["already", "loaded"]
    assert bronze.rows("a") == [("1",), ("2",)]


def test_a_crash_after_the_commit_makes_no_duplicate(bronze: Bronze) -> None:
    manifest = bronze.put(MONDAY, b"a;b\n1;2\n3\n")
    bronze.load(manifest)
    snapshots = len(bronze.snapshots())
    bronze.forget()
    [load] = bronze.load(manifest)
    assert load.status == "loaded"
    assert bronze.rows("a, b") == [("1", "2")]
    assert len(bronze.snapshots()) == snapshots
    assert bronze.loads("status, rows_loaded, rows_rejected") == [("loaded", 1, 1)]
    assert len(bronze.sql("select * from ops.rejects")) == 1


def test_a_crash_before_the_commit_is_loaded_again(bronze: Bronze) -> None:
    manifest = bronze.put(MONDAY)
    bronze.load(manifest)
    bronze.forget()
    bronze.lakehouse.catalog.drop_table((BRONZE, "tiny__lines"))
    [load] = bronze.load(manifest)
    assert load.status == "loaded"
    assert len(bronze.rows()) == 2
    assert bronze.loads() == [("loaded", 2)]


def test_only_what_was_committed_is_called_loaded(bronze: Bronze) -> None:
    """A crash left two resources pending; one is gone from the portal when the next run comes."""
    kept, gone = bronze.put(MONDAY, b"a\n1\n", resource="kept"), bronze.put(MONDAY, b"a\n2\n", resource="gone")
    bronze.load(kept, gone)
    bronze.forget("kept")
    bronze.forget("gone")
    bronze.lakehouse.catalog.drop_table((BRONZE, "tiny__lines"))
    bronze.load(kept)
    assert dict(bronze.loads("resource_id, status")) == {"kept": "loaded", "gone": "pending"}


def test_the_newest_extraction_tells_the_truth_whatever_the_order_of_loading(bronze: Bronze) -> None:
    """Tuesday's file came to raw but was loaded last: Wednesday, equal to Monday, must still be the newest."""
    monday = bronze.put(MONDAY)
    tuesday = bronze.put(TUESDAY, CSV + b"2A004;Ajaccio\n")
    wednesday = bronze.put(WEDNESDAY)
    for manifest in (monday, wednesday, tuesday):
        bronze.load(manifest)
    newest = bronze.sql("select libelle from bronze.tiny__lines qualify dense_rank() over "
                 "(partition by _resource_id order by _extraction_date desc) = 1 order by 1")  # fmt: skip
    assert newest == [("Bourg",), ("Paris",)]


def test_a_crash_while_a_later_day_is_loaded_first_is_taken_up_again(
    bronze: Bronze, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, but the run ends just before Wednesday's rows enter Iceberg, and then comes again for Tuesday."""
    monday, tuesday, wednesday = bronze.put(MONDAY), bronze.put(TUESDAY, b"a\n2\n"), bronze.put(WEDNESDAY)
    bronze.load(monday)
    bronze.load(wednesday)
    with monkeypatch.context() as patch:
        patch.setattr(bronze.lakehouse, "append_files", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            bronze.load(tuesday)
    bronze.load(tuesday)
    assert bronze.loads("extraction_date, status") == [(day, "loaded") for day in (MONDAY, TUESDAY, WEDNESDAY)]
    assert bronze.rows("_extraction_date, libelle")[-2:] == [(WEDNESDAY, "Bourg"), (WEDNESDAY, "Paris")]


def raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_days_loaded_backwards_keep_their_rows_apart(bronze: Bronze) -> None:
    files = {day: bronze.put(day, f"a\n{day.day}\n".encode()) for day in (MONDAY, TUESDAY, WEDNESDAY)}
    for day in (WEDNESDAY, MONDAY, TUESDAY):
        [load] = bronze.load(files[day])
        assert load.status == "loaded"
    assert bronze.rows("_extraction_date, a") == [(MONDAY, "1"), (TUESDAY, "2"), (WEDNESDAY, "3")]


def test_nothing_stays_in_scratch(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY, zipped([("one.csv", CSV)]), "lines.zip"))
    assert [path for path in bronze.settings.scratch.rglob("*") if path.is_file()] == []


def test_readers_of_an_older_snapshot_see_no_row_added_since(bronze: Bronze) -> None:
    bronze.load(bronze.put(MONDAY))
    with bronze.ledger.begin() as connection:
        [older] = connection.execute(sa.select(schema.loads.c.snapshot_id)).scalars()
    bronze.load(bronze.put(TUESDAY, CSV + b"2A004;Ajaccio\n"))
    table = bronze.lakehouse.table(BRONZE, "tiny__lines")
    assert table.scan(snapshot_id=older).to_arrow().num_rows == 2
    assert table.scan().to_arrow().num_rows == 5

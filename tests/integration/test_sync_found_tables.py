"""Syncing feeds that declare no table from the real files of the stand-in portal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from shared_portal import ControlledPortal, requires_shared, shared_portal
from test_sync import Sync, following

from catalog.feed import Feed
from catalog.registry import Registry
from ingestion.summary import loaded_rows, pulled_rows, refused_rows
from ingestion.sync import FeedResult

pytestmark = requires_shared
Synced = tuple[Sync, list[FeedResult]]
DAY, NEXT = date(2025, 2, 1), date(2025, 2, 2)
ELECTED = "repertoire-national-des-elus-1"
DATASETS = {
    "synop": "donnees-synop-essentielles-omm",
    "gtfs": "gtfs-stran",
    "feux": "base-de-donnees-incendies-de-forets-bdiff",
    "sirene": "base-sirene-extrait",
    "postes": "base-officielle-des-codes-postaux",
    "vide": "sirene-1",
}
TABLES = {
    "synop__synop": 28695,
    **{f"gtfs__stran_merge_gtfs_1__{name}": rows for name, rows in {
        "feed_info": 1, "agency": 2, "stops": 1604, "routes": 126, "calendar": 12, "calendar_dates": 3,
        "shapes": 69655, "trips": 2862, "stop_times": 84594, "transfers": 1526,
    }.items()},
    "feux__incendies": 4393,
    "sirene__stocketablissement_reduit_utf8": 999,
    "sirene__stockunitelegale_reduit_utf8": 999,
    "postes__export_au_format_csv": 37177,
    "postes__export_au_format_json": 35879,
}  # fmt: skip


def found(name: str, source: dict[str, Any], tables: Any = "auto") -> Feed:
    described = {"title": "T", "description": "D", "owner": "o", "license": "lov2", "domain": "d"}
    return Feed.model_validate({"feed": name, **described, "source": source, "tables": tables})


FEEDS = [found(name, {"dataset": dataset}) for name, dataset in DATASETS.items()]


@pytest.fixture(scope="module")
def portal() -> Iterator[ControlledPortal]:
    with shared_portal() as running:
        yield running


@pytest.fixture
def lake(tmp_path: Path, portal: ControlledPortal) -> Iterator[Sync]:
    portal.mend()
    with following(tmp_path / "lake", portal.url) as opened:
        yield opened


@pytest.fixture(scope="module")
def clean(
    tmp_path_factory: pytest.TempPathFactory, portal: ControlledPortal
) -> Iterator[tuple[Sync, list[FeedResult]]]:
    """A lake that followed some datasets once."""
    portal.mend()
    with following(tmp_path_factory.mktemp("clean") / "lake", portal.url) as opened:
        yield opened, opened.sync(*FEEDS, day=DAY)


def rows_of(lake: Sync, tables: Iterable[str]) -> list[Any]:
    """Rows of some tables, hashed, without when they were loaded."""
    hashed = "select '{0}', count(*), sum(hash(t)::hugeint) from (from bronze.{0} select * exclude (_loaded_at)) as t"
    return lake.sql(" union all ".join(hashed.format(name) for name in tables))


def test_every_file_and_member_that_holds_a_table_becomes_one(clean: Synced) -> None:
    lake, results = clean
    assert {name: rows for name, _, _, rows, _ in loaded_rows(results)} == TABLES
    held = lake.sql("select table_name, sum(rows_loaded)::int from ops.loads where status = 'loaded' group by all")
    assert dict(held) == TABLES
    assert [error for result in results for error in result.errors] == []


def test_documents_are_told_and_are_no_error(clean: Synced) -> None:
    files = [(feed, file) for feed, file, _ in refused_rows(clean[1])]
    assert files == [("feux", "incendies.zip/Mention légales.pdf"), ("feux", "incendies.zip/Définitions.pdf")]


def test_a_dataset_without_resource_has_nothing_to_load_yet(clean: Synced) -> None:
    lake, results = clean
    [empty] = [result for result in results if result.feed == "vide"]
    assert empty.errors == []
    assert "nothing to load yet" in str(empty.note)
    assert lake.failures() == []


def test_the_same_thing_twice_says_that_it_is_there(clean: Synced) -> None:
    lake, first = clean
    before = lake.sql("select * from ops.loads order by all")
    again = lake.sync(*FEEDS, day=DAY)
    assert [(feed, stored, there) for feed, stored, _, there, *_ in pulled_rows(again)] == [
        (result.feed, 0, result.stored) for result in first
    ]
    assert {status for _, _, status, *_ in loaded_rows(again)} == {"already"}
    assert lake.sql("select * from ops.loads order by all") == before


def test_killed_in_the_middle_and_run_again_is_the_same(
    lake: Sync, clean: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = next(feed for feed in FEEDS if feed.feed == "gtfs")
    append, calls = lake.lakehouse.append_files, []

    def fifth_is_deadly(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return append(*args)

    with monkeypatch.context() as patch:
        patch.setattr(lake.lakehouse, "append_files", fifth_is_deadly)
        with pytest.raises(KeyboardInterrupt):
            lake.sync(feed, day=DAY)
    assert lake.sql("select count(*) from ops.loads where status = 'pending'") == [(6,)]
    lake.sync(feed, day=DAY)
    tables = [name for name in TABLES if name.startswith("gtfs__")]
    assert rows_of(lake, tables) == rows_of(clean[0], tables)
    assert lake.sql("select distinct status from ops.loads") == [("loaded",)]


def test_the_elected_officials_stay_one_table_whatever_their_file_is_called(
    lake: Sync, portal: ControlledPortal
) -> None:
    feed = found("elus", {"dataset": ELECTED})
    for day in ("2019-01-08", "2020-12-02", "2022-12-16", "2023-11-30", "2024-07-30"):
        portal.control(as_of=day)
        [result] = lake.sync(feed, day=date.fromisoformat(day))
        assert result.errors == []
    loaded = "select table_name, source_file, rows_loaded from ops.loads where status = 'loaded' order by all"
    rows = lake.sql(loaded)
    assert {(table, rows) for table, _, rows in rows} == {
        *(("elus__3_rne_cd", rows) for rows in (4026, 4031, 4054, 4055)),
        *(("elus__rne_dep", rows) for rows in (574, 577)),
    }
    assert len({file for table, file, _ in rows if table == "elus__3_rne_cd"}) == 3


def test_what_another_feed_takes_is_left_to_it(lake: Sync) -> None:
    declared = [{"name": "lines", "description": "One line.", "resources": "deputes"}]
    first = found("deputes", {"dataset": ELECTED}, declared)
    rest = found("reste", {"dataset": ELECTED, "leave_to": ["deputes"]})
    searching = found("cherche", {"search": {"query": "élus"}, "leave_to": ["reste"]})
    lake.registry = Registry([first, rest, searching])
    took = {result.feed: [load.table_name for load in result.loads] for result in lake.sync(first, rest, day=DAY)}
    assert took["deputes"] == ["deputes__lines"]
    assert len(took["reste"]) == 1
    assert "conseillers" in took["reste"][0]


def test_a_dataset_of_a_search_that_is_gone_ends_no_other(lake: Sync, portal: ControlledPortal) -> None:
    feed = found("colonnes", {"search": {"format": "parquet"}})
    [whole] = lake.sync(feed, day=DAY)
    assert whole.errors == []
    datasets = {dataset for [dataset] in lake.sql("select distinct dataset_id from ops.extractions")}
    assert len(datasets) > 1
    gone = sorted(datasets)[0]
    portal.break_with({"match": f"/datasets/{gone}/resources/", "kind": "gone", "status": 404})
    [result] = lake.sync(feed, day=NEXT)
    assert len(result.errors) == 1
    assert lake.sql("select status from ops.extractions where resource_id like '(dataset)%'") == [("gone",)]
    assert result.unchanged > 0
    portal.mend()
    [mended] = lake.sync(feed, day=NEXT)
    assert mended.errors == []
    assert lake.sql("select count(*) from ops.extractions where resource_id like '(dataset)%'") == [(0,)]


def test_a_dead_link_among_what_was_found_is_told_and_is_no_error(lake: Sync, portal: ControlledPortal) -> None:
    feed = found("postes", {"dataset": DATASETS["postes"]})
    portal.break_with({"match": "download.format=json", "kind": "gone", "status": 404})
    [result] = lake.sync(feed, day=DAY)
    assert result.errors == []
    assert [title for title, _ in result.gone] == ["Export au format JSON"]
    assert lake.sql("select count(*) from ops.extractions where status = 'gone'") == [(1,)]


def test_a_file_that_was_loaded_and_is_gone_is_an_error(lake: Sync, portal: ControlledPortal) -> None:
    feed = found("postes", {"dataset": DATASETS["postes"]})
    [whole] = lake.sync(feed, day=DAY)
    assert whole.errors == []
    portal.break_with({"match": "download.format=json", "kind": "gone", "status": 404})
    [result] = lake.sync(feed, day=NEXT)
    assert len(result.errors) == 1

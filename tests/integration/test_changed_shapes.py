"""Files that change their shape: what is recorded, what is refused, and what was loaded stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import sql
from raw_files import put_raw

from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.loads import newest_facts
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader, Load
from ingestion.raw import RawZone
from ingestion.table_schemas import SchemaShelf

FIRST, NEXT = date(2024, 1, 1), date(2024, 2, 1)
ROWS = [f"{number:05d};Commune {number};{number * 10}" for number in range(60)]
BEFORE = "insee;nom;pop\n" + "\n".join(ROWS) + "\n"


class Lake:
    """A lake whose one feed's file changes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger, self.lakehouse = Ledger(settings), Lakehouse(settings)

    def load(self, day: date, content: str | bytes, **feed: object) -> list[Load]:
        told: dict[str, Any] = {"feed": "f", "title": "f", "description": "f", "owner": "o", "license": "lov2",
                                "domain": "f", "source": {"dataset": "d"}, "tables": "auto"}  # fmt: skip
        data = content.encode() if isinstance(content, str) else content
        manifest = put_raw(self.settings, "f", day, "communes.csv", data)
        raw, shelf = RawZone(raw_store(self.settings)), SchemaShelf(self.settings)
        loader = BronzeLoader(self.ledger, self.lakehouse, raw, self.settings.scratch, f"run-{day}", shelf)
        return loader.load(Feed.model_validate({**told, **feed}), [manifest])

    def changes(self) -> list[tuple[Any, ...]]:
        told = "column_name, change, class, extraction_date"
        return sql(self.settings, f"select {told} from ops.schema_changes order by change, column_name")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    opened = Lake(lake_settings(tmp_path / "lake"))
    with closing(opened.ledger), closing(opened.lakehouse):
        yield opened


def test_a_renamed_column_and_a_new_layout_are_told_and_nothing_is_lost(lake: Lake) -> None:
    lake.load(FIRST, BEFORE)
    after = BEFORE.replace("insee;nom;pop", "code_commune;nom;pop").replace(";", ",")
    [load] = lake.load(NEXT, after.replace("Commune", "Région").encode("cp1252"))

    assert load.status == "loaded"
    assert load.changes == ("f__communes: column code_commune renamed (insee → code_commune)",)
    assert lake.changes() == [
        ("", "encoding", "safe", NEXT),
        ("code_commune", "renamed", "breaking", NEXT),
        ("", "separator", "safe", NEXT),
    ]
    query = "select _extraction_date, count(insee), count(code_commune) from bronze.f__communes group by all order by 1"
    assert sql(lake.settings, query) == [(FIRST, 60, 0), (NEXT, 0, 60)]


def test_a_column_added_and_one_gone_and_rows_that_collapse_are_told(lake: Lake) -> None:
    lake.load(FIRST, BEFORE)
    lake.load(NEXT, "insee;nom;surface\n00001;x;\n00002;y;3\n")
    assert lake.changes() == [
        ("surface", "added", "safe", NEXT),
        ("pop", "missing", "breaking", NEXT),
        ("", "rows", "breaking", NEXT),
    ]


def test_a_feed_that_says_stop_refuses_what_breaks_readers(lake: Lake) -> None:
    lake.load(FIRST, BEFORE, drift="stop")
    [load] = lake.load(NEXT, "insee;nom\n" + "\n".join(row.rpartition(";")[0] for row in ROWS), drift="stop")

    assert (load.status, load.is_error) == ("refused", True)
    assert "column pop missing" in str(load.reason)
    assert "drift: stop" in str(load.reason)
    assert lake.changes() == [("pop", "missing", "breaking", NEXT)]
    assert sql(lake.settings, "select _extraction_date, count(*) from bronze.f__communes group by 1") == [(FIRST, 60)]


def test_a_refused_file_is_read_again_once_its_feed_is_corrected(lake: Lake) -> None:
    lake.load(FIRST, BEFORE, drift="stop")
    after = "insee;nom\n" + "\n".join(row.rpartition(";")[0] for row in ROWS)
    lake.load(NEXT, after, drift="stop")
    [load] = lake.load(NEXT, after)

    assert load.status == "loaded"
    assert sql(lake.settings, "select status, count(*) from ops.loads group by 1") == [("loaded", 2)]
    assert len(lake.changes()) == 1


def test_a_safe_change_does_not_stop_a_feed(lake: Lake) -> None:
    lake.load(FIRST, BEFORE, drift="stop")
    [load] = lake.load(NEXT, BEFORE.replace(";", ","), drift="stop")
    assert load.status == "loaded"


def test_the_same_extraction_twice_tells_nothing_twice(lake: Lake) -> None:
    lake.load(FIRST, BEFORE)
    for _ in range(2):
        lake.load(NEXT, BEFORE.replace("pop", "population"))
    assert [change[:2] for change in lake.changes()] == [("population", "renamed")]


def test_a_store_that_fails_is_not_blamed_on_the_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> set[str]:
        raise ConnectionError("the store is away")

    lake.load(FIRST, BEFORE)
    monkeypatch.setattr(lake.lakehouse, "sample_values", fails)
    with pytest.raises(ConnectionError):
        lake.load(NEXT, BEFORE.replace("pop", "population"))
    assert sql(lake.settings, "select status, count(*) from ops.loads group by 1") == [("loaded", 1)]


def test_the_schema_a_feed_names_is_in_the_facts_of_its_loads(lake: Lake) -> None:
    shelf = lake.settings.table_schemas
    shelf.mkdir(parents=True)
    (shelf / "communes.json").write_text(json.dumps({"fields": [{"name": "insee", "type": "string"}]}), "utf-8")
    lake.load(FIRST, BEFORE, table_schema="communes.json")
    assert [facts["table_schema"] for *_, facts in newest_facts(lake.ledger, "f__communes")] == ["communes.json"]

"""A column whose values change their type: what each policy of a feed makes of it, and that it is always told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from conftest import lake_settings
from lakes import sql
from raw_files import put_raw
from written_contracts import feed

from catalog.contracts.store import read_contracts
from catalog.errors import BuildFailed
from catalog.feed import Feed
from catalog.generated import GeneratedSilver
from catalog.iceberg import Lakehouse
from catalog.inputs import pin_inputs, show_bronze
from catalog.ledger import Ledger
from catalog.session import open_duckdb
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader
from ingestion.raw import RawZone

FIRST, NEXT = date(2024, 1, 1), date(2024, 2, 1)
BEFORE = "code,n,later\n" + "".join(f"k{number},{number},\n" for number in range(9))
AFTER = "code,n,later\n" + "".join(f"k{number},{number} m ?,{number}\n" for number in range(9))
TYPES = ["text", "integer", "text"]


class Lake:
    """A lake whose one table is typed from its rows."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger, self.lakehouse = Ledger(settings), Lakehouse(settings)

    def load(self, of: Feed, day: date, content: str) -> None:
        manifest = put_raw(self.settings, of.feed, day, "lines.csv", content.encode())
        raw = RawZone(raw_store(self.settings))
        BronzeLoader(self.ledger, self.lakehouse, raw, self.settings.scratch, f"run-{day}").load(of, [manifest])

    def decide(self, of: Feed) -> None:
        inputs = pin_inputs(self.settings, self.ledger, self.lakehouse, [of], date.max)
        with open_duckdb(self.settings) as connection:
            show_bronze(connection, self.settings, self.lakehouse, inputs, of)
            GeneratedSilver(self.settings, self.ledger, self.lakehouse).refresh(connection, of, inputs.pins[of.feed])

    def types(self) -> list[str]:
        [contract] = read_contracts(self.settings, "velos").values()
        return [column.type for column in contract.columns]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    opened = Lake(lake_settings(tmp_path / "lake"))
    with closing(opened.ledger), closing(opened.lakehouse):
        yield opened


@pytest.mark.parametrize(
    ("drift", "types"), [("evolve", ["text", "text", "integer"]), ("warn", ["text", "integer", "integer"])]
)
def test_the_types_follow_or_stay_and_the_change_is_told(lake: Lake, drift: str, types: list[str]) -> None:
    change_type(lake, drift)
    assert lake.types() == types


def test_a_feed_that_says_stop_keeps_its_contract_and_the_change_is_told(lake: Lake) -> None:
    with pytest.raises(BuildFailed, match="n was integer and is text") as raised:
        change_type(lake, "stop")
    assert "later" not in str(raised.value)  # its first values are no change of what was decided
    assert lake.types() == TYPES
    told(lake)


def test_a_column_taken_out_of_a_contract_is_decided_again(lake: Lake) -> None:
    of = feed()
    lake.load(of, FIRST, BEFORE)
    lake.decide(of)
    path = lake.settings.contracts / "velos/lines.yml"
    before, _, after = path.read_text("utf-8").partition("  - name: n\n    header: n\n    type: integer\n")
    path.write_text(before + after, "utf-8")
    lake.decide(of)
    assert sorted(lake.types()) == sorted(TYPES)


def change_type(lake: Lake, drift: str) -> None:
    of = feed(drift=drift)
    lake.load(of, FIRST, BEFORE)
    lake.decide(of)
    assert lake.types() == TYPES
    lake.load(of, NEXT, AFTER)
    lake.decide(of)
    told(lake)


def told(lake: Lake) -> None:
    found = sql(lake.settings, "select column_name, change, class, extraction_date from ops.schema_changes order by 1")
    assert found == [("later", "retyped", "safe", NEXT), ("n", "retyped", "breaking", NEXT)]

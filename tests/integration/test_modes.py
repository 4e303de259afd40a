"""What is current, and what was when: modes, keys, deletions and history, over real loads in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from raw_files import put_raw
from tiny_warehouse import feed

from catalog.clock import utc_now
from catalog.feed import Feed, Mode
from catalog.iceberg import Lakehouse
from catalog.inputs import pin_inputs, show_bronze
from catalog.ledger import Ledger
from catalog.row_choice import current_rows, key_rejects
from catalog.session import open_duckdb
from catalog.settings import REPOSITORY
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader
from ingestion.raw import RawZone

BRONZE = "bronze.up__lines"
MACROS = REPOSITORY / "dbt_project" / "macros"


def day(number: int) -> date:
    return date(2024, 1, number)


class Lake:
    """One feed of one table, loaded file by file."""

    def __init__(self, folder: Path) -> None:
        self.settings = lake_settings(folder / "lake")
        self.ledger, self.lakehouse = Ledger(self.settings), Lakehouse(self.settings)
        self.runs = count()

    def load(self, number: int, lines: Sequence[str], resource: str = "r1") -> None:
        """Load one extraction of a resource."""
        content = "\n".join(["k,v", *lines, ""]).encode()
        manifest = put_raw(self.settings, "up", day(number), "lines.csv", content, resource)
        raw = RawZone(raw_store(self.settings))
        run_id = f"run-{next(self.runs)}"
        BronzeLoader(self.ledger, self.lakehouse, raw, self.settings.scratch, run_id).load(feed("up"), [manifest])

    def see(self, number: int, *resources: str) -> None:
        """Note that the whole feed was looked at, and what was listed."""
        told: dict[str, Any] = {"feed": "up", "extraction_date": day(number), "run_id": "run"}
        self.ledger.record_listing(**told, resources=len(resources), listed_at=utc_now())
        for resource in resources:
            self.ledger.record_extraction(**told, resource_id=resource, status="failed")

    @contextmanager
    def reading(self, until: date = date.max) -> Iterator[Any]:
        """A connection that sees bronze as a build of a day does."""
        up: Feed = feed("up")
        with open_duckdb(self.settings) as connection:
            inputs = pin_inputs(self.settings, self.ledger, self.lakehouse, [up], until)
            show_bronze(connection, self.settings, self.lakehouse, inputs, up)
            yield connection

    def current(self, mode: Mode = Mode.OVERWRITE, keys: Sequence[str] = (), until: date = date.max) -> list[Any]:
        """Keys and values of the current rows."""
        with self.reading(until) as connection:
            select = current_rows(BRONZE, mode, keys)
            return connection.execute(f"select k, v from ({select}) order by all").fetchall()

    def history(self, mode: str = "overwrite", keys: Sequence[str] = (), until: date = date.max) -> list[Any]:
        """Keys, values, and the days of January 2024 from and to which they held."""
        columns = "k, v, day(valid_from), day(valid_to), is_current"
        with self.reading(until) as connection:
            select = rendered(f"history_rows('{BRONZE}', keys={list(keys)}, mode='{mode}')")
            return connection.execute(f"select {columns} from ({select}) order by all").fetchall()


def rendered(call: str) -> str:
    """What a macro of the dbt project gives, without dbt."""
    from jinja2 import Environment

    names = ("current_rows.sql", "history_rows.sql")
    sources = "".join((MACROS / name).read_text("utf-8") for name in names)
    return Environment().from_string(f"{sources}{{{{ {call} }}}}").render()


@contextmanager
def opened(folder: Path) -> Iterator[Lake]:
    lake = Lake(folder)
    with closing(lake.ledger), closing(lake.lakehouse):
        yield lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Three extractions of one resource and one of another, which the portal then drops; the second comes last."""
    with opened(tmp_path_factory.mktemp("modes")) as made:
        made.load(1, ["a,1", "b,1", "b,2", ",0"])
        made.load(4, ["a,1", "c,3"])
        made.load(1, ["z,9"], "r2")
        made.load(3, ["a,1", "b,2", "c,2"])
        made.see(1, "r1", "r2")
        made.see(3, "r1", "r2")
        made.see(4, "r1")
        made.see(5, "r1")
        yield made


def test_overwrite_shows_each_resource_as_its_newest_extraction_told_it(lake: Lake) -> None:
    assert lake.current() == [("a", "1"), ("c", "3")]
    assert lake.current(until=day(3)) == [("a", "1"), ("b", "2"), ("c", "2"), ("z", "9")]


def test_append_keeps_all_and_a_key_as_it_was_first(lake: Lake) -> None:
    every = [("", "0"), *[("a", "1")] * 3, ("b", "1"), *[("b", "2")] * 2, ("c", "2"), ("c", "3"), ("z", "9")]
    assert lake.current(Mode.APPEND) == every
    assert lake.current(Mode.APPEND, ["k"]) == [("", "0"), ("a", "1"), ("b", "2"), ("c", "2"), ("z", "9")]


def test_upsert_keeps_each_key_as_it_was_last_and_deletes_nothing(lake: Lake) -> None:
    assert lake.current(Mode.UPSERT, ["k"]) == [("a", "1"), ("b", "2"), ("c", "3"), ("z", "9")]


def test_a_key_repeated_within_an_extraction_counts_once_and_the_others_are_rejects(lake: Lake) -> None:
    assert lake.current(keys=["k"], until=day(1)) == [("", "0"), ("a", "1"), ("b", "2"), ("z", "9")]
    with lake.reading(day(1)) as connection:
        select = "select _source_line, reason, raw_text from ({}) order by 1"
        [lost] = connection.execute(select.format(key_rejects(BRONZE, Mode.OVERWRITE, ["k"]))).fetchall()
        both = connection.execute(select.format(key_rejects(BRONZE, Mode.UPSERT, ["k"]))).fetchall()
    assert lost[:2] == (3, "the key k stands again in this extraction, and the last line counts")
    assert '"v":"1"' in lost[2]
    assert both == [lost, (5, "the key k is empty, and this table is kept by its key", both[1][2])]


def test_history_follows_each_key_through_its_states(lake: Lake) -> None:
    assert lake.history(keys=["k"]) == [
        ("", "0", 1, 3, False),  # a row without a key is followed by its content
        ("a", "1", 1, None, True),
        ("b", "2", 1, 4, False),
        ("c", "2", 3, 4, False),
        ("c", "3", 4, None, True),
        ("z", "9", 1, 4, False),  # its resource was listed no longer
    ]
    assert lake.history(keys=["k"], until=day(3))[2:] == [
        ("b", "2", 1, None, True),
        ("c", "2", 3, None, True),
        ("z", "9", 1, None, True),
    ]


def test_history_of_upserts_has_no_deletions(lake: Lake) -> None:
    current = [(k, v, begun) for k, v, begun, _, is_current in lake.history("upsert", ["k"]) if is_current]
    assert current == [("a", "1", 1), ("b", "2", 1), ("c", "3", 4), ("z", "9", 1)]
    assert ("c", "2", 3, 4, False) in lake.history("upsert", ["k"])


def test_history_without_keys_follows_contents_and_how_often_they_stand(lake: Lake) -> None:
    found = lake.history()
    assert ("b", "1", 1, 3, False) in found
    assert ("b", "2", 1, 4, False) in found
    assert ("a", "1", 1, None, True) in found


def test_a_file_that_could_not_be_read_ends_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as lake:
        lake.load(1, ["a,1"])
        manifest = put_raw(lake.settings, "up", day(2), "lines.csv", b"%PDF-1.4\n", "r1")
        raw = RawZone(raw_store(lake.settings))
        loader = BronzeLoader(lake.ledger, lake.lakehouse, raw, lake.settings.scratch, "run")
        assert [load.status for load in loader.load(feed("up"), [manifest])] == ["refused"]
        lake.see(2, "r1")
        assert lake.current() == [("a", "1")]


LINES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12")).map(",".join), max_size=4)
LOADS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["r1", "r2"]), LINES), min_size=1, max_size=5)


@given(loads=LOADS, data=st.data())
@examples(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_extractions_in_any_order_and_repeated_end_in_the_same_state(
    loads: list[tuple[int, str, list[str]]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    once = list({(number, resource): (number, resource, lines) for number, resource, lines in loads}.values())
    repeated = data.draw(st.permutations(once + once[:2]), label="order")
    states = []
    for order in (sorted(once), repeated):
        with opened(tmp_path_factory.mktemp("order")) as lake:
            for number, resource, lines in order:
                lake.load(number, lines, resource)
            shown = [lake.current(mode, ["k"]) for mode in Mode]
            states.append((shown, lake.current(), lake.history(keys=["k"]), lake.history("upsert", ["k"])))
    assert states[0] == states[1]

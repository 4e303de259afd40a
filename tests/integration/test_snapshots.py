"""Snapshots of gold: named, unchanging, and refused by the gate without a trace but the refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from gold_lake import GoldLake
from lakes import odh, sql

from catalog import releases, schema
from catalog.errors import UnknownName, UsageError
from catalog.iceberg import GOLD
from catalog.quality.snapshots import Snapshot
from catalog.release_history import roll_back

PRICES = "select 's' || range as code, {} as price, ['a', 'b', 'c'][1 + range % 3] as kind from range({})"
FIRST = PRICES.format("(range % 50)::double", 200)


@dataclass(frozen=True)
class State:
    """All that a refusal must leave as it was."""

    refs: dict[str, int]
    releases: list[Any]
    tables: list[Any]


def state(lake: GoldLake) -> State:
    refs: dict[str, int] = {}
    for name in lake.lakehouse.names(GOLD):
        found = lake.lakehouse.table(GOLD, name).metadata.refs
        refs |= {f"{name} {ref}": at.snapshot_id for ref, at in found.items()}
    with lake.ledger.begin() as connection:
        written = [connection.execute(sa.select(table)).all() for table in (schema.releases, schema.release_tables)]
    return State(refs, *written)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoldLake]:
    made = GoldLake(tmp_path_factory.mktemp("shelf"))
    yield made
    made.close()


@pytest.fixture
def lake(shelf: GoldLake) -> GoldLake:
    """The shelf, with a model and days of the test's own."""
    shelf.begin("code")
    return shelf


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoldLake]:
    """A lake with a snapshot of its second day, taken when the release of the first was the newest by then."""
    made = GoldLake(tmp_path_factory.mktemp("kept"))
    made.put(made.days[0], FIRST)
    made.take(made.days[1])
    made.put(made.days[4], PRICES.format("(range % 50)::double + 1", 210))
    yield made
    made.close()


def rows(lake: GoldLake) -> list[tuple[Any, ...]]:
    """Day, rows and sum of the prices of each snapshot there is."""
    live = releases.current_release(lake.ledger)
    table = live.table(GOLD, f"{lake.model}_snapshots") if live else None
    if table is None:
        return []
    found = lake.lakehouse.table(GOLD, table.pin.name).scan(snapshot_id=table.pin.snapshot_id).to_arrow()
    told = found.group_by("as_of").aggregate([("code", "count"), ("price", "sum")]).sort_by("as_of")
    return [(row["as_of"], row["code_count"], row["price_sum"]) for row in told.to_pylist()]


def recorded(lake: GoldLake) -> list[tuple[Any, ...]]:
    """Name, status, rows and reason of the snapshots of the model of now, as the ledger has them."""
    s = schema.snapshots.c
    query = sa.select(s.name, s.status, s.rows, s.reason).where(s.model == lake.model)
    with lake.ledger.begin() as connection:
        return [tuple(row) for row in connection.execute(query)]


def assert_refused(lake: GoldLake, taken: Snapshot, before: State, reason: str) -> None:
    """The refusal is told and recorded, and reported; nothing else moved."""
    assert (taken.status, taken.release_id) == ("refused", None)
    assert reason in str(taken.reason)
    assert state(lake) == before
    assert (taken.name, "refused", taken.rows, taken.reason) in recorded(lake)
    report = json.loads((lake.settings.reports / f"snapshot-{lake.runs:02}.json").read_text("utf-8"))
    assert report["outcome"] == "failed"
    assert reason.split(":")[0].split(" (")[0] in [c["name"] for c in report["checks"] if c["status"] == "fail"]


def test_a_snapshot_is_the_table_as_released_by_the_day(kept: GoldLake) -> None:
    assert rows(kept)[0] == (kept.days[1], 200, 4900.0)
    [found] = sql(kept.settings, "select * exclude (run_id, created_at, content_hash) from ops.snapshots limit 1")
    assert found == (
        "mart_01@2024-01-12",
        "mart_01_snapshots",
        "mart_01",
        kept.days[1],
        "published",
        None,
        1,
        2,
        200,
    )


def test_a_later_release_changes_no_snapshot_and_keeps_them_all(kept: GoldLake) -> None:
    live = releases.current_release(kept.ledger)
    assert live is not None
    table = live.table(GOLD, "mart_01_snapshots")
    assert table is not None
    assert (table.domain, table.rows) == ("snapshots", 200)
    assert rows(kept)[0] == (kept.days[1], 200, 4900.0)


def test_the_same_day_again_is_there_already(kept: GoldLake) -> None:
    before = state(kept)
    again = kept.take_one(kept.days[1])
    assert (again.status, again.rows, again.release_id) == ("exists", 200, None)
    assert state(kept) == before


def test_a_day_that_would_now_be_otherwise_is_never_overwritten(lake: GoldLake) -> None:
    lake.put(lake.days[0], FIRST)
    lake.take(lake.days[0])
    lake.put(lake.days[0], PRICES.format("(range % 50)::double + 1", 200))
    before = state(lake)
    assert_refused(lake, lake.take_one(lake.days[0]), before, f"content_as_kept: there is a snapshot of {lake.days[0]}")
    assert rows(lake) == [(lake.days[0], 200, 4900.0)]


def test_snapshots_are_partitioned_by_their_day(kept: GoldLake) -> None:
    table = kept.lakehouse.table(GOLD, "mart_01_snapshots")
    assert [field.name for field in table.spec().fields] == ["as_of"]
    assert str(table.properties["comment"]).startswith("Snapshots of mart_01, each of the day as_of. About mart_01.")


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (date(2026, 6, 2), "as_of_is_past: 2026-06-02 has not come yet; today is 2026-06-01"),
        (date(2023, 12, 31), "as_of_is_past: 2023-12-31 is before the data: the first release is of 2024-01-11"),
    ],
    ids=["future", "before the data"],
)
def test_a_day_to_come_or_before_the_data_is_refused(kept: GoldLake, day: date, reason: str) -> None:
    before = state(kept)
    assert_refused(kept, kept.take_one(day), before, reason)


def test_rows_missing_against_the_live_release_are_refused(lake: GoldLake) -> None:
    live = lake.put(lake.days[0], FIRST)
    with lake.ledger.begin() as connection:  # the ledger knows of 7 rows more than the files hold
        mine = schema.release_tables.c.release_id == live.release_id
        connection.execute(schema.release_tables.update().where(mine).values(rows=207))
    before = state(lake)
    assert_refused(
        lake, lake.take_one(lake.days[0]), before, "rows_of_the_release: the release has 207 rows, and 200 can be"
    )


def test_a_file_that_is_lost_is_refused(lake: GoldLake) -> None:
    lake.put(lake.days[0], FIRST)
    before = state(lake)
    for file in (lake.settings.lake / f"warehouse/gold/{lake.model}/data").rglob("*.parquet"):
        file.unlink()
    assert_refused(lake, lake.take_one(lake.days[0]), before, "table_is_readable")


def test_keys_that_several_rows_share_are_refused_and_shown(lake: GoldLake) -> None:
    lake.put(lake.days[0], f"{FIRST} union all select 's7', 1, 'a' union all select null, 1, 'a'")
    before = state(lake)
    assert_refused(lake, lake.take_one(lake.days[0]), before, "keys_and_as_of_unique: 2 combinations of code")
    report = json.loads((lake.settings.reports / f"snapshot-{lake.runs:02}.json").read_text("utf-8"))
    [check] = [check for check in report["checks"] if check["name"] == "keys_and_as_of_unique"]
    assert check["offending"]["rows"] == [["s7", 2], [None, 1]]


@pytest.mark.parametrize(
    ("select", "told"),
    [
        (f"select * exclude (kind), 1 as extra from ({FIRST})", "extra is new; kind is gone"),
        (f"select * replace (price::integer as price) from ({FIRST})", "price was DOUBLE, is INTEGER"),
    ],
    ids=["added and dropped", "retyped"],
)
def test_columns_or_types_other_than_before_are_refused(kept: GoldLake, select: str, told: str) -> None:
    kept.put(kept.days[6], select)
    before = state(kept)
    taken = kept.take_one(kept.days[6])
    assert_refused(kept, taken, before, "columns_as_before")
    assert told in str(taken.reason)


def test_changed_columns_may_begin_another_series(lake: GoldLake) -> None:
    lake.put(lake.days[0], FIRST)
    lake.take(lake.days[0])
    lake.put(lake.days[1], f"select *, 1 as extra from ({FIRST})")
    lake.keep({lake.model: {"keys": ["code"], "series": "price_2"}})
    assert lake.take_one(lake.days[1]).name == f"price_2@{lake.days[1]}"
    found = sql(lake.settings, "select sum(extra)::int, count(*) from gold.price_2_snapshots")
    assert (found, rows(lake)) == ([(200, 200)], [(lake.days[0], 200, 4900.0)])


SHIFTS = [
    pytest.param(PRICES.format("(range % 50)::double + 10", 200), "(price): PSI is", id="numbers move"),
    pytest.param(PRICES.format("case when range % 3 = 0 then null else (range % 50)::double end", 200),
                 "(price): PSI is", id="values go"),
    pytest.param(PRICES.format("(range % 50)::double", 99), "200 rows became 99, a change of 0.505", id="rows go"),
]  # fmt: skip


@pytest.mark.parametrize(("select", "told"), SHIFTS)
def test_a_shift_beyond_bounds_is_refused(kept: GoldLake, select: str, told: str) -> None:
    kept.put(kept.days[6], select)
    before = state(kept)
    taken = kept.take_one(kept.days[6])
    assert_refused(kept, taken, before, str(taken.reason).split(":")[0])
    assert told in str(taken.reason)


def test_a_small_shift_passes(lake: GoldLake) -> None:
    lake.put(lake.days[0], FIRST)
    lake.take(lake.days[0])
    lake.put(lake.days[1], PRICES.format("(range % 50)::double + 2", 220))
    assert lake.take_one(lake.days[1]).status == "published"
    report = json.loads((lake.settings.reports / f"snapshot-{lake.runs:02}.json").read_text("utf-8"))
    assert {(shift["column"], shift["ks"] is None) for shift in report["shifts"]} == {("price", False), ("kind", True)}
    assert report["outcome"] == "passed"
    page = (lake.settings.reports / f"snapshot-{lake.runs:02}.html").read_text("utf-8")
    assert "<h2>Shifts</h2>" in page
    assert "<h2>Tables kept</h2>" in page


def test_a_feed_that_allows_more_lets_a_shift_pass(lake: GoldLake) -> None:
    lake.put(lake.days[0], FIRST)
    lake.take(lake.days[0])
    lake.put(lake.days[1], PRICES.format("(range % 50)::double + 15", 200))
    assert lake.take_one(lake.days[1]).status == "refused"
    lake.bound({"psi": 9, "ks": 0.5})
    assert lake.take_one(lake.days[1]).status == "published"


def test_one_refused_stops_no_other(lake: GoldLake) -> None:
    lake.keep({lake.model: {"keys": ["code"]}, "mart_kind": {"keys": ["kind"]}, "mart_gone": {"keys": ["k"]}})
    lake.release(lake.days[0], **{lake.model: FIRST}, mart_kind="select 'a' as kind union all select 'a'")
    taken = {one.model: one.status for one in lake.take(lake.days[0])}
    assert taken == {lake.model: "published", "mart_kind": "refused", "mart_gone": "refused"}
    assert rows(lake) == [(lake.days[0], 200, 4900.0)]


def test_going_back_to_an_earlier_release_keeps_the_snapshots_taken_since(lake: GoldLake) -> None:
    earlier = lake.put(lake.days[0], FIRST)
    lake.put(lake.days[1], PRICES.format("(range % 50)::double + 1", 200))
    lake.take(lake.days[1])
    roll_back(lake.settings, lake.ledger, lake.lakehouse, earlier.release_id)
    assert sql(lake.settings, f"select sum(price) from gold.{lake.model}") == [(4900.0,)]
    assert rows(lake) == [(lake.days[1], 200, 5100.0)]
    assert lake.take_one(lake.days[1]).status == "refused"  # that day now has other content than what is kept


class _Cut(RuntimeError):
    pass


@pytest.mark.parametrize("step", ["stage", "publish", "ledger"])
def test_a_crash_at_any_step_ends_as_one_snapshot(lake: GoldLake, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put(lake.days[0], FIRST)

    def cut(*_: object, **__: object) -> None:
        raise _Cut

    with monkeypatch.context() as patch:
        target = {"stage": "releases.stage", "publish": "releases.publish", "ledger": "SnapshotTaker._record"}[step]
        patch.setattr(f"catalog.quality.snapshots.{target}", cut)
        with pytest.raises(_Cut):
            lake.take(lake.days[0])
    assert lake.take_one(lake.days[0]).status == ("published" if step == "stage" else "exists")
    assert rows(lake) == [(lake.days[0], 200, 4900.0)]
    assert recorded(lake) == [(f"{lake.model}@{lake.days[0]}", "published", 200, None)]


def test_a_model_that_is_not_kept_is_misuse(kept: GoldLake) -> None:
    with pytest.raises(UnknownName, match="mart_01"):
        kept.take(kept.days[1], "mart_1")


def test_what_a_model_says_of_its_snapshots_is_checked(lake: GoldLake) -> None:
    lake.keep({lake.model: {"key": ["code"]}})
    with pytest.raises(UsageError, match=r"kept\.yml, model mart_\d+, meta\.snapshot\.keys: Field required"):
        lake.take(lake.days[0])


def test_a_key_that_is_no_column_is_refused(lake: GoldLake) -> None:
    lake.keep({lake.model: {"keys": ["codes"]}})
    lake.put(lake.days[0], FIRST)
    before = state(lake)
    assert_refused(lake, lake.take_one(lake.days[0]), before, "keys_are_columns: meta.snapshot.keys names codes")


def test_the_command_tells_and_exits_as_it_went(kept: GoldLake) -> None:
    refused = odh(kept.settings, "snapshot", "mart_01", "--as-of", "2023-12-31", "--json", check=False)
    assert refused.code == 1
    [told] = refused.json["snapshots"]
    assert (told["name"], told["status"]) == ("mart_01@2023-12-31", "refused")
    assert "before the data" in told["reason"]

"""What a build may read, and what it does with a model whose tables cannot be stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from lakes import sql
from tiny_warehouse import TinyWarehouse, feed

from catalog.clock import utc_now
from catalog.inputs import pin_inputs, show_bronze
from catalog.locks import exclusive
from catalog.registry import Registry
from catalog.row_choice import current_rows
from catalog.session import open_duckdb

DAY, NEXT_DAY = date(2024, 1, 1), date(2024, 1, 2)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[TinyWarehouse]:
    warehouse = TinyWarehouse(tmp_path)
    warehouse.load("up", DAY, "code,amount\na,1\n")
    warehouse.load("down", DAY, "code,label\na,one\n")
    yield warehouse
    warehouse.ledger.close()
    warehouse.lakehouse.close()


def pin(tiny: TinyWarehouse, **settings: object) -> tuple[set[str], dict[str, str]]:
    changed = tiny.settings.model_copy(update={"lock_timeout_seconds": 0.0, **settings})
    found = pin_inputs(changed, tiny.ledger, tiny.lakehouse, tiny.registry, date.max)
    return {name for pins in found.pins.values() for name in pins}, dict(found.held)


def extracted(tiny: TinyWarehouse, feed: str, day: date, resource_id: str, status: str = "stored") -> None:
    tiny.ledger.record_extraction(
        feed=feed, extraction_date=day, resource_id=resource_id, run_id="x", status=status, finished_at=utc_now()
    )


def test_every_table_is_pinned_and_declared_ones_are_made(tiny: TinyWarehouse) -> None:
    names, held = pin(tiny)
    assert names == {"up__lines", "down__lines", "bare__lines"}
    assert held == {}


def test_a_feed_that_is_being_synced_is_held(tiny: TinyWarehouse) -> None:
    with exclusive(tiny.settings, tiny.ledger, "feed-up"):
        names, held = pin(tiny)
    assert names == {"down__lines", "bare__lines"}
    assert "up is being synced" in held["up"]


def test_a_feed_whose_newest_files_are_not_all_loaded_is_held(tiny: TinyWarehouse) -> None:
    extracted(tiny, "up", NEXT_DAY, "never-loaded")
    _, held = pin(tiny)
    assert held == {"up": "the last sync of up did not end; run: odh sync up"}


def test_a_file_that_failed_or_an_older_one_holds_nothing(tiny: TinyWarehouse) -> None:
    extracted(tiny, "up", date(2023, 1, 1), "old")
    extracted(tiny, "up", DAY, "lines")
    [(resource_id,)] = sql(tiny.settings, "select distinct resource_id from ops.loads where feed = 'up'")
    extracted(tiny, "up", NEXT_DAY, "failed", status="failed")
    extracted(tiny, "up", DAY, resource_id)
    tiny.ledger.forget_extraction("up", DAY, "lines")
    assert pin(tiny)[1] == {}


@pytest.mark.parametrize(("optional", "status"), [(True, "built"), (False, "failed")])
def test_only_an_optional_feed_may_lack_a_file(tiny: TinyWarehouse, optional: bool, status: str) -> None:
    tiny.registry = Registry([feed("up"), feed("side", domain="up", optional=optional)])
    told = {"feed": "side", "extraction_date": DAY, "resource_id": "lines", "run_id": "x", "table_name": "side__lines"}
    tiny.ledger.record_extraction(**told, status="failed", reason="no answer")

    [domain] = tiny.build(DAY, "up").domains

    assert domain.status == status, domain.reason


def test_rows_of_a_resource_whose_newest_file_is_empty_are_not_current(tiny: TinyWarehouse) -> None:
    rows = []
    for day, content in ((NEXT_DAY, "code,amount\n"), (date(2024, 1, 3), "code,amount\nb,2\n")):
        tiny.load("up", day, content)
        inputs = pin_inputs(tiny.settings, tiny.ledger, tiny.lakehouse, [tiny.registry.get("up")], day)
        with closing(open_duckdb(tiny.settings)) as connection:
            show_bronze(connection, tiny.settings, tiny.lakehouse, inputs, tiny.registry.get("up"))
            rows.append(connection.execute(f"select code from ({current_rows('bronze.up__lines')})").fetchall())
    assert rows == [[], [("b",)]]


def test_a_table_that_cannot_be_stored_fails_its_domain_alone(tiny: TinyWarehouse) -> None:
    assert not tiny.build(DAY, "down").has_failed
    tiny.edit("gold/fct_up.sql", "sum(amount) as amount,", "sum(amount) as amount, interval 1 day as wait,")
    tiny.load("up", NEXT_DAY, "code,amount\na,5\n")
    tiny.load("down", NEXT_DAY, "code,label\na,uno\n")

    built = {domain.domain: domain for domain in tiny.build(NEXT_DAY, "down").domains}

    assert built["up"].status == "failed"
    assert "wait" in str(built["up"].reason)
    assert "INTERVAL" in str(built["up"].reason)
    assert built["down"].status == "built"
    assert sql(tiny.settings, "select * from gold.fct_down") == [("uno", 1)]  # the new label, up's released amount


def test_a_feed_that_changes_its_domain_takes_its_tables_along(tiny: TinyWarehouse) -> None:
    assert not tiny.build(DAY, "down").has_failed
    for model in ("silver/stg_down__lines.sql", "gold/fct_down.sql", "gold/mart_nothing.sql"):
        tiny.edit(model, "tags='down'", "tags='moved'")
    tiny.registry = Registry([feed("up"), feed("down", domain="moved", depends_on=["up"]), feed("bare")])
    tiny.load("down", NEXT_DAY, "code,label\na,uno\n")

    built = tiny.build(NEXT_DAY, "down")

    assert built.release_id
    assert sql(tiny.settings, "select * from gold.fct_down") == [("uno", 1)]


def test_a_table_that_cannot_be_read_fails_its_domain_alone(tiny: TinyWarehouse) -> None:
    tiny.load("bare", DAY, "code\na\n")
    for file in (Path(tiny.settings.warehouse_root) / "bronze/bare__lines/data").rglob("*.parquet"):
        file.unlink()

    built = {domain.domain: domain for domain in tiny.build(DAY, "up", "bare").domains}

    assert built["bare"].status == "failed"
    assert ".parquet" in str(built["bare"].reason)
    assert built["up"].status == "built"

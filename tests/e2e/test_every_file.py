"""Every real file of the stand-in portal, found by ``odh discover`` and taken to silver by ``odh run``.

Each version of each file is synced on the day it was published, then the whole is built once, on the newest day.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import lake_settings
from lakes import odh
from shared_portal import DATA, ControlledPortal, requires_shared, shared_portal

from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.names import quote_identifier
from catalog.registry import Registry, load_registry
from catalog.session import Session, open_session
from catalog.settings import Settings
from ingestion.sync import Syncer

pytestmark = [requires_shared, pytest.mark.real, pytest.mark.timeout(600)]
LAST_DAY = date(2025, 2, 1)
Entry = dict[str, Any]


def entries() -> list[Entry]:
    path = DATA / "expected.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def case_id(entry: Entry) -> str:
    return "-".join(filter(None, [entry["file"].partition("/")[2], entry["member"]]))


@cache
def sha256_of(file: str) -> str:
    return hashlib.sha256((DATA / "datasets" / file).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lake that followed every dataset since its first version."""
    with shared_portal() as portal:
        settings = lake_settings(tmp_path_factory.mktemp("every") / "lake", portal_url=portal.url)
        found = odh(settings, "discover", "--all", "--add", "--json").json
        assert len(found["datasets"]) >= 28
        sync_history(settings, portal)
        portal.control(as_of=None)
        done = odh(settings, "run", "--extraction-date", LAST_DAY.isoformat(), "--json", check=False)
        report = done.json
        failed = [domain for domain in report["domains"] if domain["status"] == "failed"]
        assert not failed, failed
        yield settings


def sync_history(settings: Settings, portal: ControlledPortal) -> None:
    """Sync the feeds of each dataset on the days its files changed."""
    listed = json.loads((DATA / "portal.json").read_text("utf-8"))["datasets"]
    datasets: dict[date, set[str]] = defaultdict(set)
    for dataset in listed:
        for resource in dataset.get("resources", ()):
            for version in resource["versions"]:
                datasets[date.fromisoformat(version["date"][:10])] |= {dataset["id"], dataset["slug"]}
    registry = load_registry(settings)
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        for day in sorted(datasets):
            portal.control(as_of=day.isoformat())
            syncer = Syncer(settings, ledger, lakehouse, f"sync-{day}", registry=registry)
            for feed in registry:
                if feed.source.dataset in datasets[day]:
                    syncer.sync(feed, day, lambda *_: None)


@pytest.fixture(scope="module")
def session(lake: Settings) -> Iterator[Session]:
    with open_session(lake) as opened:
        yield opened


def load_of(session: Session, entry: Entry) -> dict[str, Any]:
    """The load, in the ledger, of one table of one file: found by what the file's bytes are."""
    query = f"select * from ops.loads where source_sha256 = '{sha256_of(entry['file'])}' and status <> 'unchanged'"
    found = session.execute(query).pl().to_dicts()
    mine = [load for load in found if entry["member"] in (None, load["source_member"])]
    assert mine, f"no load of {entry['member']!r} among {[load['source_member'] for load in found]}"
    return mine[0]


def bronze_of(session: Session, load: dict[str, Any]) -> pl.DataFrame:
    columns = ", ".join(f"coalesce({quote_identifier(c)}, '') as {quote_identifier(c)}" for c in columns_of(load))
    member = load["source_member"]
    table = f"bronze.{quote_identifier(load['table_name'])}"
    query = (
        f"select {columns} from {table} where _resource_id = '{load['resource_id']}' "
        f"and _extraction_date = '{load['extraction_date']}' "
        + (f"and _source_member = $${member}$$ " if member else "and _source_member is null ")
        + "order by _source_line"
    )
    return session.execute(query).pl()


def columns_of(load: dict[str, Any]) -> list[str]:
    columns: list[str] = json.loads(load["facts"])["columns"]
    return columns


def digest(column: pl.Series) -> str:
    return hashlib.sha256("".join(f"{cell}\x1f" for cell in column).encode()).hexdigest()


def is_left_aside(registry: Registry, entry: Entry) -> bool:
    """Whether a feed with declared tables takes the file and says by ``members`` that it wants another of its parts."""
    name = Path(entry["file"]).name
    tables = [table for feed in registry for table in feed.declared if table.accepts("", name)]
    return bool(tables) and not any(table.accepts_member(entry["member"]) for table in tables)


@pytest.mark.parametrize("entry", entries(), ids=case_id)
def test_every_table_is_loaded_whole_or_refused_with_a_reason(lake: Settings, session: Session, entry: Entry) -> None:
    if is_left_aside(load_registry(lake), entry):
        return
    load = load_of(session, entry)

    if entry["records"] is None:
        assert load["status"] == "refused"
        assert load["reason"]
        return
    assert load["status"] == "loaded", load["reason"]
    assert load["rows_loaded"] + load["rows_rejected"] == entry["records"]
    frame = bronze_of(session, load)
    assert frame.height == load["rows_loaded"]
    if entry["column_digests"]:
        assert [digest(frame[name]) for name in columns_of(load)] == entry["column_digests"]


def test_every_bronze_table_has_a_silver_table_with_all_its_rows(session: Session) -> None:
    tables = session.tables()
    for bronze in tables["bronze"]:
        if bronze in ("points_communes__communes", "signalements__signalements"):  # their domain waits for a push
            assert session.execute(f"select count(*) from bronze.{bronze}").fetchone() == (0,)
        else:
            assert f"stg_{bronze}" in tables["silver"]


def test_the_elected_officials_stay_one_table_through_every_shape(session: Session) -> None:
    """2019 → 2024: a title line, tabs and latin-1, then UTF-8, commas, semicolons, under four names."""
    query = """
        select table_name, count(distinct extraction_date) as days
        from ops.loads where table_name like '%elus%' and status = 'loaded' group by all order by days desc
    """
    assert session.execute(query).fetchall()[0][1] == 5


def test_a_silver_table_holds_what_its_contract_says(lake: Settings, session: Session) -> None:
    contracts = sorted(Path(lake.contracts).rglob("*.yml"))
    assert contracts
    for path in contracts:
        text = path.read_text("utf-8")
        assert "type:" in text
    [(kept,)] = session.execute(
        "select count(*) from ops.rejects where stage = 'type' and (column_name is null or source_line is null)"
    ).fetchall()
    assert kept == 0

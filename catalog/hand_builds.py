"""What an analyst's own ``dbt build`` reads: bronze as views in their DuckDB file, and nothing of the lake is written.

A build by hand sees what the current release was made from; what it makes stays in that file.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import chdir, closing
from datetime import date
from pathlib import Path

import duckdb

from catalog.errors import UsageError
from catalog.feed import Feed, FeedTable
from catalog.iceberg import BRONZE, LINEAGE, Lakehouse, Pin
from catalog.inputs import Inputs, show_bronze
from catalog.ledger import Ledger
from catalog.loads import bronze_tables_of
from catalog.names import quote_identifier
from catalog.registry import load_registry
from catalog.releases import Release, current_release
from catalog.session import prepare_connection
from catalog.settings import Settings, load_settings
from catalog.versions import REPLACED_ON, feed_versions

TYPES = {"_extraction_date": "date", "_source_line": "bigint", "_loaded_at": "timestamptz", REPLACED_ON: "date"}


def open_by_hand(connection: duckdb.DuckDBPyConnection, project: Path) -> None:
    """Make a connection to a file of dbt's one that reads the lake.

    Args:
        project: the dbt project; settings and a relative ``ODH_LAKE`` count from the folder it is in, as for ``odh``.

    Raises:
        UsageError: nothing is loaded yet.
    """
    with chdir(project.parent):
        settings = load_settings()
        settings = settings.model_copy(update={"lake": settings.lake.resolve()})
    if not (settings.ledger_url or (settings.lake / "ledger.db").exists()):
        raise UsageError(f"There is no lake at {settings.lake}. Fill it with odh run, or set ODH_LAKE to where one is.")
    prepare_connection(connection, settings)
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        if not lakehouse.names(BRONZE):
            raise UsageError(f"The lake {settings.lake} holds nothing yet. Fill it with odh run.")
        show_sources(connection, settings, ledger, lakehouse, load_registry(settings))


def show_sources(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    ledger: Ledger,
    lakehouse: Lakehouse,
    feeds: Iterable[Feed],
) -> None:
    """Show the bronze that the current release was made from; present bronze where none was recorded.

    A declared table that no feed has filled yet is an empty one, so that every model can be built.
    """
    for schema in (BRONZE, "odh"):  # what an earlier build was shown
        connection.execute(f"drop schema if exists {schema} cascade")
        connection.execute(f"create schema {schema}")
    release = current_release(ledger)
    for feed in feeds:
        pins = _pins(ledger, lakehouse, feed, release)
        versions = feed_versions(ledger, feed.feed, release.extraction_date if release else date.max)
        show_bronze(connection, settings, lakehouse, Inputs({feed.feed: pins}, {feed.feed: versions}), feed)
        for name, table in feed.bronze_names().items():
            if name not in pins:
                _make_empty(connection, name, table)


def _pins(ledger: Ledger, lakehouse: Lakehouse, feed: Feed, release: Release | None) -> dict[str, Pin]:
    recorded = {pin.name: pin for pin in release.inputs} if release else {}
    names = {*feed.bronze_names(), *bronze_tables_of(ledger, feed.feed)}
    present = {name: recorded.get(name) or lakehouse.pin(BRONZE, name) for name in sorted(names)}
    return {name: pin for name, pin in present.items() if pin}


def _make_empty(connection: duckdb.DuckDBPyConnection, name: str, table: FeedTable) -> None:
    columns = [*table.columns, *LINEAGE, REPLACED_ON]
    body = ", ".join(f"{quote_identifier(column)} {TYPES.get(column, 'varchar')}" for column in columns)
    connection.execute(f"create table {quote_identifier(BRONZE)}.{quote_identifier(name)} ({body})")

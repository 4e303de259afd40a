"""Holds the rows of bronze against the Table Schemas their resources declare; what breaks a rule is in the rejects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

import duckdb
import structlog

from catalog.contracts.contract import ColumnContract
from catalog.contracts.table_schema import TableSchema
from catalog.errors import InvalidContract
from catalog.iceberg import BRONZE, Lakehouse, Pin
from catalog.ledger import Ledger
from catalog.loads import newest_facts
from catalog.names import quote_identifier, quote_literal
from catalog.settings import Settings

PROPERTY = "table_schema"  # in the facts of a load: where the schema is on the lake's shelf
STAGE = "schema"

log = structlog.get_logger()


def check_schemas(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    ledger: Ledger,
    lakehouse: Lakehouse,
    feed: str,
    pins: Mapping[str, Pin],
) -> None:
    """Check the newest extraction of every resource that declares a schema, and replace the rejects of before.

    Args:
        connection: to a database whose schema ``bronze`` shows the tables as they are pinned.
    """
    for name, pin in pins.items():
        if pin.snapshot_id is None:
            continue
        told = ((resource, day, facts.get(PROPERTY)) for resource, day, facts in newest_facts(ledger, name))
        declared = dict.fromkeys((resource, day, str(place)) for resource, day, place in told if place)
        found = _violations(connection, settings, lakehouse, feed, name, pin, declared)
        ledger.replace_rejects(name, [STAGE], found)


def declared_columns(
    settings: Settings, ledger: Ledger, table: str, headers: Mapping[str, str]
) -> list[ColumnContract]:
    """What the schema of a table's newest file says of its columns; none when it declares none that can be read."""
    places = [str(facts[PROPERTY]) for _, _, facts in newest_facts(ledger, table) if facts.get(PROPERTY)]
    try:
        return TableSchema.read(settings.table_schemas, places[-1], headers).contracts() if places else []
    except InvalidContract:  # told where the rows are checked
        return []


def _violations(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    lakehouse: Lakehouse,
    feed: str,
    name: str,
    pin: Pin,
    declared: Iterable[tuple[str, date, str]],
) -> Iterator[dict[str, Any]]:
    headers = lakehouse.headers(pin)
    for resource_id, day, place in declared:
        mine = f"_resource_id = {quote_literal(resource_id)} and _extraction_date = date {quote_literal(str(day))}"
        rows = f"(select * from {quote_identifier(BRONZE)}.{quote_identifier(name)} where {mine}) as checked"
        try:
            for violation in TableSchema.read(settings.table_schemas, place, headers).violations(connection, rows):
                row = asdict(violation)
                row["source_member"] = row["source_member"] or ""
                yield {**row, "feed": feed, "table_name": name, "stage": STAGE}
        except InvalidContract as error:
            log.error("table_schema_unreadable", table=name, reason=str(error))

"""One table of bronze, loaded run after run as ``odh sync`` would: for the tests of loading."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

import duckdb
from raw_files import put_raw

from catalog import schema
from catalog.feed import Feed
from catalog.iceberg import BRONZE, Lakehouse
from catalog.ledger import Ledger
from catalog.session import create_view, scan_sql
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader, Load
from ingestion.raw import Manifest, RawZone

CSV = b"Code postal;Libell\xc3\xa9\n01000;Bourg\n75001;Paris\n"


TINY: dict[str, Any] = {
    "feed": "tiny",
    "title": "Tiny",
    "description": "A feed for tests.",
    "owner": "tests",
    "license": "lov2",
    "domain": "tiny",
    "source": {"dataset": "tiny"},
}


def feed(*tables: dict[str, Any], **table: Any) -> Feed:
    """A feed of one table that takes everything, or of several."""
    described: dict[str, Any] = {"name": "lines", "description": "One line.", "resources": "."}
    return Feed.model_validate({**TINY, "tables": [described | one for one in tables or (table,)]})


class Bronze:
    """One table of bronze, loaded run after run as ``odh sync`` would."""

    def __init__(self, settings: Settings, reader: duckdb.DuckDBPyConnection) -> None:
        self.settings, self.ledger, self.lakehouse = settings, Ledger(settings), Lakehouse(settings)
        self.reader = reader

    def load(
        self, *manifests: Manifest, run_id: str | None = None, tables: Sequence[dict[str, Any]] = (), **table: Any
    ) -> list[Load]:
        raw = RawZone(raw_store(self.settings))
        run_id = run_id or uuid.uuid4().hex
        loader = BronzeLoader(self.ledger, self.lakehouse, raw, self.settings.scratch, run_id)
        return loader.load(feed(*tables, **table), manifests)

    def put(self, day: date, content: bytes = CSV, name: str = "lines.csv", resource: str = "r1") -> Manifest:
        return put_raw(self.settings, "tiny", day, name, content, resource)

    def forget(self, resource: str = "r1") -> None:
        """Leave the ledger as a crash does between the commit of Iceberg and its own."""
        pending = schema.loads.update().where(schema.loads.c.resource_id == resource)
        with self.ledger.begin() as connection:
            connection.execute(pending.values(status="pending", snapshot_id=None))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of one statement over the table and the ledger, in the connection all tests share to save time."""
        pin = self.lakehouse.pin(BRONZE, "tiny__lines")
        assert pin
        create_view(self.reader, BRONZE, "tiny__lines", scan_sql(pin))
        for name in ("loads", "rejects", "schema_changes"):
            self.reader.register(name, self.ledger.arrow(name))
            create_view(self.reader, "ops", name, f"from {name}")
        return self.reader.execute(statement).fetchall()

    def rows(self, columns: str = "code_postal, libelle") -> list[tuple[Any, ...]]:
        order = "_extraction_date, _resource_id, _source_member, _source_line"
        return self.sql(f"select {columns} from bronze.tiny__lines order by {order}")

    def snapshots(self) -> list[dict[str, Any]]:
        """Summaries of the table's snapshots, oldest first."""
        table = self.lakehouse.table(BRONZE, "tiny__lines")
        return [snapshot.summary.additional_properties for snapshot in table.snapshots() if snapshot.summary]

    def loads(self, columns: str = "status, rows_loaded") -> list[tuple[Any, ...]]:
        order = "extraction_date, resource_id, source_member"
        return self.sql(f"select {columns} from ops.loads order by {order}")

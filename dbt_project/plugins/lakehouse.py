"""dbt-duckdb plugin: opens dbt's connection as every other session of the lakehouse is opened."""

from __future__ import annotations

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection


class Plugin(BasePlugin):  # type: ignore[misc]
    """Lets bronze views read Iceberg tables: extensions from their wheels, storage secrets from the settings."""

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Prepare dbt's one connection; its cursors inherit what is set here."""
        from catalog.session import prepare_connection  # here: dbt lists plugins where the catalog is not needed

        prepare_connection(conn)

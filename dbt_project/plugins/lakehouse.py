"""dbt-duckdb plugin: opens dbt's connection as every other session of the lakehouse is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

PROJECT = Path(__file__).resolve().parent.parent


class Plugin(BasePlugin):  # type: ignore[misc]
    """Lets bronze views read Iceberg tables: extensions from their wheels, storage secrets from the settings.

    The builder makes the views itself; a build by hand (``shows_bronze`` in the profile) is shown them here.
    """

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Take the profile's ``config``."""
        self.shows_bronze = bool(plugin_config.get("shows_bronze"))

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Prepare dbt's one connection; its cursors inherit what is set here."""
        from catalog.enrichment import install_enrichment
        from catalog.hand_builds import open_by_hand  # here: dbt lists plugins where the catalog is not needed
        from catalog.session import prepare_connection

        if self.shows_bronze:
            open_by_hand(conn, PROJECT)
        else:
            prepare_connection(conn)
        install_enrichment(conn)

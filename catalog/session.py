"""SQL over the lakehouse: a DuckDB session whose tables are pinned Iceberg snapshots, raw manifests and the ledger.

Views are made for the tables a statement names, so that one query does not pay for the metadata of all the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa

from catalog.errors import OdhError, UnknownName, UsageError
from catalog.extensions import EXTENSIONS, UNCHECKED, load_extensions
from catalog.extensions import extension_file as extension_file  # for those who ask here
from catalog.functions import install_functions
from catalog.iceberg import BRONZE, GOLD, SILVER, Lakehouse, Pin
from catalog.ledger import OPS_TABLES, Ledger
from catalog.names import quote_identifier, quote_literal
from catalog.releases import released_pins
from catalog.settings import Settings, load_settings
from catalog.spill import spill_folder

# A table's own order: its files, then the rows within each. Iceberg promises none, and DuckDB's changes between two
# runs over several files, so whoever needs one asks for it.
STORED_ORDER = ("filename", "file_row_number")
READING = {"SELECT", "EXPLAIN", "COPY"}  # SHOW, DESCRIBE, SUMMARIZE and PRAGMA functions are SELECT to DuckDB
CATALOGUE_WORDS = {"show", "describe", "summarize", "information_schema", "pragma", "use"}


def prepare_connection(connection: duckdb.DuckDBPyConnection, settings: Settings | None = None) -> None:
    """Make any DuckDB connection one of the lakehouse's: UTC, its memory limit, Iceberg, the object store's keys,
    the functions that read French texts.

    It is quick where the DuckDB was opened ``UNCHECKED`` (``catalog.extensions``). The extensions are files of Python
    packages: nothing is fetched and nothing is written to the home folder.
    """
    settings = settings or load_settings()
    connection.execute("set global timezone = 'UTC'")
    connection.execute(f"set global memory_limit = {quote_literal(settings.memory_limit)}")
    remote = settings.warehouse_root.startswith("s3://")
    load_extensions(connection, (*EXTENSIONS, "httpfs") if remote else EXTENSIONS)
    if remote:
        connection.execute(s3_secret(settings))
    install_functions(connection)


def open_file(settings: Settings, database: Path) -> duckdb.DuckDBPyConnection:
    """Open a database file of our own, made if it is not there, that reads pinned tables as well."""
    connection = duckdb.connect(str(database), config={"threads": settings.threads, **UNCHECKED})
    prepare_connection(connection, settings)
    return connection


def open_duckdb(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Open an empty in-memory database that reads pinned tables; ``cursor()`` gives each thread its own connection."""
    spill = str(spill_folder(settings))
    connection = duckdb.connect(config={"threads": settings.threads, "temp_directory": spill, **UNCHECKED})
    connection.execute("set python_enable_replacements = false")  # a name in SQL is never a variable of this program
    prepare_connection(connection, settings)
    return connection


def table_function(pin: Pin) -> str:
    """What to write after FROM to read one table at its pinned snapshot.

    Its rows carry the virtual columns ``filename`` and ``file_row_number``, which a view would hide. Without ORDER BY
    their order changes from one run to the next as soon as the table has several files.
    """
    snapshot = f", snapshot_from_id = {pin.snapshot_id:d}" if pin.snapshot_id is not None else ""
    return f"iceberg_scan({quote_literal(_readable(pin.metadata_location))}{snapshot})"


def scan_sql(pin: Pin) -> str:
    """A SELECT of one table at its pinned snapshot."""
    return f"select * from {table_function(pin)}"


def stored_order(columns: Iterable[str]) -> tuple[str, ...]:
    """What to order a table by, as SQL, to have its rows in the order they are stored in.

    A table with columns of these names hides the virtual ones; its rows are then ordered by all columns, only slower.
    """
    names = tuple(columns)
    hidden = any(name.lower() in STORED_ORDER for name in names)
    return tuple(quote_identifier(name) for name in (names if hidden else STORED_ORDER))


def create_view(connection: duckdb.DuckDBPyConnection, schema: str, name: str, select: str) -> None:
    """Make or replace one view."""
    connection.execute(f"create schema if not exists {quote_identifier(schema)}")
    target = f"{quote_identifier(schema)}.{quote_identifier(name)}"
    connection.execute(f"create or replace view {target} as {select}")


@dataclass
class Session:
    """One DuckDB session over the lakehouse; close it after use."""

    settings: Settings
    lakehouse: Lakehouse
    ledger: Ledger
    as_of: date | None = None
    connection: duckdb.DuckDBPyConnection = field(init=False)
    _pins: dict[tuple[str, str], Pin] = field(init=False)
    _made: set[tuple[str, str]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.connection = open_duckdb(self.settings)
        for schema in ("raw", BRONZE, SILVER, GOLD, "ops"):
            self.connection.execute(f"create schema {quote_identifier(schema)}")
        pins = released_pins(self.ledger, self.as_of)
        self._pins = {(pin.layer, pin.name): pin for pin in pins}

    def tables(self) -> dict[str, list[str]]:
        """Every table a statement may name, by schema."""
        bronze = self.lakehouse.names(BRONZE)
        released = {layer: sorted(name for place, name in self._pins if place == layer) for layer in (SILVER, GOLD)}
        return {"raw": ["files"], BRONZE: bronze, **released, "ops": list(OPS_TABLES)}

    def execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        """Run one statement and return the connection, ready to be fetched from.

        Raises:
            UnknownName: a table that does not exist, with the nearest one.
            UsageError: no statement, several, one that does not read, or one DuckDB refuses, with its message.
        """
        with self.told():
            self._check(statement)
            self._make_views(self._named_in(statement))
            return self.connection.execute(statement)

    def fetch(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one statement and return its columns and rows; some errors only come while rows are read.

        Raises:
            UsageError: as ``execute``.
        """
        cursor = self.execute(statement)
        with self.told():
            columns = [column[0] for column in cursor.description or []]
            return columns, cursor.fetchall() if columns else []

    def _check(self, statement: str) -> None:
        """Let one statement that reads through; any other would act on views of this session and change nothing."""
        kinds = [one.type.name for one in duckdb.extract_statements(statement)]
        if not kinds:
            raise UsageError("There is no statement to run; write one, such as: select * from ops.runs")
        if len(kinds) > 1:
            raise UsageError(f"These are {len(kinds)} statements; run one at a time.")
        if kinds[0] not in READING:
            raise UsageError(f"{kinds[0]} is no query: SQL only reads the lakehouse. What fills it is odh run.")

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn the errors DuckDB raises in a block into ours."""
        try:
            yield
        except duckdb.CatalogException as error:
            raise self._explain(error) from error
        except duckdb.Error as error:
            raise UsageError(f"SQL error: {error}") from error

    def close(self) -> None:
        """Free the session."""
        self.connection.close()

    def _named_in(self, statement: str) -> list[tuple[str, str]]:
        """Tables whose name stands in a statement; every table when it looks at the catalogue (SHOW, describe…).

        A name that stands there by chance costs a view; DuckDB's own parser finds no names in what it cannot bind yet.
        """
        words = set(re.findall(r"[a-z0-9_]+", statement.lower()))
        is_about_catalogue = bool(words & CATALOGUE_WORDS) or any(word.startswith("duckdb_") for word in words)
        known = ((schema, name) for schema, names in self.tables().items() for name in names)
        return [(schema, name) for schema, name in known if is_about_catalogue or name.lower() in words]

    def _make_views(self, places: Iterable[tuple[str, str]]) -> None:
        for schema, name in places:
            if (schema, name) in self._made:
                continue
            if self._make_view(schema, name):
                self._made.add((schema, name))

    def _make_view(self, schema: str, name: str) -> bool:
        if schema == "ops" and name in OPS_TABLES:
            return self._copy(schema, name, self.ledger.arrow(name))
        if (schema, name) == ("raw", "files"):
            return self._copy(schema, name, self.ledger.arrow("extractions").drop_columns(["run_id"]))
        pin = self.lakehouse.pin(schema, name) if schema == BRONZE else self._pins.get((schema, name))
        if pin is None:
            return False
        create_view(self.connection, schema, name, scan_sql(pin))
        return True

    def _copy(self, schema: str, name: str, content: pa.Table) -> bool:
        self.connection.register("incoming", content)
        target = f"{quote_identifier(schema)}.{quote_identifier(name)}"
        self.connection.execute(f"create or replace table {target} as select * from incoming")
        self.connection.unregister("incoming")
        return True

    def _explain(self, error: duckdb.CatalogException) -> OdhError:
        found = re.search(r'Table with name "?(.+?)"? does not exist', str(error))
        if not found:
            return UsageError(f"SQL error: {error}")
        known = [f"{schema}.{name}" for schema, names in self.tables().items() for name in names]
        unknown = UnknownName("table", found[1], known)
        if self.as_of and not self._pins:
            return UsageError(f"{unknown} Nothing had been released by {self.as_of}.")
        return unknown


@contextmanager
def open_session(settings: Settings, as_of: date | None = None) -> Iterator[Session]:
    """Open the catalogue, the ledger and a session over them."""
    with (
        closing(Ledger(settings)) as ledger,
        closing(Lakehouse(settings)) as lakehouse,
        closing(Session(settings, lakehouse, ledger, as_of)) as session,
    ):
        yield session


def s3_secret(settings: Settings) -> str:
    """The statement that tells DuckDB the object store's keys."""
    endpoint = urlsplit(settings.s3_endpoint or "https://s3.amazonaws.com")
    secret = settings.s3_secret_access_key
    options = {
        "key_id": settings.s3_access_key_id or "",
        "secret": secret.get_secret_value() if secret else "",
        "region": settings.s3_region,
        "endpoint": endpoint.netloc,
        "url_style": "path",
    }
    listed = ", ".join(f"{name} {quote_literal(value)}" for name, value in options.items())
    secure = str(endpoint.scheme == "https").lower()
    return f"create or replace secret lake (type s3, {listed}, use_ssl {secure})"


def _readable(location: str) -> str:
    return location.removeprefix("file://")

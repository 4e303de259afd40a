"""DuckDB's extensions, which are files of Python packages: nothing is fetched at run time."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import duckdb

from catalog.errors import UsageError
from catalog.names import quote_literal

EXTENSIONS = ("avro", "iceberg")  # what reading tables takes; avro before iceberg, which needs it
UNCHECKED = {"allow_unsigned_extensions": True}  # to open a DuckDB with, for ``load_extensions`` to be quick


def load_extensions(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Load extensions, and let the connection's DuckDB load none without a signature from then on.

    The files are those of packages whose hashes are pinned. DuckDB checks their signatures besides, which takes 0.24 s
    of CPU for each DuckDB that was not opened ``UNCHECKED``.
    """
    for name in names:
        connection.execute(f"load {quote_literal(str(extension_file(name)))}")
    connection.execute("set global allow_unsigned_extensions = false")


def extension_file(name: str) -> Path:
    """Where a DuckDB extension's package put its file.

    Raises:
        UsageError: when the package is not installed.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise UsageError(f"DuckDB's {name} extension is not installed; install duckdb-extension-{name}.")
    version = f"v{duckdb.__version__}"
    return Path(spec.origin).parent / "extensions" / version / f"{name}.duckdb_extension"

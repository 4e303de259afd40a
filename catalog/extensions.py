"""DuckDB's extensions, which are files of Python packages: nothing is fetched at run time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from catalog.errors import UsageError

EXTENSIONS = ("avro", "iceberg")  # what reading tables takes; avro before iceberg, which needs it


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

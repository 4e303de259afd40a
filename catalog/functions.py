"""Puts the functions of ``functions.sql`` into a DuckDB connection: the project's words for reading French texts."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import duckdb


def install_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to a connection and to its cursors, in the database it has open.

    A database that may not be written has them for this connection alone. Takes some 20 ms.
    """
    found = connection.execute("select readonly from duckdb_databases() where database_name = current_database()")
    is_read_only = (found.fetchone() or (False,))[0]
    script = functions_sql()
    if is_read_only:
        script = script.replace("create or replace macro", "create or replace temp macro")
    connection.begin()  # one transaction halves the time
    try:
        connection.execute(script)
        connection.commit()
    except duckdb.Error:
        connection.rollback()
        raise


@cache
def functions_sql() -> str:
    """The statements that make the functions."""
    return files("catalog").joinpath("functions.sql").read_text("utf-8")

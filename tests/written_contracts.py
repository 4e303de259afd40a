"""Contracts written by hand for tests, and bronze rows to hold them against, with no lake and no loader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import duckdb

from catalog.contracts.contract import ColumnContract, Contract, Profile
from catalog.feed import Feed
from catalog.names import quote_identifier

LINEAGE = "_resource_id varchar, _extraction_date date, _source_file varchar, _source_member varchar"
LINEAGE += ", _source_line bigint, _loaded_at timestamptz, _replaced_on date"
DAY = date(2024, 5, 1)


def feed(name: str = "velos", **more: Any) -> Feed:
    """A feed whose tables are found in its files."""
    told = {"title": name, "description": name, "owner": "tests", "license": "lov2", "domain": "transport"}
    return Feed.model_validate({"feed": name, "source": {"dataset": name}, "tables": "auto", **told, **more})


def contract(table: str, columns: Mapping[str, str | Mapping[str, Any]], **more: Any) -> Contract:
    """A contract of a bronze table: a type, or all that is to be said, by column."""
    told = [{"name": name, **({"type": one} if isinstance(one, str) else one)} for name, one in columns.items()]
    return Contract(
        feed=table.split("__")[0],
        domain=more.pop("domain", "transport"),
        table=table,
        columns=[ColumnContract.model_validate(one) for one in told],
        profile=more.pop("profile", Profile(snapshot="1", rows=0)),
        **more,
    )


def put_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Contract,
    rows: Sequence[Sequence[str | None]],
    *,
    day: date = DAY,
    resource: str = "r1",
) -> str:
    """Put one version of a resource into the bronze table of a contract, from line 2 on, and give its name in SQL.

    Versions of before are replaced by it; one that comes late is replaced by the first after it.
    """
    name = f"bronze.{quote_identifier(table.table)}"
    columns = ", ".join(f"{quote_identifier(column.name)} varchar" for column in table.columns)
    connection.execute("create schema if not exists bronze")
    connection.execute(f"create table if not exists {name} ({columns}, {LINEAGE})")
    marks = ", ".join("?" * (len(table.columns) + 7))
    for line, row in enumerate(rows, start=2):
        lineage = (resource, day, f"{resource}.csv", None, line, datetime(2024, 5, 2, tzinfo=UTC), None)
        connection.execute(f"insert into {name} values ({marks})", [*row, *lineage])
    later = f"select min(_extraction_date) from {name} as b where b._resource_id = a._resource_id"
    later += " and b._extraction_date > a._extraction_date"
    connection.execute(f"update {name} as a set _replaced_on = ({later})")
    return name

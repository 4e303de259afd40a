"""From a table of DuckDB to its Iceberg table's staging branch: only what changed, in one snapshot.

Rows are told apart by 64-bit hashes; a mistake needs a row that came and a row that went to share theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog.iceberg import STAGING, Lakehouse, Pin, field_ids
from catalog.iceberg_files import data_files, swap_files
from catalog.names import relation_of
from catalog.session import scan_sql, table_function
from catalog.storable import copy_to_parquet, storable_select

WHOLE_ROWS = 100_000  # a table up to this size is written whole
MOST_REWRITTEN = 0.5  # of a table's rows; beyond, it is written whole


def content_of(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, str]:
    """Row count, and an order-free hash of columns and rows, of a relation."""
    # the alias is no column's name: hash() would take that column alone
    hashes = "sum(hash(_odh_row)::hugeint)::varchar, bit_xor(hash(_odh_row))::varchar"
    query = f"select count(*), {hashes} from {relation} as _odh_row"
    rows, total, mixed = connection.execute(query).fetchone() or (0, None, None)
    columns = _schema(connection, storable_select(connection, relation)).to_string(show_field_metadata=False)
    return int(rows), hashlib.sha256(f"{columns}|{rows}|{total}|{mixed}".encode()).hexdigest()


def stage_table(
    connection: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    place: tuple[str, str],
    told: tuple[Mapping[str, str], str],
    base: Pin | None,
    workspace: Path,
    summary: Mapping[str, str],
) -> Pin:
    """Write a relation of a DuckDB on the staging branch of its Iceberg table.

    Args:
        place: layer and name, the same in both.
        told: descriptions of the columns, and what the table is for.
        base: the snapshot to begin with: data files whose rows all stayed are kept.
        workspace: folder for the parquet file on its way.
        summary: facts kept in the snapshot's summary.

    Raises:
        BuildFailed: a column has a type that Iceberg has not.
    """
    select = storable_select(connection, relation_of(*place))
    schema = _schema(connection, select)
    table = lakehouse.stage_table(*place, schema, *told, base.snapshot_id if base else None)
    file = workspace / f"{'-'.join(place)}.parquet"
    gone = [one.path for one in data_files(table, table.metadata.refs[STAGING].snapshot_id)]
    is_large = lakehouse.totals(base)["rows"] > WHOLE_ROWS
    if base and is_large and _schema(connection, scan_sql(base)).equals(schema):
        select, gone = _changed(connection, select, base, gone)
    copy_to_parquet(connection, select, field_ids(table), file)
    snapshot_id = swap_files(lakehouse, table, gone, [file], "release", summary, STAGING)
    pin = Pin(*place, table.metadata_location, snapshot_id)
    lakehouse.show_schema_of_main(table)  # a build killed from here on leaves no trace on main
    return pin


def _changed(connection: duckdb.DuckDBPyConnection, select: str, base: Pin, files: list[str]) -> tuple[str, list[str]]:
    """What to write, and which data files it takes the place of.

    A file of which no row changed is kept; of the others, the rows that stayed are written again with those that came.
    """
    before, run = table_function(base), connection.execute
    run(f"""
        create or replace temp table odh_base as
        select _odh_row.filename as file, hash(_odh_row) as hash from {before} as _odh_row""")
    run(f"""
        create or replace temp table odh_changed as
        select coalesce(was.hash, is_now.hash) as hash
        from (select hash, count(*) as times from odh_base group by hash) as was
        full join (select hash(_odh_row) as hash, count(*) as times from ({select}) as _odh_row group by all) as is_now
            on was.hash = is_now.hash
        where was.times is distinct from is_now.times""")
    run("""
        create or replace temp table odh_touched as
        select distinct file from odh_base semi join odh_changed using (hash)""")
    share = "select coalesce(avg((file in (from odh_touched))::integer), 1) from odh_base"
    [(rewritten,)] = run(share).fetchall()
    if rewritten > MOST_REWRITTEN:
        return select, files
    changed = "hash(_odh_row) in (from odh_changed)"
    came = f"select * from ({select}) as _odh_row where {changed}"
    stayed = f"select * from {before} as _odh_row where _odh_row.filename in (from odh_touched) and not {changed}"
    return f"{came} union all {stayed}", [file for (file,) in run("from odh_touched").fetchall()]


def _schema(connection: duckdb.DuckDBPyConnection, select: str) -> pa.Schema:
    return connection.execute(f"{select} limit 0").to_arrow_table().schema

"""One statement made a job: the tables it may name at their snapshots, for the caller who sent it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from api.access import Caller
from api.tables import Tables
from catalog.errors import Restricted
from catalog.iceberg import BRONZE, GOLD, SILVER, Pin
from catalog.ledger import OPS_TABLES
from catalog.sandbox import Job, JobTable
from catalog.scopes import Scope
from catalog.session import s3_secret

ALIASES = {BRONZE: "raw", SILVER: "staging", GOLD: "curated"}  # a layer by the gateway's name
# of the ledger; others tell of hosts, commands and callers, and take admin:read
OPEN_TABLES = {
    "extractions",
    "listings",
    "loads",
    "quality_results",
    "rejects",
    "releases",
    "removals",
    "schema_changes",
    "snapshots",
}
ASKS_CATALOGUE = re.compile(r"information_schema|\bshow\b|\bdescribe\b", re.I)


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks."""

    sql: str
    form: str
    max_rows: int
    as_of: date | None = None
    parameters: Any = None


def make_job(tables: Tables, caller: Caller, query: Query, folder: Path) -> Job:
    """Find what a statement may read. A table whose name stands in it by chance costs a look at the catalogue.

    Args:
        folder: for the files of this statement; the caller of this removes it.
    """
    folder.mkdir(parents=True)
    settings, words = tables.settings, set(re.findall(r"[a-z0-9_]+", query.sql.lower()))
    release = tables.release(query.as_of)
    released = [table.pin for table in release.tables] if release else []
    names = tables.lakehouse.names(BRONZE)
    readable = [name for name in names if _may_read(tables, name)]
    bronze = [pin for name in readable if name in words and (pin := tables.lakehouse.pin(BRONZE, name))]
    ops = ["raw.files", *(f"ops.{name}" for name in _ops_tables(caller))]
    return Job(
        sql=query.sql,
        output=str(folder / "result"),
        folder=str(folder / "spill"),
        form=query.form,
        max_rows=query.max_rows,
        max_bytes=settings.sql_max_bytes,
        memory_bytes=settings.sql_memory_bytes,
        spill_bytes=settings.sql_spill_bytes,
        threads=settings.sql_threads,
        seconds=settings.sql_timeout_seconds,
        tables=[_job_table(schema, pin) for pin in (*released, *bronze) for schema in (pin.layer, ALIASES[pin.layer])],
        copies={name: str(_copy(tables, name, folder)) for name in ops if name.partition(".")[2] in words},
        others=_others(tables, query, released, readable, ops),
        denied=_denied(tables, caller, set(names) - set(readable)),
        parameters=query.parameters,
        secret=s3_secret(settings) if settings.warehouse_root.startswith("s3://") else None,
    )


def _job_table(schema: str, pin: Pin) -> JobTable:
    return JobTable(schema, pin.name, pin.metadata_location, pin.snapshot_id)


def _ops_tables(caller: Caller) -> list[str]:
    return [name for name in OPS_TABLES if name in OPEN_TABLES or caller.allows(Scope.ADMIN_READ)]


def _may_read(tables: Tables, name: str) -> bool:
    try:
        tables.refuse_restricted(name)
    except Restricted:
        return False
    return True


def _denied(tables: Tables, caller: Caller, restricted: Iterable[str]) -> dict[str, str]:
    """What is there and is not for this caller, with what to tell."""
    found: dict[str, str] = {}
    for name in restricted:
        told = f"{name} is raw data of a restricted feed; reading it takes the scope {Scope.RESTRICTED_READ}."
        found |= {f"{schema}.{name}": told for schema in (BRONZE, ALIASES[BRONZE])}
    hidden = set(OPS_TABLES) - set(_ops_tables(caller))
    return found | {f"ops.{name}": f"ops.{name} takes the scope {Scope.ADMIN_READ}." for name in hidden}


def _others(
    tables: Tables, query: Query, released: list[Pin], bronze: list[str], ops: list[str]
) -> dict[str, list[list[str]]]:
    """Every table by name and, where the statement may ask what there is, its columns."""
    if not ASKS_CATALOGUE.search(query.sql):
        names = (*(f"{pin.layer}.{pin.name}" for pin in released), *(f"{BRONZE}.{name}" for name in bronze), *ops)
        return {name: [] for name in names}
    pins = [*released, *(pin for name in bronze if (pin := tables.lakehouse.pin(BRONZE, name)))]
    found = {f"{pin.layer}.{pin.name}": [[one.name, one.type] for one in tables.meaning(pin).columns] for pin in pins}
    return found | {name: [["…", "varchar"]] for name in ops}


def _copy(tables: Tables, name: str, folder: Path) -> Path:
    """The rows of one ops table in a file, without those of feeds and bronze tables the caller may not read."""
    schema, _, table = name.partition(".")
    may_read = cache(lambda named: named is None or _may_read(tables, named))
    batches = tables.ledger.arrow_batches("extractions" if schema == "raw" else table)
    first = _shown(next(batches), schema, may_read)
    file = folder / f"{name}.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(_shown(batch, schema, may_read))
    return file


def _shown(batch: pa.RecordBatch, schema: str, may_read: Callable[[str | None], bool]) -> pa.RecordBatch:
    if schema == "raw":
        batch = batch.drop_columns(["run_id"])
    about = [name for name in ("feed", "table_name") if name in batch.schema.names]
    if not about:
        return batch
    named = zip(*(batch.column(name).to_pylist() for name in about), strict=True)
    return batch.filter(pa.array([all(map(may_read, names)) for names in named], pa.bool_()))

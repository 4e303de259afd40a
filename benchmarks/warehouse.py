"""`make bench-warehouse`: writing back, reading releases, committing often and running for nothing, in one run.

What is compared takes turns on the same machine; medians count. Every measure works in a lake of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import commit, describe_machine
from benchmarks.report import Goal, about_lines, goal_lines, keep_results
from catalog import releases, write_back
from catalog.iceberg import BRONZE, GOLD, LINEAGE, Lakehouse, arrow_schema
from catalog.ledger import Ledger
from catalog.session import Session, open_duckdb, prepare_connection
from catalog.settings import Settings
from catalog.upkeep import Upkeep
from ingestion.sample.generator import write_sample
from ingestion.sample.portal import running_portal

RESULTS = Path(__file__).with_name("results") / "warehouse.json"
TITLE = "bench-warehouse"
DAY = date(2024, 1, 1)
MODEL = """
    select
        range as id,
        (range % 36000)::varchar as commune_code,
        date '2015-01-01' + (range % 3650)::integer as day,
        hash(range) % 100000 / 7 as amount,
        case when range % 11 = 0 then null else 'label ' || (hash(range, 1) % 5000) end as label,
        range % 3 = 0 as is_open,
        (hash(range, 2) % 1000000)::integer as number,
        md5((range // 5)::varchar) as key
    from range({rows})
"""
QUERY = "select commune_code, count(*), sum(amount), max(day) from {table} where is_open group by commune_code"


def main() -> None:
    """Measure, keep the results, write the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the large table, of 8 columns")
    parser.add_argument("--commits", type=int, default=1_000, help="small commits to one table")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table of the docs is written for this only")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    results: dict[str, Any] = {
        "commit": commit(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": options.rows,
        "commits": options.commits,
        "repeats": options.repeats,
    }
    with tempfile.TemporaryDirectory(prefix="bench-warehouse-") as folder:
        root = Path(folder)
        results |= measure_large_table(root / "large", options.rows, options.repeats)
        results |= measure_commits(root / "commits", options.commits)
        results |= measure_idle_run(root / "idle", options.repeats)
    results["machine"] = describe_machine(("duckdb", "pyiceberg", "pyarrow", "dbt-core"), load)
    text = "\n".join([*goal_lines(_goals(results)), "", *about_lines(results, options.repeats)])
    keep_results(results, text, options.results, RESULTS, TITLE)


# The measures


def measure_large_table(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Seconds of a model's way to Iceberg and of COPY, then of a query on the release and on plain parquet."""
    plain, name = folder / "plain.parquet", "fct_wide"
    taken: dict[str, list[float]] = {"write_back": [], "copy": [], "released": [], "parquet": []}
    with _lake(folder) as (settings, ledger, lakehouse):
        copy = f"copy gold.{name} to '{plain}' (format parquet, compression zstd, compression_level 1)"
        with closing(_model(settings, folder / "private.duckdb", name, rows)) as connection:
            for turn in range(repeats):
                works = {
                    "write_back": partial(_write_back, connection, lakehouse, folder, f"{name}_{turn}"),
                    "copy": partial(connection.execute, copy),
                }
                for one in works if turn % 2 == 0 else reversed(works):
                    taken[one].append(_seconds(works[one]))
            pin = write_back.stage_table(connection, lakehouse, (GOLD, name), ({}, ""), None, folder, {})
        table = releases.ReleasedTable(pin, "bench", rows, "hash")
        releases.publish(ledger, lakehouse, releases.stage(ledger, "bench", DAY, [table], {"bench": "mark"}))
        with closing(Session(settings, lakehouse, ledger)) as session, closing(open_duckdb(settings)) as bare:
            released = partial(session.fetch, QUERY.format(table=f"gold.{name}"))
            parquet = partial(_fetch, bare, QUERY.format(table=f"read_parquet('{plain}')"))
            released(), parquet()  # the first of each reads its file from disk
            for _ in range(3 * repeats):
                taken["released"].append(_seconds(released))
                taken["parquet"].append(_seconds(parquet))
    return {f"{name}_seconds": seconds for name, seconds in taken.items()}


def measure_commits(folder: Path, commits: int) -> dict[str, Any]:
    """Milliseconds of each of many small commits to one bronze table, its upkeep after every tenth not counted."""
    taken: list[float] = []
    with _lake(folder) as (settings, ledger, lakehouse):
        table = lakehouse.ensure_bronze("often__lines", {"code": "Code."})
        with closing(Upkeep(settings, ledger, lakehouse, folder / "scratch", datetime.now(UTC))) as upkeep:
            upkeep.scratch.mkdir(parents=True)
            for number in range(commits):
                table = lakehouse.table(BRONZE, "often__lines")
                file = _small_file(folder, arrow_schema(table, ["code", *LINEAGE]), number)
                taken.append(1000 * _seconds(partial(lakehouse.append_files, table, [file], str(DAY), {})))
                if number % 10 == 9:
                    upkeep.tidy(BRONZE, "often__lines")
    return {"commit_ms": [round(one, 1) for one in taken]}


def measure_idle_run(folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds of `odh run` of the pilot feeds on the sample portal when nothing changed, and releases made."""
    write_sample(folder / "sample", scale=1, seed=0)
    command = [sys.executable, "-m", "odh", "run", "accidents", "irve", "--json"]
    with running_portal(folder / "sample") as url:
        environment = {**os.environ, "ODH_PORTAL_URL": url, "ODH_LAKE": str(folder / "lake")}

        def run() -> Any:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            return json.loads(done.stdout)

        run()
        answers: list[Any] = []
        seconds = [_seconds(lambda: answers.append(run())) for _ in range(repeats)]
    return {"idle_run_seconds": seconds, "idle_releases": [one["release_id"] for one in answers]}


# Parts of them


@contextmanager
def _lake(folder: Path) -> Iterator[tuple[Settings, Ledger, Lakehouse]]:
    settings = Settings(lake=folder / "lake")
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        yield settings, ledger, lakehouse


def _model(settings: Settings, file: Path, name: str, rows: int) -> duckdb.DuckDBPyConnection:
    """A private file of a build with one large model in it."""
    connection = duckdb.connect(str(file), config={"threads": settings.threads})
    prepare_connection(connection, settings)
    connection.execute(f"create schema gold; create table gold.{name} as {MODEL.format(rows=rows)}")
    return connection


def _write_back(connection: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, folder: Path, name: str) -> None:
    """All that a build does to a model that is new: its hash, its file, its commit."""
    connection.execute(f"create view gold.{name} as from gold.fct_wide")
    write_back.content_of(connection, f"gold.{name}")
    write_back.stage_table(connection, lakehouse, (GOLD, name), ({}, ""), None, folder, {})


def _fetch(connection: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return connection.execute(query).fetchall()


def _small_file(folder: Path, schema: pa.Schema, number: int) -> Path:
    row = {"code": str(number), "_resource_id": "r", "_extraction_date": DAY, "_source_file": "f.csv"}
    path = folder / "one.parquet"
    pq.write_table(pa.Table.from_pylist([{**row, "_source_line": number}], schema=schema), path)
    return path


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 4)


def _goals(results: dict[str, Any]) -> list[Goal]:
    middle = {name: median(taken) for name, taken in results.items() if name.endswith("_seconds")}
    to_copy = middle["write_back_seconds"] / middle["copy_seconds"]
    to_parquet = middle["released_seconds"] / middle["parquet_seconds"]
    commits = results["commit_ms"]
    early, late = median(commits[5:15]), median(commits[-10:])
    idle, made = middle["idle_run_seconds"], [one for one in results["idle_releases"] if one is not None]
    rows, number = f"{results['rows']:,} rows", f"{len(commits):,}"
    return [
        (
            f"write-back of {rows} at most 1.15 times COPY",
            f"{to_copy:.2f} ({middle['write_back_seconds']:.2f} s, {middle['copy_seconds']:.2f} s)",
            to_copy <= 1.15,
        ),
        (
            f"aggregation of {rows} of a release at most 1.2 times plain parquet",
            f"{to_parquet:.2f} ({1000 * middle['released_seconds']:.0f} ms, {1000 * middle['parquet_seconds']:.0f} ms)",
            to_parquet <= 1.2,
        ),
        (
            f"small commits: the {number}th (median of the last 10) at most 1.5 times the 10th (of the 6th to 15th)",
            f"{late / early:.2f} ({late:.0f} ms, {early:.0f} ms)",
            late <= 1.5 * early,
        ),
        ("a run in which nothing changed at most 10 s, no release", f"{idle:.1f} s", idle <= 10 and not made),
    ]


if __name__ == "__main__":
    main()

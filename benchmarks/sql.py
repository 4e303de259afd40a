"""`make bench-sql`: what a statement costs through POST /sql, and what holds its memory.

Times are those of a client on loopback; a request that asks nothing of the lake is measured beside, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import requests
import uvicorn

from api.app import create_app
from benchmarks.machine import commit, describe_machine
from benchmarks.report import about_lines, keep_results
from catalog import releases, write_back
from catalog.iceberg import GOLD, Lakehouse
from catalog.ledger import Ledger
from catalog.releases import ReleasedTable
from catalog.session import open_duckdb, scan_sql
from catalog.settings import Settings

RESULTS = Path(__file__).with_name("results") / "sql.json"
QUERY = "select commune_code, count(*) as n from gold.fct_bench group by all order by n desc, 1 limit 10"
LIMIT_BYTES = 512 * 1024**2
GREEDY = {
    "median": "select median(i) from range(200000000) as t(i)",
    "list": "select list_sum(range(200000000))",
    "aggregated list": "select list(i) from range(200000000) as t(i)",
    "long text": "select length(repeat('x', 4000000000))",
}


def main() -> None:
    """Measure, keep the results, write the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table of the docs is written for this only")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="odh-bench-") as folder:
        times = measure_times(Path(folder), options.rows, options.repeats)
    results: dict[str, Any] = {
        "commit": commit(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": options.rows,
        "repeats": options.repeats,
        "seconds": times,
        "memory": {name: measure_memory(sql) for name, sql in GREEDY.items()},
        "machine": describe_machine(["duckdb", "fastapi", "uvicorn"], load),
    }
    keep_results(results, report(results), options.results, RESULTS, "bench-sql")


def measure_times(folder: Path, rows: int, repeats: int) -> dict[str, float]:
    """Median seconds of each way, taking turns."""
    settings = Settings(lake=folder / "lake", _env_file=None)  # type: ignore[call-arg]
    pin = write_table(settings, folder, rows)
    with serving(settings) as url, open_duckdb(settings) as engine, requests.Session() as session:

        def send(sql: str) -> None:
            session.post(f"{url}/sql", json={"sql": sql}, timeout=60).raise_for_status()

        ways: dict[str, Callable[[], object]] = {
            "nothing asked": lambda: session.get(f"{url}/health/live", timeout=60).raise_for_status(),
            "POST /sql, select 1": lambda: send("select 1"),
            "POST /sql, groups of the table": lambda: send(QUERY),
            "the same in an open DuckDB": lambda: engine.execute(
                QUERY.replace("gold.fct_bench", f"({scan_sql(pin)})")
            ).fetchall(),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(repeats + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                if turn:  # the first warms up
                    taken[name].append(time.perf_counter() - began)
    return {name: median(seconds) for name, seconds in taken.items()}


def write_table(settings: Settings, folder: Path, rows: int) -> Any:
    """A released table of some rows; its pin."""
    lakehouse, ledger = Lakehouse(settings), Ledger(settings)
    with open_duckdb(settings) as connection:
        select = "select range as id, (range % 36000)::varchar as commune_code, hash(range) / 7 as amount"
        connection.execute(f"create schema gold; create table gold.fct_bench as {select} from range({rows:d})")
        pin = write_back.stage_table(connection, lakehouse, (GOLD, "fct_bench"), ({}, ""), None, folder, {})
    table = ReleasedTable(pin, "bench", rows, "hash")
    releases.publish(ledger, lakehouse, releases.stage(ledger, "bench", date(2024, 1, 1), [table], {"bench": "mark"}))
    lakehouse.close()
    ledger.close()
    return pin


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Run the gateway in a thread and give its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def measure_memory(sql: str) -> dict[str, Any]:
    """Peak memory of a statement in a process with DuckDB's limit alone, and with the kernel's too."""
    found: dict[str, Any] = {}
    for name in ("duckdb", "kernel"):
        command = [sys.executable, "-m", "benchmarks.sql_memory", name, str(LIMIT_BYTES), sql]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told = json.loads(done.stdout) if done.stdout else {"outcome": "the process died", "peak_bytes": None}
        found[name] = told
    return found


def report(results: dict[str, Any]) -> str:
    """The measures as Markdown."""
    rows = [f"| {name} | {1000 * seconds:.0f} ms |" for name, seconds in results["seconds"].items()]
    lines = [
        *about_lines(results, results["repeats"]),
        f"| a request over {results['rows']:,} rows | median |",
        "|---|---:|",
        *rows,
        "",
        f"| a statement under a limit of {LIMIT_BYTES >> 20} MB | DuckDB's limit alone | the kernel's too |",
        "|---|---|---|",
        *(
            f"| `{GREEDY[name]}` | {_told(one['duckdb'])} | {_told(one['kernel'])} |"
            for name, one in results["memory"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _told(one: dict[str, Any]) -> str:
    peak = one["peak_bytes"]
    return one["outcome"] + (f", {peak / 1e9:.1f} GB" if peak else "")


if __name__ == "__main__":
    main()

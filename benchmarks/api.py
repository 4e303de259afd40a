"""`make bench-read`: pages beside a request that does nothing, exports beside a plain file, memory.

The server is a process of its own, the client another, on loopback; what is compared takes turns, medians count.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from api.tables import Layer, Tables
from benchmarks.machine import commit, describe_machine
from benchmarks.report import Goal, about_lines, goal_lines, keep_results
from catalog import releases, write_back
from catalog.iceberg import GOLD, Lakehouse
from catalog.ledger import Ledger
from catalog.registry import load_registry
from catalog.session import prepare_connection
from catalog.settings import Settings

RESULTS = Path(__file__).with_name("results") / "api.json"
TITLE = "bench-api"
DAY = date(2024, 1, 1)
PAGE = 100
NAME = "fct_wide"
TABLE = f"/curated/{NAME}"
NOOP, FILE = "/bench/noop", "/bench/file"
MODEL = """
    select
        '2023' || lpad(range::varchar, 8, '0') as accident_id,
        lpad((range % 97)::varchar, 2, '0') as departement_code,
        lpad((hash(range) % 36000)::varchar, 5, '0') as commune_code,
        (hash(range, 1) % 300)::varchar || ' avenue de la République, lieu-dit ' || (hash(range, 2) % 5000) as address,
        date '2015-01-01' + (range % 3650)::integer as accident_date,
        (range % 24)::integer as hour,
        48 + (hash(range, 3) % 100000) / 100000 as latitude,
        2 + (hash(range, 4) % 100000) / 100000 as longitude,
        (hash(range, 5) % 4)::integer as killed,
        (hash(range, 6) % 9)::integer as injured,
        ['Plein jour', 'Crépuscule ou aube', 'Nuit sans éclairage public'][1 + range % 3] as light,
        case when range % 5 = 0 then null else 'Collision de deux véhicules par le côté' end as collision,
        range % 2 = 0 as is_urban,
        md5(range::varchar) as vehicle_key
    from range({rows})
"""


def main() -> None:
    """Measure, keep the results, write the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the table, of 14 columns and 220 bytes")
    parser.add_argument("--requests", type=int, default=300, help="requests of each kind and turn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table of the docs is written for this only")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    results: dict[str, Any] = {
        "commit": commit(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": options.rows,
        "repeats": options.repeats,
    }
    with tempfile.TemporaryDirectory(prefix="bench-api-") as folder:
        root = Path(folder)
        plain = _make_lake(root, options.rows)
        with _serving(root / "lake", plain) as (port, pid):
            results |= measure_pages(port, options.rows, options.requests, options.repeats)
            results |= measure_exports(port, pid, options.repeats)
    results["machine"] = describe_machine(("duckdb", "polars", "pyarrow", "fastapi", "uvicorn"), load)
    text = "\n".join([*goal_lines(_goals(results)), "", *about_lines(results, options.repeats)])
    keep_results(results, text, options.results, RESULTS, TITLE)


# The measures


def measure_pages(port: int, rows: int, requests: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of a request that does nothing, of the first page, and of one deep in the table, at one client."""
    deep = min(4_000_000, rows - PAGE)
    taken: dict[str, list[float]] = {"noop": [], "first": [], "deep": [], "deep_by_cursor": []}
    with closing(HTTPConnection("127.0.0.1", port)) as client:
        before = json.loads(_get(client, f"{TABLE}?page_size={PAGE}&page={deep // PAGE}")[1])
        cursor = re.sub(r"^http://[^/]+", "", before["links"]["next"])
        addresses = {
            "noop": NOOP,
            "first": f"{TABLE}?page_size={PAGE}",
            "deep": f"{TABLE}?page_size={PAGE}&page={deep // PAGE + 1}",
            "deep_by_cursor": cursor,
        }
        for _ in range(repeats):
            for name, address in addresses.items():
                taken[name] += [1000 * _get(client, address)[0] for _ in range(requests)]
    return {"depth": deep, **{f"{name}_ms": round(median(times), 3) for name, times in taken.items()}}


def measure_exports(port: int, pid: int, repeats: int) -> dict[str, Any]:
    """Megabytes a second of a plain file and of the whole table in each format, and the server's memory meanwhile."""
    addresses = {"file": FILE, **{form: f"{TABLE}?format={form}" for form in ("csv", "ndjson", "parquet", "arrow")}}
    speeds: dict[str, list[float]] = {name: [] for name in addresses}
    memory: dict[str, list[float]] = {name: [] for name in addresses}
    processor: dict[str, list[float]] = {name: [] for name in addresses}
    sizes: dict[str, int] = {}
    for _ in range(repeats):
        for name, address in addresses.items():
            began = _processor_seconds(pid)
            with _watching(pid) as seen:
                seconds, sizes[name] = _download(port, address)
            processor[name].append((_processor_seconds(pid) - began) * 1e9 / sizes[name])
            speeds[name].append(sizes[name] / 1e6 / seconds)
            memory[name].append(_growth(seen))
    return {
        "export_bytes": sizes,
        "export_mb_per_second": {name: round(median(taken), 1) for name, taken in speeds.items()},
        "export_processor_seconds_per_gb": {name: round(median(taken), 2) for name, taken in processor.items()},
        # of the last turn: buffers and code of the first stay
        "export_growth_mib": {name: round(taken[-1]) for name, taken in memory.items()},
    }


# Parts of them


def _make_lake(root: Path, rows: int) -> Path:
    """A lake of one released table with its copy, and the same table as a plain CSV file."""
    settings = Settings(lake=root / "lake")
    plain = root / "plain.csv"
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        with closing(duckdb.connect(str(root / "private.duckdb"))) as connection:
            prepare_connection(connection, settings)
            connection.execute(f"create schema gold; create table gold.{NAME} as {MODEL.format(rows=rows)}")
            pin = write_back.stage_table(connection, lakehouse, (GOLD, NAME), ({}, ""), None, root, {})
            connection.execute(f"copy gold.{NAME} to '{plain}' (format csv)")
        table = releases.ReleasedTable(pin, "bench", rows, "hash")
        releases.publish(ledger, lakehouse, releases.stage(ledger, "bench", DAY, [table], {"bench": "mark"}))
    (root / "private.duckdb").unlink()
    with Tables(settings, load_registry(settings)) as tables:
        tables.relation(tables.get(Layer.CURATED, NAME, None))
        tables.copies.wait()
    return plain


@contextmanager
def _serving(lake: Path, plain: Path) -> Iterator[tuple[int, int]]:
    """A server of the lake: its port, and the number of its process."""
    command = [sys.executable, "-m", "benchmarks.api_server", str(lake), str(plain)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline()) if process.stdout else 0
            with closing(HTTPConnection("127.0.0.1", port)) as client:
                for address in (NOOP, TABLE):
                    _get(client, address)
            yield port, process.pid
        finally:
            process.terminate()


def _get(client: HTTPConnection, address: str) -> tuple[float, bytes]:
    began = time.perf_counter()
    client.request("GET", address)
    answer = client.getresponse()
    body = answer.read()
    seconds = time.perf_counter() - began
    if answer.status != 200:
        raise SystemExit(f"{address} answered {answer.status}: {body[:500]!r}")
    return seconds, body


def _download(port: int, address: str) -> tuple[float, int]:
    """Seconds and bytes of a whole answer, received by the cheapest means there are."""
    request = f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    buffer, received = bytearray(1 << 20), 0
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        while count := connection.recv_into(buffer):
            if not received and not buffer.startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"{address} answered {bytes(buffer[:count])!r}")
            received += count
    return time.perf_counter() - began, received


@contextmanager
def _watching(pid: int) -> Iterator[list[float]]:
    """Resident MiB of a process, ten times a second."""
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            seen.append(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _processor_seconds(pid: int) -> float:
    """Processor time a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _growth(seen: list[float]) -> float:
    """How much more memory the last third of an export takes at its peak than the first."""
    third = max(1, len(seen) // 3)
    return max(seen[-third:], default=0.0) - max(seen[:third], default=0.0)


def _goals(results: dict[str, Any]) -> list[Goal]:
    noop, first = results["noop_ms"], results["first_ms"]
    speed, size, growth = (results[f"export_{one}"] for one in ("mb_per_second", "bytes", "growth_mib"))
    depth = f"{results['depth']:,}"
    goals: list[Goal] = [
        (
            f"first page of {PAGE} rows at most 10 times a request that does nothing",
            f"{first / noop:.1f} ({first:.2f} ms, {noop:.2f} ms)",
            first <= 10 * noop,
        )
    ]
    for name, told in (("deep", "by number"), ("deep_by_cursor", "by cursor")):
        taken = results[f"{name}_ms"]
        goal = f"page at depth {depth} at most 1.2 times the first, {told}"
        goals.append((goal, f"{taken / first:.2f} ({taken:.2f} ms)", taken <= 1.2 * first))
    for form, least in (("csv", 0.4), ("ndjson", 0.35)):
        ratio = speed[form] / speed["file"]
        goal = f"{form} of {size[form] / 1e9:.1f} GB at least {least} times the MB/s of a plain file"
        goals.append((goal, f"{ratio:.2f} ({speed[form]:.0f} MB/s, {speed['file']:.0f} MB/s)", ratio >= least))
    for form in ("csv", "ndjson", "parquet", "arrow"):
        goal = f"memory flat during the {form} export: at most 64 MiB more at its end than at its beginning"
        goals.append((goal, f"{growth[form]} MiB ({speed[form]:.0f} MB/s)", growth[form] <= 64))
    return goals


if __name__ == "__main__":
    main()

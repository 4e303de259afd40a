"""`make bench-ingest`: CSV to parquet, ours beside DuckDB, pandas and dlt, on this machine and in one run.

Each measure is a process of its own, contenders take turns, medians count. Standard library only: a child's peak
memory begins at its parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import commit, describe_machine
from benchmarks.report import write_report

NAMES = ("odh", "duckdb", "pandas", "dlt", "dlt_reader")
PACKAGES = ("polars", "pyarrow", "duckdb", "pandas", "dlt")
UNABLE = {"cp1252": {"dlt_reader"}}
SMALL_ROWS, SMALL_COLUMNS = 50, 10
RESULTS = Path(__file__).with_name("results") / "ingest.json"
GENERATE = "import sys; from pathlib import Path; from ingestion.sample.wide import write_wide_csv as write; "


def main() -> None:
    """Measure, keep the results, write the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the large files, of 20 columns")
    parser.add_argument("--small", type=int, default=2_000, help=f"small files, of {SMALL_ROWS} rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where to put 1 GB a million rows for the time being")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table of the docs is written for this only")
    options = parser.parse_args()
    started, load = datetime.now(UTC), os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="bench-ingest-", dir=options.folder))
    about: dict[str, Any] = {
        "commit": commit(),
        "started_at": started.isoformat(timespec="seconds"),
        "rows": options.rows,
        "small_files": options.small,
    }
    report = ""
    try:
        for measures in _measure(folder, _inputs(folder, options.rows, options.small), options.repeats):
            machine = describe_machine(PACKAGES, load)
            cases = {case: {name: _summary(taken) for name, taken in by.items()} for case, by in measures.items()}
            results = about | {"machine": machine, "cases": cases}
            options.results.parent.mkdir(parents=True, exist_ok=True)
            options.results.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
            report = write_report(results, into_docs=options.results == RESULTS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report)


def _inputs(folder: Path, rows: int, small: int) -> dict[str, tuple[str, Path]]:
    """Write the seeded files: case → encoding and path."""
    cases = {
        "utf-8": ("utf-8", folder / "utf-8.csv"),
        "cp1252": ("cp1252", folder / "cp1252.csv"),
        "small": ("utf-8", folder / "small"),
    }
    for case in ("utf-8", "cp1252"):
        encoding, path = cases[case]
        _python("-c", GENERATE + "write(Path(sys.argv[1]), int(sys.argv[2]), 20, sys.argv[3])", path, rows, encoding)
    one = f"[write(Path(sys.argv[1]) / f'{{n:05}}.csv', {SMALL_ROWS}, {SMALL_COLUMNS}, seed=n)"
    _python("-c", GENERATE + one + " for n in range(int(sys.argv[2]))]", cases["small"][1], small)
    return cases


def _measure(
    folder: Path, cases: dict[str, tuple[str, Path]], repeats: int
) -> Iterator[dict[str, dict[str, list[dict[str, Any]]]]]:
    """Let every contender have its turn at every case; all measures so far after each round."""
    able = {case: [name for name in NAMES if name not in UNABLE.get(case, ())] for case in cases}
    taken: dict[str, dict[str, list[dict[str, Any]]]] = {case: {name: [] for name in able[case]} for case in cases}
    for turn in range(repeats):
        for case, (encoding, path) in cases.items():
            for name in able[case][turn:] + able[case][:turn]:
                out = folder / "out"
                out.mkdir()
                measure = json.loads(_python("-m", "benchmarks.contenders", name, encoding, path, out).splitlines()[-1])
                shutil.rmtree(out)
                print(f"{case:8} {name:8} {measure['seconds']:8.2f} s {measure['peak_bytes'] >> 20:8} MiB", flush=True)
                taken[case][name].append(measure)
        counts = {case: {one["rows"] for by in taken[case].values() for one in by} for case in cases}
        if any(len(rows) != 1 for rows in counts.values()):
            raise SystemExit(f"The contenders did not write the same rows: {counts}.")
        yield taken


def _summary(taken: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "seconds": round(median(one["seconds"] for one in taken), 3),
        "cpu_seconds": round(median(one["cpu_seconds"] for one in taken), 3),
        "peak_mib": round(median(one["peak_bytes"] for one in taken) / (1 << 20)),
        "all_seconds": [round(one["seconds"], 3) for one in taken],
        "rows": taken[0]["rows"],
    }


def _python(*arguments: object) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()

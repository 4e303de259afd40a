"""One statement in this process, under DuckDB's limit or the kernel's too; prints how it ended and the peak memory."""

from __future__ import annotations

import json
import resource
import sys

import duckdb

from catalog.sandbox import Job, limit_process


def main() -> None:
    """Run the statement of the command line."""
    way, limit, sql = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with duckdb.connect(config={"threads": 2, "memory_limit": f"{limit}B"}) as connection:
        if way == "kernel":
            limit_process(Job(sql, "", "", "csv", 1, 1, limit, 0, 2, 600.0, []))
        try:
            connection.execute(sql).fetchone()
            outcome = "runs"
        except (duckdb.Error, MemoryError):
            outcome = "is refused"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"outcome": outcome, "peak_bytes": peak}))


if __name__ == "__main__":
    main()

"""Runs dbt for the builder, in one process for many commands: importing and parsing cost more than building.

Standard input brings one JSON list of dbt arguments a line. Standard output answers with JSON lines: ``{"done",
"total"}`` as nodes end, ``{"error"}`` for each message of that level, and ``{"ended": true}`` when the command is over.
The list ``["free"]`` closes the database. It ends with its input, and so with the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

RESULTS = {"LogModelResult", "LogTestResult", "LogSeedResult"}


def main() -> None:
    """Serve commands until the input ends."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what dbt prints is not an answer
    lock = threading.Lock()

    def answer(**facts: Any) -> None:
        with lock:
            answers.write(json.dumps(facts) + "\n")
            answers.flush()

    def on_event(event: Any) -> None:
        if event.info.name in RESULTS:
            data = event.data
            answer(done=data.index, total=data.num_models if event.info.name == "LogTestResult" else data.total)
        elif event.info.level == "error":
            answer(error=event.info.msg)

    manifest, home = None, Path.cwd()
    for line in sys.stdin:
        os.chdir(home)  # dbt leaves us in the linked project, which the next build may make anew
        arguments = json.loads(line)
        if arguments == ["free"]:
            free_database()
            answer(ended=True)
            continue
        ended = dbtRunner(manifest=manifest, callbacks=[on_event]).invoke(arguments)
        if arguments[0] == "parse" and (manifest := ended.result):
            root = arguments[arguments.index("--project-dir") + 1]
            for (
                node
            ) in manifest.nodes.values():  # what was parsed for another lake has its seeds under that one's folder
                if node.resource_type == "seed":
                    node.root_path = root
        if ended.exception:
            answer(error=str(ended.exception))
        answer(ended=True)


def free_database() -> None:
    """Close the DuckDB file, which dbt-duckdb else holds as long as the process lives."""
    held = DuckDBConnectionManager._ENV
    if held is not None:
        held.close()
        DuckDBConnectionManager._ENV = None


def end_with(parent: int) -> None:
    """End this process at once when its parent is gone, so that a killed run leaves nothing at work."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    main()

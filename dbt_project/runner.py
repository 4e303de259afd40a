"""Runs dbt for the builder, in one process for many commands: importing and parsing cost more than building.

Standard input brings one JSON list of dbt arguments a line. Standard output answers with JSON lines: ``{"done",
"total"}`` as nodes end, ``{"error"}`` for each message of that level, and ``{"ended": true}`` when the command is over.
It ends with its input, and so with the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from dbt.cli.main import dbtRunner

RESULTS = {"LogModelResult", "LogTestResult", "LogSeedResult"}


def main() -> None:
    """Serve commands until the input ends."""
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

    manifest = None
    for line in sys.stdin:
        arguments = json.loads(line)
        ended = dbtRunner(manifest=manifest, callbacks=[on_event]).invoke(arguments)
        if arguments[0] == "parse":
            manifest = ended.result
        if ended.exception:
            answer(error=str(ended.exception))
        answer(ended=True)


if __name__ == "__main__":
    main()

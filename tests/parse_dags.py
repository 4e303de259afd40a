"""Parses the DAGs in this process and prints what they are, and every call their import made, as one JSON object."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

DAGS = Path(__file__).resolve().parents[1] / "airflow" / "dags"
CALLS = {"socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen"}


def main() -> None:
    """Parse, under watch."""
    from airflow.dag_processing.dagbag import DagBag

    calls: Counter[str] = Counter()
    watched = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watched and (event in CALLS or (event == "open" and str(arguments[0]).endswith(".yml"))):
            calls[event if event in CALLS else str(arguments[0])] += 1

    sys.path.append(str(DAGS))
    bag = DagBag(DAGS, collect_dags=False)
    sys.addaudithook(watch)
    began = time.process_time()
    bag.collect_dags(DAGS)
    cpu_seconds = time.process_time() - began
    watched = False
    found = {dag_id: described(dag) for dag_id, dag in bag.dags.items()}
    print(json.dumps({"dags": found, "errors": bag.import_errors, "calls": calls, "cpu_seconds": cpu_seconds}))


def described(dag: Any) -> dict[str, Any]:
    """A DAG in JSON."""
    from airflow.serialization.serialized_objects import DagSerialization

    dag.validate()
    dag.check_cycle()
    serialized = DagSerialization.serialize_dag(dag)  # what a scheduler reads
    return {
        "schedule": serialized["timetable"],
        "tasks": [task_of(task) for task in dag.tasks],
        "tells_of_failure": dag.has_on_failure_callback,
        "tells_of_success": dag.has_on_success_callback,
    }


def task_of(task: Any) -> dict[str, Any]:
    """A task in JSON; of a mapped one, as each of its tasks will be."""
    rules = task.retry_policy.serialize()["rules"] if task.retry_policy else []
    return {
        "id": task.task_id,
        "owner": task.owner,
        "retries": task.retries,
        "fails_at_once": [rule["exception"] for rule in rules if rule["action"] == "fail"],
        "timeout_seconds": task.execution_timeout.total_seconds() if task.execution_timeout else None,
        "pool": task.pool,
        "tells_of_failure": bool(task.on_failure_callback),
    }


if __name__ == "__main__":
    main()

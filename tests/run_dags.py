"""Runs DAGs in this process, one after the other, and prints how they and their tasks ended as one JSON object.

python run_dags.py '[["sync_feeds", {"feeds": ["jours_feries"]}], …]'; Airflow's own settings come from its variables.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DAGS = Path(__file__).resolve().parents[1] / "airflow" / "dags"


def main() -> None:
    """Run what is asked for."""
    from airflow.dag_processing.dagbag import DagBag

    sys.path.append(str(DAGS))
    bag = DagBag(DAGS)
    wanted = json.loads(sys.argv[1])
    print(json.dumps([run_dag(bag.dags[dag_id], conf) for dag_id, conf in wanted]))


def run_dag(dag: Any, conf: dict[str, Any]) -> dict[str, Any]:
    """Run one DAG now, and tell how it went."""
    run = dag.test(logical_date=datetime.now(UTC), run_conf=conf)
    instances = run.get_task_instances()
    tasks = {f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id: str(ti.state) for ti in instances}
    return {"dag": dag.dag_id, "run_id": run.run_id, "state": str(run.state), "tasks": tasks}


if __name__ == "__main__":
    main()

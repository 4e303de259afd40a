"""Keeps the lake in order once a day: compacts, expires, and removes what nothing names any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from task_rules import DAG_DEFAULTS, WAREHOUSE_POOL, origin


@dag(
    dag_id="maintain_tables",
    schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC"),
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def maintain_tables() -> None:
    @task(pool=WAREHOUSE_POOL, execution_timeout=timedelta(hours=6))
    def maintain_lake() -> dict[str, Any]:
        from catalog import jobs

        return jobs.maintain_lake(origin())

    maintain_lake()


maintain_tables()

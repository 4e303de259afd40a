"""Takes pushed records from their log into a release, where no ``odh drain --watch`` of a gateway does it already."""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from task_rules import DAG_DEFAULTS, WAREHOUSE_POOL, origin


@dag(
    dag_id="drain_ingest",
    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def drain_ingest() -> None:
    @task(pool=WAREHOUSE_POOL)
    def drain_log() -> dict[str, Any]:
        from ingestion import jobs

        return jobs.drain_ingest(origin())

    drain_log()


drain_ingest()

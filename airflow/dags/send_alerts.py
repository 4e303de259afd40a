"""Looks every quarter of an hour for what people must know, late data above all, and tells what was not told yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from task_rules import DAG_DEFAULTS


@dag(
    dag_id="send_alerts",
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
    doc_md=__doc__,
    **{**DAG_DEFAULTS, "on_success_callback": None},  # it has just told
)
def send_alerts() -> None:
    @task(retries=0, execution_timeout=timedelta(minutes=5))
    def tell_people() -> dict[str, Any]:
        from catalog import jobs

        return jobs.send_alerts()

    tell_people()


send_alerts()

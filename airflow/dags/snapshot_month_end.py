"""Keeps a copy of the gold tables that are kept so, as of the last day of the month before the logical date."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, get_current_context, task
from task_rules import DAG_DEFAULTS, WAREHOUSE_POOL, logical_moment, origin


def month_end() -> date:
    """The last day of the month before the logical date, or the day given by hand."""
    given = get_current_context()["params"]["as_of"]
    return date.fromisoformat(given) if given else logical_moment().date().replace(day=1) - timedelta(days=1)


@dag(
    dag_id="snapshot_month_end",
    schedule=CronTriggerTimetable("0 6 1 * *", timezone="UTC"),
    params={
        "as_of": Param(None, type=["null", "string"], format="date", description="default: the end of the month before")
    },
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def snapshot_month_end() -> None:
    @task(pool=WAREHOUSE_POOL, execution_timeout=timedelta(hours=3))
    def take_snapshots() -> list[dict[str, Any]]:
        from catalog import jobs

        return jobs.take_snapshots(month_end(), origin())

    take_snapshots()


snapshot_month_end()
